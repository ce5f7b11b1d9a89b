"""Run directories and their checkpoints, against real damage and real crashes."""

import asyncio
import gc
import json
import logging
import os
import shutil
import subprocess
import sys
import threading
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from processes import python, python_twice

from afgan_jax import errors
from afgan_jax.runs import (
    array_store,
    atomic,
    checkpoints,
    checksums,
    class_names,
    orbax_logging,
    orbax_path,
    retention,
    run_directory,
    step_folder,
)
from afgan_jax.sources import find, source

CONFIG = {"generator": {"resolution": 16}, "train": {"batch": 4, "total_kimg": 1.0}}


def state(step):
    """A state whose every leaf tells the step; "G_ema" is what generating needs.

    w is too large for the small values that Orbax itself protects, and random, so that
    compression leaves its bytes as they are.
    """
    variables = {
        "params": {"w": jnp.float32(np.random.RandomState(step).randn(64, 64))},
        "buffers": {"w_avg": jnp.full(5, step, jnp.bfloat16)},
    }
    return {
        "G_ema": variables,
        "opt": (jnp.arange(3) + step, ()),
        "step": jnp.int32(step),
    }


def abstract(tree, devices=None):
    """Describes the tree, every leaf to be whole on each of the devices."""
    mesh = jax.sharding.Mesh(np.array(devices or jax.devices()[:1]), ("data",))
    whole = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=whole), tree
    )


def assert_equal(left, right):
    jax.tree.map(np.testing.assert_array_equal, left, right)


def saved_run(folder, steps=(1, 2)):
    with run_directory.Run.create_or_open(folder, CONFIG) as run:
        for step in steps:
            run.save(step, state(step))
    return folder


@pytest.fixture
def messages(caplog):
    caplog.set_level(logging.WARNING, "afgan_jax")
    return lambda: [record.getMessage() for record in caplog.records]


# The directory


def test_a_new_run_states_its_config_and_has_no_checkpoint(tmp_path):
    with run_directory.Run.create_or_open(tmp_path / "a" / "b", CONFIG) as run:
        assert run.latest_step() is None
        assert run_directory.Run.open(run.path).config == CONFIG
        with pytest.raises(ValueError, match="there is no checkpoint in"):
            run.restore(abstract(state(0)))


def test_the_same_config_resumes(tmp_path):
    saved_run(tmp_path)
    with run_directory.Run.create_or_open(tmp_path, CONFIG) as run:
        step, tree = run.restore(abstract(state(0)))
    assert step == 2
    assert_equal(tree, state(2))


def test_another_config_is_refused_and_the_differences_named(tmp_path):
    saved_run(tmp_path)
    other = {"generator": {"resolution": 32}, "train": {"batch": 4, "total_kimg": 9.0}}
    with pytest.raises(ValueError, match="generator.resolution: 16 -> 32") as error:
        run_directory.Run.create_or_open(tmp_path, other)
    assert "total_kimg" not in str(error.value) and "\n" not in str(error.value)
    assert run_directory.Run.open(tmp_path).config == CONFIG


OLD = """is of another version of this program: config section 'generator.synthesis' is
 not a section of keys. Use the version that wrote it, or train again""".replace(
    "\n", ""
)


def test_a_run_with_the_sections_of_an_older_version_is_refused(tmp_path):
    old = {"generator": {"resolution": 16, "synthesis": "alias_free"}}
    with run_directory.Run.create_or_open(tmp_path, old) as run:
        run.save(1, state(1))
    new = {"generator": {"synthesis": {"resolution": 16}}}
    schema = {"generator": source.SCHEMA["generator"]}
    where = f"{tmp_path / 'config.json'} "
    for begin in (run_directory.Run.check, run_directory.Run.create_or_open):
        with pytest.raises(ValueError, match=f"^{where}{OLD}$"):
            begin(tmp_path, new, schema)
    with pytest.raises(ValueError, match=f"^{where}{OLD}$"):
        find.find(tmp_path)


