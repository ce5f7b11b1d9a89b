"""Metrics of images by number: the same for any devices, batch and order of work."""

import dataclasses
import json
import tracemalloc
import types

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from processes import python_twice

from afgan_jax.metrics import (
    cache,
    evaluator,
    features,
    frechet,
    inception_score,
    kernel,
    precision_recall,
    registry,
    samples,
)
from afgan_jax.metrics.sharding import BatchSharding

R, D = 16, 6


class Patches(nn.Module):
    """Means of six patches of uint8 images, and what stands for other taps."""

    @nn.compact
    def __call__(self, images):
        x = jnp.asarray(images, jnp.float32) / 255
        n = len(x)
        cells = x[:, :, :15].reshape(n, 2, R // 2, 3, 5, -1).mean(axis=(2, 4, 5))
        flat = cells.reshape(n, D)
        return {"found": flat, "embedding": flat * 3, "logits": flat * 40}


def noise(variables, numbers, transform):
    """[n R R 3] of each number, brighter by variables."""
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(0), numbers)
    draw = jax.vmap(lambda k: jax.random.uniform(k, (R, R, 3), minval=-1.2, maxval=1))
    return draw(keys) + variables


def pairs(variables, numbers):
    z = jnp.stack([numbers, numbers + 1], axis=1).astype(jnp.float32)
    return z, z + 1, jnp.zeros([len(numbers), 0])


NETWORK = samples.Network(
    variables=jnp.asarray(0.25),
    draw=noise,
    shape=(R, R, 3),
    can_move=True,
    pairs=pairs,
    mapping=lambda variables, z, c: z[:, None],
    synthesize=lambda variables, ws, numbers: jnp.broadcast_to(
        jnp.sin(ws.sum((1, 2)))[:, None, None, None], (len(ws), R, R, 1)
    ),
)


ROW = features.Net(Patches(), (), None, "found")
NETS = dict.fromkeys(("inception", "vgg16", "efficientnet"), ROW)
NETS["inception_logits"] = ROW._replace(tap="logits")
NETS["lpips"] = ROW._replace(tap="embedding")


@pytest.fixture
def nets(monkeypatch):
    monkeypatch.setattr(features, "NETS", NETS)
    monkeypatch.setattr(features, "load", lambda name, paths: {})


def reals(count=40):
    images = np.random.RandomState(1).randint(0, 256, (count, R, R, 3)).astype(np.uint8)
    seen = []

    def read(numbers):
        seen.extend(numbers)
        return images[numbers]

    def digest(first):
        return f"{count} {first}"

    return types.SimpleNamespace(
        source=samples.ImageSource(read, (R, R, 3), count, digest),
        images=images,
        seen=seen,
    )


def subject_of(fakes=NETWORK, real=None, batch=8, devices=1, store=None):
    sharding = BatchSharding.over(batch, jax.devices()[:devices])
    real = reals().source if real is None else real
    return evaluator.Subject(
        sharding, lambda: real, fakes, {}, cache.Store(lambda: store)
    )


def found_in(images):
    return np.asarray(Patches().apply({}, images)["found"])


def value(name, subject):
    return next(iter(registry.parse(name).find(subject).values.values()))


def made(count, brightness=0.25):
    """Images of NETWORK as bytes."""
    fakes = np.asarray(noise(jnp.asarray(brightness), np.arange(count), None))
    return np.trunc(np.clip(fakes * 127.5 + 128, 0, 255)).astype(np.uint8)


def test_precision_is_of_what_was_made_and_recall_of_the_real(nets, monkeypatch):
    fake, real = found_in(made(21, 0.1)), found_in(reals().images)
    subject = subject_of(dataclasses.replace(NETWORK, variables=jnp.asarray(0.1)))
    for name, count in (("pr213_full", 40), ("pr213", 21)):
        expected = precision_recall.precision_recall(real[:count], fake)
        assert expected[0] != expected[1]
        found = registry.parse(name).find(subject).values
        assert tuple(found) == (f"{name}_precision", f"{name}_recall")
        assert tuple(found.values()) == expected
    assert registry.MOST_REALS == 200_000
    monkeypatch.setattr(registry, "MOST_REALS", 30)
    expected = precision_recall.precision_recall(real[:30], fake)
    found = registry.parse("pr213_full").find(subject).values
    assert tuple(found.values()) == expected


