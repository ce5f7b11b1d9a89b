"""FFHQ and FFHQ-U at 1024x1024 as published: configurations T and R.

python -m afgan_jax train --config=ffhq1024:r --workdir=runs/ffhq1024-r

`:t` (default) or `:r` for FFHQ, `:t-u` or `:r-u` for FFHQ-U. Expects the 70000 images
as data/ffhq1024.zip or data/ffhqu1024.zip; such a large set needs no augmentation.
Published figures: afgan_jax/analysis/published.py.
"""

from . import base

BATCH = 32


def get_config(arg=None):
    changes = base.choose("ffhq1024.py", CONFIGURATIONS, arg)
    return base.make(SETTING, base.config_t(BATCH), *changes)


SETTING = base.published("data/ffhq1024.zip", 1024, r1_gamma=32.8)
R = base.merged(base.config_r(2**15), base.blur(BATCH))
UNALIGNED = {"data": {"path": "data/ffhqu1024.zip"}}
CONFIGURATIONS = {"t": (), "r": (R,), "t-u": (UNALIGNED,), "r-u": (R, UNALIGNED)}
