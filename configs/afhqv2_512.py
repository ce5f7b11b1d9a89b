"""AFHQv2 at 512x512 as published: configurations T and R, adaptive augmentation.

python -m afgan_jax train --config=afhqv2_512:r --workdir=runs/afhqv2-r

`:t` (default) or `:r`. Expects the 15803 images, of all three classes, as
data/afhqv2_512.zip. --preview-augment shows augmented images. Published figures:
afgan_jax/analysis/published.py.
"""

from . import base

BATCH = 32


def get_config(arg=None):
    changes = base.choose("afhqv2_512.py", CONFIGURATIONS, arg)
    return base.make(SETTING, base.config_t(BATCH), *changes)


SETTING = base.merged(
    base.published("data/afhqv2_512.zip", 512, r1_gamma=8.2),
    {"augment": {"mode": "ada"}},
)
R = base.config_r(2**15), base.blur(BATCH), {"losses": {"r1_gamma": 16.4}}
CONFIGURATIONS = {"t": (), "r": R}
