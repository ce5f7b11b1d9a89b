"""What the published program makes of image sets, made here: every recorded case."""

import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from afgan_jax.cli.dataset import convert as verb
from afgan_jax.data import convert, sources
from afgan_jax.signal import pixels
from afgan_jax.viz import grid
from reference import official

CASES = official.index("dataset")["cases"]
FITS = {"center-crop": "crop", "center-crop-wide": "wide"}


@pytest.fixture(scope="module")
def arrays():
    return official.Arrays("dataset", "dataset.npz")


@pytest.fixture(scope="module")
def source_sets(arrays, tmp_path_factory):
    """The recorded sources as folders of PNGs, by name."""
    top = tmp_path_factory.mktemp("sources")
    for name, values in arrays.under("source/").items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(path)
    for name, table in official.index("dataset")["source_labels"].items():
        if table is not None:
            (top / name / "dataset.json").write_text(json.dumps(table))
    return top


def options(case, labels):
    """The settings of a recorded command line in our words."""
    given = dict(option.removeprefix("--").split("=") for option in case["options"])
    official.only(given, ("transform", "resolution", "max-images"), "options")
    ours = {"fit": FITS[given["transform"]] if "transform" in given else None}
    if "resolution" in given:
        ours["size"] = verb.size(given["resolution"])
        ours["fit"] = ours["fit"] or "stretch"
    if "max-images" in given:
        ours["max_images"] = int(given["max-images"])
    if labels and case["ok"] and not case["dataset_json"]["labels"]:
        # Some images have no label: the published program then drops those of the rest
        # without a word, which is refused here.
        ours["label_source"] = "none"
    return ours


def assert_same_bytes(made, path):
    with zipfile.ZipFile(path) as published:
        for name in published.namelist():
            assert made.read(name) == published.read(name), name


if CASES:

    @pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
    def test_archives_equal_the_published_ones(case, arrays, source_sets, tmp_path):
        source = sources.open_source(source_sets / case["source"])
        labels = official.index("dataset")["source_labels"][case["source"]]
        if not case["ok"]:
            with pytest.raises(ValueError):
                convert.convert(source, tmp_path / "out.zip", **options(case, labels))
            return
        convert.convert(source, tmp_path / "out.zip", **options(case, labels))
        with zipfile.ZipFile(tmp_path / "out.zip") as made:
            found = [(i.filename, i.compress_type, i.file_size) for i in made.filelist]
            members = [tuple(member.values()) for member in case["members"]]
            assert found == members
            assert json.loads(made.read("dataset.json")) == case["dataset_json"]
            expected = arrays.under(f"expected/{case['name']}/")
            assert len(expected) == len(members) - 1
            for name, want in expected.items():
                with Image.open(made.open(name)) as image:
                    np.testing.assert_array_equal(np.asarray(image), want)
            if "zip" in case:
                assert_same_bytes(made, official.folder() / "dataset" / case["zip"])

    def test_grids_have_the_published_bytes(arrays):
        images = official.nhwc(arrays["grid/input"])
        expected = arrays["grid/output_hwc"]
        columns = expected.shape[1] // images.shape[2]
        found = grid.tile(pixels.to_uint8(images), columns)
        np.testing.assert_array_equal(found, expected)
