"""Image archives, the order in which they are read, and the embedded image set."""
