"""Flipped bits and truncations of what the product has written and reads again.

Each must be found and named in one line, or be harmless: what is read is then equal,
or an older checkpoint, which the log says.
"""

import functools
import hashlib
import logging
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import children
import jax
import numpy as np
import trainings

import afgan_jax
from afgan_jax import export
from afgan_jax.assembly import settings as assembled
from afgan_jax.assembly import training
from afgan_jax.data import convert, sets, sources
from afgan_jax.metrics import cache
from afgan_jax.runs import run_directory
from afgan_jax.training import state as states

STEPS = 5
SNAPSHOT = trainings.ROOT / "tests/reference/data/pickles/tiny_t.pkl"
TRUNCATED = 300 / 1300  # of the trials
IGNORED = (".cache", "events")  # in a run: compiled programs have trials of their own


def run(count: int, seed: int, folder: Path) -> dict:
    images = trainings.write_images(folder / "images")
    subjects = _subjects(folder, images)
    names, weights = zip(*((s.name, s.weight) for s in subjects))
    by_name = {s.name: s for s in subjects}

    def trial(number: int) -> list[str]:
        draw = random.Random(f"{seed} {number}")
        subject = by_name[draw.choices(names, weights)[0]]
        place = folder / f"copy-{number}"
        copy = place / subject.path.name
        place.mkdir()
        if subject.path.is_dir():
            shutil.copytree(subject.path, copy, symlinks=True)
        else:
            shutil.copy(subject.path, copy)
        if copy.suffix == ".pkl":  # which has no checksum of its own
            digest = hashlib.sha256(copy.read_bytes()).hexdigest()
            copy.with_name(f"{copy.name}.sha256").write_text(f"{digest}  {copy.name}")
        what = _damage(draw, subject.files(copy))
        said = _Said()
        logging.getLogger().addHandler(said)
        try:
            fault = subject.check(copy, said)
        finally:
            logging.getLogger().removeHandler(said)
        shutil.rmtree(place)
        return [f"{subject.name}: {what}: {fault}"] if fault else []

    faults = children.run(trial, count, folder, chunk=100)
    return {"trials": count, "faults": faults}


class Subject:
    """Something on disk, and check(copy, said) -> what is wrong, or None."""

    def __init__(self, name: str, path: Path, check: Callable, weight: float):
        self.name, self.path, self.weight = name, path, weight
        self._check = check

    def files(self, copy: Path) -> list[Path]:
        if copy.is_file():
            return [copy]
        found = [p for p in sorted(copy.rglob("*")) if p.is_file()]
        if self.name == "compiled programs":
            return [p for p in found if p.parent.parent.name == "compiled"]
        return [
            p
            for p in found
            if p.stat().st_size
            and p.suffix != ".npy"
            and not set(IGNORED) & set(p.relative_to(copy).parts)
            and not (p.parent == copy and p.suffix == ".png" and "run" in copy.name)
        ]

    def check(self, copy: Path, said: "_Said") -> str | None:
        try:
            return self._check(copy, said)
        except (ValueError, OSError) as error:
            text = str(error)
            if len(text.splitlines()) > 1:
                return f"an error of several lines: {text[:300]!r}"
            return None if copy.name in text else f"the error names no file: {text}"
        except Exception as error:
            return f"{type(error).__name__}: {error}"[:300]


