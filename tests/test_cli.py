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

from afgan_jax import __main__, cli
from afgan_jax.cli import generate, labels
from afgan_jax.runs import run_directory

ROOT = Path(__file__).parents[1]


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
        (["generate", "--run=a", "--sedes=1"], "Did you mean: seeds"),
        (["generate", "--seeds=1"], "--run is missing"),
        (["generate", "--run=a", "--psi=much"], "--psi=much"),
        (["generate", "--run=a", "--psi=nan"], "--psi=nan must be a finite number"),
        (["generate", "--run=a", "--rotate=1e400"], "--rotate=inf must be a finite"),
        (["generate", "--run=a", "--translate=1e300,0"], "within 1000"),
        (["generate", "--run=a", "--seeds=0-999999999"], "give at most 100000"),
        (["equivariance", "--run=a", "--psi=inf"], "--psi=inf must be a finite number"),
        (["equivariance", "--run=a", "--seed=-1"], "flag --seed=-1"),
        (["bench", "--config=a.py", "--json=."], "--json=. is a folder; name a file"),
        (["generate", "--run=a", "stray"], "'stray' is not a flag"),
        (["train", "--workdir=a"], "--config is missing"),
        (["generate", "--run=a", "--config.train.x=1"], "config.train.x"),
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
        ["train", "--config=configs/smoke.py", "--workdir=FILE", "--preview-augment"],
        ["generate", "--run=a", "--outdir=FILE/out"],
        ["equivariance", "--run=a", "--outdir=FILE/deep/out"],
        ["spectra", "stats", "--images=a.zip", "--out=FILE/deep/stats.npz"],
        ["sticking", "--run=a", "--outdir=FILE/out"],
        ["explain", "--run=a", "--outdir=FILE/out"],
        ["bench", "--config=configs/smoke.py", "--json=FILE/a.json"],
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
    with pytest.raises(ValueError, match="--outdir: nothing .* in /.*; name another"):
        cli.check_writable("outdir", "/proc/a/b")
    with pytest.raises(ValueError, match="--plot: nothing can be written in /"):
        cli.check_file("plot", "/proc/x.png")
    cli.check_writable("outdir", tmp_path / "a" / "b")
    assert not list(tmp_path.iterdir())


def test_traceback_on_request(monkeypatch):
    monkeypatch.setenv("AFGAN_TRACEBACK", "1")
    with pytest.raises(ValueError, match="unknown verb"):
        __main__.main(["genrate"])


def test_interrupt_is_quiet(monkeypatch, capsys):
    def interrupted(argv):
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
        ("0-2", [0, 1, 2]),
        ("1,3,5-7", [1, 3, 5, 6, 7]),
        ("7", [7]),
        ("2,1-3", [2, 1, 3]),
    ],
)
def test_seeds_are_lists_and_ranges(text, seeds):
    assert cli.parse_ranges("seeds", text) == seeds


@pytest.mark.parametrize(
    "text", ["", "a", "3-1", "-1", "1,,2", "1.5", "0-", "4294967296"]
)
def test_bad_seeds_are_named(text):
    with pytest.raises(ValueError, match=f"--seeds={text}: "):
        cli.parse_ranges("seeds", text)


def test_vec2_reads_two_numbers():
    assert generate.parse_vec2("translate", "0.1,-2") == (0.1, -2.0)


@pytest.mark.parametrize("text", ["", "1", "1,2,3", "a,b", "nan,0"])
def test_bad_vec2_is_named(text):
    with pytest.raises(ValueError, match=f"--translate={text} must be two numbers"):
        generate.parse_vec2("translate", text)


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


def test_a_seed_is_the_same_picture_in_any_batch(trained, tmp_path):
    def generated(name, *flags):
        flags += (f"--run={trained}", f"--outdir={tmp_path / name}", "--class=1")
        assert __main__.main(["generate", *flags]) == 0
        return read(tmp_path / name / "seed0005.png")

    def read(path):
        with Image.open(path) as image:
            return np.asarray(image, float)

    together = generated("a", "--seeds=3-6", "--batch=4")
    apart = generated("b", "--seeds=5", "--batch=1")
    turned = generated("c", "--seeds=5", "--batch=1", "--rotate=90")
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        "grid.png",
        *(f"seed000{seed}.png" for seed in range(3, 7)),
    ]
    assert read(tmp_path / "a" / "grid.png").shape == (32, 32, 3)
    assert np.abs(together - apart).max() <= 1  # rounding to 8 bits
    assert np.abs(turned - apart).max() > 1


def test_a_conditional_generator_asks_for_the_class(trained, tmp_path, capsys):
    for flag in ((), ("--class=2",)):
        flags = [f"--run={trained}", f"--outdir={tmp_path / 'x'}", *flag]
        assert __main__.main(["generate", *flags]) == 2
        assert "must be one of 0 to 1" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_labels_are_a_class_or_numbers():
    assert labels.read(0, None, None) is None
    assert labels.read(3, "1", None) == [0, 1, 0]
    assert labels.read(3, "owl", None, ["cat", "dog", "owl"]) == [0, 0, 1]
    assert labels.read(3, None, "1,0,1") == [1, 0, 1]
    assert labels.read(2, None, "-0.5,2e1") == [-0.5, 20]


@pytest.mark.parametrize(
    "c_dim, number, text, message",
    [
        (0, "1", None, "--class=1, but this generator knows no labels"),
        (0, None, "1", "--label=1, but this generator knows no labels"),
        (2, "1", "0,1", "exclude each other"),
        (2, None, "1", "--label=1 must be 2 numbers"),
        (2, None, "1,nan", "--label=1,nan must be 2 numbers"),
        (2, None, "1,cat", "--label=1,cat must be 2 numbers"),
        (2, "owl", None, "--class=owl must be one of 0 to 1;"),
        (2, "-1", None, "--class=-1 must be one of 0 to 1"),
    ],
)
def test_bad_labels_are_named(c_dim, number, text, message):
    with pytest.raises(ValueError, match=message):
        labels.read(c_dim, number, text)
