"""The report of a tick: its line, its statistics, its samples."""

import json
import re
import struct
import types

import jax.numpy as jnp
import numpy as np
import pytest
from tensorboardX.proto import event_pb2

from afgan_jax.runs import run_directory
from afgan_jax.training import report as reports
from afgan_jax.viz import grid


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only when `clock.now` is moved."""
    clock = types.SimpleNamespace(now=100.0)
    fake = types.SimpleNamespace(monotonic=lambda: clock.now)
    monkeypatch.setattr(reports, "time", fake)
    return clock


@pytest.fixture
def run(tmp_path):
    with run_directory.Run.create_or_open(tmp_path, {}) as run:
        yield run


def test_line_tells_speed_time_left_scores_and_losses(run, clock, capsys):
    report = reports.Report(run, 10_000, 0)
    stats = {"Loss/scores/real": [4, 8, 16], "Loss/G/loss": [4, 2, 1]}
    for nimg in (100, 1100, 3100):
        clock.now += 20
        report.add([{name: jnp.asarray(x, jnp.float32) for name, x in stats.items()}])
        report.end_tick(nimg, {"Progress/augment": 0.25})
    report.close()
    first, second, third = capsys.readouterr().err.splitlines()
    losses = "  G 0.5  real 2  p 0.25"
    assert first == "tick 0    kimg 0.10     compiled" + losses
    speed = "50.0 img/s  20.0 s/kimg  left 2m 58s"
    assert second == f"tick 1    kimg 1.10     {speed}{losses}"
    # Of the last tick, not of all: 6.9 kimg at 100 images/s.
    assert "100.0 img/s  10.0 s/kimg  left 1m 09s" in third
    line = json.loads((run.path / "stats.jsonl").read_text().splitlines()[-1])
    assert line["Timing/sec_per_kimg"]["mean"] == pytest.approx(10)
    assert "Resources/device_peak_gb" not in line  # a CPU: its memory is the process's
    assert line["Resources/cpu_mem_gb"]["mean"] > 0.05


def test_speed_leaves_out_what_is_no_training(run, clock):
    report = reports.Report(run, 10_000, 0)
    clock.now += 100
    report.restart_clock()
    clock.now += 70
    report.exclude(60)
    assert report.end_tick(1000, {})["Timing/images_per_sec"] == pytest.approx(100)
    report.close()


def test_device_memory_is_that_of_the_fullest_that_counts():
    def device(stats):
        return types.SimpleNamespace(memory_stats=lambda: stats)

    two = [device({"peak_bytes_in_use": x, "bytes_limit": 9e9}) for x in (2e9, 3e9)]
    assert reports.device_memory(two) == {"Resources/device_peak_gb": 3.0}
    assert reports.device_memory([device(None)]) == {}
    assert reports.device_memory([device({"bytes_limit": 1}), *two]) != {}


@pytest.mark.parametrize(
    "seconds, text",
    [
        (7.9, "7s"),
        (306, "5m 06s"),
        (3600 * 3 + 240, "3h 04m"),
        (86400 + 7200, "1d 02h"),
    ],
)
def test_times_are_readable(seconds, text):
    assert reports.format_time(seconds) == text


def test_bar_tells_the_same(run, clock, monkeypatch):
    screen = _Terminal()
    monkeypatch.setattr(reports.sys, "stderr", screen)
    report = reports.Report(run, 10_000, 0)
    for nimg in (100, 1100):
        clock.now += 20
        report.end_tick(nimg, {})
    report.close()
    assert re.search(
        r"1\.1/10\.0 kimg .*50\.0 img/s  20.0 s/kimg  left 2m 58s", screen.text
    )


def test_samples_reach_tensorboard_byte_by_byte(run, clock):
    report = reports.Report(run, 10_000, 0)
    paths = {"reals": run.path / "reals.png", "fakes": run.path / "fakes000001.png"}
    for value, (name, path) in enumerate(paths.items()):
        grid.save_png(path, np.full((8, 16, 3 - 2 * value), value, np.uint8))
        report.image(name, path, 1000 * value)
    report.image("fakes", None, 2000)  # a process that drew none
    report.close()
    found = {
        (event.step, value.tag): value.image
        for event in events(run)
        for value in event.summary.value
    }
    assert set(found) == {(0, "reals"), (1000, "fakes")}
    reals, fakes = found[0, "reals"], found[1000, "fakes"]
    assert reals.encoded_image_string == paths["reals"].read_bytes()
    assert (reals.width, reals.height, reals.colorspace) == (16, 8, 3)
    assert fakes.colorspace == 1


def events(run) -> list:
    """Every record of the run's event files: length, its checksum, data, another."""
    out = []
    for path in sorted((run.path / "events").iterdir()):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            out.append(event_pb2.Event.FromString(data[12 : 12 + length]))
            data = data[16 + length :]
    return out


class _Terminal:
    text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass
