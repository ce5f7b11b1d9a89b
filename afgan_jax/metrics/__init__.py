"""Measures of trained networks, on callables that make images or features."""
