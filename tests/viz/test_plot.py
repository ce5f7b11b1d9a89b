"""Claims about viz.plot: what is drawn are the numbers given."""

import numpy as np
import pytest

from afgan_jax.metrics import equivariance
from afgan_jax.viz import plot


def test_histograms_hold_every_image_about_the_pooled_value():
    rng = np.random.default_rng(0)
    sums = np.stack([10 ** rng.uniform(-4, 0, 40), np.full(40, 100.0)], axis=1)
    sums[:3, 0] = 0  # of these images nothing differs
    decibels = equivariance.psnr_of_each(sums)
    np.testing.assert_allclose(decibels[3:], 10 * np.log10(400 / sums[3:, 0]))
    interval = equivariance.confidence_interval(sums)
    results = {"eqr40": equivariance.psnr(sums), "fid5k": 3.0}
    results |= {"eqr40_low": interval[0], "eqr40_high": interval[1]}

    figure = plot.decibels({"eqr40": decibels}, results)
    (axis,) = figure.axes
    *bars, band = axis.patches
    counts, edges = np.histogram(decibels[3:], bins="auto")
    assert [bar.get_height() for bar in bars] == counts.tolist()
    np.testing.assert_allclose([bar.get_x() for bar in bars], edges[:-1])
    (line,) = axis.lines
    assert line.get_xdata()[0] == results["eqr40"]
    assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx(interval)
    assert axis.get_title() == "eqr40, 3 not finite"
