"""FFHQ-U at 256x256, the published ablation setting: configurations A, T and R.

python -m afgan_jax train --config=ffhqu256:r --workdir=runs/ffhqu256-r

`:t` (default), `:r` or `:a`, which are rows of ablation.py. Expects the 70000 images as
data/ffhqu256.zip, or give --config.data.path=...; such a large set needs no
augmentation. Published figures: afgan_jax/analysis/published.py.
"""

from . import ablation, base


def get_config(arg=None):
    return ablation.get_config(base.choose("ffhqu256.py", ROWS, arg))


ROWS = {row: row for row in ("t", "r", "a")}
