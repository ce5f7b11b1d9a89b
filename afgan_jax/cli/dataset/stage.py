"""Copy a zip to a disk of this machine, where training reads it fast.

SRC is a zip here, in a bucket (gs://...) or on the web (https://...); DEST a file or a
folder. The copy is compared with SRC: its size, its directory, the CRC-32 of every
member. After an interruption the same command goes on; it does nothing if an equal copy
is there, and processes of one machine that want the same copy wait for the first.

srun --ntasks-per-node=1 python -m afgan_jax dataset stage gs://bucket/set.zip /scratch/
"""

from afgan_jax.cli import flags


def main(source: flags.positional("SRC"), target: flags.positional("DEST"), /) -> None:
    from afgan_jax.data import stage

    path, size, is_new = stage.stage(source, target)
    done = "copied" if is_new else "was there"
    print(f"{path} {done}, {size / 1e6:z.1f} MB, compared with {source}")
    print(f"train on it with --config.data.path={path}")
