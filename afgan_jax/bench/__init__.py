"""Times of the program on this machine, and of plain XLA in the same process."""
