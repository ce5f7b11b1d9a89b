"""The verbs of the command line, a module each, and how their flags are read."""
