"""Writes files of `export --to=jax` for another version of JAX to open.

python tests/export/of_another_jax.py FOLDER: a file of each kind, and images it draws.
"""

import sys
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

KINDS = {
    "T": {"num_layers": 4, "num_critical": 1},
    "R": {"num_layers": 4, "num_critical": 1, "conv_kernel": 1, "radial": True},
    "A": {"kind": "stylegan2"},
}
SEEDS = (0, 1)


def main(folder: Path) -> None:
    import tiny

    import afgan_jax
    from afgan_jax import export

    for kind, sizes in KINDS.items():
        run = tiny.save_run(folder / kind / "run", "none.zip", resolution=16, **sizes)
        export.write(run, folder / kind / "model.jax", "jax", filters="banded")
        model = afgan_jax.load(run)
        images = model.synthesize(model.ws(SEEDS, label=0))
        np.save(folder / kind / "images.npy", images)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
