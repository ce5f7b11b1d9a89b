"""Recorded distances between sets of features, and recorded path lengths."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from afgan_jax.metrics import (
    frechet,
    inception_score,
    kernel,
    path_length,
    precision_recall,
)
from afgan_jax.networks import generator
from reference import official, test_schedule

SECTIONS = {n: v["cases"] for n, v in official.index("metrics").items() if "cases" in v}
CASES, PATHS = SECTIONS.get("math", []), SECTIONS.get("ppl", [])
PAIRS = [
    pytest.param(
        c,
        id=c["key"],
        marks=[pytest.mark.slow] if c["generator"] == "stylegan3-t" else [],
    )
    for c in PATHS
    if "dist" in c
]
WHOLE = [c for c in PATHS if "num_samples" in c]
AGGREGATES = [c for c in PATHS if "lo" in c]


@functools.cache
def arrays() -> official.Arrays:
    return official.Arrays("metrics", "math.npz")


def of(metric):
    chosen = [c for c in CASES if c["metric"] == metric]
    ids = [f"{c['key']}-{i}" for i, c in enumerate(chosen)]
    return pytest.mark.parametrize("case", chosen, ids=ids)


def features(key):
    return (arrays()[f"{key}/{side}"] for side in ("real", "gen"))


@of("fid")
def test_frechet_distance(case):
    real, fake = (frechet.Moments.of(f) for f in features(case["key"]))
    recorded = {n: arrays()[f"{case['key']}/real_{n}"] for n in ("mean", "cov")}
    np.testing.assert_allclose(real.mean, recorded["mean"], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(real.covariance, recorded["cov"], rtol=1e-9, atol=1e-13)
    found = frechet.distance(real, fake)
    # The root of a singular matrix is exact to the root of float64's precision.
    assert found == pytest.approx(case["value_symmetric_eig"], rel=1e-8)
    assert found == pytest.approx(case["value"], rel=1e-8)


@of("kid")
def test_kernel_distance(case):
    real, fake = features(case["features"])
    setting = dict(subsets=case["num_subsets"], max_subset=case["max_subset_size"])
    seed = case["numpy_legacy_seed"]
    drawn = kernel.draw_subsets(len(real), len(fake), *setting.values(), seed)
    for side, index in (("real_idx", 0), ("gen_idx", 1)):
        recorded = arrays()[f"{case['key']}/{side}"]
        np.testing.assert_array_equal([pair[index] for pair in drawn], recorded)
    found = kernel.distance(real, fake, **setting, seed=seed)
    assert found == pytest.approx(case["value_float64"], rel=1e-12)


@of("pr")
def test_precision_and_recall(case):
    real, fake = features(case["key"])
    for block in (case["row_batch_size"], 37):
        precision, recall = precision_recall.precision_recall(
            real, fake, k=case["nhood_size"], block=block
        )
        assert precision == pytest.approx(case["precision_f64_radius16"], abs=1e-12)
        assert recall == pytest.approx(case["recall_f64_radius16"], abs=1e-12)


@of("is")
def test_inception_score(case):
    probabilities = arrays()[f"{case['key']}/probs"]
    mean, std = inception_score.score(probabilities, splits=case["num_splits"])
    assert mean == pytest.approx(case["mean_f64"], rel=1e-12)
    assert std == pytest.approx(case["std_f64"], rel=1e-9)


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


def recorded_generator(config):
    entry = official.index("losses")["configs"][config]
    G = generator.make_generator(**test_schedule.settings(entry["G_kwargs"]))
    state = official.Arrays("losses", f"{config}.npz").under("G/")
    variables = jax.tree.map(wide, official.variables(state))

    def mapping(z, c):
        return G.apply(variables, z, c if c.shape[1] else None, method="map")

    return mapping, lambda ws: G.apply(variables, ws, method="synthesize")


GENERATORS = {
    "formula8": lambda: formula(8, 3),
    "formula512": lambda: formula(512, 3),
    "formula512_gray": lambda: formula(512, 1),
    "stylegan3-t": functools.cache(lambda: recorded_generator("stylegan3-t")),
}


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
    networks = (*GENERATORS[name](), pooled)
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
    z0, z1 = (z[:, i : i + size].reshape(count, -1) for i in (0, size))
    found = path_lengths(case, z0, z1, jnp.zeros([count, 0]), jnp.zeros([count]))
    assert path_length.mean(found) == pytest.approx(case["ppl"], rel=1e-6)


@pytest.mark.parametrize("case", AGGREGATES, ids=lambda c: c["key"])
def test_mean_of_path_lengths(case):
    distances = official.Arrays("metrics", "ppl.npz")["aggregate/dist"]
    kept = distances[(distances >= case["lo"]) & (distances <= case["hi"])]
    assert 0 < len(kept) < len(distances)
    # 1e-7: recorded in float32.
    assert path_length.mean(distances) == pytest.approx(case["ppl"], rel=1e-7)
