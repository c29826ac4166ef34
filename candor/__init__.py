"""Candor decides which offer each customer may and should see, and proves it."""
