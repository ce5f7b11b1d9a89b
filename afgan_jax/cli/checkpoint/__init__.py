"""Copy a step out of a run, average several, remove some.

python -m afgan_jax checkpoint copy runs/earth@52 --out=gs://bucket/earth
python -m afgan_jax checkpoint average runs/earth@48 runs/earth@52 --out=a.safetensors
python -m afgan_jax checkpoint prune runs/earth --keep=3 --dry-run
"""

from afgan_jax.cli.checkpoint import average, copy, prune

PARTS = {"copy": copy, "average": average, "prune": prune}
