"""Convert images to an archive that can be trained on, or check an archive.

python -m afgan_jax dataset convert SRC OUT --size=256x256 --fit=crop
python -m afgan_jax dataset check OUT
"""

from afgan_jax.cli.dataset import check, convert

PARTS = {"convert": convert, "check": check}
