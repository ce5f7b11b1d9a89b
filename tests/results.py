"""What a small training and what follows it give: python results.py FOLDER.

Prints {name: digest of the arrays} in JSON. FOLDER is empty at first.
"""

import json
import sys
from pathlib import Path

import numpy as np
import tiny
from data import images
from training import smoke

from afgan_jax import model as models
from afgan_jax.analysis import image_equivariance, inside, leaks
from afgan_jax.metrics import cache

COUNT = 8  # images of the set
# Radial filters, blur, mixed styles and augmentation in one.
CHANGES = {
    "updates.batch_size": 4,
    "updates.D_reg_interval": 2,
    "losses.blur_init_sigma": 2.0,
    "losses.blur_fade_kimg": 0.1,
    "losses.style_mixing_prob": 0.9,
    "augment.mode": "ada",
    "augment.p": 0.5,
    "augment.interval": 2,
    "augment.multipliers": {"noise": 1.0, "cutout": 1.0},
    "generator.synthesis.num_layers": 2,
    "generator.synthesis.num_critical": 1,
    "generator.synthesis.radial": True,
    "generator.mapping.c_dim": 2,
    "discriminator.c_dim": 2,
    "data.use_labels": True,
    "metrics.names": "eqt2_int",
    "samples.rows": 1,
    "samples.columns": 2,
    "train.tick_kimg": 0.004,
}

GENERATOR = tiny.sections(
    resolution=16, z_dim=8, w_dim=8, channel_max=4, num_layers=2, num_critical=1
)


def of(folder: Path) -> dict[str, dict]:
    """{name: arrays} of everything."""
    data = images.numbered(folder / "set", COUNT, (16, 16))
    labels = [[f"{i}.png", i % 2] for i in range(COUNT)]
    (data / "dataset.json").write_text(json.dumps({"labels": labels}))
    run = folder / "run"
    smoke.train(run, smoke.settings(data, 0.008, **CHANGES))
    trained = models.load(run)
    shown = trained.synthesize(trained.ws([0], label=1, psi=0.7))
    model = models.untrained(GENERATOR)
    ws = model.ws([0, 1], psi=0.7)
    moved = model.synthesize(ws, rotate=0.3, translate=(0.1, 0.0))
    return {
        "state": smoke.checkpoint(run),
        "images": {"ws": np.asarray(ws), "moved": moved, "trained": shown},
        "equivariance": image_equivariance.equivariance(model, 2, batch=2).sums,
        "layers": analysed(model),
    }


def analysed(model) -> dict:
    """Numbers of the analysis of layers, and of the parts that need weights."""
    rows = leaks.layer_equivariance(model, 2, batch=2).rows
    shown = inside.layers(model)
    parts = {name: shown.draw(name).numbers for name in inside.FROM_WEIGHTS}
    return {"rows": json.dumps(rows), "parts": json.dumps(parts, sort_keys=True)}


def main(folder: str) -> None:
    found = of(Path(folder))
    print(json.dumps({name: cache.digest_of(arrays) for name, arrays in found.items()}))


if __name__ == "__main__":
    main(sys.argv[1])
