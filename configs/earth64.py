"""The Earth from above at 64x64: configuration R at small width, for a CPU.

python -m afgan_jax train --config=earth64 --workdir=runs/earth64

`:r` (default) or `:t`. About 22 images/s on 2 CPU cores: 36 minutes.
"""

from . import base


def get_config(arg=None):
    return base.make(
        base.earth(64),
        base.small_r(64, num_layers=9, channel_max=64),
        {"losses": {"r1_gamma": 1.0}},
        base.choose("earth64.py", CONFIGURATIONS, arg),
    )


T = {"conv_kernel": 3, "radial": False, "channel_base": 1024, "channel_max": 48}
CONFIGURATIONS = {"r": {}, "t": {"generator": {"synthesis": T}}}
