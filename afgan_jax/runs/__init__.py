"""Run directories: settings, checkpoints and their retention."""
