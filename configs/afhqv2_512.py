"""AFHQv2 at 512x512 as published: configurations T and R, adaptive augmentation.

python -m afgan_jax train --config=configs/afhqv2_512.py:r --workdir=runs/afhqv2-r

`:t` (default) or `:r`. Expects the 15803 images, of all three classes, as
data/afhqv2_512.zip. Published after 25000 kimg on 8 GPUs, whose times are those of the
published program:

    T  FID 4.04  EQ-T 60.2 dB                85 h on A100, 128 h on V100
    R  FID 4.40  EQ-T 64.9 dB  EQ-R 40.3 dB  98 h on A100, 142 h on V100

--preview-augment shows what D sees.
"""

from ml_collections import ConfigDict

RESOLUTION = 512
BATCH = 32


def get_config(arg=None):
    config = ConfigDict(
        {
            "data": {
                "path": "data/afhqv2_512.zip",
                "resolution": RESOLUTION,
                "mirror": True,
            },
            "generator": {
                "resolution": RESOLUTION,
                "channel_base": 2**15,
                "channel_max": 512,
                "mapping_layers": 2,
                "magnitude_ema_beta": 0.5 ** (BATCH / 20e3),
            },
            "discriminator": {
                "resolution": RESOLUTION,
                "channel_base": 2**15,
                "channel_max": 512,
                "mbstd_group_size": 4,
            },
            "augment": {"mode": "ada"},
            "losses": {"r1_gamma": 8.2},
            "updates": {
                "batch_size": BATCH,
                "G_lr": 0.0025,
                "D_lr": 0.002,
                "D_reg_interval": 16,
                "ema_kimg": 10 * BATCH / 32,
            },
            "train": {"total_kimg": 25000},
        }
    )
    if (arg or "t") not in CONFIGURATIONS:
        known = ", ".join(f":{name}" for name in CONFIGURATIONS)
        raise ValueError(f"afhqv2_512.py:{arg} is unknown: use one of {known}")
    CONFIGURATIONS[arg or "t"](config)
    return config


def _t(config):
    pass


def _r(config):
    config.generator.update(
        {"conv_kernel": 1, "radial": True, "channel_base": 2**16, "channel_max": 1024}
    )
    config.losses.update(
        {
            "r1_gamma": 16.4,
            "blur_init_sigma": 10.0,
            "blur_fade_kimg": 200 * BATCH / 32,
        }
    )


CONFIGURATIONS = {"t": _t, "r": _r}
