"""Whatever ends a training ends it with a checkpoint, and telling ends none."""

import errno
import io
import itertools
import os
import signal

import jax
import pytest
from training import counting
from training.test_preemption import signalled, steps_of

from afgan_jax import __main__, errors
from afgan_jax.cli import generate
from afgan_jax.runs import run_directory
from afgan_jax.training import alarms, events, loop, outputs, report, state

KIMG = counting.BATCH / 1000
STEPS = 12


class Pictures(counting.NoSamples):
    """Draws nothing, and fails if told so."""

    def __init__(self, fault: Exception | None = None):
        self.fault = fault

    def fakes(self, variables, name):
        if self.fault:
            raise self.fault


def train(folder, *, steps: int = STEPS, program=None, pictures=None, **options):
    """A tick is two steps, and saves nothing but the first and the last one."""
    with run_directory.Run.create_or_open(folder, {"counting": {}}) as run:
        return loop.train(
            run,
            program or counting.program(jax.devices()[:1]),
            options.pop("batches", counting.batches),
            pictures or Pictures(),
            options.pop("evaluate", lambda G_ema: iter(())),
            batch_size=counting.BATCH,
            total_kimg=steps * KIMG,
            tick_kimg=2 * KIMG,
            **{"checkpoint_ticks": 1000} | options,
        )


def weight(trained) -> float:
    return float(trained.G["params"]["w"])


def fault(function, at: int, error: Exception):
    """The function, of which the call of this number fails."""
    calls = itertools.count(1)

    def failing(*args, **named):
        if next(calls) == at:
            raise error
        return function(*args, **named)

    return failing


def broken_batches(at: int, error: Exception):
    def batches(start):
        for step, batch in enumerate(counting.batches(start), start):
            if step == at + loop.AHEAD:
                raise error
            yield batch

    return batches


def failing_evaluation(G_ema):
    raise MemoryError("no memory for features")
    yield


FAULTS = {
    "data": lambda patch, error: {"batches": broken_batches(7, error)},
    "a step": lambda patch, error: {"program": failing_program(error)},
    "arithmetic of ticks": lambda patch, error: patch.setattr(
        alarms, "watch", fault(alarms.watch, 4, error)
    ),
    "reading of numbers": lambda patch, error: patch.setattr(
        outputs, "progress", fault(outputs.progress, 4, error)
    ),
    "a trace": lambda patch, error: patch.setattr(
        loop.traces.Trace, "end_step", fault(loop.traces.Trace.end_step, 7, error)
    ),
}


def failing_program(error: Exception):
    program = counting.program(jax.devices()[:1])
    update = fault(program.updates["Gboth"], 8, error)
    program.updates["Gboth"] = update
    return program


@pytest.mark.parametrize(
    "error, told",
    [
        (OSError(errno.ESTALE, "Stale file handle", "a.png"), "a.png: Stale file"),
        (ValueError("a.png cannot be read"), "a.png cannot be read"),
        (RuntimeError("out of\nmemory"), "RuntimeError: out of memory"),
    ],
)
@pytest.mark.parametrize("where", FAULTS)
def test_an_error_saves_first_and_is_told(tmp_path, monkeypatch, where, error, told):
    with monkeypatch.context() as patch:
        options = FAULTS[where](patch, error) or {}
        with pytest.raises(errors.Stopped) as stopped:
            train(tmp_path, **options)
    last = steps_of(tmp_path)[-1]
    assert last == (6 if "of" in where.split() else 7)  # at the end of a tick
    fate = f"saved at {last * KIMG:.3f} kimg: run the same command to resume"
    assert str(stopped.value).startswith(told) and str(stopped.value).endswith(fate)
    assert weight(train(tmp_path)) == counting.weight(STEPS)


def test_an_error_of_metrics_that_they_do_not_report_saves_first(tmp_path):
    with pytest.raises(errors.Stopped, match="MemoryError: no memory .*; saved at"):
        train(tmp_path, checkpoint_ticks=2, evaluate=failing_evaluation)
    assert steps_of(tmp_path)[-1] == 4


def test_half_a_step_is_never_saved(tmp_path):
    program = counting.program(jax.devices()[:1])
    object.__setattr__(
        program, "finish", fault(program.finish, 8, RuntimeError("out of memory"))
    )
    with pytest.raises(errors.Stopped, match="out of memory; nothing newer could be"):
        train(tmp_path, program=program)
    assert steps_of(tmp_path) == [1]
    assert weight(train(tmp_path)) == counting.weight(STEPS)


def test_an_error_before_the_first_step_saves_nothing(tmp_path):
    with pytest.raises(errors.Stopped, match="lost; nothing was trained yet"):
        train(tmp_path, batches=broken_batches(-loop.AHEAD, ValueError("lost")))
    assert steps_of(tmp_path) == []


def test_a_save_that_failed_is_tried_once_more(tmp_path, monkeypatch):
    broken = fault(state.to_tree, 2, OSError(errno.EIO, "Input/output error", "disk"))
    monkeypatch.setattr(state, "to_tree", broken)
    with pytest.raises(errors.Stopped, match="disk: Input/output error; saved at"):
        train(tmp_path, checkpoint_ticks=3)
    assert steps_of(tmp_path)[-1] == 6