class _Said(logging.Handler):
    """The texts of all warnings."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record) -> None:
        self.texts.append(record.getMessage())


def _damage(draw: random.Random, files: list[Path]) -> str:
    """Flips a bit of one of the files, or cuts its end; returns what was done."""
    small = [f for f in files if f.suffix in (".json", ".jsonl")]
    if small and draw.random() < 0.2:
        file = draw.choice(small)
    elif draw.random() < 0.5:
        file = draw.choice(files)
    else:
        file = draw.choices(files, [f.stat().st_size for f in files])[0]
    size = file.stat().st_size
    name = "/".join(file.parts[-3:])
    if draw.random() < TRUNCATED:
        left = draw.choice([0, size - 1, draw.randrange(size)])
        os.truncate(file, left)
        return f"{name} cut to {left} of {size} bytes"
    at, bit = draw.randrange(size), draw.randrange(8)
    with file.open("r+b") as opened:
        opened.seek(at)
        (byte,) = opened.read(1)
        opened.seek(at)
        opened.write(bytes([byte ^ 1 << bit]))
    return f"{name} byte {at} of {size}, bit {bit}"


def _subjects(folder: Path, images: Path) -> list[Subject]:
    done = folder / "run"
    made = [folder / "set.zip", folder / "set"]
    model = folder / "model.safetensors"
    store = folder / "store"

    def prepare():
        trainings.train(images, done, STEPS)
        export.write(done, model, "model")
        for out in made:
            convert.convert(sources.open_source(images), out)
        cache.Store(lambda: store).get(("key",), _statistic)

    log = folder / "prepare.log"
    assert children.wait(children.fork(prepare, log=log)) == 0, log.read_text()
    expected = functools.partial(_read_set, made[0])
    return [
        Subject("run, resumed", done, _Resumed(done, images), 5),
        Subject("run, loaded", done, _Loaded(done), 3),
        Subject("set in a zip", made[0], _Set(expected), 2),
        Subject("set in a folder", made[1], _Set(expected), 2),
        Subject("statistic", store, _check_store, 1),
        Subject("model file", model, _Loaded(model), 2),
        Subject("snapshot", SNAPSHOT, _Loaded(SNAPSHOT), 2),
        Subject("compiled programs", done, _Trained(done, images), 0.2),
    ]


class _Resumed:
    """The run as a resumed training finds it."""

    def __init__(self, done: Path, images: Path):
        self._done, self._images = done, images

    @functools.cached_property
    def _settings(self) -> dict:
        changes = trainings.changes(self._images, STEPS)
        return assembled.of_run(trainings.CONFIG, self._done, changes)[0]

    @functools.cached_property
    def _abstract(self):
        program = training.build(self._settings)[1]
        shapes = states.to_tree(jax.eval_shape(program.init, jax.random.key(0)))
        return states.abstract(shapes, program.replicated)

    @functools.cached_property
    def _expected(self) -> dict:
        with run_directory.Run.open(self._done) as run:
            return {s: run.restore(self._abstract, s)[1] for s in run.steps()}

    def __call__(self, copy: Path, said: _Said) -> str | None:
        newest, expected = max(self._expected), self._expected
        with run_directory.Run.create_or_open(
            copy, self._settings, assembled.SCHEMA
        ) as run:
            run.truncate_stats(10**9)
            step, tree = run.restore(self._abstract)
        if step != newest and not any(str(newest) in text for text in said.texts):
            return f"step {step} is restored without a word"
        return _difference(tree, expected[step])


class _Loaded:
    """The averaged generator."""

    def __init__(self, path: Path):
        self._path = path

    @functools.cached_property
    def _expected(self) -> dict:
        models = {self._path.name: afgan_jax.load(self._path)}
        if self._path.is_dir():
            steps = run_directory.Run.open(self._path).steps()
            models = {str(s): afgan_jax.load(f"{self._path}@{s}") for s in steps}
        return models

    def __call__(self, copy: Path, said: _Said) -> str | None:
        expected = self._expected
        model = afgan_jax.load(copy)
        step = model.source.rpartition("@")[2] if copy.is_dir() else copy.name
        if step not in expected:
            return f"{step} is loaded"
        newest = [*expected][-1]
        if step != newest and not any(newest in text for text in said.texts):
            return f"step {step} is loaded without a word"
        right = expected[step]
        if model.class_names != right.class_names:
            return f"class names {model.class_names}"
        if model.settings != right.settings:
            return "other settings of the generator"
        return _difference(model.variables, right.variables)


class _Trained:
    """The run with damaged compiled programs, trained on for some steps."""

    def __init__(self, done: Path, images: Path):
        self._images = images
        whole = done.parent / "whole" / done.name
        shutil.copytree(done, whole)
        self._expected = self._train(whole)

    def __call__(self, copy: Path, said: _Said) -> str | None:
        found = self._train(copy)
        return "; ".join(trainings.differences(found, self._expected)) or None

    def _train(self, run: Path) -> dict:
        flags = trainings.flags(self._images, run, STEPS + 2)
        command = [sys.executable, "-m", "afgan_jax", "train", *flags]
        done = subprocess.run(
            command, cwd=trainings.ROOT, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(done.stderr[-300:])
        return trainings.results_of(run)


class _Set:
    """All images and labels of a set."""

    def __init__(self, expected: Callable):
        self._expected = functools.cache(expected)

    def __call__(self, copy: Path, said: _Said) -> str | None:
        right = self._expected()
        found = _read_set(copy)
        names = [n for n in right if not np.array_equal(found[n], right[n])]
        return f"other {names}" if names else None


def _read_set(path: Path) -> dict:
    opened = sets.open_set(str(path), cache_dir=path.parent, use_labels=True)
    images, labels = zip(*opened)
    found = {"images": np.stack(images), "labels": np.stack(labels)}
    return found | {"class names": np.array(opened.labels.class_names)}


def _statistic() -> dict:
    return {"mean": np.arange(300.0), "count": np.array(12)}


def _check_store(copy: Path, said: _Said) -> str | None:
    found = cache.Store(lambda: copy).get(("key",), _statistic)
    return _difference(found, _statistic())


def _difference(found, right) -> str | None:
    if jax.tree.structure(found) != jax.tree.structure(right):
        return "another tree"
    leaves = jax.tree_util.tree_leaves_with_path(found)
    for (name, x), y in zip(leaves, jax.tree.leaves(right), strict=True):
        if np.asarray(x).tobytes() != np.asarray(y).tobytes():
            return f"{jax.tree_util.keystr(name)} is another"
    return None
