"""The rows of configs/ablation.py as small as they go."""

import pathlib

ABLATION = pathlib.Path(__file__).parents[2] / "configs" / "ablation.py"
SETTINGS = {
    "data.resolution": 16,
    "generator.synthesis.resolution": 16,
    "generator.mapping.z_dim": 8,
    "generator.mapping.w_dim": 8,
    "generator.synthesis.channel_base": 64,
    "generator.synthesis.channel_max": 4,
    "discriminator.resolution": 16,
    "discriminator.channel_base": 64,
    "discriminator.channel_max": 4,
    "samples.rows": 2,
    "samples.columns": 2,
}


def overrides(images, **more) -> list[str]:
    """Flags that set these and more, of images of 16 pixels."""
    settings = SETTINGS | {"data.path": images} | more
    return [f"--config.{name}={value}" for name, value in settings.items()]
