"""What train --dry-run says of a training, and that it begins none."""

import dataclasses
import functools
import pathlib

import jax
import numpy as np
import pytest
import tiny

from afgan_jax.__main__ import main
from afgan_jax.assembly import settings as assembled
from afgan_jax.assembly import training
from afgan_jax.bench import memory
from afgan_jax.runs import config
from afgan_jax.training import step

SMOKE = str(pathlib.Path(__file__).parents[2] / "configs" / "smoke.py")


def only(monkeypatch, phase: str) -> None:
    """One phase is enough to compile."""
    make = step.make_program

    @functools.wraps(make)  # its arguments are the config's settings
    def made(*arguments, **settings):
        program = make(*arguments, devices=jax.devices()[:1], **settings)
        return dataclasses.replace(program, updates={phase: program.updates[phase]})

    monkeypatch.setattr(step, "make_program", made)


def test_arguments_are_the_state_and_the_batch_and_temporaries_hold_maps(monkeypatch):
    settings = config.load(SMOKE, schema=assembled.SCHEMA)
    only(monkeypatch, "Dreg")
    setup, program = training.build(settings)
    (row,) = memory.updates(program, setup.D, 8)
    state = jax.eval_shape(program.init, jax.random.key(0))
    leaves = jax.tree.leaves(state)
    expected = sum(x.dtype.itemsize * x.size for x in leaves) + 8 * 16 * 16 * 3
    # Apart from the key and what no regulariser reads.
    assert row.argument_bytes == pytest.approx(expected, abs=64)
    assert row.temporary_bytes > 8 * 16 * 16 * 4 * 4  # float32 maps of 4 channels
    assert memory.count(state.D["params"]) == sum(
        np.prod(x.shape, dtype=int) for x in jax.tree.leaves(state.D["params"])
    )


def test_dry_run_prints_layers_counts_and_memory_and_writes_nothing(
    monkeypatch, tmp_path, capsys
):
    monkeypatch.chdir(tmp_path)
    only(monkeypatch, "Dreg")
    arguments = ["train", f"--config={SMOKE}", f"--workdir={tmp_path / 'run'}"]
    assert main([*arguments, "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("_")[0] for line in lines[1:5]] == ["L0", "L1", "L2", "L3"]
    assert lines[5] == "parameters: G 2,627, D 3,421"
    assert lines[6].startswith("batch 8 on 1 x ")
    assert lines[-1].startswith("update Dreg") and lines[-1].count(" MB") == 3
    assert list(tmp_path.iterdir()) == []
    assert main([*arguments, "--dry-run", "--preview-augment=auto"]) == 2
    assert "--dry-run writes nothing" in capsys.readouterr().err


def test_stylegan2_is_described_layer_by_layer():
    G = tiny.make_generator(
        resolution=16,
        kind="stylegan2",
        channel_base=64,
        dtype="bfloat16",
        architecture="orig",
    )
    assert [line.split() for line in G.synthesis.describe().splitlines()] == [
        ["name", "size", "up", "in", "->", "out", "channels"],
        ["b4/conv1", "4", "1", "16", "->", "16", "noise", "bfloat16"],
        ["b8/conv0", "8", "2", "16", "->", "8", "noise", "bfloat16"],
        ["b8/conv1", "8", "1", "8", "->", "8", "noise", "bfloat16"],
        ["b16/conv0", "16", "2", "8", "->", "4", "noise", "bfloat16"],
        ["b16/conv1", "16", "1", "4", "->", "4", "noise", "bfloat16"],
        ["b16/torgb", "16", "1", "4", "->", "3", "bfloat16"],
    ]
