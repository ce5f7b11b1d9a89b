"""MetFaces and MetFaces-U at 1024x1024 as published: T and R, begun from FFHQ(-U).

python -m afgan_jax train --config=configs/metfaces1024.py:r --workdir=runs/met-r \\
    --init-from=runs/ffhq1024-r

`:t` (default) or `:r` for MetFaces, `:t-u` or `:r-u` for MetFaces-U, and the run of
configs/ffhq1024.py with the same argument to begin from. Expects the 1336 images as
data/metfaces1024.zip or data/metfacesu1024.zip. Published after 5000 kimg on 8 GPUs,
with adaptive augmentation; times are those of the published program:

    MetFaces     T  FID 15.11  EQ-T 65.2 dB                29 h on A100, 41 h on V100
                 R  FID 15.33  EQ-T 64.9 dB  EQ-R 46.8 dB  34 h on A100, 49 h on V100
    MetFaces-U   T  FID 18.75  EQ-T 64.1 dB                as MetFaces
                 R  FID 18.75  EQ-T 66.3 dB  EQ-R 48.6 dB
"""

from ml_collections import ConfigDict

RESOLUTION = 1024
BATCH = 32
GAMMA = {"t": 6.6, "r": 3.3, "t-u": 16.4, "r-u": 6.6}


def get_config(arg=None):
    name = arg or "t"
    if name not in CONFIGURATIONS:
        known = ", ".join(f":{other}" for other in CONFIGURATIONS)
        raise ValueError(f"metfaces1024.py:{arg} is unknown: use one of {known}")
    config = ConfigDict(
        {
            "data": {
                "path": "data/metfaces1024.zip",
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
            "losses": {"r1_gamma": GAMMA[name]},
            "updates": {
                "batch_size": BATCH,
                "G_lr": 0.0025,
                "D_lr": 0.002,
                "D_reg_interval": 16,
                "ema_kimg": 10 * BATCH / 32,
            },
            "train": {"total_kimg": 5000},
        }
    )
    for change in CONFIGURATIONS[name]:
        change(config)
    return config


def _r(config):
    config.generator.update(
        {"conv_kernel": 1, "radial": True, "channel_base": 2**16, "channel_max": 1024}
    )


def _unaligned(config):
    config.data.path = "data/metfacesu1024.zip"


CONFIGURATIONS = {
    "t": (),
    "r": (_r,),
    "t-u": (_unaligned,),
    "r-u": (_r, _unaligned),
}