def test_inception_score_is_of_chances_by_logits(nets):
    logits = 40 * found_in(made(21))
    expected = inception_score.score(np.asarray(jax.nn.softmax(logits)))
    found = registry.parse("is21").find(subject_of()).values
    # 1e-5: features are float32.
    assert found == pytest.approx(
        {"is21_mean": expected[0], "is21_std": expected[1]}, rel=1e-5
    )


def test_distances_are_those_of_the_images_as_bytes(nets):
    fake, real = found_in(made(21)), found_in(reals().images)
    moments = frechet.Moments.of(real), frechet.Moments.of(fake)
    # 1e-5: features are float32.
    assert value("fid21_full", subject_of()) == pytest.approx(
        frechet.distance(*moments), rel=1e-5
    )
    assert value("kid21_full", subject_of()) == pytest.approx(
        kernel.distance(real, fake), rel=1e-5
    )
    fewer = frechet.distance(frechet.Moments.of(real[:21]), moments[1])
    assert value("fid21", subject_of()) == pytest.approx(fewer, rel=1e-5)


UNCHANGED = ["fid21_full", "kid21_full", "pr213_full", "is21", "eqt21_frac", "eqr21"]


@pytest.mark.slow
@pytest.mark.parametrize("name", UNCHANGED)
def test_devices_and_batches_change_nothing(nets, name):
    expected = registry.parse(name).find(subject_of()).values
    for batch, devices in ((8, 8), (5, 1), (16, 2)):
        found = (
            registry.parse(name).find(subject_of(batch=batch, devices=devices)).values
        )
        # 1e-4: rounding of float32 in what varies little, such as a score's deviation.
        assert found == pytest.approx(expected, rel=1e-4)


IN_A_JOB = """
import json, pathlib, sys, jax
jax.distributed.initialize(sys.argv[3], 2, int(sys.argv[2]))
from afgan_jax.metrics import features, registry
from metrics import test_evaluator
features.NETS, features.load = test_evaluator.NETS, lambda name, paths: {}
subject = test_evaluator.subject_of(devices=4, store=pathlib.Path(sys.argv[1]))
for name in test_evaluator.IN_JOBS:
    found = registry.parse(name).find(subject).values
    print(json.dumps([jax.process_count(), len(jax.devices()), found]))
whole = test_evaluator.reals().source.read
def read(numbers):
    if jax.process_index() == 1:
        raise OSError("a disk is gone")
    return whole(numbers)
broken = test_evaluator.samples.ImageSource(read, (16, 16, 3), 40, lambda n: "broken")
try:
    registry.parse("fid8_full").find(test_evaluator.subject_of(real=broken, devices=4))
except (OSError, ValueError) as error:
    print("FAULT", error)
"""
IN_JOBS = ["fid21_full", "kid21_full", "ppl212_wend", "eqt16_int"]


@pytest.mark.slow
def test_processes_of_a_job_find_the_same(nets, tmp_path):
    outs = python_twice(IN_A_JOB, tmp_path)
    assert "FAULT another process of the job could not read its share" in outs[0]
    assert "FAULT a disk is gone" in outs[1]
    for out in outs:
        lines = [line for line in out.splitlines() if line.startswith("[2")]
        for name, line in zip(IN_JOBS, lines, strict=True):
            processes, devices, found = json.loads(line)
            assert (processes, devices) == (2, 4)
            expected = registry.parse(name).find(subject_of()).values
            # 1e-3: path lengths are differences of float32 images.
            assert found == pytest.approx(expected, rel=1e-3), name
    assert len(list(tmp_path.glob("*.npz"))) == 2


def test_path_length_is_of_pairs_and_the_same_on_any_devices(nets):
    single = value("ppl212_wend", subject_of())
    # A grey image sin(s) at 127.5 (sin(s) + 1), embedded as 3 / 255 of it, six times:
    # s = 2 (2 n + 1) and moves by 2 eps: the distance is 6 (3 / 2 * 2 cos s)^2.
    s = 2.0 * np.arange(21) + 1
    closed = 6 * (3 * np.cos(s)) ** 2
    sharded = value("ppl212_wend", subject_of(batch=8, devices=4))
    # Steps of 1e-4 are a few hundred times the rounding of float32.
    assert single == pytest.approx(closed.mean(), rel=0.01)
    assert sharded == pytest.approx(single, rel=1e-3)


