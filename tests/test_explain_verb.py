"""The verb `explain`, and `probe --filters`, on configs and on a tiny run."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from PIL import Image

from afgan_jax import __main__
from afgan_jax.analysis import feature_maps, layer_report
from afgan_jax.cli import explain
from afgan_jax.networks import generator, plan
from afgan_jax.networks.conv_layer import BILINEAR
from afgan_jax.runs import config, saved_networks
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
    done("explain", *flags, "--pictures=staircase,filters", "--layers=L3,L1")
    G = generator.make_generator(**config.load(SMOKE)["generator"])
    specs = (G.synthesis.layers[1],)  # that of the image, L3, has no filter
    out = capsys.readouterr().out
    assert out.splitlines()[1].startswith("layer") and specs[0].name in out
    rows = read(tmp_path / "staircase.json")
    assert rows == plan.rows((*specs, G.synthesis.layers[3]))
    (found,) = read(tmp_path / "filters.json")
    assert found == json.loads(json.dumps(layer_report.filter_bank(specs)[0]))
    for name in ("staircase", "filters"):
        with Image.open(tmp_path / f"{name}.png") as image:
            assert image.width > 300 and len(set(image.convert("L").tobytes())) > 50
    done("probe", "--filters", *flags, "--config.generator.synthesis.filter_size=4")
    found = read(tmp_path / "filters.json")
    assert [row["name"] for row in found] == [s.name for s in G.synthesis.layers[:3]]
    assert len(found[0]["down"]["taps"]) == 8


def test_of_all_pictures_those_with_nothing_to_draw_are_left_out(capsys):
    G = generator.make_generator(**config.load(SMOKE)["generator"])
    everything = list(explain.PICTURES)
    assert explain.choose_pictures([], G, G.synthesis.layers) == everything
    assert capsys.readouterr().out == ""
    found = explain.choose_pictures([], G, G.synthesis.layers[3:])
    assert found == ["staircase", "waves", "maps"]
    assert "left out filters: none of the layers" in capsys.readouterr().out


@pytest.mark.slow
def test_of_stylegan2_maps_are_drawn_and_the_rest_is_told(tmp_path, capsys):
    sizes = {"kind": "stylegan2", "resolution": 16, "c_dim": 0}
    run = tiny.save_run(tmp_path / "run", "no.zip", **sizes)
    done("explain", f"--run={run}", f"--outdir={tmp_path / 'out'}", "--channels=0,2")
    told, *_ = capsys.readouterr().out.splitlines()
    assert told.startswith("left out staircase, filters, waves, spectrum: this is a")
    rows = read(tmp_path / "out" / "maps.json")
    names = "b4/conv1 b4/torgb b8/conv0 b8/conv1 b8/torgb b16/conv0 b16/conv1 b16/torgb"
    assert [row["name"] for row in rows] == names.split()
    assert [row["size"] for row in rows] == [
        [n, n] for n in (4, 4, *[8] * 3, *[16] * 3)
    ]
    G, variables, _ = saved_networks.load_generator(run)
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
    done("explain", f"--run={trained}", *flags, f"--outdir={tmp_path}")
    written = {path.name for path in tmp_path.iterdir()}
    names = set(explain.PICTURES)
    assert written == {f"{n}.{end}" for n in names for end in ("png", "json")} | {
        "maps.npz"
    }
    G, variables, _ = saved_networks.load_generator(trained)
    z = np.random.RandomState(3).randn(1, 8).astype(np.float32)
    c = np.array([[0, 1]], np.float32)
    found = jax.jit(lambda *a: feature_maps.within(G)(*a, None))(variables, z, c)
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
        ([], "pass either --run=RUN or --config=FILE.py"),
        (["--run=a", f"--config={SMOKE}"], "pass either --run=RUN or --config"),
        (["--run=nowhere"], "there is no run in"),
        (["--run=a", "--config.train.x=1"], "--config.train.x is for --config"),
        (["--config=nowhere.py"], "there is no config file nowhere.py"),
        (
            ["--config=SMOKE", "--pictures=maps,map"],
            "--pictures: 'map' is unknown; use",
        ),
        (["--config=SMOKE", "--layers=L9"], "--layers: 'L9' is none of L0_"),
        (["--config=SMOKE", "--layers=L"], "--layers: 'L' is none of L0_"),
        (["--config=SMOKE", "--channels=a"], "--channels=a: 'a' is no range like"),
        (["--config=SMOKE", "--channels=8"], "8 is none of the channels 0 to 7 of L0_"),
        (["--config=SMOKE", "--channels=3"], "3 is none of the channels 0 to 2 of L3_"),
        (
            ["--config=SMOKE", "--layers=L3", "--pictures=staircase,spectrum"],
            "--pictures=spectrum: none of the layers has a nonlinearity",
        ),
        (
            [
                "--config=SMOKE",
                "--config.generator.synthesis.act_up=1",
                "--pictures=filters",
            ],
            "--pictures=filters: none of the layers has a filter",
        ),
        (["--config=SMOKE", "--class=1"], "--class=1, but this generator knows no"),
        (
            ["--config=SMOKE", "--config.generator.synthesis.lowpass=x"],
            "generator.synthesis.lowpass='x' is",
        ),
        (
            ["--config=configs/ffhqu256.py:a", "--pictures=maps,waves"],
            "--pictures=waves: this is a StyleGAN2 generator, which has no plan of",
        ),
    ],
)
def test_bad_input_to_explain_is_one_line(flags, message, capsys, tmp_path):
    flags = [flag.replace("SMOKE", SMOKE) for flag in flags]
    assert __main__.main(["explain", *flags, f"--outdir={tmp_path / 'out'}"]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--filters"], "pass either --run=RUN or --config=FILE.py"),
        ([], "--run is missing"),
        ([f"--config={SMOKE}"], "--config is for --filters"),
        (["--run=a", f"--config={SMOKE}"], "--config is for --filters"),
        (
            ["--filters", "--config=configs/ffhqu256.py:a"],
            "this is a StyleGAN2 generator",
        ),
    ],
)
def test_bad_input_to_probes_filters_is_one_line(flags, message, capsys, tmp_path):
    assert __main__.main(["probe", *flags, f"--outdir={tmp_path / 'out'}"]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()
