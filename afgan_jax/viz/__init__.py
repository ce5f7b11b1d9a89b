"""Images for people: grids, strips, animations."""
