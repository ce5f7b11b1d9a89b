"""`export --to=model` and `inspect`: what leaves a run or a snapshot and comes back."""

import json
import pathlib

import jax
import numpy as np
import pytest
import safetensors.numpy
import tiny
from reference import official

import afgan_jax
from afgan_jax import json_files
from afgan_jax.__main__ import main
from afgan_jax.interop import model_file
from afgan_jax.runs import class_names
from afgan_jax.sources import find

PICKLES = official.DATA / "pickles"
KINDS = {
    "T": {"resolution": 32, "num_layers": 6},
    "R": {"resolution": 32, "num_layers": 6, "conv_kernel": 1, "radial": True},
    "p4": {"resolution": 32, "num_layers": 6, "symmetry": "p4"},
    "A": {"kind": "stylegan2", "resolution": 16},
    "no labels": {"resolution": 32, "num_layers": 6, "c_dim": 0},
}

SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("R", "p4", "no labels")]


def exported(source, out, *flags) -> pathlib.Path:
    arguments = ["export", str(source), "--to=model", f"--out={out}", *flags]
    assert main(arguments) == 0
    return out


@pytest.mark.parametrize("kind", ["T", "A", *SLOW])
def test_a_model_file_draws_the_images_of_its_run(kind, tmp_path, capsys):
    run = tiny.save_run(tmp_path / "run", "nowhere.zip", **KINDS[kind])
    label = 1 if KINDS[kind].get("c_dim", 2) else None
    if label:
        class_names.write(run, ["cat", "dog"])
    file = exported(run, tmp_path / "a.safetensors")
    assert "largest difference 0" in capsys.readouterr().err
    model, again = afgan_jax.load(run), afgan_jax.load(file)
    options = {"label": label, "psi": 0.7}
    images = model.images([3, 5], **options)
    np.testing.assert_array_equal(again.images([3, 5], **options), images)
    assert np.ptp(images) > 50
    assert again.settings == model.settings and again.layers == model.layers
    assert again.class_names == model.class_names
    header = model_file.read_header(file)
    assert header.facts["step"] == 3 and header.facts["origin"] == "run@3"
    assert str(tmp_path) not in file.read_bytes().decode("latin1")
    assert exported(file, tmp_path / "b.safetensors").read_bytes() == file.read_bytes()


def test_a_snapshot_becomes_a_model_file(tmp_path):
    file = exported(
        PICKLES / "tiny_t.pkl", tmp_path / "t.safetensors", "--discriminator"
    )
    both = find.find(file, ("G_ema", "D"))
    assert both.parts == ("G_ema", "D")
    expected = find.find(PICKLES / "tiny_t.pkl", ("G_ema", "D")).load("G_ema", "D")
    found = both.load("G_ema", "D")
    jax.tree.map(np.testing.assert_array_equal, found.tree, expected.tree)
    assert "tiny_t.pkl" in found.facts["origin"]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    run = tiny.save_run(folder / "run", "nowhere.zip", **KINDS["T"])
    return exported(run, folder / "a.safetensors", "--licence=CC0-1.0")


def rewritten(file, out, change) -> pathlib.Path:
    """The file with what `change` makes of its description."""
    with safetensors.safe_open(file, framework="numpy") as opened:
        text = opened.metadata()[model_file.METADATA]
    content = json_files.parse(text, file)
    change(content)
    text = json.dumps(json_files.seal(content))
    tensors = safetensors.numpy.load_file(file)
    out.write_bytes(safetensors.numpy.save(tensors, {model_file.METADATA: text}))
    return out


def test_a_file_from_before_a_setting_existed_opens(file, tmp_path):
    def forget(content):
        del content["settings"]["generator"]["synthesis"]["margin"]

    old = rewritten(file, tmp_path / "old.safetensors", forget)
    model, expected = afgan_jax.load(old), afgan_jax.load(file)
    assert model.settings == expected.settings
    with pytest.raises(AssertionError):
        assert model_file.read_header(old).settings["generator"] == expected.settings


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("resolution", 64, "as its settings say"),
        ("resolution", 10**9, "resolution"),
        ("num_layers", 10**9, "from 0 to 1000"),
        ("filter_size", 10**9, "from 1 to 100"),
        ("num_layers", -1, "num_layers"),
        ("channel_base", "many", "channel_base"),
        ("colour", 1, "is of another version of this program: unknown setting"),
    ],
)
def test_settings_that_are_not_its_own_are_refused(
    file, tmp_path, capsys, name, value, message
):
    def change(content):
        content["settings"]["generator"]["synthesis"][name] = value

    bad = rewritten(file, tmp_path / "bad.safetensors", change)
    flags = f"--run={bad}", f"--outdir={tmp_path / 'out'}"
    assert main(["generate", *flags]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_written_is_told_before_it_is_tried(file, tmp_path, capsys):
    cases = [
        (["--to=model", f"--out={tmp_path / 'a.bin'}"], "must end in .safetensors"),
        (["--to=tflite", f"--out={tmp_path / 'a'}"], "--to=tflite is unknown: use one"),
        (["--to=model"], "--out is missing"),
        (
            ["--to=model", f"--out={tmp_path / 'a.safetensors'}", "--discriminator"],
            "holds G_ema: there is no D in it",
        ),
    ]
    for flags, message in cases:
        assert main(["export", str(file), *flags]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_inspect_shows_what_a_file_holds(file, tmp_path, capsys):
    out = tmp_path / "report.json"
    assert main(["inspect", str(file), f"--out={out}"]) == 0
    said = capsys.readouterr().out
    assert "licence: CC0-1.0" in said and "generator.mapping.z_dim = 8" in said
    report = json.loads(out.read_text())
    tensors = safetensors.numpy.load_file(file)
    assert {row["name"] for row in report["tensors"]} == set(tensors)
    for row in report["tensors"]:
        array = np.float64(tensors[row["name"]])
        assert row["shape"] == list(array.shape) and row["name"] in said
        np.testing.assert_allclose(
            [row["mean"], row["std"]], [array.mean(), array.std()]
        )
    assert report["sha256"] == model_file.read_header(file).sha256
    assert report["layers"] == afgan_jax.load(file).layers


def test_inspect_tells_how_two_differ(file, tmp_path, capsys):
    assert main(["inspect", str(file), str(file)]) == 0
    assert capsys.readouterr().out == "the same settings and tensors\n"

    other = tiny.save_run(
        tmp_path / "run", "nowhere.zip", **KINDS["T"], w_avg_beta=0.5, seed=1
    )
    exported(other, tmp_path / "b.safetensors")
    assert main(["inspect", str(file), str(tmp_path / "b.safetensors")]) == 0
    said = capsys.readouterr().out
    assert "generator.mapping.w_avg_beta: 0.998 -> 0.5\n" in said
    assert "G_ema.params.mapping.fc0.weight: by up to" in said