def test_a_run_that_has_trained_nothing_yet_takes_another_config(tmp_path):
    run_directory.Run.create_or_open(tmp_path, CONFIG).close()
    corrected = {"generator": {"resolution": 32}, "train": CONFIG["train"]}
    run_directory.Run.check(tmp_path, corrected)
    run_directory.Run.create_or_open(tmp_path, corrected).close()
    assert run_directory.Run.open(tmp_path).config == corrected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "does not set generator.synthesis.resolution"),
        (
            '{"generator": {"synthesis": {"resolution": 16, "old": 1}}}',
            "unknown setting generator.synthesis.old",
        ),
    ],
)
def test_a_run_of_another_version_is_named_so(tmp_path, text, message):
    saved_run(tmp_path)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        find.find(tmp_path)
    assert str(tmp_path / "config.json") in str(error.value)


def test_how_long_a_run_goes_on_may_change(tmp_path):
    saved_run(tmp_path)
    longer = {**CONFIG, "train": {"batch": 4, "total_kimg": 9.0}}
    with run_directory.Run.create_or_open(tmp_path, longer) as run:
        assert run.latest_step() == 2
    assert run_directory.Run.open(tmp_path).config == longer


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(ValueError, match="is not a run"):
        run_directory.Run.create_or_open(tmp_path, CONFIG)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("path", ["/no/such/run", "s3://bucket/run"])
def test_open_names_a_path_that_is_no_run(path):
    with pytest.raises(ValueError, match=path):
        run_directory.Run.open(path)


# Checkpoints


def test_a_step_that_is_saved_stays_as_it_is(tmp_path):
    with run_directory.Run.create_or_open(tmp_path, CONFIG) as run:
        run.save(3, state(3))
        run.save(3, state(4))
        run.checkpoints.wait()
        assert_equal(run.restore(abstract(state(0)))[1], state(3))
        with pytest.raises(ValueError, match=r"no checkpoint 1 in .*steps: \[3\]"):
            run.restore(abstract(state(0)), 1)


def test_a_donated_update_does_not_reach_the_save_before_it(tmp_path):
    init = jax.jit(lambda: {str(i): jnp.arange(500_000.0) + i for i in range(8)})
    update = jax.jit(lambda t: jax.tree.map(lambda x: -x, t), donate_argnums=0)
    tree = init()
    with checkpoints.Checkpoints(tmp_path) as saved:
        saved.save(1, tree)
        jax.block_until_ready(update(update(tree)))
        saved.wait()
        assert_equal(saved.restore(abstract(init()))[1], init())


def test_a_save_does_not_wait_for_the_disk(tmp_path, monkeypatch):
    """A rename ends each item of a checkpoint: here the disk has stopped before it."""
    goes_on, rename = threading.Event(), os.rename

    def stopped(*paths):
        assert goes_on.wait(60)
        rename(*paths)

    double = jax.jit(lambda t: jax.tree.map(lambda x: 2 * x, t), donate_argnums=0)
    tree = jax.jit(lambda: {"x": jnp.arange(1e5)})()
    with checkpoints.Checkpoints(tmp_path) as saved:
        monkeypatch.setattr(os, "rename", stopped)
        saved.save(1, tree)
        jax.block_until_ready(double(double(tree)))  # training goes on
        assert saved.steps() == []
        goes_on.set()
        saved.wait()
        assert saved.steps() == [1]
        assert_equal(saved.restore(abstract(tree))[1], {"x": jnp.arange(1e5)})


def test_checksums_do_not_stop_a_later_donation():
    tree = {"w": jnp.arange(1e6)}
    checksums.records(tree)
    jax.jit(lambda t: {"w": t["w"] + 1}, donate_argnums=0)(tree)
    assert tree["w"].is_deleted()


def test_a_part_of_the_tree_restores_alone(tmp_path):
    saved_run(tmp_path)
    part = {"G_ema": state(0)["G_ema"]}
    with run_directory.Run.open(tmp_path) as run:
        step, tree = run.restore(abstract(part), partial=True)
    assert step == 2
    assert_equal(tree, {"G_ema": state(2)["G_ema"]})


