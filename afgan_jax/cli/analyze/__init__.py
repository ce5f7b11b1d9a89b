"""Measure and show what a network does: numbers as JSON, and figures of them.

python -m afgan_jax analyze progress --run=runs/earth
python -m afgan_jax analyze equivariance --run=runs/earth --samples=200
python -m afgan_jax analyze layers --run=runs/earth --parts=maps --layers=L2
python -m afgan_jax analyze layers --config=ffhqu256:t --parts=filters,staircase
python -m afgan_jax analyze discriminator --config=earth64
"""

from afgan_jax.cli.analyze import (
    discriminator,
    equivariance,
    layer_equivariance,
    layers,
    progress,
    sticking,
)

PARTS = {
    "progress": progress,
    "equivariance": equivariance,
    "layers": layers,
    "layer-equivariance": layer_equivariance,
    "sticking": sticking,
    "discriminator": discriminator,
}
