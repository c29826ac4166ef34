"""Gates at the borders: one module per gate, `tables(inputs)` gives what is expected of which rows, and why."""