def test_the_averaged_variables_of_a_step_are_loaded(tmp_path, monkeypatch):
    def make_generator(mapping, synthesis):
        return types.SimpleNamespace(r=synthesis["resolution"], initialize=initialize)

    def initialize(key):
        return state(0)["G_ema"]

    monkeypatch.setitem(source.PARTS, "G_ema", ("generator", make_generator))
    saved_run(tmp_path)
    text = '{"generator": {"synthesis": {"resolution": 16}}}'
    (tmp_path / "config.json").write_text(text)
    for step, name in ((2, str(tmp_path)), (1, f"{tmp_path}@1")):
        found = find.find(name)
        tree, read, facts = found.load("G_ema")
        assert (found.network("G_ema").r, read) == (16, f"{tmp_path}@{step}")
        assert facts["step"] == step
        assert_equal(tree["G_ema"], state(step)["G_ema"])


@pytest.mark.parametrize(
    "change, first",
    [
        (
            {"opt": (jnp.zeros(4, jnp.int32), ())},
            r"opt/0 is int32\[3\] there, int32\[4\]",
        ),
        ({"step": jnp.float32(0)}, r"step is int32\[\] there, float32\[\] here"),
        ({"extra": jnp.zeros(1)}, r"extra is absent there, float32\[1\] here"),
        ({"opt": ((), ())}, r"opt/0 is int32\[3\] there, absent here"),
    ],
)
def test_another_architecture_is_named_by_leaf(tmp_path, change, first):
    saved_run(tmp_path)
    with run_directory.Run.open(tmp_path) as run:
        with pytest.raises(ValueError, match=f"{first}.*: another version") as error:
            run.restore(abstract(state(0) | change))
        assert "\n" not in str(error.value)


# Damage


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x10
    file.write_bytes(content)


@pytest.mark.slow
@pytest.mark.parametrize("damage", [flip, os.remove])
def test_one_damaged_file_anywhere_never_gives_wrong_values(tmp_path, messages, damage):
    whole = saved_run(tmp_path / "whole")
    newest = whole / "checkpoints" / "2"
    files = [
        file for file in newest.rglob("*") if file.is_file() and file.stat().st_size
    ]
    fell_back = []
    for number, file in enumerate(files):
        damaged = tmp_path / str(number)
        shutil.copytree(whole, damaged)
        damage(damaged / file.relative_to(whole))
        with run_directory.Run.create_or_open(damaged, CONFIG) as run:
            step, tree = run.restore(abstract(state(0)))
        assert_equal(tree, state(step))
        if step == 1:
            fell_back.append(file)
    largest = max(files, key=lambda file: file.stat().st_size)
    assert "/d/" in str(largest) and largest in fell_back
    assert newest / "checksums" / "metadata" in fell_back
    said = messages()
    assert len(said) == len(fell_back)  # one line each
    incomplete = [line for line in said if "aside incomplete" in line]
    needed = len(step_folder.NEEDED)
    assert len(incomplete) == (needed if damage is os.remove else 0)
    others = set(said) - set(incomplete)
    assert all("continuing from step 1" in line for line in others)


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete"])
def test_a_damaged_data_file_falls_back_and_says_so(tmp_path, messages, damage):
    saved_run(tmp_path)
    _damage(tmp_path / "checkpoints" / "2", damage)
    with run_directory.Run.create_or_open(tmp_path, CONFIG) as run:
        step, tree = run.restore(abstract(state(0)))
        assert step == 1
        assert_equal(tree, state(1))
        (message,) = messages()
        assert "checkpoint 2 is damaged" in message and "\n" not in message
        run.save(2, state(20))  # the way on leads over step 2 again
        run.checkpoints.wait()
        assert_equal(run.restore(abstract(state(0)))[1], state(20))


def test_a_reader_falls_back_without_moving_anything(tmp_path):
    saved_run(tmp_path)
    _damage(tmp_path / "checkpoints" / "2", "flip")
    (tmp_path / "checkpoints" / "3.orbax-checkpoint-tmp").mkdir()  # a save under way
    before = sorted(tmp_path.rglob("*"))
    with run_directory.Run.open(tmp_path) as run:
        assert run.restore(abstract(state(0)))[0] == 1
        with pytest.raises(ValueError, match="checkpoint 2 is damaged"):
            run.restore(abstract(state(0)), 2)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_reader_is_told_of_an_incomplete_checkpoint(tmp_path, messages):
    saved_run(tmp_path)
    for step in "21":
        (tmp_path / "checkpoints" / step / "state" / "manifest.ocdbt").unlink()
        with run_directory.Run.open(tmp_path) as run:
            if step == "2":
                assert run.restore(abstract(state(0)))[0] == 1
                assert messages() == [
                    "checkpoint 2 is incomplete; continuing from step 1"
                ]
            else:
                with pytest.raises(ValueError, match="none of .* is complete"):
                    run.restore(abstract(state(0)))


