"""Malformed files of the kinds that people pass on, grown from valid ones.

Reading one runs none of its code (a canary would show it), takes bounded memory, and
gives a value or one line. Trials alternate between random mutations and spiteful files.
"""

import io
import random
import resource
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import children
import numpy as np
import spiteful
import trainings
from interop import forge, test_model_file

import afgan_jax
from afgan_jax import export
from afgan_jax.analysis import spectra
from afgan_jax.data import convert, sets, sources
from afgan_jax.interop import tensors
from afgan_jax.metrics import cache

MEMORY = 2**30  # bytes that reading a file of some kilobytes may take
PICKLES = trainings.ROOT / "tests/reference/data/pickles"
NUMBERS = (b"0", b"-1", b"1e999", b"99999999999999999999", b"NaN", b"0.5", b"9" * 5000)
WORDS = (b"null", b"[]", b"{}", b'""', b'"\\ud800"', b"\0", b"\xff\xfe", b"true", b'"')
SIZES = [struct.pack("<I", n) for n in (0, 2**31 - 1, 2**32 - 1)]


class Kind(NamedTuple):
    """A file and what reads it: read(path), spiteful(canary) -> {what: content}."""

    file: str
    valid: bytes
    read: Callable[[Path], object]
    spiteful: Callable[[Path], dict[str, bytes]]


def run(count: int, seed: int, folder: Path) -> dict:
    canary = folder / "canary"
    kinds = _kinds(folder)

    def trial(number: int) -> list[str]:
        draw = random.Random(f"{seed} {number}")
        kind = kinds[number % len(kinds)]
        if draw.random() < 0.3:
            what, content = draw.choice(sorted(kind.spiteful(canary).items()))
        else:
            what, content = f"{kind.file}, mutated", _mutate(draw, kind.valid)
        place = folder / f"trial-{number}"
        shutil.copytree(folder / "beside" / kind.file, place)
        path = place / kind.file
        path.write_bytes(content)
        fault = _read(kind, path, canary)
        shutil.rmtree(place)
        return [f"{kind.file}: {what}: {fault}"] if fault else []

    faults = children.run(trial, count, folder, chunk=100, patience=60)
    return {"trials": count, "faults": faults}


def _read(kind: Kind, path: Path, canary: Path) -> str | None:
    """Reads the file; what is wrong, or None."""
    before = _peak()
    fault = None
    try:
        kind.read(path)
    except (ValueError, OSError) as error:
        text = str(error)
        if len(text.splitlines()) > 1 or len(text) > 1000:
            fault = f"no single line: {text[:300]!r}"
    except Exception as error:
        fault = f"{type(error).__name__}: {error}"[:300]
    taken = _peak() - before
    if canary.exists():
        canary.unlink()
        fault = "code in it was run"
    if taken > MEMORY:
        fault = f"took {taken / 2**30:.1f} GiB of memory"
    return fault


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _mutate(draw: random.Random, valid: bytes) -> bytes:
    """The content with one to eight random changes."""
    content = bytearray(valid)
    for _ in range(draw.choice([1, 1, 1, 2, 4, 8])):
        at = draw.randrange(len(content) + 1)
        end = min(len(content), at + draw.choice([1, 1, 2, 4, 16, 256]))
        change = draw.randrange(7)
        if change == 0 and at < len(content):
            content[at] ^= 1 << draw.randrange(8)
        elif change == 1:
            del content[at:end]
        elif change == 2:
            content[at:at] = bytes(draw.randrange(256) for _ in range(end - at))
        elif change == 3:
            other = draw.randrange(len(content) + 1)
            content[at:at] = content[other : other + end - at]
        elif change == 4:
            content[at:end] = draw.choice(NUMBERS + WORDS)
        elif change == 5:
            content[at : at + 4] = draw.choice(SIZES)
        elif change == 6 and draw.random() < 0.3:
            del content[at:]
    return bytes(content)


def _model_files(canary: Path) -> dict[str, bytes]:
    return test_model_file.hostile()