class Noisy:
    """Stands for a StyleGAN2 generator: its images are sums of w and noise."""

    mapping = types.SimpleNamespace(c_dim=0, z_dim=1)
    synthesis = types.SimpleNamespace(size=(R, R), img_channels=1, can_move=False)

    @staticmethod
    def apply(variables, x, c=None, method="image"):
        if method == "map":
            return x[:, None]
        noise = variables["buffers"]["b8"]["noise_const"]
        assert noise.shape == (len(x), R, R)
        return x.reshape(-1, 1, 1, 1) * 1e-3 + noise[..., None]


def noisy():
    variables = {"buffers": {"b8": {"noise_const": jnp.zeros((R, R))}}}
    labels = np.zeros((1, 0), np.float32)
    return samples.of_generator(Noisy, variables, labels, jax.random.key(0))


def test_both_ends_of_a_step_have_the_same_noise(nets):
    # w moves by 1e-4 of about 1, and with it the image by 1e-7; of other noise it
    # would be 1, and the path 1e8.
    assert 0 <= value("ppl82_wend", subject_of(fakes=noisy())) < 100


def test_images_of_any_origin_are_measured_by_their_bytes(nets):
    real = reals()
    assert value("fid40_full", subject_of(fakes=real.source)) == pytest.approx(
        0, abs=1e-9
    )
    with pytest.raises(ValueError, match="needs 50 images, but there are 40"):
        value("fid50", subject_of(fakes=real.source))
    with pytest.raises(ValueError, match="eqr8.* needs a generator: give a run"):
        value("eqr8", subject_of(fakes=real.source))


def test_what_is_found_in_real_images_is_kept_by_content(nets, tmp_path):
    first = reals()
    expected = value("fid8_full", subject_of(real=first.source, store=tmp_path))
    assert len(first.seen) == 40
    again = reals()
    assert expected == value("fid8_full", subject_of(real=again.source, store=tmp_path))
    assert again.seen == []
    other = reals(24)
    assert expected != value("fid8_full", subject_of(real=other.source, store=tmp_path))
    assert other.seen
    for file in tmp_path.glob("*.npz"):
        file.write_bytes(file.read_bytes()[:100])
    assert expected == value("fid8_full", subject_of(real=again.source, store=tmp_path))
    assert len(again.seen) == 40
    assert not list(tmp_path.glob(".partial*"))
    nowhere = next(tmp_path.glob("*.npz")) / "below a file"
    assert expected == value("fid8_full", subject_of(real=again.source, store=nowhere))


def test_no_flipped_bit_of_what_is_kept_changes_a_result(tmp_path):
    arrays = {"count": np.array(5), "total": np.arange(3.0)}
    store = cache.Store(lambda: tmp_path)
    store.get(("key",), lambda: arrays)
    (file,) = tmp_path.glob("*.npz")
    whole = file.read_bytes()
    for place in range(0, len(whole), 5):  # 5: prime to the 8 bits
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        file.write_bytes(damaged)
        found = cache._read(file)
        assert found is None or cache.digest_of(found) == cache.digest_of(arrays)


def test_equivariance_has_an_interval_about_it():
    found = registry.parse("eqt40_int").find(subject_of(devices=2)).values
    low, high = found["eqt40_int_low"], found["eqt40_int_high"]
    assert low < found["eqt40_int"] < high
    assert set(registry.parse("eqr1").find(subject_of()).values) == {
        "eqr1"
    }  # one sample
    assert found["eqt40_int"] < 20  # noise does not move with its input
    with pytest.raises(ValueError, match="which a StyleGAN2 generator does not have"):
        value(
            "eqr8",
            subject_of(fakes=NETWORK.__class__(**vars(NETWORK) | {"can_move": False})),
        )


