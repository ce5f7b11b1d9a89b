import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
import tiny
from PIL import Image
from processes import python

from afgan_jax import __main__
from afgan_jax.cli import command, flags, generate
from afgan_jax.runs import run_directory

ROOT = Path(__file__).parents[1]
TRAIN = ["train", "--config=smoke", "--workdir=a"]


def run(*arguments, code=None):
    command = ["-c", code] if code else ["-m", "afgan_jax", *arguments]
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True
    )


@pytest.mark.parametrize("arguments", [[], *([verb] for verb in __main__.VERBS)])
def test_help_imports_no_array_library(arguments):
    code = (
        "import sys; from afgan_jax import __main__\n"
        f"__main__.main({[*arguments, '--help']!r})\n"
        "print(sorted({'jax', 'numpy', 'flax', 'orbax'} & set(sys.modules)))"
    )
    out = run(code=code).stdout
    assert out.endswith("\n[]\n") and "python -m afgan_jax" in out


def test_help_lists_every_verb_with_a_line():
    out = run("--help").stdout
    for verb, (_, line) in __main__.VERBS.items():
        assert verb in out and line in out


@pytest.mark.parametrize("verb", __main__.VERBS)
def test_help_of_a_verb_explains_each_of_its_flags(verb):
    done = run(verb, "--help")
    assert done.returncode == 0 and "--" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["genrate"], "unknown verb 'genrate'; did you mean generate?"),
        (["generate", "--run=a", "--sedes=1"], "--sedes; did you mean --seeds?"),
        (["generate", "--seeds=1"], "--run is missing"),
        (["generate", "--run=a", "--psi=much"], "--psi=much"),
        (["generate", "--run=a", "--psi=nan"], "--psi=nan must be a finite number"),
        (["generate", "--run=a", "--rotate=1e400"], "--rotate=1e400 must be a finite"),
        (["generate", "--run=a", "--translate=1e300,0"], "within 1000"),
        (["generate", "--run=a", "--seeds=0-999999999"], "give at most 100000"),
        (["analyze", "equivariance", "--run=a", "--psi=inf"], "--psi=inf must be a"),
        (["analyze", "equivariance", "--run=a", "--seed=-1"], "--seed=-1 must be a"),
        (["analyze", "layer"], "analyze 'layer' is unknown; did you mean layers?"),
        (["bench", "--config=a.py", "--out=."], "--out=. is a folder; name a file"),
        (["generate", "--run=a", "stray"], "'stray' is not a flag"),
        (["train", "--workdir=a"], "--config is missing"),
        ([*TRAIN, "--heartbeat-seconds=1"], "must be a whole number from 5 to 86400"),
        ([*TRAIN, "--exit-stopped=300"], "must be a whole number from 0 to 255"),
        (
            ["generate", "--run=a", "--config.train.x=1"],
            "unknown flag --config.train.x",
        ),
    ],
)
def test_bad_flags_are_one_line_and_exit_2(capsys, monkeypatch, arguments, message):
    monkeypatch.delenv("AFGAN_TRACEBACK", raising=False)
    assert __main__.main(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and message in err and err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "--config=configs/smoke.py", "--workdir=FILE/run"],
        [
            "train",
            "--config=configs/smoke.py",
            "--workdir=FILE",
            "--preview-augment=auto",
        ],
        ["generate", "--run=a", "--outdir=FILE/out"],
        ["metrics", "--run=a", "--plot=FILE/out.png"],
        ["analyze", "equivariance", "--run=a", "--outdir=FILE/deep/out"],
        ["spectra", "stats", "--images=a.zip", "--out=FILE/deep/stats.npz"],
        ["analyze", "sticking", "--run=a", "--outdir=FILE/out"],
        ["analyze", "layers", "--run=a", "--outdir=FILE/out"],
        ["bench", "--config=configs/smoke.py", "--out=FILE/a.json"],
    ],
)
def test_where_nothing_can_be_written_is_named(tmp_path, capsys, arguments):
    (tmp_path / "file").write_text("")
    file = str(tmp_path / "file")
    assert __main__.main([word.replace("FILE", file) for word in arguments]) == 2
    err = capsys.readouterr().err
    assert f"{file} is a file; name a folder" in err and err.count("\n") == 1


