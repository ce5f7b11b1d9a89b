"""The bench from the command line: its lines, its JSON, its refusals."""

import json
import pathlib

import jax
import numpy as np
import pytest
import tiny
from PIL import Image

from afgan_jax.__main__ import main
from afgan_jax.assembly import timings
from afgan_jax.bench import clock, forms, metrics, networks
from afgan_jax.data import archive
from afgan_jax.networks import discriminator
from afgan_jax.signal.backends import blocks, dispatch

SMOKE = str(pathlib.Path(__file__).parents[2] / "configs" / "smoke.py")


def bench(*flags):
    return main(["bench", *flags, f"--config={SMOKE}", "--batch=8", "--repeats=1"])


@pytest.mark.slow
def test_every_part_is_timed_against_plain_xla(tmp_path, capsys):
    images = np.zeros((8, 16, 16, 3), np.uint8)
    path = archive.write_archive(tmp_path / "black.zip", images)
    file = tmp_path / "new" / "bench.json"
    options = (f"--config.data.path={path}", f"--out={file}")
    assert bench("ops,synthesis,update,data", *options) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "images/s" in lines[1]
    content = json.loads(file.read_text())
    rows = content["rows"]
    assert len(rows) == len(lines) - 3
    names = [row["name"] for row in rows]
    updates = ["update Gboth", "update Dmain", "update Dreg"]
    assert names[-6:] == ["synthesis", *updates, "step", "data"]
    operations = names[:-6]
    assert len(set(operations)) == len(operations) >= 8
    assert any(name.startswith("lrelu 16-") for name in operations)
    fastest = max(row["gflop"] / row["seconds"] for row in rows[:-6])
    for row in rows[-6:-1]:
        assert row["floor_seconds"] == pytest.approx(row["gflop"] / fastest)
    assert all(row["floor_seconds"] is None for row in (*rows[:-6], rows[-1]))
    for row in rows[:-2]:
        assert min(row["seconds"], row["naive_seconds"], row["gflop"]) > 0
        assert row["peak_bytes"] > 0 and row["compile_seconds"] > 0
    G, D, R1, step, data = (row["seconds"] for row in rows[-5:])
    assert step == pytest.approx(G + D + R1 / 4)  # configs/smoke.py
    assert content["step_over_data"] == pytest.approx(step / data)
    times = f"{step / data:.1f} times as fast"
    assert lines[-1] == f"images are read {times} as they are trained on"


@pytest.mark.slow
def test_synthesis_and_data_are_timed(tmp_path, capsys):
    images = np.zeros((8, 16, 16, 3), np.uint8)
    path = archive.write_archive(tmp_path / "black.zip", images)
    file = tmp_path / "bench.json"
    options = (f"--config.data.path={path}", f"--out={file}")
    assert bench("synthesis,data", *options) == 0
    synthesis, data = json.loads(file.read_text())["rows"]
    assert synthesis["name"] == "synthesis" and synthesis["naive_seconds"] > 0
    assert data["name"] == "data" and data["seconds"] > 0 and data["gflop"] is None
    assert capsys.readouterr().out.count("\n") == 4


@pytest.mark.slow
def test_stylegan2_operations_are_timed_too(tmp_path, capsys):
    path = tmp_path / "a.py"
    path.write_text(
        "from afgan_jax.runs import config\n"
        "def get_config():\n"
        "    found = config.load('smoke')\n"
        "    found['generator']['synthesis'] = {'kind': 'stylegan2'}\n"
        "    found['generator']['synthesis'] |= found['discriminator']\n"
        "    del found['generator']['synthesis']['mbstd_group_size']\n"
        "    return found\n"
    )
    line = ["bench", "ops", f"--config={path}", "--batch=8", "--repeats=1"]
    assert main([*line, "--no-naive"]) == 0
    out = capsys.readouterr().out
    assert "conv3x3 up2 4-8 8-8 +grad" in out and "conv3x3 16 4-4" in out


def test_after_operations_a_row_has_a_floor(monkeypatch):
    made = {
        "ops": [clock.Row("a", 1, 2.0, gflop=8.0), clock.Row("b", 1, 1.0, gflop=6.0)],
        "synthesis": [clock.Row("synthesis", 1, 5.0, gflop=12.0)],
        "data": [clock.Row("data", 1, 1.0)],
    }
    parts = {name: timings.Part(lambda _, n=name: iter(made[n])) for name in made}
    monkeypatch.setattr(timings, "PARTS", parts)
    job = timings.Job({}, 1)
    found = list(timings.rows(list(made), job, {}))
    assert [row.floor_seconds for row in found] == [None, None, 2.0, None]
    assert found[2].line().endswith("  floor 2 s")
    alone = list(timings.rows(["synthesis"], job, {}))
    assert alone == made["synthesis"] and "floor" not in alone[0].line()


def test_operations_of_p4_are_of_all_its_directions(monkeypatch):
    monkeypatch.setattr(clock, "measure", lambda name, *_, **__: name)
    small = {"resolution": 16, "channel_base": 64, "channel_max": 8}
    G = tiny.make_generator(**small, num_layers=3, num_critical=1, symmetry="p4")
    D = discriminator.make_discriminator(**small)
    names = list(networks.operations(G, D, 1))
    assert {"conv3x3 36 32-32", "lrelu 38-36 C32", "conv1x1 16 16-12"} <= set(names)


