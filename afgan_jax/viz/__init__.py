"""Pictures for people: grids, strips, animations."""
