"""How fast the program is on this machine, against plain XLA in the same process."""
