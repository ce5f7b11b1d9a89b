"""What the TPU compiler says: read from its text, and asked of libtpu itself."""

import functools
import importlib.util
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from afgan_jax.__main__ import main
from afgan_jax.bench import aot, described
from afgan_jax.signal import filters, nonlinearity
from afgan_jax.signal.backends import dispatch

SMOKE = str(pathlib.Path(__file__).parents[2] / "configs" / "smoke.py")
TEXT = """HloModule jit_update

%body (p: f32[4]) -> f32[4] {
  %r.1 = f32[4]{0} all-reduce(%p), replica_groups={}
  %x = f32[2]{0} add(%p, %p), backend_config={"estimated_cycles":"1000"}
}

ENTRY %main (p: f32[4]) -> f32[4] {
  %a = (f32[8,2]{1,0}, bf16[4]{0}) all-reduce-start(%p, %q), to_apply=%add
  %b = (f32[2]{0}, f32[16]{0}) all-gather-start(%p), dimensions={0}
  %c = f32[4]{0} fusion(%p), kind=kLoop, backend_config={"estimated_cycles":"120"}
  %d = f32[4]{0} convolution(%p), backend_config={"estimated_cycles":"30"}
  %e = f32[4]{0} while(%p), body=%body
  %f = f32[4]{0} custom-call(%p), custom_call_target="tpu_custom_call"
}
"""


pytestmark = pytest.mark.usefixtures("no_compilation_cache")


def test_compiled_text_is_read():
    assert aot.count_cycles(TEXT) == (150, 2)
    expected = {"all-reduce": (2, 16 + 64 + 8), "all-gather": (1, 64)}
    assert aot.count_collectives(TEXT) == expected


def test_the_mean_step_counts_each_update_as_often_as_it_is_due():
    rows = {
        name: aot.OnTPU(name, 2 * size, size, 1.0, 4, seconds, {}, 0)
        for name, size, seconds in (("Gboth", 10, 0.1), ("Dreg", 20, 0.32))
    }
    target = aot.Target([], 100.0, aot.OnTPU, str, {})
    step = aot._mean(rows, {"Gboth": 1, "Dreg": 16}, 4, target)
    assert (step.bytes, step.memory) == (60, 100)
    assert step.seconds == pytest.approx(0.12)  # 0.1 and a 16th of 0.32


@pytest.mark.parametrize(
    "said",
    [
        "Ran out of memory in memory space hbm. Used 17.30G of 15.75G hbm. Exceeded",
        "the total memory required for HLO temporaries (17.30G) exceeds available HBM"
        " (15.75G).",
    ],
)
def test_what_does_not_fit_is_told_from_other_errors(monkeypatch, said):
    def compiled(*_):
        raise jax.errors.JaxRuntimeError(f"RESOURCE_EXHAUSTED: {said}")

    monkeypatch.setattr(aot.memory, "compiled", compiled)
    target = aot.Target([], 100.0, aot.OnTPU, str, {})
    row = aot.report("Gboth", None, (), 4, target)
    assert row.line().endswith("does not fit: 17.30G of 15.75G")
    said = "no such thing"
    with pytest.raises(jax.errors.JaxRuntimeError, match=said):
        aot.report("Gboth", None, (), 4, target)


def test_report_of_a_program_on_eight_devices():
    mesh = Mesh(np.asarray(jax.devices()[:8]), ("data",))
    rows = NamedSharding(mesh, PartitionSpec("data"))
    x = jax.ShapeDtypeStruct((8, 1000), jnp.float32, sharding=rows)
    text = jax.jit(lambda x: jnp.sum(x, 0)).lower(x).compile().as_text()
    assert aot.count_collectives(text) == {"all-reduce": (1, 4000)}


def test_unknown_topology_is_one_line(capsys):
    assert main(["bench", "aot", f"--config={SMOKE}", "--topology=v5e"]) == 2
    err = capsys.readouterr().err
    assert "--topology=v5e is not GENERATION:SHAPE" in err and err.count("\n") == 1


def test_aot_is_asked_for_alone(capsys):
    assert main(["bench", "aot,synthesis", f"--config={SMOKE}"]) == 2
    assert "ask for it alone" in capsys.readouterr().err


def test_missing_compiler_says_how_to_get_it(capsys, monkeypatch):
    def missing(**_):
        raise RuntimeError("no\nlibtpu")

    monkeypatch.setattr(described.topologies, "get_topology_desc", missing)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["bench", "aot", f"--config={SMOKE}"]) == 2
    err = capsys.readouterr().err
    assert 'pip install "jax[tpu]"' in err and err.count("\n") == 1


