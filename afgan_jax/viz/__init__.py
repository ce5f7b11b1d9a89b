"""Figures, grids and strips of images, animations."""
