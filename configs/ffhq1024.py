"""FFHQ and FFHQ-U at 1024x1024 as published: configurations T and R.

python -m afgan_jax train --config=configs/ffhq1024.py:r --workdir=runs/ffhq1024-r

`:t` (default) or `:r` for FFHQ, `:t-u` or `:r-u` for FFHQ-U. Expects the 70000 images
as data/ffhq1024.zip or data/ffhqu1024.zip. Published after 25000 kimg on 8 GPUs, whose
times are those of the published program:

    FFHQ     T  FID 2.79  EQ-T 61.2 dB                139 h on A100, 199 h on V100
             R  FID 3.07  EQ-T 64.8 dB  EQ-R 46.6 dB  163 h on A100, 237 h on V100
    FFHQ-U   T  FID 3.67  EQ-T 61.7 dB                as FFHQ
             R  FID 3.66  EQ-T 64.8 dB  EQ-R 47.6 dB

A set of this size needs no augmentation.
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
    for change in CONFIGURATIONS[arg or "t"]:
        change(config)
    return config


def _r(config):
    config.generator.update(
        {"conv_kernel": 1, "radial": True, "channel_base": 2**16, "channel_max": 1024}
    )
    config.losses.update({"blur_init_sigma": 10.0, "blur_fade_kimg": 200 * BATCH / 32})


def _unaligned(config):
    config.data.path = "data/ffhqu1024.zip"


CONFIGURATIONS = {
    "t": (),
    "r": (_r,),
    "t-u": (_unaligned,),
    "r-u": (_r, _unaligned),
}