def test_unknown_part_is_one_line(capsys):
    assert bench("ops,sythesis") == 2
    err = capsys.readouterr().err
    known = ",".join(timings.PARTS)
    assert err == f"error: bench 'sythesis' is unknown: use some of {known}\n"


def test_seconds_are_written_in_their_unit():
    texts = [clock.format_seconds(s) for s in (12.34, 0.01234, 1.234e-5)]
    assert texts == ["12.3 s", "12.3 ms", "12.3 us"]


def test_plot_shows_time_against_arithmetic(tmp_path):
    rows = [
        {"name": f"{scale} {value:g}", "seconds": value, "images": 2, "gflop": value**2}
        for scale, values in networks.SCALES.items()
        for value in values
    ]
    path = tmp_path / "new" / "scaling.png"
    networks.draw_scaling(path, rows, "some.py")
    with Image.open(path) as image:
        assert image.size == (1200, 360)
    assert [p.name for p in path.parent.iterdir()] == ["scaling.png"]


@pytest.mark.slow
def test_scaling_is_timed_and_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(networks, "SCALES", {"batch": (1, 2), "width": (0.5, 1)})
    file, plot = tmp_path / "scaling.json", tmp_path / "scaling.png"
    assert bench("scaling", "--no-naive", f"--out={file}", f"--plot={plot}") == 0
    names = [row["name"] for row in json.loads(file.read_text())["rows"]]
    assert names == ["batch 1", "batch 2", "width 0.5", "width 1"]
    assert plot.stat().st_size > 5000


@pytest.mark.slow
def test_metrics_are_timed(tmp_path, monkeypatch):
    monkeypatch.setattr(metrics, "DRAWN", {"fd_efficientnet": "efficientnet"})
    classes = [f"--config.{n}.c_dim=2" for n in ("generator.mapping", "discriminator")]
    file = tmp_path / "metrics.json"
    assert bench("metrics", f"--out={file}", *classes) == 0
    rows = {row["name"]: row for row in json.loads(file.read_text())["rows"]}
    features = ["features efficientnet", "features lpips"]
    with_generator = ["draw", "fd_efficientnet", "ppl", "eqt_int", "eqt_frac", "eqr"]
    assert list(rows) == features + with_generator
    assert rows["fd_efficientnet"]["gflop"] == pytest.approx(
        rows["draw"]["gflop"] + rows["features efficientnet"]["gflop"]
    )
    for name, row in rows.items():
        is_compared = row["naive_seconds"] is not None
        assert is_compared == (name in ("draw", "eqt_int", "eqt_frac", "eqr"))
        assert row["seconds"] > 0 and row["images"] >= 8


def test_flags_are_for_what_they_change(capsys):
    for flags, message in (
        (["--phases=Gboth"], "--phases is for aot: ask for it, as in bench aot"),
        (
            ["--against=pytorch", "--checkout=a"],
            "--against is for synthesis and update",
        ),
    ):
        assert bench("data", *flags) == 2
        assert message in capsys.readouterr().err


def test_plot_needs_scaling(tmp_path, capsys):
    assert bench("synthesis", f"--plot={tmp_path / 'a.png'}") == 2
    assert "ask for it, as in bench scaling" in capsys.readouterr().err


@pytest.mark.slow
def test_a_device_is_described_by_one_command(tmp_path, capsys):
    """Every implementation is right here, is timed, and every dtype is trained in."""
    file = tmp_path / "device.json"
    assert bench("device", f"--out={file}") == 0
    content = json.loads(file.read_text())
    assert content["versions"]["jax"] == jax.__version__
    rows = {row["name"]: row for row in content["rows"]}
    assert not any("why" in row for row in rows.values())
    checks = [row for row in rows.values() if "is_right" in row]
    assert len(checks) == 3 * 3 * len(forms.WORTH["cpu"])
    assert all(row["is_right"] and row["gradients"] > 0 for row in checks)
    assert any(name.startswith("slices up 2 ") for name in rows)
    for dtype in ("float32", "bfloat16", "float16"):
        assert rows[f"step {dtype}"]["seconds"] > 0
    assert "WRONG" not in capsys.readouterr().out


def test_a_wrong_implementation_is_told(monkeypatch):
    wrong = dispatch.IMPLEMENTATIONS["filtered"] | {
        "blocks": lambda op, x: 1.01 * blocks.filtered(op, x)
    }
    monkeypatch.setitem(dispatch.IMPLEMENTATIONS, "filtered", wrong)
    row = next(forms.checks("blocks"))
    assert not row.is_right and row.line().endswith("WRONG")
    assert row.values == pytest.approx(0.01, rel=1e-2) and row.gradients < 1e-5


def test_what_a_device_cannot_do_or_has_no_time_for_is_left_out(monkeypatch):
    def failing(name):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: no\nmemory")
        yield

    parts = [("a", failing("a")), ("b", iter([])), ("c", iter([1]))]
    monkeypatch.setattr(timings, "_device_parts", lambda job: iter(parts))
    clock_now = iter([0.0, 1.0, 50.0, 70.0])
    monkeypatch.setattr(timings.time, "monotonic", lambda: next(clock_now))
    first, last = timings.on_device(timings.Job({}, 1, minutes=1.0))
    assert first.line() == "a: left out, RESOURCE_EXHAUSTED: no memory"
    assert last.line() == "c: left out, --minutes are over"