def test_no_undamaged_checkpoint_is_an_error_that_moves_nothing(tmp_path):
    saved_run(tmp_path)
    for step in "12":
        _damage(tmp_path / "checkpoints" / step, "flip")
    with run_directory.Run.create_or_open(tmp_path, CONFIG) as run:
        with pytest.raises(ValueError, match="2 is damaged.*; checkpoint 1 is damaged"):
            run.restore(abstract(state(0)))
        assert run.checkpoints.steps() == [1, 2]


@pytest.mark.parametrize("content", [[], ["state"], ["checksums"]])
def test_an_incomplete_step_folder_is_not_picked(tmp_path, content):
    saved_run(tmp_path)
    for part in ["", *content]:
        (tmp_path / "checkpoints" / "3" / part).mkdir()
    with run_directory.Run.open(tmp_path) as run:
        assert run.latest_step() == 2
    with run_directory.Run.create_or_open(tmp_path, CONFIG) as run:
        assert run.restore(abstract(state(0)))[0] == run.latest_step() == 2
        run.save(3, state(3))
        run.checkpoints.wait()
        assert run.restore(abstract(state(0)))[0] == 3


def test_a_run_of_incomplete_steps_alone_is_not_begun_anew(tmp_path):
    saved_run(tmp_path, steps=[1])
    manifest = tmp_path / "checkpoints" / "1" / "state" / "manifest.ocdbt"
    content = manifest.read_bytes()
    manifest.unlink()
    with pytest.raises(ValueError, match="none of the checkpoints in .* is complete"):
        run_directory.Run.create_or_open(tmp_path, CONFIG)
    manifest.write_bytes(content)
    with run_directory.Run.create_or_open(tmp_path, CONFIG) as run:
        assert_equal(run.restore(abstract(state(0)))[1], state(1))


def test_a_save_that_does_not_read_back_replaces_no_checkpoint(tmp_path, monkeypatch):
    one = retention.Retention(newest=1)
    with checkpoints.Checkpoints(tmp_path, retention=one) as saved:
        saved.save(1, state(1))
        saved.wait()
        with monkeypatch.context() as patch:  # Orbax then merges no parts
            patch.setattr(orbax_path._Literal, "glob", lambda *_: iter(()))
            saved.save(2, state(2))
            with pytest.raises(
                errors.Stopped, match="manifest.ocdbt missing.*good step: 1"
            ):
                saved.wait()
        assert [path.name for path in tmp_path.iterdir()] == ["1"]
        saved.save(2, state(2))
        saved.wait()
        assert saved.steps() == [2]
        assert_equal(saved.restore(abstract(state(0)))[1], state(2))


@pytest.mark.parametrize(
    "damage",
    [
        lambda step: flip(step / "checksums" / "metadata"),
        lambda step: flip(step / "state" / "manifest.ocdbt"),
        lambda step: (step / "state" / "_METADATA").write_text(""),
        lambda step: [path.unlink() for path in (step / "state" / "d").iterdir()],
    ],
)
def test_the_structure_of_a_step_is_checked(tmp_path, damage):
    step = saved_run(tmp_path, steps=[1]) / "checkpoints" / "1"
    records = checksums.records(state(1))
    step_folder.check(step, records)
    damage(step)
    with pytest.raises(ValueError):
        step_folder.check(step, records)


def test_a_step_of_other_arrays_is_noticed(tmp_path):
    step = saved_run(tmp_path, steps=[1]) / "checkpoints" / "1"
    other = checksums.records(state(1) | {"step": jnp.float32(1)})
    with pytest.raises(ValueError, match="its list of checksums is another one"):
        step_folder.check(step, other)
    (step / "checksums" / "metadata").write_text(json.dumps(checksums.seal(other)))
    with pytest.raises(ValueError, match="its arrays are others"):
        step_folder.check(step, other)


