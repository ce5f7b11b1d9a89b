"""FFHQ at 1024x1024 as published: configurations T and R.

python -m afgan_jax train --config=configs/ffhq1024.py:r --workdir=runs/ffhq1024-r

`:t` (default) or `:r`. Expects the 70000 images as data/ffhq1024.zip. Published after
25000 kimg on 8 GPUs: FID 2.79 (T), 3.07 (R); EQ-T 61.2 dB (T), 64.8 dB (R); EQ-R 46.6
dB (R). The published program runs at 6.3 (T) and 5.3 (R) images/s per A100. A set of
this size needs no augmentation.
"""

from ml_collections import ConfigDict

RESOLUTION = 1024
BATCH = 32


def get_config(arg=None):
    config = ConfigDict(
        {
            "data": {
                "path": "data/ffhq1024.zip",
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
            "losses": {"r1_gamma": 32.8},
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
        raise ValueError(f"ffhq1024.py:{arg} is unknown: use one of {known}")
    CONFIGURATIONS[arg or "t"](config)
    return config


def _t(config):
    pass


def _r(config):
    config.generator.update(
        {"conv_kernel": 1, "radial": True, "channel_base": 2**16, "channel_max": 1024}
    )
    config.losses.update({"blur_init_sigma": 10.0, "blur_fade_kimg": 200 * BATCH / 32})


CONFIGURATIONS = {"t": _t, "r": _r}
