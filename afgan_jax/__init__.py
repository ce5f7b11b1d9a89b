"""Alias-Free GAN (StyleGAN3) in JAX.

model = afgan_jax.load("runs/earth")        # a run, RUN@STEP, or a published snapshot
model.images(seeds=[0, 1], psi=0.7)         # uint8 [N H W C]
afgan_jax.train("earth32", "runs/earth")    # a config, a new or resumed run directory
afgan_jax.analysis.equivariance(model, samples=200).decibels
"""

import importlib

_PUBLIC = {"load": "afgan_jax.model", "Model": "afgan_jax.model"}
_PUBLIC |= {"train": "afgan_jax.assembly.training"}
_MODULES = ("analysis", "viz")
__all__ = [*_PUBLIC, *_MODULES]


def __getattr__(name: str):
    # JAX is imported when a name is first used, not by `import afgan_jax`.
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
