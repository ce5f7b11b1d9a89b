"""Figures, grids and strips of images, animations; `Explorer`, a widget for notebooks.

afgan_jax.viz.Explorer(afgan_jax.load("runs/earth"))    # needs afgan_jax[notebook]
"""

import importlib


def __getattr__(name: str):
    if name == "Explorer":
        try:
            return importlib.import_module("afgan_jax.explore.widget").Explorer
        except ModuleNotFoundError as error:
            if error.name not in ("anywidget", "traitlets"):
                raise
            what = "the widget needs anywidget: pip install 'afgan_jax[notebook]'"
            raise ImportError(what) from None
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
