"""FFHQ-U at 256x256, the published ablation setting: configurations A, T and R.

python -m afgan_jax train --config=configs/ffhqu256.py:r --workdir=runs/ffhqu256-r

`:t` (default), `:r` or `:a`. Expects the 70000 images as data/ffhqu256.zip (another
place: --config.data.path=...). Published after 25000 kimg on 8 GPUs, whose times are
those of the published program:

    T  FID 4.62  EQ-T 63.0 dB                26 h on A100, 51 h on V100
    R  FID 4.50  EQ-T 66.7 dB  EQ-R 40.5 dB  33 h on A100, 47 h on V100
    A  FID 5.14                              15 h on A100, 25 h on V100

A set of this size needs no augmentation.
"""

from ml_collections import ConfigDict

RESOLUTION = 256
BATCH = 64


def get_config(arg=None):
    config = ConfigDict(
        {
            "data": {
                "path": "data/ffhqu256.zip",
                "resolution": RESOLUTION,
                "mirror": True,
            },
            "generator": {
                "resolution": RESOLUTION,
                "channel_base": 2**14,
                "channel_max": 512,
                "mapping_layers": 2,
                "magnitude_ema_beta": 0.5 ** (BATCH / 20e3),
            },
            "discriminator": {
                "resolution": RESOLUTION,
                "channel_base": 2**14,
                "channel_max": 512,
                "mbstd_group_size": 4,
            },
            "losses": {"r1_gamma": 1.0},
            "updates": {
                "batch_size": BATCH,
                "G_lr": 0.0025,
                "D_lr": 0.0025,
                "D_reg_interval": 16,
                "ema_kimg": 10 * BATCH / 32,
            },
            "train": {"total_kimg": 25000},
        }
    )
    if (arg or "t") not in CONFIGURATIONS:
        known = ", ".join(f":{name}" for name in CONFIGURATIONS)
        raise ValueError(f"ffhqu256.py:{arg} is unknown: use one of {known}")
    CONFIGURATIONS[arg or "t"](config)
    return config


def _t(config):
    pass


def _r(config):
    config.generator.update(
        {"conv_kernel": 1, "radial": True, "channel_base": 2**15, "channel_max": 1024}
    )
    # 200 kimg at batch 32, growing with the batch as in the published program.
    config.losses.update({"blur_init_sigma": 10.0, "blur_fade_kimg": 200 * BATCH / 32})


def _a(config):
    config.generator.update({"synthesis": "stylegan2", "mapping_layers": 8})
    del config.generator.magnitude_ema_beta
    config.discriminator.mbstd_group_size = 8
    config.losses.update({"pl_weight": 2.0, "style_mixing_prob": 0.9})
    config.updates.G_reg_interval = 4


CONFIGURATIONS = {"t": _t, "r": _r, "a": _a}