def test_a_full_disk_keeps_its_own_error(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "the disk is full: free some space")

    monkeypatch.setattr(run_directory.checkpoints.Checkpoints, "_check_space", full)
    with pytest.raises(OSError, match="the disk is full: free some space"):
        train(tmp_path)


def test_the_exit_code_of_an_error_on_the_way_is_1(monkeypatch, capsys):
    monkeypatch.delenv("AFGAN_TRACEBACK", raising=False)

    def stop():
        raise errors.Stopped("a.png is gone; saved")

    monkeypatch.setattr(generate, "main", stop)
    assert __main__.main(["generate"]) == 1
    assert capsys.readouterr().err == "error: a.png is gone; saved\n"


# Telling


class Dead(io.StringIO):
    """A stream that cannot be written."""

    def __init__(self, is_terminal: bool, number: int = errno.EPIPE):
        super().__init__()
        self._is_terminal, self._number = is_terminal, number

    def isatty(self) -> bool:
        return self._is_terminal

    def write(self, text: str):
        raise OSError(self._number, os.strerror(self._number))


NO_SPACE = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def fail(*_, **__):
    raise NO_SPACE


WAYS = {
    "standard error": lambda patch: patch.setattr("sys.stderr", Dead(False)),
    "a terminal": lambda patch: patch.setattr("sys.stderr", Dead(True)),
    "closed streams": lambda patch: [
        patch.setattr("sys.stderr", None),
        patch.setattr("sys.stdout", None),
    ],
    "stats.jsonl": lambda patch: patch.setattr(run_directory.Run, "append_stats", fail),
    "events": lambda patch: patch.setattr(events.Events, "write", fail),
    "images": lambda patch: {"pictures": Pictures(RuntimeError("no memory"))},
    "record of metrics": lambda patch: {
        "evaluate": measured,
        "checkpoint_ticks": 2,
        **(patch.setattr(run_directory.Run, "append_metric", fail) or {}),
    },
    "list of the best": lambda patch: {
        "evaluate": measured,
        "checkpoint_ticks": 2,
        **(patch.setattr("afgan_jax.runs.retention.Best.write", fail) or {}),
    },
}


def measured(G_ema):
    from types import SimpleNamespace

    metric = SimpleNamespace(name="fid", row=SimpleNamespace(lower=True))
    yield metric, {"fid": float(G_ema["params"]["w"])}, 0.1, None


@pytest.mark.parametrize("way", WAYS)
def test_what_cannot_be_told_ends_no_training(tmp_path, monkeypatch, way):
    options = WAYS[way](monkeypatch)
    options = options if isinstance(options, dict) else {}
    assert weight(train(tmp_path, **options)) == counting.weight(STEPS)


@pytest.mark.parametrize("is_terminal", [False, True])
def test_a_stop_saves_whatever_becomes_of_the_screen(
    tmp_path, monkeypatch, is_terminal
):
    """As Ctrl-C with `2>&1 | tee log`, of which tee ends first."""
    monkeypatch.setattr("sys.stderr", Dead(is_terminal))
    monkeypatch.setattr("sys.stdout", Dead(is_terminal))
    train(tmp_path, batches=signalled(6, signal.SIGTERM))
    assert steps_of(tmp_path)[-1] == 7


def test_what_standard_error_cannot_take_is_told_elsewhere(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr", Dead(False, errno.ENOSPC))
    report.tell("saved")
    assert capsys.readouterr().out == "saved\n"


def test_a_way_that_fails_is_told_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run_directory.Run, "append_stats", fail)
    train(tmp_path)
    line = "stats.jsonl failed, training continues: No space left on device: free some"
    assert capsys.readouterr().err.count(line) == 1


def test_event_files_go_on_after_a_full_disk(tmp_path, monkeypatch):
    writer = events.Events(tmp_path, 0)
    with monkeypatch.context() as patch:
        patch.setattr(events.record_writer.RecordWriter, "write", fail)
        with pytest.raises(OSError):
            writer.write(4, scalars={"a": 1.0})
    writer.write(8, scalars={"a": 2.0})
    writer.close()
    sizes = sorted(path.stat().st_size for path in tmp_path.iterdir())
    assert sizes[0] == 0 and sizes[-1] > 0


def test_a_line_that_does_not_fit_leaves_none_half_written(tmp_path):
    with run_directory.Run.create_or_open(tmp_path, {"counting": {}}) as run:
        run.append_stats({"nimg": 1})
        whole = (tmp_path / "stats.jsonl").read_bytes()
        with limited(len(whole) + 5), pytest.raises(OSError, match="stats.jsonl"):
            run.append_stats({"nimg": 2})
        assert (tmp_path / "stats.jsonl").read_bytes() == whole


class limited:
    """Lets no file grow beyond this size."""

    def __init__(self, size: int):
        import resource

        self.kind, self.size, self.module = resource.RLIMIT_FSIZE, size, resource

    def __enter__(self):
        self.before = self.module.getrlimit(self.kind)
        self.module.setrlimit(self.kind, (self.size, self.before[1]))

    def __exit__(self, *_):
        self.module.setrlimit(self.kind, self.before)
