"""The verbs `spectra` and `analyze sticking`, on archives and on a tiny run."""

import json

import jax
import numpy as np
import pytest
import tiny
from PIL import Image

from afgan_jax import __main__
from afgan_jax.data import archive
from afgan_jax.runs import run_directory
from afgan_jax.viz import grid

R = 32  # fewer pixels need no layers at lower rates, which stick


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """16 images of white noise."""
    images = np.random.RandomState(0).randint(0, 256, (16, R, R, 3)).astype(np.uint8)
    path = tmp_path_factory.mktemp("images") / "noise.zip"
    return archive.write_archive(path, images, [0, 1] * 8)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, noise):
    path = tmp_path_factory.mktemp("runs") / "tiny"
    return tiny.save_run(path, noise, resolution=R, num_layers=6)


def done(*arguments):
    assert __main__.main([str(word) for word in arguments]) == 0


@pytest.mark.slow
def test_spectra_of_an_archive_and_a_run_become_figures(
    noise, trained, tmp_path, capsys
):
    stats, reals, fakes = (tmp_path / f"{n}.npz" for n in ("stats", "reals", "fakes"))
    done("spectra", "stats", f"--images={noise}", f"--out={stats}", "--batch=5")
    with np.load(stats) as found:
        assert found["count"] == 16
        np.testing.assert_allclose(found["std"], 74, atol=2)  # (256^2 / 12)^0.5
    assert "of all channels --mean=127" in capsys.readouterr().out
    calc = ("spectra", "calc", f"--stats={stats}", "--interp=2")
    done(*calc, f"--images={noise}", f"--out={reals}")
    done(*calc, f"--run={trained}", "--samples=8", f"--out={fakes}")
    with np.load(reals) as found:
        db = 10 * np.log10(found["power"])
        assert found["power"].shape == (2 * R, 2 * R)
    assert np.abs(np.mean(db)) < 1 and np.ptp(db) < 6  # flat: chance of 48 channels
    with np.load(fakes) as found:
        middle = found["power"][R - 2 : R + 3, R - 2 : R + 3].mean()
        # An untrained generator has little but low frequencies.
        assert found["count"] == 8 and middle > 100 * np.median(found["power"])
    done("spectra", "heatmap", fakes, f"--out={tmp_path / 'a.png'}")
    done("spectra", "heatmap", reals, f"--out={tmp_path / 'd.png'}", "--smooth=50")
    done("spectra", "slices", reals, fakes, f"--out={tmp_path / 'b.png'}", "--dpi=50")
    done("spectra", "slices", reals, f"--out={tmp_path / 'c.png'}", "--dpi=50")
    sizes = {"a": (560, 480), "b": (400, 180), "c": (400, 180)}
    sizes["d"] = sizes["a"]  # flat: no contours
    for name, size in sizes.items():
        with Image.open(tmp_path / f"{name}.png") as image:
            assert image.width == size[0]
            told, rest = divmod(image.height - size[1], grid.CAPTION_HEIGHT)
            assert told > 0 == rest  # lines of the command
    files = (tmp_path / "b.png").read_bytes(), (tmp_path / "c.png").read_bytes()
    assert files[0] != files[1]  # the second spectrum is drawn


def test_published_numbers_whiten_as_one_channel(noise, tmp_path):
    out = tmp_path / "spectrum.npz"
    flags = f"--images={noise}", "--max-images=4", "--interp=1", f"--out={out}"
    done("spectra", "calc", *flags, "--mean=112.684", "--std=69.509")
    with np.load(out) as found:
        assert found["count"] == 4 and found["mean"] == [112.684]


