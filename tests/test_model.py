"""The public API: what `afgan_jax.load` gives, from runs and published snapshots."""

import dataclasses
import functools
import math
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from reference import official
from runs import test_run_directory

import afgan_jax
from afgan_jax.interop import persistence
from afgan_jax.metrics import equivariance
from afgan_jax.runs import class_names, run_directory
from afgan_jax.signal import affine

R = 32
PICKLES = official.index("pickles")["cases"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """An untrained conditional run whose classes have names."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    path = tiny.save_run(folder, "nowhere.zip", resolution=R, num_layers=6)
    class_names.write(path, ["cat", "dog"])
    return path


@pytest.fixture(scope="module")
def model(run):
    return afgan_jax.load(run)


def test_seeds_z_and_ws_give_the_images_of_the_network(model):
    z = np.concatenate([np.random.RandomState(s).randn(1, 8) for s in (3, 5)])
    c = jnp.eye(2)[jnp.array([1, 1])]
    with jax.default_matmul_precision("highest"):
        apply = jax.jit(functools.partial(model.network.apply, psi=0.7))
        raw = apply(model.variables, jnp.float32(z), c)
    expected = np.clip(np.floor(np.asarray(raw) * 127.5 + 128), 0, 255)
    options = {"label": 1, "psi": 0.7}
    found = model.images([3, 5], **options)
    assert found.dtype == np.uint8 and found.shape == (2, R, R, 3)
    assert np.abs(found - expected).max() <= 1 and np.mean(found != expected) < 0.01
    np.testing.assert_array_equal(model.images(z=z, **options), found)
    ws = model.ws([3, 5], **options)
    assert ws.shape == (2, model.num_ws, 8)
    np.testing.assert_array_equal(model.images(ws=ws), found)


def test_images_do_not_depend_on_the_batch(model):
    ws = model.ws(range(5), label=0)
    whole, parts = model.synthesize(ws), model.synthesize(ws, batch=2)
    np.testing.assert_allclose(whole, parts, atol=1e-5)
    assert model.synthesize(ws[:0]).shape == (0, R, R, 3)


def test_labels_are_numbers_names_vectors_or_one_a_sample(model):
    dog = model.ws([0, 1], label=1)
    each = np.eye(2)[[1, 1]]
    for label in ("dog", np.int64(1), [0.0, 1.0], [0, 1], each, np.array([1, 1])):
        np.testing.assert_array_equal(model.ws([0, 1], label=label), dog)
    cat = model.ws([0, 1], label="cat")
    assert np.abs(cat - dog).max() > 1e-3
    mixed = model.ws([0, 1], label=np.array([1, 0]))
    np.testing.assert_allclose(mixed, np.stack([dog[0], cat[1]]), atol=1e-6)


def test_classes_without_images_are_told_of_once(model, caplog):
    some = dataclasses.replace(model, empty_classes=frozenset({1}))
    some.ws([0, 1], label="cat")
    assert caplog.messages == []
    for label in ("dog", 1, np.array([0, 1])):
        some.ws([0, 1], label=label)
    (said,) = caplog.messages
    assert said.startswith("class 1 (dog) has no image in the set trained on")


def test_only_so_many_names_of_classes_are_listed(model):
    names = tuple(f"c{i}" for i in range(23))
    many = dataclasses.replace(model, class_names=names)
    assert many.known_classes.endswith("c18, c19 and 3 more names")


WRONG = [None, 2, -1, "fish", [1.0], [1.0, math.nan], np.array([2]), np.array([0, 1])]


@pytest.mark.parametrize("label", WRONG)
def test_a_label_that_the_model_does_not_take_is_refused(model, label):
    with pytest.raises(ValueError, match="must be one of 0 to 1 or cat"):
        model.ws([0], label=label)


def test_images_follow_rotation_and_translation(model):
    ws = model.ws([0], label=0)
    still, moved = model.synthesize(ws), model.synthesize(ws, translate=(4 / R, 0.0))
    errors = equivariance.integer_shift_errors(still, moved, (4 / R, 0.0))
    assert equivariance.psnr(np.stack(errors, axis=1)) > 40
    turned = model.synthesize(ws, rotate=0.5)
    with jax.default_matmul_precision("highest"):
        synthesize = functools.partial(model.network.apply, method="synthesize")
        turn = affine.user_transform(0.5)
        expected = jax.jit(synthesize)(model.variables, ws, turn)
    np.testing.assert_allclose(turned, expected, atol=1e-4)


def test_apply_works_under_the_callers_jit_grad_and_vmap(model):
    ws = model.ws([0, 1], label=0)

    @jax.jit
    def brightness(variables, w):
        return jnp.mean(model.apply(variables, w[None], method="synthesize"))

    gradients = jax.vmap(jax.grad(brightness, argnums=1), (None, 0))(
        model.variables, ws
    )
    assert gradients.shape == ws.shape
    assert np.all(np.isfinite(gradients)) and np.abs(gradients).max() > 0


def test_filters_can_be_taken_out(model):
    bare = model.without_filters()
    ws = model.ws([0], label=0)
    assert np.abs(bare.synthesize(ws) - model.synthesize(ws)).max() > 1e-3
    assert bare.variables is model.variables


def test_a_step_is_named_and_layers_are_described(run, model):
    same = afgan_jax.load(f"{run}@3")
    assert same.source == f"{run}@3" == model.source
    assert [row["name"] for row in same.layers][-1].endswith(f"{R}_3")
    with pytest.raises(ValueError, match="4"):
        afgan_jax.load(f"{run}@4")
    with pytest.raises(ValueError, match="no such folder"):
        afgan_jax.load(f"{run}-gone")


def test_the_step_of_a_model_is_that_of_its_weights(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    with run_directory.Run.create_or_open(tmp_path / "run", config_of(run)) as again:
        again.save(5, {"G_ema": afgan_jax.load(run).variables})
    test_run_directory._damage(tmp_path / "run" / "checkpoints" / "5", "gone")
    assert afgan_jax.load(tmp_path / "run").source == f"{tmp_path / 'run'}@3"


def config_of(run):
    with run_directory.Run.open(run) as opened:
        return opened.config


def test_loading_leaves_no_global_state(run):
    before = jax.config.jax_default_matmul_precision
    afgan_jax.load(run).images([0], label=0)
    assert jax.config.jax_default_matmul_precision == before


def test_a_generator_that_cannot_move_says_so(tmp_path):
    settings = {"resolution": 16, "kind": "stylegan2"}
    settings |= {"z_dim": 8, "w_dim": 8, "channel_max": 8}
    G = tiny.make_generator(**settings)
    with run_directory.Run.create_or_open(
        tmp_path, {"generator": tiny.sections(**settings)}
    ) as run:
        run.save(1, {"G_ema": G.initialize(jax.random.key(0))})
    model = afgan_jax.load(tmp_path)
    assert model.images([0], noise="none").shape == (1, 16, 16, 3)
    with pytest.raises(ValueError, match="rotate=1.0.*cannot be moved"):
        model.images([0], rotate=1.0)
    with pytest.raises(ValueError, match="is for generators with labels"):
        model.images([0], label=0)


@pytest.mark.parametrize("case", PICKLES, ids=lambda case: case["file"])
def test_published_snapshots_are_models(case, tmp_path):
    path = official.folder() / "pickles" / case["file"]
    model = afgan_jax.load(path)
    label = 0 if model.c_dim else None
    images = model.images([0, 1], label=label)
    held = persistence.read(path)["G_ema"].kwargs
    assert images.shape[1] == held["img_resolution"]
    assert images.std() > 0
    (tmp_path / "broken.pkl").write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="broken.pkl"):
        afgan_jax.load(tmp_path / "broken.pkl")


def test_reading_a_config_opens_no_checkpoint_manager(run):
    with run_directory.Run.open(run) as opened:
        assert opened.config["generator"]["synthesis"]["resolution"] == R
        assert opened.latest_step() == 3 and opened._saved is None


def test_importing_the_package_imports_no_jax():
    code = "import sys, afgan_jax; assert 'jax' not in sys.modules; afgan_jax.load"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_analysis_is_imported_when_it_is_used():
    code = (
        "import sys, afgan_jax; from afgan_jax import analysis\n"
        "assert 'jax' not in sys.modules and afgan_jax.analysis is analysis\n"
        "assert callable(analysis.equivariance) and callable(analysis.layers)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
