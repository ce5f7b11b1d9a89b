"""Alarms: when they sound, for how long, and in a run whose gradients break."""

import json
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from training.smoke import SMOKE, program

from afgan_jax.assembly import settings as assembled
from afgan_jax.runs import config, run_directory
from afgan_jax.training import alarms, loop, step

REAL, FAKE, P = alarms.REAL, alarms.FAKE, alarms.P
G_LOST, D_LOST = "Gradients/G/nonfinite", "Gradients/D/nonfinite"
HEALTHY = {REAL: 0.6, FAKE: -0.8, G_LOST: 0.0, D_LOST: 0.0}


def sounding(ticks: list[dict]) -> tuple[list[set], list[str]]:
    """Alarms that sound at each tick, and all lines, of ticks with these means."""
    statuses, before, on, lines = {}, {}, [], []
    for means in ticks:
        statuses, more = alarms.watch(statuses, means, before)
        before = means
        lines += more
        on.append({name for name, status in statuses.items() if status.on})
    return on, lines


def of(name: str, values: list[float], **more) -> list[dict]:
    return [HEALTHY | more | {name: value} for value in values]


# Ticks one after another that must set off this alarm at the last of them, not before.
BAD = {
    "D_saturated": of(REAL, [0.91] * 5),
    "D_saturated_augmented": of(REAL, [0.91] * 25, **{P: 0.2}),
    "D_collapsed": of(FAKE, [0.81] * 5),
    "ADA_runaway": of(P, [0.79, 0.805, 0.81, 0.815]),
    "G_gradients": of(G_LOST, [0.02]),
    "D_gradients": of(D_LOST, [1.0]),
}
# Ticks that look alike but must set off none.
FINE = {
    "all logits positive": of(REAL, [1.0] * 30, **{FAKE: 0.9}),
    "a sure start": of(REAL, [1.0] * 4 + [0.7] * 4),
    "sure now and then": of(REAL, [0.95, 0.95, 0.95, 0.95, 0.85] * 5),
    "augmentation on its way": of(REAL, [0.95] * 24, **{P: 0.2}),
    "D at a loss": of(FAKE, [0.62] * 20),
    "p fixed and high": of(P, [1.0] * 20),
    "p at its target": of(P, [0.85, 0.86, 0.85, 0.86] * 5),
    "p rising, still low": of(P, [i / 100 for i in range(80)]),
    "an overflow": of(G_LOST, [1 / 125]),
    "no statistics": [{}] * 30,
    "all NaN": [dict.fromkeys(HEALTHY, math.nan)] * 30,
}


@pytest.mark.parametrize("name", alarms.ALARMS)
def test_alarm_sounds_after_its_ticks_and_says_what_to_change(name):
    on, lines = sounding(BAD[name])
    assert on == [set()] * (len(on) - 1) + [{name}]
    (line,) = lines
    alarm = alarms.ALARMS[name]
    assert line.startswith(f"alarm {name}: ") and "\n" not in line
    assert f"above {alarm.limit:g} for" in line and line.endswith(alarm.advice)


@pytest.mark.parametrize("name", FINE)
def test_what_only_looks_alike_is_silent(name):
    assert sounding(FINE[name]) == ([set()] * len(FINE[name]), [])


@pytest.mark.parametrize("name", alarms.ALARMS)
def test_alarm_warns_once_until_it_is_over(name):
    bad, good = BAD[name], [HEALTHY | {P: 0.2}] * alarms.ALARMS[name].ticks
    on, lines = sounding(bad * 2 + good[1:] + bad[-1:] + good + bad)
    assert len(lines) == 2 and on[-1] == {name} and on[-len(bad) - 1] == set()


def test_every_setting_that_advice_names_exists():
    known = config.load(SMOKE, {}, assembled.SCHEMA)
    advice = " ".join(alarm.advice for alarm in alarms.ALARMS.values())
    named = re.findall(r"\b([a-z]+)\.(\w+)", advice)
    assert len(named) > 8
    for section, key in named:
        assert key in known[section], f"{section}.{key}"


class NoSamples:
    def reals(self):
        return None

    def fakes(self, variables, name):
        return None


def noise(start: int):
    """Batches of the smoke configuration."""
    rng = np.random.default_rng(start)
    while True:
        yield {
            "image": rng.integers(0, 256, (8, 16, 16, 3), np.uint8),
            "label": np.zeros((8, 0), np.float32),
            "gen_label": np.zeros((2, 8, 0), np.float32),
        }


@pytest.mark.slow
def test_run_whose_gradients_break_trains_on_and_says_so(tmp_path, monkeypatch, capsys):
    """NaN in one tensor of D's, infinity in one of G's, in the third tick of four."""
    gradients = step.gradients

    def broken(setup, phase, models, inputs):
        grads, outcome = gradients(setup, phase, models, inputs)
        bad = jnp.nan if phase.network == "D" else jnp.inf
        leaves, tree = jax.tree.flatten(grads)
        hit = (models.nimg >= 16) & (models.nimg < 32)
        leaves[0] = jnp.where(hit, bad, leaves[0])
        return jax.tree.unflatten(tree, leaves), outcome

    monkeypatch.setattr(step, "gradients", broken)
    cheap = {"losses.r1_gamma": 0.0, "updates.D_reg_interval": None}
    settings = config.load(SMOKE, cheap, assembled.SCHEMA)
    with run_directory.Run.create_or_open(tmp_path, settings) as run:
        options = settings["train"] | {"tick_kimg": 0.016, "total_kimg": 0.048}
        state = loop.train(
            run, program(settings), noise, NoSamples(), batch_size=8, **options
        )
    text = capsys.readouterr().err
    lines = [json.loads(x) for x in (tmp_path / "stats.jsonl").read_text().splitlines()]
    assert [line["nimg"] for line in lines] == [8, 16, 32, 48]
    for network in "GD":
        name = f"{network}_gradients"
        lost = [line[f"Gradients/{network}/nonfinite"] for line in lines]
        assert [x["mean"] for x in lost] == [0, 0, 1, 0]
        assert [x["num"] for x in lost] == [1, 1, 2, 2]
        assert [x[f"Alarm/{name}"]["mean"] for x in lines] == [0, 0, 1, 0]
        assert text.count(f"alarm {name}: share of {network}'s updates with NaN") == 1
    events = b"".join(p.read_bytes() for p in (tmp_path / "events").iterdir())
    assert b"alarm D_gradients: share of D's" in events
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state))
