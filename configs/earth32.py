"""The Earth from above at 32x32, small enough for a laptop's CPU.

python -m afgan_jax train --config=configs/earth32.py --workdir=runs/earth32
"""

from ml_collections import ConfigDict

BATCH = 16


def get_config(arg=None):
    resolution = 32
    return ConfigDict(
        {
            "data": {"path": "earth", "resolution": resolution, "mirror": True},
            "generator": {
                "resolution": resolution,
                "z_dim": 64,
                "w_dim": 64,
                "channel_base": 1024,
                "channel_max": 64,
                "num_layers": 6,
                "num_critical": 1,
                "margin": 6,
                "conv_kernel": 1,
                "radial": True,
                "magnitude_ema_beta": 0.5 ** (BATCH / 1000),
            },
            "discriminator": {
                "resolution": resolution,
                "channel_base": 1024,
                "channel_max": 64,
            },
            "losses": {"r1_gamma": 0.1},
            "updates": {"batch_size": BATCH, "ema_kimg": 1.0, "ema_rampup": 0.1},
            "pictures": {"rows": 6, "columns": 12},
            "train": {
                "total_kimg": 24,
                "tick_kimg": 0.8,
                "checkpoint_ticks": 1,
                "image_ticks": 5,
            },
        }
    )
