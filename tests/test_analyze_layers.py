"""The verb `analyze layers` on configs and on a tiny run."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from PIL import Image

from afgan_jax import __main__, analysis
from afgan_jax import model as models
from afgan_jax.analysis import feature_maps, inside, layer_report
from afgan_jax.networks import generator, layered
from afgan_jax.networks.conv_layer import BILINEAR
from afgan_jax.runs import config
from afgan_jax.signal import resample

SMOKE = "configs/smoke.py"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """With two classes, of a set that is not there: none of it is read."""
    sizes = {"resolution": 32, "num_layers": 6, "conv_kernel": 1, "radial": True}
    return tiny.save_run(tmp_path_factory.mktemp("runs") / "tiny", "no.zip", **sizes)


def done(*arguments):
    assert __main__.main([str(word) for word in arguments]) == 0


def read(path):
    return json.loads(path.read_text())


def test_a_config_is_drawn_from_its_plan(tmp_path, capsys):
    flags = f"--config={SMOKE}", f"--outdir={tmp_path}"
    done("analyze", "layers", *flags, "--parts=staircase,filters", "--layers=L3,L1")
    G = generator.make_generator(**config.load(SMOKE)["generator"])
    specs = (G.synthesis.layers[1],)  # that of the image, L3, has no filter
    out = capsys.readouterr().out
    assert out.splitlines()[1].startswith("layer") and specs[0].name in out
    rows = read(tmp_path / "staircase.json")
    assert rows == layered.rows((*specs, G.synthesis.layers[3]))
    (found,) = read(tmp_path / "filters.json")
    assert found == json.loads(json.dumps(layer_report.filter_bank(specs)[0]))
    for name in ("staircase", "filters"):
        with Image.open(tmp_path / f"{name}.png") as image:
            assert image.width > 300 and len(set(image.convert("L").tobytes())) > 50
    changes = "--parts=filters", "--config.generator.synthesis.filter_size=4"
    done("analyze", "layers", *flags, *changes)
    found = read(tmp_path / "filters.json")
    assert [row["name"] for row in found] == [s.name for s in G.synthesis.layers[:3]]
    assert len(found[0]["down"]["taps"]) == 8


def test_of_all_parts_those_with_nothing_to_draw_are_left_out(tmp_path, capsys):
    settings = config.load(SMOKE)["generator"]
    model = models.untrained(settings, has_weights=False)
    assert analysis.layers(model).parts == list(inside.PARTS)
    found = analysis.layers(model, ["L3"])
    assert found.parts == ["staircase", "waves", "maps"]
    with pytest.raises(ValueError, match="parts='filters' has nothing to draw"):
        found.draw("filters")
    flags = f"--config={SMOKE}", f"--outdir={tmp_path}", "--channels=0"
    done("analyze", "layers", *flags, "--layers=L3")
    assert "left out filters: none of the layers" in capsys.readouterr().out


@pytest.mark.slow
def test_of_stylegan2_maps_are_drawn_and_the_rest_is_told(tmp_path, capsys):
    sizes = {"kind": "stylegan2", "resolution": 16, "c_dim": 0}
    run = tiny.save_run(tmp_path / "run", "no.zip", **sizes)
    done(
        "analyze",
        "layers",
        f"--run={run}",
        f"--outdir={tmp_path / 'out'}",
        "--channels=0,2",
    )
    told, *_ = capsys.readouterr().out.splitlines()
    assert told.startswith("left out staircase, filters, waves, spectrum: a StyleGAN2")
    rows = read(tmp_path / "out" / "maps.json")
    names = "b4/conv1 b4/torgb b8/conv0 b8/conv1 b8/torgb b16/conv0 b16/conv1 b16/torgb"
    assert [row["name"] for row in rows] == names.split()
    assert [row["size"] for row in rows] == [
        [n, n] for n in (4, 4, *[8] * 3, *[16] * 3)
    ]
    model = models.load(run)
    G, variables = model.network, model.variables
    z = np.random.RandomState(0).randn(1, 8).astype(np.float32)
    expected = np.asarray(jax.jit(G.apply)(variables, z))[0][..., [0, 2]]
    image = 0.0
    with np.load(tmp_path / "out" / "maps.npz") as drawn:
        for size in (4, 8, 16):  # the image is what the blocks make, enlarged and added
            image = image + drawn[f"b{size}/torgb"]
            if size < 16:
                enlarged = resample.upsample(jnp.asarray(image[None]), BILINEAR)
                image = np.asarray(enlarged[0])
    np.testing.assert_allclose(image, expected, atol=1e-5)


@pytest.mark.slow
def test_a_run_is_drawn_from_its_variables(trained, tmp_path):
    flags = "--class=1", "--seed=3", "--channels=0,5-7", "--layers=L1,L3"
    done("analyze", "layers", f"--run={trained}", *flags, f"--outdir={tmp_path}")
    written = {path.name for path in tmp_path.iterdir()}
    names = set(inside.PARTS)
    assert written == {f"{n}.{end}" for n in names for end in ("png", "json")} | {
        "maps.npz"
    }
    model = models.load(trained)
    G, variables = model.network, model.variables
    z = np.random.RandomState(3).randn(1, 8).astype(np.float32)
    c = np.array([[0, 1]], np.float32)
    found = jax.jit(lambda *a: feature_maps.in_network(G)(*a, None))(variables, z, c)
    specs = [G.synthesis.layers[i] for i in (1, 3)]
    with np.load(tmp_path / "maps.npz") as drawn:
        assert list(drawn) == [spec.name for spec in specs]
        for spec, i in zip(specs, (2, 4)):  # after the input
            expected = np.asarray(found[i])[0][..., [0, 5, 6, 7]]
            np.testing.assert_allclose(drawn[spec.name], expected, atol=1e-5)
    rows = read(tmp_path / "maps.json")
    assert [row["rate"] for row in rows] == [s.out_band.rate for s in specs]
    waves = read(tmp_path / "waves.json")
    assert len(waves["frequencies"]) == 8
    for row, spec in zip(read(tmp_path / "spectrum.json"), specs, strict=True):
        assert row["created"] > 15 and row["removed"] > 25
        assert row["out"]["frequencies"][-1] == spec.out_band.rate / 2


@pytest.mark.parametrize(
    "flags, message",
    [
        ([], "pass either --run=SOURCE or --config=NAME"),
        (["--run=a", f"--config={SMOKE}"], "pass either --run=SOURCE or --config"),
        (["--run=nowhere"], "there is no run in"),
        (["--run=a", "--config.train.x=1"], "--config.train.x is for --config"),
        (["--config=nowhere.py"], "there is no config file nowhere.py"),
        (
            ["--config=SMOKE", "--parts=maps,map"],
            "--parts=map is unknown; use some of",
        ),
        (["--config=SMOKE", "--layers=L9"], "--layers=L9 is unknown: use some of L0_"),
        (["--config=SMOKE", "--layers=L"], "--layers=L is unknown: use some of L0_"),
        (["--config=SMOKE", "--channels=a"], "--channels=a is no range like"),
        (
            ["--config=SMOKE", "--channels=8"],
            "--channels=8 are not all in 0 to 7, the channels of L0_",
        ),
        (
            ["--config=SMOKE", "--channels=3"],
            "--channels=3 are not all in 0 to 2, the channels of L3_",
        ),
        (
            ["--config=SMOKE", "--layers=L3", "--parts=staircase,spectrum"],
            "--parts=spectrum has nothing to draw: none of the layers has a nonlin",
        ),
        (
            [
                "--config=SMOKE",
                "--config.generator.synthesis.act_up=1",
                "--parts=filters",
            ],
            "--parts=filters has nothing to draw: none of the layers has a filter",
        ),
        (["--config=SMOKE", "--class=1"], "--class=1 is for generators with labels"),
        (
            ["--config=SMOKE", "--config.generator.synthesis.lowpass=x"],
            "--config.generator.synthesis.lowpass=x is",
        ),
        (
            ["--config=configs/ffhqu256.py:a", "--parts=maps,waves"],
            "--parts=waves has nothing to draw: a StyleGAN2 generator has no plan",
        ),
    ],
)
def test_bad_input_is_one_line(flags, message, capsys, tmp_path):
    flags = [flag.replace("SMOKE", SMOKE) for flag in flags]
    assert (
        __main__.main(["analyze", "layers", *flags, f"--outdir={tmp_path / 'out'}"])
        == 2
    )
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()
