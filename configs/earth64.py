"""The Earth from above at 64x64: configuration R at small width, for a CPU.

python -m afgan_jax train --config=earth64 --workdir=runs/earth64

`:r` (default), `:t` or `:a`, StyleGAN2. About 22 images/s on 2 CPU cores: 36 minutes.
"""

from . import base

SIZES = base.small(64, num_layers=9, r=(1536, 64), t=(1024, 48), a=(1536, 64))


def get_config(arg=None):
    return base.make(
        base.earth(64),
        base.choose("earth64.py", SIZES, arg),
        {"losses": {"r1_gamma": 1.0}},
    )
