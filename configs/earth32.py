"""The Earth from above at 32x32: configuration R, small enough for a laptop's CPU.

python -m afgan_jax train --config=earth32 --workdir=runs/earth32

`:r` (default), `:t` or `:a`, StyleGAN2. About 47 images/s on 2 CPU cores: 11 minutes.
Unlike the published setting, R and T have half the layers, filters of 4 taps per factor
instead of 6 (a third of the time, some dB worse), a narrower margin and running
averages as short as the training.
"""

from . import base

SIZES = base.small(32, num_layers=7, r=(1536, 56), t=(768, 40), a=(1024, 48))


def get_config(arg=None):
    return base.make(
        base.earth(32),
        base.choose("earth32.py", SIZES, arg),
        {
            "losses": {"r1_gamma": 0.3},
            "samples": {"columns": 12},
            "train": {"total_kimg": 32, "tick_kimg": 0.8, "image_ticks": 5},
        },
    )
