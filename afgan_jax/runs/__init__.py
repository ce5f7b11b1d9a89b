"""Run directories: settings, checkpoints, and which of them stay."""
