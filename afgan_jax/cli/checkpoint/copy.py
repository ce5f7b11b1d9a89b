"""Make a run of one step of another run, here or in a bucket.

python -m afgan_jax checkpoint copy runs/earth@52 --out=gs://bucket/earth

RUN alone is its newest step. Settings, classes and measurements go along, and train
--workdir=OUT goes on from there. All arrays of the copy are compared with their
checksums.
"""

import sys
from pathlib import Path

from afgan_jax.cli import flags

Out = flags.flag("out", Path | str, flags.workdir, "RUN", "the new run")


def main(run: flags.positional("RUN[@STEP]"), /, *, out: Out) -> None:
    from afgan_jax.runs import step_copy
    from afgan_jax.sources import run as runs

    path, step = runs.split_step(run)
    step, count = step_copy.copy(path, step, str(out))
    print(f"copied step {step} to {out}, {count} arrays verified", file=sys.stderr)
