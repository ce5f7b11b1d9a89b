"""Parts of configurations: nested dicts that are merged."""

from ml_collections import ConfigDict

OMIT = object()  # as a value: removes the setting
EARTH_BATCH = 8


def published(
    path: str,
    resolution: int,
    *,
    r1_gamma: float,
    batch: int = 32,
    total_kimg: int = 25000,
    channel_base: int = 2**15,
    D_lr: float = 0.002,
) -> dict:
    """The paper's setting for a set of images, for any generator."""
    sizes = {
        "resolution": resolution,
        "channel_base": channel_base,
        "channel_max": 512,
    }
    return {
        "data": {"path": path, "resolution": resolution, "mirror": True},
        "generator": {"synthesis": sizes},
        "discriminator": sizes,
        "losses": {"r1_gamma": r1_gamma},
        "updates": {
            "batch_size": batch,
            "G_lr": 0.0025,
            "D_lr": D_lr,
            "D_reg_interval": 16,
            "ema_kimg": 10 * batch / 32,
        },
        "train": {"total_kimg": total_kimg},
    }


def config_t(batch: int) -> dict:
    """The settings of T that are neither defaults nor in `published`."""
    return {"generator": {"synthesis": {"magnitude_ema_beta": average(batch)}}}


def config_r(channel_base: int) -> dict:
    """The settings that R changes of a T with this channel_base."""
    sizes = {"channel_base": 2 * channel_base, "channel_max": 1024}
    return {"generator": {"synthesis": {"conv_kernel": 1, "radial": True, **sizes}}}


def blur(batch: int) -> dict:
    """The blur of D's images of R: 200 kimg at batch 32, proportional to the batch."""
    return {"losses": {"blur_init_sigma": 10.0, "blur_fade_kimg": 200 * batch / 32}}


def average(batch: int, kimg: float = 20.0) -> float:
    """magnitude_ema_beta for this half-life."""
    return 0.5 ** (batch / (kimg * 1000))


def earth(resolution: int) -> dict:
    """A training on the Earth for a CPU, for any generator."""
    return {
        "data": {"path": "earth", "resolution": resolution, "mirror": True},
        "discriminator": {
            "resolution": resolution,
            "channel_base": 1024,
            "channel_max": 64,
        },
        "updates": {
            "batch_size": EARTH_BATCH,
            "G_lr": 0.004,
            "D_lr": 0.002,
            "ema_kimg": 1.0,
            "ema_rampup": 0.1,
        },
        "samples": {"rows": 6, "columns": 10},
        "train": {
            "total_kimg": 48,
            "tick_kimg": 0.4,
            "checkpoint_ticks": 1,
            "image_ticks": 10,
        },
    }


def small(resolution: int, num_layers: int, **channels: tuple[int, int]) -> dict:
    """R, T and StyleGAN2 (A), smaller, by these names; channels: base and most of each.

    T and R have short filters and averages and a narrow margin.
    """

    def of(name: str, **synthesis) -> dict:
        base, most = channels[name]
        sizes = {
            "resolution": resolution,
            "channel_base": base,
            "channel_max": most,
        }
        mapping = {"z_dim": 64, "w_dim": 64}
        return {"generator": {"mapping": mapping, "synthesis": sizes | synthesis}}

    alias_free = {
        "num_layers": num_layers,
        "num_critical": 1,
        "margin": 5,
        "filter_size": 4,
        "magnitude_ema_beta": average(EARTH_BATCH, 1.0),
    }
    return {
        "r": of("r", **alias_free, conv_kernel=1, radial=True),
        "t": of("t", **alias_free),
        "a": of("a", kind="stylegan2"),
    }


def merged(config: dict, *changes: dict) -> dict:
    """The config with these changes; later ones take precedence."""
    config = {
        key: merged(value) if isinstance(value, dict) else value
        for key, value in config.items()
    }
    for change in changes:
        for key, value in change.items():
            if value is OMIT:
                config.pop(key, None)
            elif isinstance(value, dict):
                config[key] = merged(config.get(key, {}), value)
            else:
                config[key] = value
    return config


def choose(file: str, configurations: dict, arg: str | None):
    """configurations[arg], None for the first. Raises ValueError if there is none."""
    name = next(iter(configurations)) if arg is None else arg
    if name not in configurations:
        known = ", ".join(f":{other}" for other in configurations)
        raise ValueError(f"{file}:{name} is unknown: use one of {known}")
    return configurations[name]


def make(*parts: dict) -> ConfigDict:
    """The configuration of these parts, merged."""
    return ConfigDict(merged({}, *parts))
