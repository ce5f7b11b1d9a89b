"""Trainings, and the sets of models, put together from the settings of configs."""
