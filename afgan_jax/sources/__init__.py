"""Where networks with weights come from."""
