"""Whole runs through the command line: resumed, interrupted, spread over processes."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from processes import free_address
from training import smoke
from training.smoke import ROOT, SMOKE, checkpoint, settings

from afgan_jax import model as models
from afgan_jax.__main__ import main as cli_main
from afgan_jax.runs import run_directory
from afgan_jax.signal import pixels
from afgan_jax.training import loop

ADA = {"augment.mode": "ada", "augment.interval": 3, "augment.adjust_kimg": 0.24}
ADA |= {"augment.target": -0.9}  # p rises, whatever the first signs are
SQUARES = ["--config.samples.squares=True"]  # the pixels themselves, repeated


def assert_same(a: dict, b: dict, tolerance: float):
    assert a.keys() == b.keys() and a
    for name, x in a.items():
        worst = np.abs(x - b[name]).max(initial=0)
        assert worst <= tolerance * (1 + np.abs(x).max(initial=0)), name


def grid(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image, float)


def test_resumed_run_equals_an_uninterrupted_one_bit_for_bit(images, tmp_path):
    """With adaptive augmentation: the parts meet between two changes of p."""
    changes = ADA | {"augment.preset": "color"}
    smoke.train(tmp_path / "whole", settings(images, 0.064, **changes))
    for kimg in (0.032, 0.064):
        smoke.train(tmp_path / "parts", settings(images, kimg, **changes))
    whole, parts = checkpoint(tmp_path / "whole"), checkpoint(tmp_path / "parts")
    assert_same(whole, parts, 0)
    assert whole["['augment']['p']"] != 0 and whole["['augment']['signs']"][0] > 0
    names = {p.name for p in (tmp_path / "parts").iterdir()}
    assert {
        "plan.json",
        "reals.png",
        "fakes_init.png",
        "fakes000000.png",
        "events",
    } <= names
    lines = (tmp_path / "parts" / "stats.jsonl").read_text().splitlines()
    nimgs = [json.loads(line)["nimg"] for line in lines]
    assert nimgs == sorted(set(nimgs)) and nimgs[-1] == 64
    stats = json.loads(lines[-1])
    assert set(stats["Loss/D/loss"]) == {"num", "mean", "std"}
    p = [json.loads(line)["Progress/augment"]["mean"] for line in lines]
    assert p[0] == 0 and p[-1] == pytest.approx(float(whole["['augment']['p']"]))
    assert grid(tmp_path / "parts" / "fakes000000.png").shape[:2] == (2 * 128, 4 * 128)


@pytest.mark.slow
def test_a_trained_run_generates(images, tmp_path):
    smoke.train(tmp_path / "run", settings(images, 0.008))
    model = models.load(tmp_path / "run")
    G, variables = model.network, model.variables
    z = jnp.asarray(np.random.RandomState(5).randn(1, 16), jnp.float32)
    expected = pixels.to_uint8(np.asarray(jax.jit(G.apply)(variables, z)))[0]

    folders = [f"--run={tmp_path / 'run'}", f"--outdir={tmp_path}"]
    assert cli_main(["generate", "--seeds=3-5", "--batch=2", *folders]) == 0
    with Image.open(tmp_path / "seed0005.png") as file:
        image = np.asarray(file)
    # The same latent in another batch: rounding may cross one of 256 steps.
    assert np.abs(image.astype(int) - expected).max() <= 1


def test_batches_are_placed_two_steps_before_they_are_due():
    placed = []

    def place(batch):
        placed.append(batch)
        return -batch

    feed = loop.prefetch(iter(range(5)), place)
    given = []
    for due in range(5):
        given.append(next(feed))
        assert placed == list(range(min(due + 3, 5)))
    assert given == [0, -1, -2, -3, -4]


def command(images, workdir, *flags: str) -> list[str]:
    options = settings(images, 0.032)
    return [
        sys.executable,
        "-m",
        "afgan_jax",
        "train",
        f"--config={SMOKE}",
        f"--workdir={workdir}",
        *[f"--config.{name}={value}" for name, value in options.items()],
        *flags,
    ]


def start(command, devices: int) -> subprocess.Popen:
    # As this session compiles, but for the number of devices.
    flags = os.environ["XLA_FLAGS"].replace("count=8", f"count={devices}")
    assert f"device_count={devices}" in flags
    environment = os.environ | {
        "XLA_FLAGS": flags,
        "JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir,
    }
    return subprocess.Popen(
        command,
        env=environment,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def start_two(command, devices: int = 1) -> list[subprocess.Popen]:
    """Two processes of one job."""
    job = [f"--coordinator={free_address()}", "--num-processes=2"]
    return [start([*command, *job, f"--process-id={i}"], devices) for i in range(2)]


def finish(process: subprocess.Popen, code: int = 0) -> str:
    out, err = process.communicate(timeout=240)
    assert process.returncode == code, err
    return out + err


@pytest.mark.slow
def test_two_processes_train_like_one(images, tmp_path):
    """Gloo between two real processes of two devices; one process of one device."""
    flags = ["--config.train.tick_kimg=0.008", "--config.train.total_kimg=0.032"]
    flags += SQUARES
    for process in start_two(command(images, tmp_path / "two", *flags), devices=2):
        finish(process)
    finish(start(command(images, tmp_path / "one", *SQUARES), devices=1))
    one, two = (grid(tmp_path / n / "fakes_init.png") for n in ("one", "two"))
    assert np.abs(one - two).max() <= 1  # rounding to 8 bits
    # Summation orders differ; Adam magnifies the rounding of gradients near zero.
    assert_same(checkpoint(tmp_path / "one"), checkpoint(tmp_path / "two"), 5e-4)
    lines = (tmp_path / "two" / "stats.jsonl").read_text().splitlines()
    assert [json.loads(line)["nimg"] for line in lines] == [8, 16, 24, 32]


@pytest.mark.slow
def test_resumed_on_other_processes_it_is_the_same(images, tmp_path):
    """4 steps here and 4 there against 8 on one device, with ADA between changes of p.

    Of two processes, which are two devices; the worst difference was 7e-8: roundings.
    """

    def steps(name: str, count: int, on: str) -> dict:
        folder = tmp_path / name
        options = ADA | {"train.total_kimg": 0.008 * count, "checkpoints.keep": 1}
        flags = [f"--config.{key}={value}" for key, value in options.items()]
        line = command(images, folder, *flags)
        two = [start(line, 1)] if on == "1 device" else start_two(line)
        for process in two:
            finish(process)
        return checkpoint(folder)

    whole = steps("whole", 8, "1 device")
    assert whole["['augment']['p']"] > 0 and whole["['augment']['signs']"][1] > 0
    half = steps("to two", 4, "1 device")
    assert half["['augment']['p']"] > 0 and half["['augment']['signs']"][1] > 0
    assert_same(whole, steps("to two", 8, "two processes"), 1e-5)
    assert_same(half, steps("from two", 4, "two processes"), 1e-5)
    assert_same(whole, steps("from two", 8, "1 device"), 1e-5)


@pytest.mark.slow
def test_sigterm_to_one_of_two_processes_ends_both_well(images, tmp_path):
    """And both go on from their one checkpoint."""
    options = ["--config.train.tick_kimg=0.008", "--config.checkpoints.keep=1"]
    line = command(images, tmp_path, *options)
    two = start_two([*line, "--config.train.total_kimg=100"])
    stats = tmp_path / "stats.jsonl"
    deadline = time.monotonic() + 200
    # Its second line shows that both are beyond their first step, and so listen.
    while not (stats.exists() and stats.read_text().count("\n") > 1):
        assert two[1].poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    two[1].send_signal(signal.SIGTERM)
    outs = [finish(process) for process in two]
    kimg = float(re.search(r"stopping: saving at (\S+) kimg", outs[0]).group(1))
    (step,) = run_directory.Run.open(tmp_path).checkpoints.steps()
    assert step == round(kimg * 1000) / 8
    for process in start_two([*line, f"--config.train.total_kimg={kimg + 0.016:.3f}"]):
        finish(process)
    assert run_directory.Run.open(tmp_path).checkpoints.steps() == [step + 2]
    lines = stats.read_text().splitlines()
    nimgs = [json.loads(line)["nimg"] for line in lines]
    assert nimgs == [8 * (i + 1) for i in range(step + 2)]


def test_interrupt_before_the_first_step_ends_at_once(images, tmp_path):
    process = start(command(images, tmp_path / "run"), devices=1)
    config = tmp_path / "run" / "config.json"
    deadline = time.monotonic() + 200
    while not config.exists():  # it now compiles, for some seconds
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    finish(process, code=130)


@pytest.mark.slow
def test_stopped_run_saves_and_ends_well(images, tmp_path):
    options = ["--config.train.total_kimg=100", "--config.train.tick_kimg=0.2"]
    options += ["--config.checkpoints.keep=1"]
    process = start(command(images, tmp_path, *options), devices=1)
    stats = tmp_path / "stats.jsonl"
    deadline = time.monotonic() + 200
    while not (stats.exists() and stats.read_text()):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    with pytest.raises(ValueError, match="another process is training"):
        smoke.train(tmp_path, settings(images, 100, **{"train.tick_kimg": 0.2}))
    process.send_signal(signal.SIGTERM)
    kimg = re.search(r"stopping: saving at (\S+) kimg", finish(process)).group(1)
    steps = run_directory.Run.open(tmp_path).checkpoints.steps()
    assert steps == [round(float(kimg) * 1000) / 8]


@pytest.mark.slow
@pytest.mark.parametrize("is_terminal", [False, True])
def test_a_screen_that_is_gone_loses_nothing(images, tmp_path, is_terminal):
    """The reader of a pipe ends before Ctrl-C; a terminal is closed (SIGHUP)."""
    screen, end = os.openpty() if is_terminal else os.pipe()
    options = ["--config.train.total_kimg=100", "--config.train.tick_kimg=0.2"]
    # With setsid --ctty it is the terminal's process, which hears when it is closed.
    process = subprocess.Popen(
        [
            *(["setsid", "--ctty"] if is_terminal else []),
            *command(images, tmp_path, *options, "--config.checkpoints.keep=1"),
        ],
        stdin=end if is_terminal else subprocess.DEVNULL,
        stdout=end,
        stderr=end,
        cwd=ROOT,
    )
    os.close(end)
    stats = tmp_path / "stats.jsonl"
    deadline = time.monotonic() + 200
    while not (stats.exists() and stats.read_text().count("\n") > 1):
        assert process.poll() is None and time.monotonic() < deadline
        os.set_blocking(screen, False)
        with contextlib.suppress(BlockingIOError):
            os.read(screen, 1 << 16)
        time.sleep(0.1)
    os.close(screen)
    if not is_terminal:
        process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    (step,) = run_directory.Run.open(tmp_path).steps()
    assert 8 * step >= json.loads(stats.read_text().splitlines()[-1])["nimg"]


@pytest.mark.slow
def test_an_image_that_vanishes_ends_it_with_a_checkpoint(images, tmp_path):
    with zipfile.ZipFile(images) as file:
        file.extractall(tmp_path / "set")
    options = ["--config.train.total_kimg=100", "--config.train.tick_kimg=0.2"]
    process = start(command(tmp_path / "set", tmp_path / "run", *options), devices=1)
    stats = tmp_path / "run" / "stats.jsonl"
    deadline = time.monotonic() + 200
    while not (stats.exists() and stats.read_text().count("\n") > 1):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    lost = next((tmp_path / "set").glob("*/*.png"))
    lost.unlink()
    out = finish(process, code=1)
    (line,) = (line for line in out.splitlines() if line.startswith("error: "))
    kimg = float(re.search(r"saved at (\S+) kimg", line).group(1))
    assert lost.name in line and "Traceback" not in out
    steps = run_directory.Run.open(tmp_path / "run").steps()
    assert steps[-1] == round(kimg * 1000) / 8


@pytest.mark.parametrize(
    "overrides, message",
    [
        ({"generator.chanel_max": 8}, "generator.synthesis.channel_max"),
        ({"generator.synthesis.resolution": 32}, "generator.synthesis.resolution=16"),
        ({"data.resolution": 32, "generator.synthesis.resolution": 32}, "16x16"),
        ({"data.use_labels": True}, "labels"),
        ({"data.path": "/no/such.zip"}, "/no/such.zip does not exist: give a zip or"),
        ({"updates.batch_size": 7}, "batch_size=7 must be a multiple of 8, "),
        ({"generator.synthesis.resolution": 8}, "resolution=8 is not supported"),
        ({"discriminator.architecture": "skp"}, "architecture='skp'"),
        ({"train.seed": -1}, "seed=-1 must be from 0 to"),
        ({"train.total_kimg": "1e400"}, "total_kimg=inf must be above 0 and finite"),
        ({"train.tick_kimg": 0.0}, "tick_kimg=0.0.* must be above 0"),
        ({"generator.mapping.w_dim": 0}, "w_dim=0 must be from 1 to"),
        ({"discriminator.channel_max": 0}, "channel_max=0 must be from 1 to"),
        ({"discriminator.mbstd_group_size": 0}, "mbstd_group_size=0 must be"),
        ({"train.microbatch": 4}, "did you mean updates.microbatch?"),
        ({"updates.microbatch": 4}, "updates.microbatch=4 .*8 devices: use none or 8"),
        (
            {"updates.implementation": "palas"},
            "updates.implementation='palas' .* one of xla, pallas, naive",
        ),
        ({"updates.beta2": 2.0}, "updates.beta2=2.0 must be at least 0 and below 1"),
        (
            {"generator.synthesis.remat": "some"},
            "generator.synthesis.remat='some' .* none, conv, layer",
        ),
        (
            {"generator.mapping.c_dim": -1},
            "generator.mapping.c_dim=-1 must be from 0 to",
        ),
        (
            {"generator.synthesis.first_stopband": 0.0},
            "first_stopband=0.0 must be above 0",
        ),
        (
            {"generator.synthesis.conv_kernel": 0},
            "generator.synthesis.conv_kernel=0 must be from 1 to",
        ),
        ({"discriminator.cmap_dim": -1}, "discriminator.cmap_dim=-1 must be from 0"),
        ({"samples.rows": 0}, "samples.rows=0 must be at least 1"),
        ({"losses.r1_gamma": -1.0}, "losses.r1_gamma=-1.0 must be at least 0"),
        ({"metrics.names": "eqr8,eqr8"}, "metrics='eqr8' is given twice"),
        (
            {"metrics.names": "fd41_efficientnet"},
            "needs 41 real images, but there are 40",
        ),
    ],
)
def test_bad_settings_get_one_line_and_leave_nothing(
    images, tmp_path, overrides, message
):
    options = settings(images, 0.032) | overrides
    with pytest.raises(ValueError, match=message) as error:
        smoke.train(tmp_path / "run", options)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()
