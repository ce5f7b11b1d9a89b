"""Feature networks with rule-filled weights, against recorded features: every case.

Bounds are for float32 against recordings made in float64; the recording program's own
float32 is off by up to 4e-7.
"""

import numpy as np
import pytest
from interop import forge

from afgan_jax.metrics import features, resize
from reference import filling, official

RECORDED = official.index("metrics").get("features", {"cases": []})
CASES = {case["key"]: case for case in RECORDED["cases"]}
# Of all cases, in one pass.
INCEPTION_TAPS = tuple(
    dict.fromkeys(t for c in CASES.values() for t in c.get("features", ()))
)


def cases(start):
    """Marks a test as that of each recorded case whose key begins with `start`."""
    found = [case for key, case in CASES.items() if key.startswith(start)]
    return pytest.mark.parametrize("case", found, ids=lambda case: case["key"])


@pytest.fixture(scope="module")
def inception(tmp_path_factory):
    """The network with its weights, once they went through a file."""
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    forge.write_zip(path, filling.state("inception", ""))
    return features.features("inception", {"inception": path}, taps=INCEPTION_TAPS)


@pytest.fixture(scope="module")
def lpips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    forge.write_legacy(
        folder / "vgg16.pth", filling.state("vgg16", "vgg16.", only="features")
    )
    forge.write_legacy(folder / "lpips.pth", filling.lpips())
    paths = {name: folder / f"{name}.pth" for name in ("vgg16", "lpips")}
    taps = ("embedding", *(f"tap{i}" for i in range(5)))
    return features.features("lpips", paths, taps=taps)


def test_every_recorded_network_is_known():
    known = [k for k in CASES if k.startswith(("inception/", "lpips/", "vgg16_fc2"))]
    official.only(CASES, known, "feature network")


def images(arrays, name):
    return official.nhwc(arrays[name])


if CASES:

    @pytest.fixture(scope="module")
    def arrays():
        return official.Arrays("metrics", "features.npz")

    @cases("inception/")
    def test_inception_features_are_the_recorded_ones(case, inception, arrays):
        key = case["key"]
        found = inception(images(arrays, f"{key}/input"))
        found = dict(zip(INCEPTION_TAPS, found, strict=True))
        for tap in case["features"]:
            actual = found[tap]
            official.assert_close(actual, arrays[f"{key}/{tap}"], 3e-6, f"{key}/{tap}")

    @cases("inception/")
    def test_images_are_resized_exactly(case, arrays):
        key, start = case["key"], "resized_normalised_every"
        for step, expected in arrays.under(f"{key}/{start}").items():
            x = resize.as_rgb(images(arrays, f"{key}/input")[: len(expected)])
            actual = (resize.resize(x, 299) - 128) / 128
            step = int(step)
            actual = official.nchw(np.asarray(actual))[..., ::step, ::step]
            assert np.abs(actual - expected).max() * 128 < 1e-5  # of 255 grey levels

    @cases("lpips/")
    def test_squared_distances_of_embeddings_are_the_recorded_lpips(
        case, lpips, arrays
    ):
        key = case["key"]
        a, *taps = lpips(images(arrays, f"{key}/a"))
        b, *_ = lpips(images(arrays, f"{key}/b"))
        distance = np.sum((np.asarray(a, np.float64) - b) ** 2, axis=1)
        np.testing.assert_allclose(distance, arrays[f"{key}/distance"], rtol=3e-6)
        means = {f"{key}/tap{i}_mean_of_a": tap for i, tap in enumerate(taps)}
        names = [f"{key}/{name}" for name in arrays.under(f"{key}/")]
        known = {f"{key}/{name}" for name in ("a", "b", "distance")}
        official.only(names, means.keys() | known, "arrays")
        for name in set(names) - known:
            official.assert_close(means[name], arrays[name], 5e-6, name)

    @pytest.mark.slow  # 120 million weights
    @cases("vgg16_fc2")
    def test_vgg16_features_are_the_recorded_ones(case, arrays):
        key = case["key"]
        state = filling.state("vgg16", "vgg16.", only="features")
        for layer in ("classifier.0", "classifier.3"):
            state |= filling.state("vgg16", "vgg16.", only=layer)
        params = features.from_state("vgg16", state, "the rule")
        found = features.extractor("vgg16", params)(images(arrays, f"{key}/input"))
        official.assert_close(found, arrays[f"{key}/fc2_relu"], 1e-5, key)

    def test_the_rule_gives_the_recorded_weights():
        nets = {"vgg16": ("vgg16", "vgg16."), "": ("inception", "")}
        for name, check in RECORDED["weight_check"].items():
            net, prefix = nets["vgg16" if name.startswith("vgg16.") else ""]
            name = name.removeprefix(prefix)
            x = filling.state(net, prefix, only=name)[name]
            assert x.ravel()[0] == check["first"], name
            assert x.sum(dtype=np.float64) == pytest.approx(check["sum"], rel=1e-9)

    def test_weights_that_do_not_fit_are_named_in_one_line():
        state = filling.state("inception", "", only="Conv2d")
        state["Conv2d_1a_3x3.conv.weight"] = np.zeros((32, 3, 5, 5), np.float32)
        with pytest.raises(ValueError) as error:
            features.from_state("inception", state, "inception in a.pth")
        assert str(error.value) == (
            "weights of inception in a.pth do not fit: of 472 arrays 447 missing "
            "(Mixed_5b.branch1x1.conv.weight, Mixed_5b.branch1x1.bn.weight, "
            "Mixed_5b.branch1x1.bn.bias, ...) and 1 of another shape "
            "(Conv2d_1a_3x3.conv.weight [32, 3, 5, 5], not [32, 3, 3, 3])"
        )