def test_arrays_are_told_as_orbax_tells_them_and_nothing_is_kept(tmp_path):
    mixed = {"a": {"b": jnp.ones((2, 3), jnp.bfloat16)}, "c": [jnp.int32(1), None]}
    with checkpoints.Checkpoints(tmp_path / "checkpoints") as saved:
        saved.save(1, mixed)
    stored = step_folder.state(tmp_path / "checkpoints", 1)
    told = array_store.forms(stored)
    assert told == {
        "a.b": ((2, 3), "bfloat16"),
        "c.0": ((), "int32"),
    }
    leaves = jax.tree.leaves(step_folder.tree_of(stored))
    assert sorted((x.name, x.shape, x.dtype.name) for x in leaves) == sorted(
        (name, *form) for name, form in told.items()
    )
    before = sys.getallocatedblocks()
    for _ in range(500):  # other threads keep some hundred objects meanwhile
        array_store.forms(stored)
    # Orbax's way of telling keeps over 50 objects an array and call.
    assert sys.getallocatedblocks() - before < 500 * len(told)


# Of reports on other programs, and what glob, URLs and shells give a meaning.
NAMES = """a| |#|%|%20|100%|?|*|**|[x]|[1|]|{y}|&|'|"|ü|猫|@|+|=|:|;|,|!|$HOME|~|^|(1)
<|>|`|.|e\u0301|a..b|.zarr|x:/|\n|\r|\t|\x01""".replace("(1)\n", "(1)|").split("|")


def test_a_run_is_restored_from_a_folder_of_any_name(tmp_path):
    tree, shapes = state(1), abstract(state(0))
    for name in (*NAMES, "|"):
        folder = tmp_path / f"x{name}y" / "run"
        with run_directory.Run.create_or_open(folder, CONFIG) as run:
            run.save(1, tree)
        with run_directory.Run.open(folder) as run:
            assert_equal(run.restore(shapes)[1], tree)
    shutil.move(tmp_path / "x[x]y", tmp_path / "moved")
    with run_directory.Run.open(tmp_path / "moved" / "run") as run:
        assert_equal(run.restore(shapes)[1], tree)


@pytest.mark.parametrize("name", ["x\\y", "x\udcffy"])
def test_a_name_that_checkpoints_cannot_have_is_refused_at_once(tmp_path, name):
    for begin in (run_directory.Run.create_or_open, run_directory.Run.check):
        with pytest.raises(ValueError, match="name another folder"):
            begin(tmp_path / name, CONFIG)
    with pytest.raises(ValueError, match="name another folder"):
        run_directory.Run.open(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_would_be_a_bucket_is_refused():
    with pytest.raises(ValueError, match="/gs/x/y would be gs://x/y to checkpoints"):
        run_directory.Run.check("/gs/x/y", CONFIG)


KILLED = """
import os, signal, sys, numpy
from runs import test_run_directory as module
run = module.run_directory.Run.create_or_open(sys.argv[1], module.CONFIG)
run.save(1, module.state(1))
run.checkpoints.wait()
big = numpy.random.RandomState(0).randn(4_000_000)
run.save(2, module.state(2) | {"big": big})
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_kill_9_during_a_save_leaves_the_checkpoint_before_it(tmp_path):
    child = python(KILLED, tmp_path)
    out, _ = child.communicate()
    assert child.returncode == -9, out
    names = [path.name for path in (tmp_path / "checkpoints").iterdir()]
    assert any(name.startswith("2.") for name in names), (
        "killed before or after the save"
    )
    with run_directory.Run.create_or_open(tmp_path, CONFIG) as run:
        step, tree = run.restore(abstract(state(0)))
        assert step == 1
        assert_equal(tree, state(1))
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["1"]


DISK_FULL = """
import resource, shutil, subprocess, sys, types, numpy
from runs import test_run_directory as module
from afgan_jax.runs import retention
folder, way = sys.argv[1:]
if way == "mount":
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder]
    subprocess.run(mount, check=True)
else:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
one = retention.Retention(newest=1)
folder += "/run"
run = module.run_directory.Run.create_or_open(folder, module.CONFIG, retention=one)
run.save(1, module.state(1))
big = numpy.random.RandomState(0).randn(400_000)
if way == "mount":
    try:
        run.save(2, module.state(2) | {"big": big})
    except OSError as error:
        print("REFUSED", error, run.checkpoints._manager.all_steps())
    # From here on as if another program filled the disk meanwhile.
    shutil.disk_usage = lambda folder: types.SimpleNamespace(free=1 << 40)
