"""MetFaces and MetFaces-U at 1024x1024 as published: T and R, begun from FFHQ(-U).

python -m afgan_jax train --config=metfaces1024:r --workdir=runs/met-r \\
    --init-from=runs/ffhq1024-r

`:t` (default) or `:r` for MetFaces, `:t-u` or `:r-u` for MetFaces-U, and the run of
ffhq1024 with the same argument to begin from. Expects the 1336 images as
data/metfaces1024.zip or data/metfacesu1024.zip; augmentation is adaptive. Published
figures: afgan_jax/analysis/published.py.
"""

from . import base

BATCH = 32


def get_config(arg=None):
    setting, *changes = base.choose("metfaces1024.py", CONFIGURATIONS, arg)
    augment = {"augment": {"mode": "ada"}}
    return base.make(setting, base.config_t(BATCH), augment, *changes)


def _setting(name: str, r1_gamma: float) -> dict:
    return base.published(name, 1024, r1_gamma=r1_gamma, total_kimg=5000)


ALIGNED, UNALIGNED = "data/metfaces1024.zip", "data/metfacesu1024.zip"
R = base.config_r(2**15)
CONFIGURATIONS = {
    "t": (_setting(ALIGNED, 6.6),),
    "r": (_setting(ALIGNED, 3.3), R),
    "t-u": (_setting(UNALIGNED, 16.4),),
    "r-u": (_setting(UNALIGNED, 6.6), R),
}
