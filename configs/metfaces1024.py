"""MetFaces and MetFaces-U at 1024x1024 as published: T and R, from FFHQ or FFHQ-U.

python -m afgan_jax train --config=metfaces1024:r --workdir=runs/met-r \\
    --init-from=runs/ffhq1024-r

`:t` (default) or `:r` for MetFaces, `:t-u` or `:r-u` for MetFaces-U. --init-from takes
the run of ffhq1024 with the same argument. Expects the 1336 images as
data/metfaces1024.zip or data/metfacesu1024.zip; augmentation is adaptive. Published
figures: afgan_jax/analysis/published.py.
"""

from . import base

BATCH = 32


def get_config(arg=None):
    path, r1_gamma, *changes = base.choose("metfaces1024.py", CONFIGURATIONS, arg)
    setting = base.published(path, 1024, r1_gamma=r1_gamma, total_kimg=5000)
    augment = {"augment": {"mode": "ada"}}
    return base.make(setting, base.config_t(BATCH), augment, *changes)


ALIGNED, UNALIGNED = "data/metfaces1024.zip", "data/metfacesu1024.zip"
R = base.config_r(2**15)
CONFIGURATIONS = {
    "t": (ALIGNED, 6.6),
    "r": (ALIGNED, 3.3, R),
    "t-u": (UNALIGNED, 16.4),
    "r-u": (UNALIGNED, 6.6, R),
}
