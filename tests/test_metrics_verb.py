"""The verb `metrics` on a run of a tiny generator, and on images."""

import json

import numpy as np
import pytest
import tiny
from PIL import Image

from afgan_jax import __main__
from afgan_jax.data import archive
from afgan_jax.metrics import weights


@pytest.fixture(scope="module")
def image_set(tmp_path_factory):
    images = np.random.RandomState(0).randint(0, 256, (24, 16, 16, 3))
    path = tmp_path_factory.mktemp("images") / "noise.zip"
    return archive.write_archive(path, images.astype(np.uint8), [0, 1, 1, 1] * 6)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, image_set):
    path = tmp_path_factory.mktemp("runs") / "tiny"
    return tiny.save_run(path, image_set, resolution=16, num_layers=4)


def measured(tmp_path, *flags):
    file = tmp_path / "results.json"
    assert __main__.main(["metrics", *flags, f"--out={file}"]) == 0
    return json.loads(file.read_text())


def test_results_go_to_the_run_the_file_and_the_terminal(trained, tmp_path, capsys):
    flags = f"--run={trained}", "--metrics=eqt8_int,eqr8", "--batch=4"
    plot = tmp_path / "new" / "plot.png"
    found = measured(tmp_path, *flags, f"--plot={plot}")
    with Image.open(plot) as image:
        assert image.width == 800 and image.height > 360  # the command below
    assert measured(tmp_path, *flags) == found
    assert found["eqt8_int"] > 25  # untrained, with its filters: measured 40
    lines = (trained / "metric-eqt8_int.jsonl").read_text().splitlines()
    first, second = map(json.loads, lines)
    assert first["results"] == second["results"]
    assert first["results"].items() <= found.items()
    assert first["step"] == 3 and first["metric"] == "eqt8_int"
    out = capsys.readouterr().out
    assert f"eqt8_int {found['eqt8_int']:.4f}" in out and "images/s" in out


@pytest.mark.slow
def test_images_are_compared_without_a_generator(
    image_set, trained, tmp_path, monkeypatch
):
    monkeypatch.setenv("AFGAN_CACHE", str(tmp_path / "cache"))
    name = "fd24_efficientnet_full"
    same = measured(
        tmp_path, f"--images={image_set}", f"--data={image_set}", f"--metrics={name}"
    )
    assert same[name] == pytest.approx(0, abs=1e-3)
    # The mirrored copies that the run trains on are not counted among the reals.
    generated = measured(tmp_path, f"--run={trained}", f"--metrics={name}")
    assert generated[name] > 1
    assert len(list((tmp_path / "cache" / "metrics").glob("*.npz"))) == 1


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--metrics=eqr8"], "pass either --run=SOURCE or --images=SET"),
        (["--run=a", "--images=b"], "pass either --run=SOURCE or --images"),
        (
            ["--run=a", "--metrics=fid"],
            "--metrics=fid is unknown: use one",
        ),
        (["--run=a", "--metrics=fid8"], "--prepare"),
        (
            ["--run=a", "--metrics=fid8", "--weights=vgg=b"],
            "--weights=vgg=b must be NETWORK=FILE",
        ),
        (["--run=nowhere", "--metrics=eqr8"], "there is no run in"),
        (["--prepare", "--metrics=eqr8"], "--metrics=eqr8 need no weights"),
        (
            ["--run=a", "--metrics=pr83", "--weights=vgg16=b"],
            "vgg16=b names a file",
        ),
        (["--run=a", "--metrics=eqr8,eqr8"], "--metrics=eqr8 is given twice"),
        (["--run=a", "--metrics="], "--metrics names none"),
        (["--images=", "--metrics=fid8"], "--images= is empty: name one"),
        (["--images=b", "--class=1"], "--class is for --run: leave it out"),
        (["--run=a", "--out=."], "--out=. is a folder; name a file"),
        (["--run=a", "--plot=b.png", "--metrics=is10"], "--plot draws what --metrics="),
    ],
)
def test_bad_input_is_one_line(flags, message, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("AFGAN_CACHE", str(tmp_path))
    assert __main__.main(["metrics", *flags]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.fixture(scope="module")
def bad(tmp_path_factory, image_set):
    """Folder of what does not fit: two sets, no set, and three files of weights."""
    folder = tmp_path_factory.mktemp("bad")
    shapes = {"large": (2, 32, 32, 3), "grey": (2, 16, 16, 1)}
    for name, shape in shapes.items():
        archive.write_archive(folder / f"{name}.zip", np.zeros(shape, np.uint8))
    (folder / "empty").mkdir()
    whole = weights.prepare("efficientnet").read_bytes()
    (folder / "whole.pth").write_bytes(whole)
    (folder / "half.pth").write_bytes(whole[: len(whole) // 2])
    (folder / "junk.pkl").write_bytes(b"\x80\x02cos\nsystem\n(S'true'\ntR.")
    return folder


FD = "--metrics=eqt8_int,fd8_efficientnet"
INCEPTION = ["--metrics=eqt8_int,fid8"]


@pytest.mark.parametrize(
    "flags, message",
    [
        ([FD, "--data=BAD/large.zip"], "real images are 32x32 pixels of 3 channels"),
        ([FD, "--data=BAD/grey.zip"], "of 1 channels, the others 16x16 pixels of 3"),
        ([FD, "--data=BAD/empty"], "empty holds no images"),
        ([FD, "--data=BAD/none"], "none"),
        (
            ["--metrics=eqt8_int,fd25_efficientnet"],
            "needs 25 real images",
        ),
        (["--images=BAD/empty", FD], "empty holds no images"),
        (["--images=BAD/large.zip", FD], "--metrics=eqt8_int needs a generator"),
        (
            [*INCEPTION, "--weights=inception=BAD/whole.pth"],
            "do not fit: of 472 ar",
        ),
        ([*INCEPTION, "--weights=inception=BAD/half.pth"], "half.pth is not a state d"),
        ([*INCEPTION, "--weights=inception=BAD/junk.pkl"], "it asks for os.system"),
        (["--metrics=eqt8_int", "--out=BAD/half.pth/a"], "half.pth is a file"),
        (["--metrics=eqt8_int", "--step=7"], "there is no checkpoint 7"),
    ],
)
def test_what_does_not_fit_is_one_line_and_nothing_is_measured(
    flags, message, trained, bad, capsys, tmp_path, monkeypatch
):
    monkeypatch.setenv("AFGAN_CACHE", str(tmp_path / "cache"))
    before = sorted(trained.rglob("*"))
    flags = [flag.replace("BAD", str(bad)) for flag in flags]
    if not any(flag.startswith("--images") for flag in flags):
        flags.append(f"--run={trained}")
    assert __main__.main(["metrics", *flags]) == 2
    out, error = capsys.readouterr()
    assert message in error and error.count("\n") == 1 and out == ""
    assert sorted(trained.rglob("*")) == before and not list(tmp_path.iterdir())


def test_real_images_must_be_named(image_set, capsys):
    flags = [f"--images={image_set}", "--metrics=fd8_efficientnet"]
    assert __main__.main(["metrics", *flags]) == 2
    assert "compares with real images: give them as `data`" in capsys.readouterr().err