CASES = {  # size, channels, up, radial, padding
    "148": (150, 256, 2, False, (9, 8)),
    "36": (38, 512, 2, False, (9, 8)),
    "up4": (150, 181, 4, False, (-6, -9)),
    "276": (278, 64, 2, False, (9, 8)),
    "radial": (148, 512, 2, True, (11, 10)),
}


@pytest.mark.libtpu
@pytest.mark.parametrize("generation", ["v5e", "v6e"])
@pytest.mark.parametrize("case", CASES)
def test_kernel_compiles_for_both_passes(generation, case):
    size, channels, up, radial, pad = CASES[case]
    band = (0.3 * size, 0.2 * size, size * up)
    op = functools.partial(
        nonlinearity.filtered_lrelu,
        bias=None,
        up_filter=filters.lowpass(6 * up, *band),
        down_filter=filters.lowpass(12, *band, radial=radial),
        up=up,
        down=2,
        pad=pad,
    )

    def both(x):
        y, pull = jax.vjp(op, x)
        return y, pull(y)

    chip = Mesh(np.asarray(aot.devices(f"{generation}:1x1")), ("data",))
    where = NamedSharding(chip, PartitionSpec())
    shape = (8, size, size, channels)
    x = jax.ShapeDtypeStruct(shape, jnp.bfloat16, sharding=where)
    run = jax.jit(dispatch.wishes(filtered="fused")(both))
    text = run.lower(x).compile().as_text()
    assert text.count('custom_call_target="tpu_custom_call"') == 2


@pytest.mark.libtpu
@pytest.mark.parametrize("implementation", ["xla", "pallas"])
def test_updates_compile_for_a_slice_and_reduce_gradients_only(
    implementation, tmp_path, capsys, monkeypatch
):
    file = tmp_path / "aot.json"
    options = ["--topology=v5e:2x4", f"--config={SMOKE}", f"--out={file}"]
    options += ["--batch=32", f"--config.updates.implementation={implementation}"]
    assert main(["bench", "aot", *options]) == 0
    rows = json.loads(file.read_text())["rows"]
    assert len(rows) == capsys.readouterr().out.count("\n") - 2 >= 4
    step = rows.pop()
    assert step["name"] == "step" and step["bytes"] < step["memory"] == 16e9
    assert step["seconds"] < sum(row["seconds"] for row in rows)
    for row in rows:
        assert set(row["collectives"]) == {"all-reduce"}
        assert row["argument_bytes"] > 0 and row["seconds"] > 0
        assert row["images"] == 4
    assert (rows[0]["uncounted"] > 0) == (implementation == "pallas")


@pytest.mark.libtpu
def test_what_does_not_fit_has_a_line():
    target = aot.tpu("v5e:1x1")
    chip = Mesh(np.asarray(target.devices), ("data",))
    where = NamedSharding(chip, PartitionSpec())
    x = jax.ShapeDtypeStruct((5, 10**9), jnp.float32, sharding=where)
    row = aot.report("sum", jax.jit(lambda x: x + 1), (x,), 1, target)
    assert row.line().endswith("does not fit: 59.60G of 15.75G")


@pytest.mark.libtpu
@pytest.mark.parametrize(
    "topology, count", [("v4:2x2x1", 8), ("v5p:2x2x1", 4), ("tpu7x:2x2x1", 8)]
)
def test_chips_of_all_generations_are_known(topology, count):
    """Those of v4 and TPU7x are two devices each."""
    assert len(aot.devices(topology)) == count


@pytest.mark.libtpu
def test_several_topologies_are_one_table(capsys):
    """With as many images on each chip; on one chip nothing moves."""
    options = ["--topology=v6e:1x1,v6e:2x2", f"--config={SMOKE}"]
    assert main(["bench", "aot", *options, "--images=4"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("4 images a device")
    tables = [[x for x in lines if x.startswith(f"v6e:{s} ")] for s in ("1x1", "2x2")]
    for (*updates, step), moved in zip(tables, ("nothing", "MB"), strict=True):
        assert " of 32 GB, " in step
        assert updates and all(line.endswith(moved) for line in updates)
    assert main(["bench", "aot", *options, "--batch=6"]) == 2
    assert (
        "--batch=6 is no multiple of the 4 devices of v6e:2x2"
        in capsys.readouterr().err
    )