try:
    run.save(2, module.state(2) | {"big": big})
    run.checkpoints.wait()
except OSError as error:
    print("RAISED", error)
print("LEFT", sorted(path.name for path in (run.path / "checkpoints").iterdir()))
step, tree = run.restore(module.abstract(module.state(0)))
module.assert_equal(tree, module.state(1))
run.save(3, module.state(3))
run.save(4, module.state(4) | {"big": big})
try:
    run.close()
except OSError as error:
    print("CLOSED", error)
print("THEN", run.checkpoints.steps())
"""


def test_a_full_disk_is_one_error_and_the_last_checkpoint_stays(tmp_path):
    # A mount of its own (as root or in a user namespace) is really full; where neither
    # is allowed, a limit on the size of files stops the writing instead.
    namespace = ["unshare", "--mount", "--map-root-user"]
    trial = [*namespace, "mount", "-t", "tmpfs", "tmpfs", str(tmp_path)]
    try:
        mountable = subprocess.run(trial, capture_output=True).returncode == 0
    except FileNotFoundError:
        mountable = False
    prefix, way = (namespace, "mount") if mountable else ((), "limit")
    out, _ = python(DISK_FULL, tmp_path, way, prefix=prefix).communicate()
    lines = out.splitlines()
    if mountable:
        refused = lines.pop(0)
        assert refused.startswith("REFUSED") and refused.endswith("[1]"), out
        assert "is full: a checkpoint takes 4.4 MB" in refused
    assert len(lines) == 4, out  # no traceback beside the error
    assert lines[0].startswith("RAISED") and "is full: a checkpoint" in lines[0]
    assert "last good step: 1" in lines[0] and "last good step: 3" in lines[2]
    assert lines[1] == "LEFT ['1']" and lines[3] == "THEN [3]"


@pytest.mark.parametrize("why, is_told", [("[tensorstore_spec={}]", False), ("", True)])
def test_only_the_other_errors_of_a_failed_save_are_left_out_of_the_log(
    why, is_told, caplog
):
    # Orbax waits for the first of several failed writes; asyncio reports the rest.
    orbax_logging.silence_failed_saves()
    loop = asyncio.new_event_loop()
    future = loop.create_future()
    future.set_exception(ValueError(why))
    del future
    gc.collect()
    loop.close()
    assert bool(caplog.records) == is_told


def test_a_changed_list_of_checksums_is_noticed():
    text = json.dumps(checksums.seal(checksums.records(state(1))))
    assert checksums.unseal(text) == checksums.records(state(1))
    with pytest.raises(ValueError, match="its own checksum"):
        checksums.unseal(text.replace("w_avg", "w_ava"))


# Devices and processes

EIGHT_DEVICES = """
import sys, jax
from runs import test_run_directory as module
assert len(jax.devices()) == 8
mesh = jax.sharding.Mesh(jax.devices(), ("data",))
split = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
layout = module.abstract(module.state(0), jax.devices())
shardings = jax.tree.map(lambda x: x.sharding, layout)
tree = jax.device_put(module.state(1), shardings)
tree["G_ema"]["params"]["w"] = jax.device_put(tree["G_ema"]["params"]["w"], split)
with module.run_directory.Run.create_or_open(sys.argv[1], module.CONFIG) as run:
    run.save(1, tree)
