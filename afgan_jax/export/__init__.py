"""Models as files that others open, each compared with its source when written."""
