"""What cleaning bought: one day decided again with silos withheld and steps of cleaning left out, judged with the planted truth."""
