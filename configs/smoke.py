"""A run of a few seconds, for tests and for a first look.

python -m afgan_jax train --config=smoke --workdir=runs/smoke
"""

from ml_collections import ConfigDict


def get_config():
    resolution = 16
    return ConfigDict(
        {
            "data": {"path": "earth", "resolution": resolution},
            "generator": {
                "mapping": {"z_dim": 16, "w_dim": 16},
                "synthesis": {
                    "resolution": resolution,
                    "channel_base": 64,
                    "channel_max": 8,
                    "num_layers": 3,
                    "num_critical": 1,
                    "margin": 4,
                },
            },
            "discriminator": {
                "resolution": resolution,
                "channel_base": 64,
                "channel_max": 8,
                "mbstd_group_size": 2,
            },
            "losses": {"r1_gamma": 0.1},
            "updates": {"batch_size": 8, "D_reg_interval": 4, "ema_kimg": 0.1},
            "samples": {"rows": 2, "columns": 4},
            "train": {"total_kimg": 0.128, "tick_kimg": 0.032, "checkpoint_ticks": 2},
        }
    )
