"""Recorded path lengths, with pooled images in place of a perceptual embedding."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from afgan_jax.metrics import path_length
from reference import generators, official

PATHS = official.index("metrics").get("ppl", {"cases": []})["cases"]
PAIRS = [
    pytest.param(
        c,
        id=c["key"],
        marks=[] if c["generator"].startswith("formula") else [pytest.mark.slow],
    )
    for c in PATHS
    if "dist" in c
]
WHOLE = [c for c in PATHS if "num_samples" in c]
AGGREGATES = [c for c in PATHS if "lo" in c]


def test_every_recorded_path_length_is_of_a_known_kind():
    known = [c["key"] for c in PATHS if {"dist", "num_samples", "lo"} & c.keys()]
    official.only([c["key"] for c in PATHS], known, "path lengths")
    for name, known in (("space", ("w", "z")), ("sampling", ("full", "end"))):
        official.only([c[name] for c in PATHS if name in c], known, name)


def formula(resolution, channels):
    """(mapping, synthesize) of the formula that stands in for a generator."""

    def synthesize(ws):
        y, x = jnp.mgrid[:resolution, :resolution] / resolution
        waves = [
            jnp.cos(2 * jnp.pi * ((k + 1) * (ch + 1) * x + k * y))
            for ch in range(channels)
            for k in range(4)
        ]
        waves = jnp.stack(waves).reshape(channels, 4, resolution, resolution)
        return jnp.einsum("nk,ckyx->nyxc", ws[:, 0], waves) / 4

    return lambda z, c: jnp.tanh(z)[:, None], synthesize


@functools.cache
def functions(name):
    """(mapping, synthesize) of a recorded generator, or of a formula."""
    found = re.fullmatch(r"formula(\d+)(_gray)?", name)
    if found:
        return formula(int(found[1]), 1 if found[2] else 3)
    G, noise = generators.make(name)
    variables = jax.tree.map(wide, generators.variables(name))

    def mapping(z, c):
        return G.apply(variables, z, c if c.shape[1] else None, method="map")

    return mapping, lambda ws: G.apply(variables, ws, method="synthesize", **noise)


def wide(a):
    return jnp.asarray(a, jnp.float64)


def pooled(images):
    """[N d]: 4x4 averages of images in [0, 1], in place of a perceptual embedding."""
    n, h, w, c = images.shape
    cells = images.reshape(n, 4, h // 4, 4, w // 4, c) / 255
    return cells.mean(axis=(2, 4)).reshape(n, -1)


def path_lengths(case, z0, z1, c, t):
    run = compiled(case["generator"], case["space"], case.get("crop", False))
    return np.asarray(run(z0, z1, c, t, epsilon=case["epsilon"]))


@functools.cache
def compiled(name, space, crop):
    networks = (*functions(name), pooled)
    run = functools.partial(path_length.distances, *networks, space=space, crop=crop)
    return jax.jit(run)


@pytest.mark.parametrize("case", PAIRS)
def test_path_length_of_each_pair(case, float64):
    recorded = official.Arrays("metrics", "ppl.npz", case["key"] + "/")
    z0, z1, c, t = (wide(recorded[n]) for n in ("z0", "z1", "labels", "t_uniform"))
    t = t if case["sampling"] == "full" else 0 * t
    # 5e-6: t is stored in float32; a step in its last place is as much of a path.
    found = path_lengths(case, z0, z1, c, t)
    np.testing.assert_allclose(found, recorded["dist"], rtol=5e-6)


@pytest.mark.parametrize("case", WHOLE, ids=lambda c: c["key"])
def test_path_length_of_a_generator(case, float64):
    recorded = official.Arrays("metrics", "ppl.npz", case["key"] + "/")
    size, count = case["batch_size"], case["num_samples"]
    z = wide(recorded["z"])
    # [batches, z0 of each sample, then z1]; the last may hold more than is counted.
    z0, z1 = (z[:, i : i + size].reshape(-1, z.shape[2])[:count] for i in (0, size))
    c, t = (
        wide(recorded[name] if name in recorded else np.zeros(shape))
        for name, shape in (("labels", [count, 0]), ("t_uniform", [count]))
    )
    t = t if case["sampling"] == "full" else 0 * t
    found = path_lengths(case, z0, z1, c, t)
    assert path_length.mean(found) == pytest.approx(case["ppl"], rel=1e-6)


@pytest.mark.parametrize("case", AGGREGATES, ids=lambda c: c["key"])
def test_mean_of_path_lengths(case):
    distances = official.Arrays("metrics", "ppl.npz")[case["key"] + "/dist"]
    kept = distances[(distances >= case["lo"]) & (distances <= case["hi"])]
    assert 0 < len(kept) < len(distances)
    # 1e-7: recorded in float32.
    assert path_length.mean(distances) == pytest.approx(case["ppl"], rel=1e-7)