def _kinds(folder: Path) -> list[Kind]:
    """All kinds, each with a folder of what lies beside its file."""
    images = trainings.write_images(folder / "images", 4)
    run_files = _written(folder, images)
    table = (images / "dataset.json").read_bytes()
    rows = "".join(f"{i}.png,{i % 2}\n" for i in range(4)).encode()
    state = io.BytesIO()
    forge.write_zip(state, {"x": np.arange(6.0).reshape(2, 3)})
    legacy = folder / "legacy.pth"
    forge.write_legacy(legacy, {"x": np.arange(6.0).reshape(2, 3)})
    kinds = [
        Kind(
            "tiny_t.pkl", (PICKLES / "tiny_t.pkl").read_bytes(), _load, spiteful.pickles
        ),
        Kind("a.safetensors", run_files["a.safetensors"], _load, _model_files),
        Kind("new.pth", state.getvalue(), _state_dict, spiteful.pickles),
        Kind("old.pth", legacy.read_bytes(), _state_dict, spiteful.pickles),
        Kind("cifar-10-python.tar.gz", spiteful.cifar(), _convert, spiteful.cifars),
        Kind(
            "train-images-idx3-ubyte.gz",
            spiteful.idx((4, 28, 28)),
            _convert,
            spiteful.idx_files,
        ),
        Kind("dataset.json", table, _open_set, spiteful.json_files),
        Kind("labels.csv", b"file,label\n" + rows, _convert_by_csv, spiteful.csvs),
        Kind("config.json", run_files["config.json"], _load_run, spiteful.json_files),
        Kind("classes.json", run_files["classes.json"], _load_run, spiteful.json_files),
        Kind("set.zip", run_files["set.zip"], _open_zip, spiteful.zips),
        Kind("photos.zip", run_files["photos.zip"], _convert, spiteful.zips),
        Kind(
            "0.png", (images / "0.png").read_bytes(), _convert_folder, spiteful.images
        ),
        Kind(
            "statistic.npz", run_files["statistic.npz"], _statistic, spiteful.npz_files
        ),
        Kind("spectrum.npz", run_files["spectrum.npz"], _spectrum, spiteful.npz_files),
    ]
    beside = {
        "dataset.json": images,
        "labels.csv": images,
        "0.png": images,
        "config.json": folder / "run",
        "classes.json": folder / "run",
        "train-images-idx3-ubyte.gz": folder / "mnist",
    }
    for kind in kinds:
        place = folder / "beside" / kind.file
        if kind.file in beside:
            shutil.copytree(beside[kind.file], place)
        else:
            place.mkdir(parents=True)
    return kinds


def _written(folder: Path, images: Path) -> dict[str, bytes]:
    """Files that the product writes, and some beside which others lie."""
    (folder / "mnist").mkdir()
    labels = folder / "mnist" / "train-labels-idx1-ubyte.gz"
    labels.write_bytes(spiteful.idx((4,)))
    with zipfile.ZipFile(folder / "photos.zip", "w", zipfile.ZIP_DEFLATED) as made:
        for file in sorted(images.iterdir()):
            made.write(file, f"photos/{file.name}")

    def prepare():
        trainings.train(images, folder / "run", 1)
        export.write(PICKLES / "tiny_t.pkl", folder / "a.safetensors", "model")
        convert.convert(sources.open_source(images), folder / "set.zip")
        cache.Store(lambda: folder / "store").get(
            ("key",), lambda: {"mean": np.arange(300.0)}
        )
        np.savez(folder / "spectrum.npz", power=np.ones((8, 8)), interp=np.array(1))

    log = folder / "prepare.log"
    assert children.wait(children.fork(prepare, log=log)) == 0, log.read_text()
    (stored,) = (folder / "store").glob("*.npz")
    paths = [folder / "run" / n for n in ("config.json", "classes.json")]
    names = "set.zip", "photos.zip", "spectrum.npz", "a.safetensors"
    paths += [folder / name for name in names]
    return {p.name: p.read_bytes() for p in paths} | {
        "statistic.npz": stored.read_bytes()
    }


# What reads the files.


def _load(path: Path):
    afgan_jax.load(path)


def _load_run(path: Path):
    afgan_jax.load(path.parent)


def _state_dict(path: Path):
    tensors.read_state_dict(path)


def _open_set(path: Path):
    _read_all(path.parent)


def _open_zip(path: Path):
    _read_all(path)


def _read_all(path: Path):
    opened = sets.open_set(str(path), cache_dir=path.parent, use_labels=True)
    for index in range(len(opened)):
        opened[index]


def _convert(path: Path):
    _convert_to(path, path.parent / "out.zip")


def _convert_folder(path: Path):
    _convert_to(path.parent, path.parent.with_name(f"{path.parent.name}.out.zip"))


def _convert_by_csv(path: Path):
    out = path.parent.with_name(f"{path.parent.name}.out.zip")
    _convert_to(path.parent, out, label_source=str(path))


def _convert_to(source: Path, out: Path, **more):
    try:
        options = {"size": (16, 16), "fit": "crop", "workers": 1} | more
        convert.convert(sources.open_source(source), out, **options)
    finally:
        left = [p for p in out.parent.glob(f".{out.name}*")]
        out.unlink(missing_ok=True)
    if left:
        raise AssertionError(f"{left[0]} is left over")


def _spectrum(path: Path):
    spectra.read(str(path), "calc", ("power", "interp"))


def _statistic(path: Path):
    found = cache._read(path)
    if found is not None and not np.array_equal(found["mean"], np.arange(300.0)):
        raise AssertionError("another statistic was read")