@pytest.mark.parametrize(
    "words, message",
    [
        ([], "spectra '' is unknown; use one of stats, calc, heatmap, slices"),
        (["stats", "a.zip"], "'a.zip' is not a flag"),
        (["slices"], "name one or more FILES"),
        (["stats"], "pass either --images=SET or --run=SOURCE"),
        (["stats", "--run=a"], "--samples is missing: how many images are generated"),
        (["calc", "--images=a"], "pass either --stats=FILE"),
        (["calc", "--images=a", "--mean=3"], "pass either --stats=FILE"),
        (["calc", "--stats=b.npz"], "b.npz is not a file that `spectra stats` wrote"),
        (["heatmap", "STATS"], "`spectra calc` wrote: it holds mean"),
        (["heatmap", "a.npz", "--smooth=nan"], "--smooth=nan"),
        (["heatmap", "a.npz", "--out=."], "--out=. is a folder; name a file"),
    ],
)
def test_bad_input_to_spectra_is_one_line(words, message, capsys, tmp_path):
    np.savez(tmp_path / "stats.npz", mean=1)
    words = [word.replace("STATS", str(tmp_path / "stats.npz")) for word in words]
    assert __main__.main(["spectra", *words]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.slow
def test_sticking_is_shown_and_scored_with_filters_and_without(trained, tmp_path):
    flags = "--samples=3", "--batch=2", "--frames=5", "--image=1", "--drift=1"
    done("analyze", "sticking", f"--run={trained}", f"--outdir={tmp_path}", *flags)
    report = json.loads((tmp_path / "sticking.json").read_text())
    on, off = report["filters on"], report["filters off"]
    for found in (on, off):
        total = found["stays"] + found["follows"]
        assert found["score"] == pytest.approx(found["stays"] / total)
    assert report["reach"] == 4
    assert on["score"] < 0.001 and off["score"] > 0.3  # measured: 0.0000, 0.80
    with Image.open(tmp_path / "sticking.png") as image:
        drawn = np.asarray(image).astype(int)
    # Captions of 14 pixels, each above two images 32 wide, 5 high, enlarged 8 times.
    drawn, command = np.split(drawn, [2 * (14 + 4 + 40 + 4)])
    assert drawn.shape == (2 * (14 + 4 + 40 + 4), 2 * (256 + 4), 3)
    assert len(command) and not len(command) % 14 and command.min() < 128
    on, off = drawn[18:58], drawn[80:120]
    assert (on[::8, :256] != off[::8, :256]).any()
    moving, drifting = on[::8, :256:8], on[::8, 260:516:8]
    assert (moving[0] != moving[-1]).any() and (drifting[0] != drifting[-1]).any()
    np.testing.assert_array_equal(moving[1:4].repeat(8, axis=0), on[8:32, :256:8])


def test_stylegan2_has_spectra_and_no_sticking(tmp_path, capsys):
    settings = {"kind": "stylegan2", "resolution": 16, "z_dim": 8, "w_dim": 8}
    settings |= {"channel_max": 8}
    G = tiny.make_generator(**settings)
    path = tmp_path / "run"
    with run_directory.Run.create_or_open(
        path, {"generator": tiny.sections(**settings)}
    ) as run:
        run.save(1, {"G_ema": jax.jit(G.initialize)(jax.random.key(0))})
    stats = tmp_path / "stats.npz"
    done("spectra", "stats", f"--run={path}", "--samples=3", f"--out={stats}")
    with np.load(stats) as found:
        assert found["count"] == 3 and (found["std"] > 0).all()
    assert __main__.main(["analyze", "sticking", f"--run={path}"]) == 2
    assert "it has no input to move" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--run=a", "--pace=inf"], "--pace=inf must be a finite number"),
        (["--run=TINY", "--row=32"], "--row=32 must be below 32, the image's height"),
        (
            ["--run=TINY", "--reach=14"],
            "--reach=14 leaves no column inside: use 1 to 13",
        ),
        (["--run=nowhere"], "there is no run in"),
    ],
)
def test_bad_input_to_sticking_is_one_line(trained, flags, message, capsys, tmp_path):
    flags = [flag.replace("TINY", str(trained)) for flag in flags]
    flags += [f"--outdir={tmp_path / 'out'}"]
    assert __main__.main(["analyze", "sticking", *flags]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()
