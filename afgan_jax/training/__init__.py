"""Losses, phases, the jitted updates and the loop around them."""
