"""train --init-from: weights of one run start another, or are refused in a line."""

import functools
import pathlib
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference import official
from training import counting

from afgan_jax.__main__ import main
from afgan_jax.assembly import settings as assembled
from afgan_jax.data import archive
from afgan_jax.interop import names
from afgan_jax.networks import discriminator, generator
from afgan_jax.runs import config, run_directory
from afgan_jax.sources import find
from afgan_jax.training import init_from, loop, step
from afgan_jax.training import state as states

SMOKE = str(pathlib.Path(__file__).parents[2] / "configs" / "smoke.py")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 16, 3), np.uint8)
    archive.write_archive(folder / "noise.zip", pixels)
    labels = [i % 2 for i in range(16)]
    archive.write_archive(folder / "labelled.zip", pixels, labels)
    return folder


@pytest.fixture(scope="module", autouse=True)
def one_device():
    """Programs for eight devices would take longer to compile, and prove no more."""
    with pytest.MonkeyPatch.context() as patch:
        make = functools.partial(step.make_program, devices=jax.devices()[:1])
        patch.setattr(step, "make_program", functools.wraps(step.make_program)(make))
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run at steps 3 and 5 of which every tensor tells the step."""
    settings = config.load(SMOKE, schema=assembled.SCHEMA)
    G = generator.make_generator(**settings["generator"])
    D = discriminator.make_discriminator(**settings["discriminator"])
    setup = step.make_setup(G, D, **settings["losses"])
    program = step.make_program(setup, **settings["updates"])
    state = states.to_tree(program.init(jax.random.key(7)))
    path = tmp_path_factory.mktemp("runs") / "source"
    with run_directory.Run.create_or_open(path, settings) as run:
        for index in (3, 5):
            run.save(
                index,
                jax.tree.map(lambda x, n=index: x + jnp.asarray(n, x.dtype), state),
            )
    return path


@pytest.fixture
def begun(monkeypatch):
    """Training up to its loop, which gives its first state and settings instead."""
    found = []

    @functools.wraps(loop.train)
    def stop(run, program, *_, **__):
        found.append((loop.restore(run, program, jax.random.key(0)), run.config))
        return counting.Untrained

    monkeypatch.setattr(loop, "train", stop)

    def begin(images, workdir, *flags):
        data = f"--config.data.path={images / 'noise.zip'}"
        arguments = [f"--config={SMOKE}", f"--workdir={workdir}", data, *flags]
        assert main(["train", *arguments]) == 0
        return found.pop()

    return begin


def leaves(folder, index: int) -> dict:
    """Arrays of a checkpoint of `trained`."""
    return find.find(f"{folder}@{index}").load("G_ema").tree["G_ema"]


@pytest.mark.slow
def test_weights_begin_a_new_run_and_nothing_else_does(
    images, trained, tmp_path, begun, capsys
):
    state, settings = begun(images, tmp_path / "new", f"--init-from={trained}@3")
    assert_equal(state.G_ema, leaves(trained, 3))
    assert_equal(state.G, leaves(trained, 3))
    assert float(jnp.min(state.D["params"]["b4"]["out"]["bias"])) == 3
    assert (int(state.step), int(state.nimg), float(state.pl_mean)) == (0, 0, 0)
    moments = [x for x in jax.tree.leaves((state.G_opt, state.D_opt)) if x.ndim]
    assert moments and not any(np.any(x) for x in moments)
    for name, value in init_from.SETTINGS.items():
        section, key = name.split(".")
        assert settings[section][key] == value
    assert settings == run_directory.Run.open(tmp_path / "new").config
    record = (tmp_path / "new" / "transfer.txt").read_text()
    assert record in capsys.readouterr().err
    assert f"weights of {trained}@3, with augment.adjust_kimg=100.0" in record
    assert "0 skipped" in record and "0 missing" in record


def test_a_run_once_begun_goes_on_with_the_flag_or_without(
    images, trained, tmp_path, begun, capsys
):
    given = "--config.updates.ema_rampup=0.2"
    first, settings = begun(images, tmp_path, f"--init-from={trained}", given)
    assert settings["updates"]["ema_rampup"] == 0.2
    assert_equal(first.G, leaves(trained, 5))  # the newest
    capsys.readouterr()
    for flags in ((), (f"--init-from={trained}@3",)):
        state, again = begun(images, tmp_path, given, *flags)
        assert_equal(state.G, first.G)
        assert again == settings
    assert capsys.readouterr().err.count("are not used") == 1


def test_a_run_from_noise_is_no_transfer(images, trained, tmp_path, begun):
    settings = config.load(SMOKE, schema=assembled.SCHEMA)
    run_directory.Run.create_or_open(tmp_path, settings).close()
    (tmp_path / "transfer.txt").write_text("of a run that was stopped too early")
    state, settings = begun(images, tmp_path)
    assert settings["updates"]["ema_rampup"] == 0.05
    assert not (tmp_path / "transfer.txt").exists()
    with run_directory.Run.create_or_open(tmp_path, settings) as run:
        run.save(1, states.to_tree(state))
    _, again = begun(images, tmp_path, f"--init-from={trained}")
    assert again == settings


@pytest.mark.slow
def test_labels_are_added(images, trained, tmp_path, begun):
    labels = [f"--config.data.path={images / 'labelled.zip'}"]
    labels += ["--config.data.use_labels=True"]
    labels += [f"--config.{name}=2" for name in init_from.C_DIMS]
    state, _ = begun(images, tmp_path, f"--init-from={trained}", *labels)
    old = leaves(trained, 5)["params"]["mapping"]["fc0"]["weight"]
    for G in (state.G, state.G_ema):
        new = G["params"]["mapping"]["fc0"]["weight"]
        np.testing.assert_allclose(new[:16], old * np.sqrt(2), rtol=1e-6)
        assert not np.any(new[16:])


def shapes(settings):
    networks = assembled.make_networks(settings)
    initialize = functools.partial(states.initialize, G=networks[0], D=networks[1])
    G, D = jax.eval_shape(initialize, jax.random.key(0))
    return {"G": G, "D": D, "G_ema": G}


@pytest.mark.parametrize(
    "changes, refused",
    [
        (
            {
                "generator.synthesis.conv_clamp": None,
                "discriminator.mbstd_group_size": 4,
            },
            False,
        ),
        ({"generator.mapping.c_dim": 2, "discriminator.c_dim": 2}, False),
        ({"generator.mapping.c_dim": 2}, True),
        ({"generator.synthesis.resolution": 32, "discriminator.resolution": 32}, True),
        ({"generator.synthesis.radial": True}, True),
    ],
)
def test_only_other_functions_of_the_same_images_need_partial(
    trained, changes, refused
):
    settings = config.load(SMOKE, changes, assembled.SCHEMA)
    check = functools.partial(
        init_from.check, init_from.find(str(trained)), settings, shapes(settings)
    )
    assert check(partial=True)
    if refused:
        with pytest.raises(ValueError, match=f"{[*changes][0]}: .* or use partial"):
            check(partial=False)
    else:
        assert check(partial=False) == check(partial=True)


@pytest.mark.parametrize(
    "flags, message",
    [
        (
            ["--config.generator.synthesis.channel_max=4"],
            "tensors do not match, such as G/buffers/synthesis/input/freqs: set"
            " generator.synthesis.channel_max=8, or use partial for the tensors that"
            " match",
        ),
        (
            ["--config.generator.synthesis.filter_size=4"],
            "generator.synthesis.filter_size: 6 -> 4; 0",
        ),
        (["--config.losses.freeze_d=99"], "freeze_d=99 must be 0 to 7"),
    ],
)
def test_other_networks_are_refused_in_a_line_and_leave_nothing(
    images, trained, tmp_path, capsys, flags, message
):
    workdir = tmp_path / "new"
    arguments = [f"--config={SMOKE}", f"--workdir={workdir}", *flags]
    assert main(["train", *arguments, f"--init-from={trained}"]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not workdir.exists()


def test_what_is_no_source_is_named(trained, tmp_path):
    (tmp_path / "a.pkl").write_bytes(b"")
    for text, message in (
        (f"{tmp_path}/a.pkl", "a.pkl is not a snapshot of networks"),
        (f"{tmp_path}/none", "there is no run in"),
        (f"{tmp_path}", "is not a run"),
        (f"{trained}@4", r"no checkpoint 4 in .*; steps: \[3, 5"),
    ):
        with pytest.raises(ValueError, match=message):
            init_from.find(text)


def test_partial_alone_is_refused(capsys):
    assert main(["train", f"--config={SMOKE}", "--workdir=a", "--partial"]) == 2
    assert "--partial is for --init-from=" in capsys.readouterr().err


def assert_equal(left, right):
    jax.tree.map(np.testing.assert_array_equal, left, right)


@pytest.mark.parametrize(
    "name", ["tiny_t", pytest.param("tiny_sg2", marks=pytest.mark.slow)]
)
def test_a_published_snapshot_begins_a_run(name, images, tmp_path, begun, capsys):
    """With the settings that the refusal of other networks names."""
    file = official.DATA / "pickles" / f"{name}.pkl"
    data = f"--config.data.path={images / 'noise.zip'}"
    arguments = [f"--config={SMOKE}", f"--workdir={tmp_path / 'run'}", data]
    assert main(["train", *arguments, f"--init-from={file}"]) == 2
    refusal = capsys.readouterr().err
    assert f"--init-from={file} has other networks" in refusal
    assert refusal.count("\n") == 1 and not (tmp_path / "run" / "config.json").exists()
    fix = refusal.rpartition(": set ")[2].partition(", or use partial")[0]
    flags = [f"--config.{setting}" for setting in fix.split()]
    state, settings = begun(images, tmp_path / "run", f"--init-from={file}", *flags)
    assert settings["augment"]["adjust_kimg"] == 100
    arrays = official.Arrays("pickles", f"{name}.npz", top=official.DATA)
    for part in ("G", "D", "G_ema"):
        recorded = names.variables(arrays.under(f"state/{part}/"))
        recorded = {k: v for k, v in recorded.items() if v}
        found = getattr(state, part)
        assert jax.tree.structure(found) == jax.tree.structure(recorded)
        jax.tree.map(np.testing.assert_array_equal, found, recorded)
    record = (tmp_path / "run" / init_from.RECORD).read_text()
    assert record.startswith(f"weights of {file}, with ")
    assert "    0 missing" in record and "    0 skipped" in record


def test_a_file_without_the_networks_is_named(tmp_path):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"G_ema": None}))
    with pytest.raises(ValueError, match="does not hold the networks G, D and G_ema"):
        init_from.find(str(tmp_path / "a.pkl"))