@pytest.mark.parametrize(
    "name, samples, real",
    [
        ("fid50k_full", 50_000, None),
        ("fid50k", 50_000, 50_000),
        ("kid50k", 50_000, 50_000),
        ("pr50k3", 50_000, 50_000),
        ("fid5k", 5000, 5000),
        ("kid300_full", 300, None),
        ("pr50k3_full", 50_000, None),
        ("pr5003", 500, 500),
        ("ppl2_wend", 50_000, 50_000),
        ("ppl1k2_wend", 1000, 1000),
        ("is50k", 50_000, 50_000),
        ("fd_efficientnet", 50_000, 50_000),
        ("fd1k_efficientnet_full", 1000, None),
        ("eqt50k_frac", 50_000, 50_000),
    ],
)
def test_names_carry_the_number_of_images(name, samples, real):
    metric = registry.parse(name)
    assert (metric.name, metric.samples, metric.reals) == (name, samples, real)


def test_moments_are_summed_without_keeping_what_they_are_of():
    rows, d = 40_000, 64

    def batches():
        rng = np.random.default_rng(0)
        for _ in range(rows // 16):
            yield rng.standard_normal((16, d)).astype(np.float32) + 100

    tracemalloc.start()
    found = evaluator._sum(batches())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < rows * d * 4 / 4  # all of it: 10 MB
    whole = np.concatenate(list(batches())).astype(np.float64)
    assert found.count == rows
    # float64: in float32 the covariance would be off by 1e-3, below means of 100.
    expected = np.cov(whole, rowvar=False, ddof=0)
    np.testing.assert_allclose(found.covariance, expected, atol=1e-9)


def test_no_image_is_lost_where_few_are_gathered():
    sizes = [3, 5, 1, 8, 2]
    larger = list(evaluator._gathered((np.full((n, 1), n) for n in sizes), rows=8))
    assert [len(batch) for batch in larger] == [8, 9, 2]
    assert [int(batch.sum()) for batch in larger] == [34, 65, 4]


@pytest.mark.parametrize(
    "names, message",
    [
        (["fid8_full", "eqr8", "fid8_full"], "metrics=.fid8_full. is given twice"),
        (["is9"], "is9. must ask for at least 10 images"),
        (["kid1"], "kid1. must ask for at least 2 images"),
        (["pr33"], "pr33. must ask for at least 4 images"),
        (["eqr0"], "eqr0. must ask for at least 1 images"),
        (["fid3000000k"], "fewer than 2..31"),
    ],
)
def test_metrics_of_too_few_or_twice_are_refused(names, message):
    with pytest.raises(ValueError, match=message):
        registry.parse_all(names)


def other(shown, **changes):
    return dataclasses.replace(shown, **changes)


@pytest.mark.parametrize(
    "name, fakes, real, message",
    [
        ("fid41", NETWORK, None, "41 real images, but there are 40: .*_full"),
        ("pr83_full", NETWORK, {"count": 3}, "needs 4 real images, but there are 3"),
        ("kid8_full", NETWORK, {"count": 1}, "needs 2 real images, but there are 1"),
        (
            "fd8_efficientnet",
            NETWORK,
            {"shape": (32, 32, 3)},
            "images are 32x32 pix",
        ),
        ("fid8", NETWORK, {"shape": (R, R, 1)}, "of 1 channels, the others 16x16"),
        ("is24", {"count": 20}, None, "needs 24 images, but there are 20"),
        ("kid24", {"count": 20}, None, "needs 24 images, but there are 20"),
        ("fid8", {"shape": (8, 8, 3)}, None, "the others 8x8 pixels of 3 channels:"),
        ("ppl82_wend", {}, None, "needs a generator"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_it_is_begun(
    name, fakes, real, message, monkeypatch
):
    monkeypatch.setattr(features, "load", None)  # not reached
    shown = reals().source
    fakes = other(shown, **fakes) if isinstance(fakes, dict) else fakes
    subject = subject_of(fakes, other(shown, **(real or {})))
    for attempt in (registry.parse(name).check, registry.parse(name).find):
        with pytest.raises(ValueError, match=message):
            attempt(subject)


@pytest.mark.parametrize("name", ["fid", "fid50k_all", "kid5kfull", "eqr", "ppl_wend"])
def test_other_names_are_answered_with_those_there_are(name):
    with pytest.raises(ValueError, match="is unknown: use one of .*fid50k_full"):
        registry.parse(name)


def test_at_least_one_image_is_asked_for():
    with pytest.raises(ValueError, match="fid1. must ask for at least 2"):
        registry.parse("fid1")
