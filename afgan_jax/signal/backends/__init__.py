"""Implementations of the operators, and the table that chooses one."""