def test_a_closed_folder_is_named(tmp_path):
    # The superuser may write in /proc, by its rights, and cannot.
    with pytest.raises(ValueError, match="nothing can be .* in /.*; name another"):
        flags.writable("/proc/a/b")
    with pytest.raises(ValueError, match="--run=/proc/x cannot be: nothing can"):
        flags.check_writable("run", "/proc/x")
    assert flags.writable(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert not list(tmp_path.iterdir())


def test_home_and_variables_are_filled_in(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PLACE", "here")
    assert flags.writable("~/$PLACE") == tmp_path / "here"


def test_traceback_on_request(monkeypatch):
    monkeypatch.setenv("AFGAN_TRACEBACK", "1")
    with pytest.raises(ValueError, match="unknown verb"):
        __main__.main(["genrate"])


def test_warnings_have_one_form_whatever_libraries_set():
    lines = [
        "import logging, runpy, sys",
        "sys.argv = ['afgan_jax', '--help']",
        "try: runpy.run_module('afgan_jax', run_name='__main__')",
        "except SystemExit: pass",
        "logging.basicConfig()",
        "logging.getLogger('afgan_jax.model').warning('class %d', 3)",
    ]
    assert run(code="\n".join(lines)).stderr == "WARNING: class 3\n"


def test_interrupt_is_quiet(monkeypatch, capsys):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(generate, "main", interrupted)
    assert __main__.main(["generate"]) == 130
    assert capsys.readouterr() == ("", "")


BUSY = """
import jax
from afgan_jax import __main__
__main__._heed_interrupts()
busy = jax.jit(lambda: jax.lax.while_loop(lambda i: i >= 0, lambda i: i ^ 1, 0))
print("BUSY", flush=True)
busy().block_until_ready()
"""


def test_interrupt_ends_it_also_within_a_call_of_xla():
    child = python(BUSY)
    try:
        assert child.stdout.readline() == "BUSY\n"
        time.sleep(1)  # it is now in a call that does not return
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=60) == 130
    finally:
        child.kill()
        child.communicate()


@pytest.mark.parametrize(
    "text, seeds",
    [
        ("0-2", (0, 1, 2)),
        ("1,3,5-7", (1, 3, 5, 6, 7)),
        ("7", (7,)),
        ("2,1-3", (2, 1, 3)),
    ],
)
def test_seeds_are_lists_and_ranges(text, seeds):
    assert flags.ranges(text) == seeds


@pytest.mark.parametrize(
    "text", ["", "a", "3-1", "-1", "1,,2", "1.5", "0-", "4294967296"]
)
def test_bad_seeds_are_named(text, capsys):
    assert __main__.main(["generate", "--run=a", f"--seeds={text}"]) == 2
    assert f"--seeds={text} " in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "1", "1,2,3", "a,b", "nan,0"])
def test_bad_vectors_are_named(text, capsys):
    assert flags.vector("0.1,-2") == (0.1, -2.0)
    assert __main__.main(["generate", "--run=a", f"--translate={text}"]) == 2
    assert f"--translate={text} must be two numbers" in capsys.readouterr().err


@pytest.mark.parametrize(
    "number, code", [(errno.ECONNRESET, 1), (errno.ESTALE, 1), (errno.ENOSPC, 2)]
)
def test_an_error_that_may_pass_is_not_bad_input(monkeypatch, capsys, number, code):
    def failing(*_):
        raise OSError(number, os.strerror(number), "gs://bucket/set.zip")

    monkeypatch.setattr(command, "run", failing)
    monkeypatch.delenv("AFGAN_TRACEBACK", raising=False)
    assert __main__.main(["bench"]) == code
    assert "gs://bucket/set.zip" in capsys.readouterr().err


def test_dashes_and_underscores_are_the_same(capsys):
    for flag in ("--num-processes=2", "--num_processes=2", "--num-processes"):
        words = [flag] if "=" in flag else [flag, "2"]
        assert __main__.main(["train", "--config=a", "--workdir=b", *words]) == 2
        assert "need --coordinator" in capsys.readouterr().err


def test_switches_are_switched_off_with_no(capsys):
    assert "--no-naive" in run("bench", "--help").stdout
    assert __main__.main(["bench", "x", "--no-naive", "--config=a"]) == 2
    assert "bench 'x' is unknown" in capsys.readouterr().err


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run whose generator is tiny and untrained."""
    settings = {"resolution": 16, "z_dim": 8, "w_dim": 8, "channel_max": 8}
    settings |= {"num_layers": 4, "c_dim": 2}
    G = tiny.make_generator(**settings)
    path = tmp_path_factory.mktemp("runs") / "tiny"
    with run_directory.Run.create_or_open(
        path, {"generator": tiny.sections(**settings)}
    ) as run:
        run.save(1, {"G_ema": G.initialize(jax.random.key(0)), "rest": np.ones(3)})
    return path


@pytest.mark.slow
def test_a_seed_is_the_same_image_in_any_batch(trained, tmp_path):
    def generated(name, *flags):
        flags += (f"--run={trained}", f"--outdir={tmp_path / name}", "--class=1")
        assert __main__.main(["generate", *flags]) == 0
        return read(tmp_path / name / "seed0005.png")

    def read(path):
        with Image.open(path) as image:
            return np.asarray(image, float)

    together = generated("a", "--seeds=3-6", "--batch=4", "--squares")
    apart = generated("b", "--seeds=5", "--batch=1")
    turned = generated("c", "--seeds=5", "--batch=1", "--rotate=90")
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        "grid.png",
        *(f"seed000{seed}.png" for seed in range(3, 7)),
        "ws.npz",
    ]
    shown = read(tmp_path / "a" / "grid.png")
    assert shown.shape == (256, 256, 3)
    enlarged = together.repeat(8, axis=0).repeat(8, axis=1)
    np.testing.assert_array_equal(shown[128:, :128], enlarged)
    assert np.abs(together - apart).max() <= 1  # rounding to 8 bits
    assert np.abs(turned - apart).max() > 1


def test_a_conditional_generator_asks_for_the_class(trained, tmp_path, capsys):
    for flag in ((), ("--class=2",)):
        flags = [f"--run={trained}", f"--outdir={tmp_path / 'x'}", *flag]
        assert __main__.main(["generate", *flags]) == 2
        assert "one of 0 to 1" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "words, message",
    [
        (["--class=1", "--label=0,1"], "--class=1 and --label exclude each other"),
        (["--label=1"], "--label=1.0 must be one of 0 to 1, or 2 numbers"),
        (["--label=1,nan"], "--label=1,nan must be numbers"),
        (["--label=1,cat"], "--label=1,cat must be numbers"),
        (["--class=owl"], "--class=owl must be one of 0 to 1, or"),
        (["--class=-1"], "--class=-1 must be one of 0 to 1"),
    ],
)
def test_bad_labels_are_named(trained, words, message, capsys):
    assert __main__.main(["generate", f"--run={trained}", *words]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
