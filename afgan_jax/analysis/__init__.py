"""Measurements of networks and of their layers: numbers, and figures of them.

    found = afgan_jax.analysis.equivariance(model, samples=200)
    found.decibels, found.figure()

`equivariance`, `layers`, `layer_equivariance` and `texture_sticking` take a Model,
`shift_consistency` a discriminator. `spectra` is a module of functions of images,
`ladder` one for the rows of the paper. Figures are matplotlib's, or images as bytes.
"""

from afgan_jax.analysis import ladder, spectra
from afgan_jax.analysis.discriminator import shift_consistency
from afgan_jax.analysis.image_equivariance import equivariance
from afgan_jax.analysis.inside import layers
from afgan_jax.analysis.leaks import layer_equivariance
from afgan_jax.analysis.sticking import texture_sticking

__all__ = ["equivariance", "ladder", "layer_equivariance", "layers"]
__all__ += ["shift_consistency", "spectra", "texture_sticking"]
