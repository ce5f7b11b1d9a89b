"""Claims about layers in motion: its look-ups, its scale, and which layer it names."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from PIL import Image

from afgan_jax import __main__, analysis
from afgan_jax import model as models
from afgan_jax.analysis import layer_motion
from afgan_jax.data import archive
from afgan_jax.networks import lowpass
from afgan_jax.runs import run_directory
from afgan_jax.signal import fourier

TINY = {"resolution": 32, "z_dim": 8, "w_dim": 8, "channel_base": 128}
TINY |= {"channel_max": 8, "num_layers": 4, "num_critical": 1}
T: dict = {}
R = {"conv_kernel": 1, "radial": True}
LAYERS = [
    layer_motion.Layer(name, 32.0, (52, 52), 60.0) for name in ("first", "second")
]


def waves(transform, size=(52, 52)):
    """[1 52 52 16]: exact waves of up to half of Nyquist at 32 samples a canvas."""
    drawn = fourier.sample_waves(jax.random.key(0), 16, 8.0)
    moved = fourier.transform_waves(*drawn, transform[None])
    return fourier.evaluate_waves(*moved, size, 32.0, 8.0)


def measured(render, layers=LAYERS):
    options = {"num_samples": 6, "batch_size": 2, "seed": 0}
    return layer_motion.measure(render, None, layers, **options)


def test_exact_waves_follow_and_a_hundredth_more_in_all_of_them_is_40_db():
    def render(_, numbers, transform):
        exact = waves(transform)
        return [exact, exact * jnp.where(jnp.all(transform == jnp.eye(3)), 1, 1.01)]

    found = measured(render)
    for kind in layer_motion.KINDS:
        # The filter's design: 87 dB.
        assert found[kind][0] > 80
        # The power is about the mean of a map, which is not quite 0 over some periods.
        assert found[kind][1] == pytest.approx(40, abs=1)


@pytest.mark.parametrize("change", [jnp.linalg.inv, lambda t: jnp.eye(3)])
def test_maps_that_stay_or_move_the_wrong_way_score_low(change):
    found = measured(lambda _, numbers, transform: [waves(change(transform))] * 2)
    assert max(np.max(found[kind]) for kind in layer_motion.KINDS) < 5


def test_new_motions_do_not_compile_again():
    traced = []

    def render(_, numbers, transform):
        traced.append(numbers)
        return [waves(transform)] * 2

    measured(render)  # in three batches
    assert len(traced) == 1


def test_a_flat_map_looks_flat_between_samples():
    points = jnp.asarray(np.random.default_rng(0).uniform(-0.5, 0.5, (32, 2)))
    found = layer_motion.look_up(jnp.full((1, 52, 52, 1), 3.0), points, 32.0)
    np.testing.assert_allclose(found, 3, rtol=1e-6)  # float32


def test_half_of_the_margin_does_not_count():
    def render(_, numbers, transform):
        exact = waves(transform)
        edge = jnp.ones((52, 52)).at[5:-5, 5:-5].set(0)[..., None]
        return [exact, exact + 9 * edge * transform[0, 2]]

    found = measured(render)
    assert found["shift"][1] == pytest.approx(found["shift"][0], abs=0.1)


def test_drops_are_below_the_layer_before_and_the_design():
    layers = [layer._replace(attenuation=a) for layer, a in zip(LAYERS, (50, 60))]
    layers += [LAYERS[0]._replace(attenuation=np.inf)]
    found = layer_motion.drops(np.array([90.0, 55.0, 57.0]), layers)
    assert found.tolist() == [0, 5, -2]


def test_maps_too_small_to_compare_are_named():
    small = layer_motion.Layer("L9_12_3", 12.0, (12, 12), 60.0)
    with pytest.raises(ValueError, match="layer L9_12_3, .* larger resolution"):
        measured(lambda *_: [], [small])
    maps = jnp.zeros((1, 12, 12, 1))
    found = measured(
        lambda _, n, transform: [waves(transform), maps], [LAYERS[0], small]
    )
    assert found["shift"][0] > 80 and np.isnan(found["shift"][1])  # beside others


def test_maps_that_are_not_finite_are_named_and_zeros_are_not_judged():
    def render(_, numbers, transform):
        return [waves(transform), waves(transform) * jnp.nan]

    with pytest.raises(
        ValueError, match="layer second is not finite.*earlier checkpoint"
    ):
        measured(render)
    found = measured(lambda _, numbers, transform: [jnp.zeros((1, 52, 52, 1))] * 2)
    assert np.isnan(found["shift"]).all()
    assert layer_motion.leaking(found, found, LAYERS) is None


def sabotaged(changes, **settings):
    """An untrained generator in which some layers are other than planned."""
    G = tiny.make_generator(**(TINY | settings))
    specs = [
        dataclasses.replace(spec, **changes.get(i, {}))
        for i, spec in enumerate(G.synthesis.layers)
    ]
    network = dataclasses.replace(G.synthesis, layers=tuple(specs))
    return dataclasses.replace(G, synthesis=network)


def named(G):
    """(number of the layer named or None, rows)."""
    model = models.Model(G, G.initialize(jax.random.key(0)), {}, None, "sabotaged")
    found = analysis.layer_equivariance(model, 4)
    names = [row["name"] for row in found.rows[1:]]
    return (None if found.leak is None else names.index(found.leak)), found.rows


SABOTAGES = {
    # The down filter alone is replaced by nearest decimation.
    "nearest": {"lowpass": "nearest"},
    "none": {"lowpass": "none"},
    "no oversampling": {"act_up": 1},
}


FAST = [("nearest", 1, R)]
SLOW = [("no oversampling", 2, T)]
SLOW += [(sabotage, *row) for sabotage in SABOTAGES for row in ((0, T), (3, R))]


@pytest.mark.parametrize(
    "sabotage, layer, settings",
    [*FAST, *(pytest.param(*row, marks=pytest.mark.slow) for row in SLOW)],
)
def test_the_sabotaged_layer_is_named(monkeypatch, sabotage, layer, settings):
    nearest = lowpass.DESIGNS["kaiser"][0], lowpass.DESIGNS["none"][1]
    monkeypatch.setitem(lowpass.DESIGNS, "nearest", nearest)
    found, rows = named(sabotaged({layer: SABOTAGES[sabotage]}, **settings))
    assert found == layer
    for i, row in enumerate(rows[1:]):
        lost = [row[f"designed_{k}"] - row[f"isolated_{k}"] for k in layer_motion.KINDS]
        # The others are measured to be what they were meant to be.
        assert lost == [0, 0] if i != layer else max(lost) >= layer_motion.LEAK


@pytest.mark.slow
def test_p4_follows_shifts_and_is_not_named():
    found, rows = named(tiny.make_generator(**TINY, symmetry="p4"))
    assert found is None and len(rows) == 6
    assert min(row["shift"] for row in rows) > 47  # as below


def test_no_layer_of_an_intact_run_is_named(tmp_path, capsys):
    settings = TINY | R | {"c_dim": 2}
    images = np.zeros([4, 32, 32, 3], np.uint8)
    archive.write_archive(tmp_path / "a.zip", images, labels=[0, 1, 1, 0])
    data = {"path": str(tmp_path / "a.zip"), "use_labels": True}
    G = tiny.make_generator(**settings)
    config = {"generator": tiny.sections(**settings), "data": data}
    with run_directory.Run.create_or_open(tmp_path / "run", config) as run:
        run.save(1, {"G_ema": G.initialize(jax.random.key(0)), "rest": np.ones(3)})
    out = tmp_path / "deep" / "out"
    flags = [f"--run={tmp_path / 'run'}", f"--outdir={out}", "--samples=4"]
    assert __main__.main(["analyze", "layer-equivariance", *flags]) == 0
    assert "no layer leaks" in capsys.readouterr().out
    report = json.loads((out / "layer-equivariance.json").read_text())
    assert report["leak"] is None and report["samples"] == 4
    first, *rows = report["layers"]
    assert first["shift"] > 80 and first["turn"] > 80
    assert [row["name"] for row in rows] == [s.name for s in G.synthesis.layers]
    # Measured: 52 at least. With a layer's down filter gone 43 by shifts, 10 by turns.
    assert min(row[kind] for row in rows for kind in ("shift", "turn")) > 47
    with Image.open(out / "layer-equivariance.png") as plot:
        assert plot.width > 300


def test_stylegan2_has_no_plan_to_judge_layers_by(tmp_path, capsys):
    settings = {"resolution": 16, "kind": "stylegan2", "z_dim": 8, "w_dim": 8}
    settings |= {"channel_base": 64, "channel_max": 8}
    G = tiny.make_generator(**settings)
    with run_directory.Run.create_or_open(
        tmp_path / "a", {"generator": tiny.sections(**settings)}
    ) as run:
        run.save(1, {"G_ema": G.initialize(jax.random.key(0)), "rest": np.ones(3)})
    flags = [f"--run={tmp_path / 'a'}", f"--outdir={tmp_path / 'out'}"]
    assert __main__.main(["analyze", "layer-equivariance", *flags]) == 2
    assert "StyleGAN2 generator" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
