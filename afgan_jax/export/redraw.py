"""Whether an exported file draws the images of its model, where only readers are."""

import math
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from afgan_jax.export import reader
from afgan_jax.model import Model

TOLERANCE = 1e-4  # of images in [-1, 1], between two programs of the same network


def check(
    model: Model,
    file: Path,
    batch: int | None,
    by: str,
    *,
    python: str = sys.executable,
    script: str = reader.__file__,
    more: Sequence[str] = (),
    relative: float = math.inf,
) -> str:
    """Draws by a script in a process of its own: by how much images differ, in words.

    batch: that of the file; None: any. by: what the process needs, in words. python:
    the interpreter; more: further arguments of the script. relative: most L2 norm of
    the difference, for one of images. Raises ValueError for other images, or none.
    """
    worst = 0.0
    for count in (1, 3) if batch is None else (batch,):
        seeds = list(range(count))
        with tempfile.TemporaryDirectory() as folder:
            drawn = Path(folder) / "images.npy"
            words = [str(file), str(drawn), ",".join(map(str, seeds)), *more]
            done = subprocess.run(
                [python, "-P", script, *words], capture_output=True, text=True
            )
            if done.returncode:
                last = (done.stderr.strip().splitlines() or ["no reason"])[-1]
                raise ValueError(f"{file.name} cannot be opened again: {last}")
            found = np.load(drawn)
        label = 0 if model.c_dim else None
        expected = model.synthesize(model.ws(seeds, label=label))
        if found.shape != expected.shape:
            raise ValueError(f"{file.name} draws images of shape {found.shape}")
        difference = found - expected
        worst = max(worst, float(np.abs(difference).max()))
        share = np.linalg.norm(difference) / np.linalg.norm(expected)
        if not share < relative:
            raise ValueError(
                f"{file.name} draws other images: relative L2 {share:z.1e}"
            )
    if not worst < TOLERANCE:
        raise ValueError(f"{file.name} draws other images, by {worst:z.2g} of [-1, 1]")
    batches = "batches of 1 and 3" if batch is None else f"a batch of {batch}"
    return f"drawn again by {by}, {batches}: largest difference {worst:z.1e}"