"""


def test_eight_devices_restore_into_one(tmp_path):
    child = python(EIGHT_DEVICES, tmp_path, devices=8)
    out, _ = child.communicate()
    assert child.returncode == 0, out
    with run_directory.Run.open(tmp_path) as run:
        tree = run.restore(abstract(state(0)))[1]
    assert_equal(tree, state(1))
    assert all(len(leaf.devices()) == 1 for leaf in jax.tree.leaves(tree))


TWO_PROCESSES = """
import sys, jax, jax.numpy as jnp
folder, index, address = sys.argv[1:]
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(address, 2, int(index))
from runs import test_run_directory as module
layout = module.abstract(module.state(0), jax.devices())
shardings = jax.tree.map(lambda x: x.sharding, layout)
make = lambda step: jax.jit(lambda: module.state(step), out_shardings=shardings)()
with module.run_directory.Run.create_or_open(folder, module.CONFIG) as run:
    run.save(1, make(1))
    run.save(2, make(2))
    run.append_stats({"nimg": 2})
    run.checkpoints.wait()
    if index == "0":
        module._damage(run.path / "checkpoints" / "2", "flip")
    module.checkpoints.multihost_utils.sync_global_devices("damaged")
    assert run.restore(layout)[0] == 1
    run.save(2, make(2))
    assert run.checkpoints.record_metric(2, "fid", 3.0)
    try:
        module.run_directory.Run.create_or_open(folder, module.CONFIG)
    except ValueError as error:
        print("REFUSED", error)
"""


def test_two_processes_write_one_run(tmp_path):
    outs = python_twice(TWO_PROCESSES, tmp_path)
    assert "".join(outs).count("checkpoint 2 is damaged") == 1
    assert all("REFUSED another process is training" in out for out in outs)
    assert len((tmp_path / "stats.jsonl").read_text().splitlines()) == 1
    with run_directory.Run.open(tmp_path) as run:
        step, tree = run.restore(abstract(state(0)))
    assert step == 2
    assert_equal(tree, state(2))


# Statistics


def test_resuming_drops_the_lines_beyond_the_checkpoint(tmp_path):
    with run_directory.Run.create_or_open(tmp_path, CONFIG) as run:
        for nimg in (0, 100, 200, 300):
            run.append_stats({"nimg": nimg, "loss": np.float32(0.5)})
        file = run.path / "stats.jsonl"
        file.write_text(file.read_text() + '{"nimg": 1, "lo')  # killed while writing
        run.truncate_stats(200)
        run.append_stats({"nimg": 300, "loss": float("nan")})
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["nimg"] for line in lines] == [0, 100, 200, 300]
    assert lines[0]["loss"] == 0.5 and lines[3]["loss"] is None
    assert all(line["timestamp"] > 0 for line in lines)


def test_small_files_that_were_damaged_are_left_out_or_named(tmp_path):
    with run_directory.Run.create_or_open(tmp_path, CONFIG) as run:
        for nimg in (0, 100):
            run.append_stats({"nimg": nimg})
        file = run.path / "stats.jsonl"
        file.write_bytes(b"\xff" + file.read_bytes())
        assert run.truncate_stats(200) == 1
        for content in (b"\xff", b"[", b"1"):
            (tmp_path / class_names.FILE).write_bytes(content)
            with pytest.raises(ValueError, match=r"classes\.json (is not|holds no)"):
                class_names.read(tmp_path)


def test_a_failed_write_keeps_the_old_file(tmp_path):
    atomic.write(tmp_path / "a", "old")
    with pytest.raises(TypeError):
        atomic.write(tmp_path / "a", None)
    assert (tmp_path / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def _damage(step_folder, how):
    """Damages the largest data file of a checkpoint."""
    data = [file for file in step_folder.rglob("d/*") if file.is_file()]
    file = max(data, key=lambda file: file.stat().st_size)
    content = bytearray(file.read_bytes())
    if how == "flip":
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    elif how == "truncate":
        file.write_bytes(content[: len(content) // 2])
    else:
        file.unlink()


def make_net(*, size: int = 4, form: str = "plain"):
    """A function whose arguments a config holds; `form` is newer than some runs."""


def test_a_run_from_before_a_setting_existed_goes_on(tmp_path):
    old, new = {"net": {"size": 4}}, {"net": {"size": 4, "form": "plain"}}
    schema = {"net": make_net}
    with run_directory.Run.create_or_open(tmp_path, old) as run:
        run.save(1, {"x": jnp.zeros(2)})
    with pytest.raises(ValueError, match="net.form: unset -> 'plain'"):
        run_directory.Run.create_or_open(tmp_path, new)
    run_directory.Run.create_or_open(tmp_path, new, schema).close()
    other = {"net": {"size": 4, "form": "fancy"}}
    with pytest.raises(ValueError, match="net.form: 'plain' -> 'fancy'"):
        run_directory.Run.create_or_open(tmp_path, other, schema)
