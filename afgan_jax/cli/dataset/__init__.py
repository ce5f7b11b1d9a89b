"""Convert images to an archive that can be trained on; check or copy an archive.

python -m afgan_jax dataset convert SRC OUT --size=256x256 --fit=crop
python -m afgan_jax dataset check OUT
python -m afgan_jax dataset stage gs://bucket/OUT /local/disk/
"""

from afgan_jax.cli.dataset import check, convert, stage

PARTS = {"convert": convert, "check": check, "stage": stage}
