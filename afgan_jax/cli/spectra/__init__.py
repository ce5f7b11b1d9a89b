"""Average power spectra of a set or of a trained generator's images.

python -m afgan_jax spectra stats --images=set.zip --out=stats.npz
python -m afgan_jax spectra calc --images=set.zip --stats=stats.npz --out=reals.npz
python -m afgan_jax spectra calc --run=RUN --samples=10000 --stats=stats.npz
python -m afgan_jax spectra heatmap reals.npz --out=reals.png
python -m afgan_jax spectra slices reals.npz spectrum.npz --out=slices.png
"""

from afgan_jax.cli.spectra import calc, heatmap, slices, stats

PARTS = {"stats": stats, "calc": calc, "heatmap": heatmap, "slices": slices}
