"""Measurements of networks and of their layers: numbers, and figures of them.

    found = afgan_jax.analysis.equivariance(model, samples=200)
    found.decibels, found.figure()

`equivariance`, `layers`, `layer_equivariance` and `texture_sticking` take a Model,
`shift_consistency` a discriminator. `spectra` is a module of functions of images,
`ladder` one for the rows of the paper. `plane` and `following` measure networks of
other kinds on images that move, `autoencoder` compares two of them. Figures are
matplotlib's, or images as bytes.
"""

import importlib

_PUBLIC = {
    "equivariance": "image_equivariance",
    "layers": "inside",
    "layer_equivariance": "leaks",
    "texture_sticking": "sticking",
    "shift_consistency": "discriminator",
}
_MODULES = ("autoencoder", "following", "ladder", "plane", "spectra")
__all__ = [*_PUBLIC, *_MODULES]


def __getattr__(name: str):
    if name in _PUBLIC:
        return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
