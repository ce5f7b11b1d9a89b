"""The Earth from above at 64x64: configuration R at small width, for a CPU.

python -m afgan_jax train --config=configs/earth64.py --workdir=runs/earth64

`:r` (default) or `:t`. About 22 images/s on 2 CPU cores: 36 minutes.
"""

from ml_collections import ConfigDict

BATCH = 8


def get_config(arg=None):
    resolution = 64
    config = ConfigDict(
        {
            "data": {"path": "earth", "resolution": resolution, "mirror": True},
            "generator": {
                "resolution": resolution,
                "z_dim": 64,
                "w_dim": 64,
                "channel_base": 1536,
                "channel_max": 64,
                "num_layers": 9,
                "num_critical": 1,
                "margin": 5,
                "filter_size": 4,
                "conv_kernel": 1,
                "radial": True,
                "magnitude_ema_beta": 0.5 ** (BATCH / 1000),
            },
            "discriminator": {
                "resolution": resolution,
                "channel_base": 1024,
                "channel_max": 64,
            },
            "losses": {"r1_gamma": 1.0},
            "updates": {
                "batch_size": BATCH,
                "G_lr": 0.004,
                "D_lr": 0.002,
                "ema_kimg": 1.0,
                "ema_rampup": 0.1,
            },
            "pictures": {"rows": 6, "columns": 10},
            "train": {
                "total_kimg": 48,
                "tick_kimg": 0.4,
                "checkpoint_ticks": 1,
                "image_ticks": 10,
            },
        }
    )
    if arg == "t":
        config.generator.update(
            {"conv_kernel": 3, "radial": False, "channel_base": 1024, "channel_max": 48}
        )
    elif arg not in (None, "r"):
        raise ValueError(f"earth64.py:{arg} is unknown: use :r or :t")
    return config
