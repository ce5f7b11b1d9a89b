"""The files of onnxruntime-web that a page needs, as published (MIT licence)."""

import contextlib
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from afgan_jax import errors, places

PACKAGE = "onnxruntime-web@1.30.0"
SCRIPT = "ort.wasm.min.js"
MODULE = "ort-wasm-simd-threaded.mjs"
BINARY = "ort-wasm-simd-threaded.wasm"
SHA256 = {
    SCRIPT: "faece07e84faa9001f5104bbe4e5c70861d06cb2376a0dea1fa0ad33a67adc81",
    MODULE: "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
    BINARY: "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}


def files(folder: str | os.PathLike | None = None) -> dict[str, bytes]:
    """{name: content}: of a folder, of the cache, or else by npm, which is cached.

    Raises ValueError if they are not to be had, or not those of PACKAGE.
    """
    if folder is not None:
        return _read(places.local(folder))
    cache = places.cache()
    kept = None if cache is None else cache / PACKAGE
    if kept is not None and kept.is_dir():
        with contextlib.suppress(ValueError):  # else it is fetched again
            return _read(kept)
    with tempfile.TemporaryDirectory() as place:
        found = _by_npm(Path(place))
        if kept is not None and places.is_open(kept.parent):
            _keep(found, kept)
    return found


def _keep(found: dict[str, bytes], folder: Path) -> None:
    """Makes the folder anew, as a whole."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".") as place:
        whole = Path(place) / folder.name
        whole.mkdir()
        for name, data in found.items():
            (whole / name).write_bytes(data)
        with contextlib.suppress(OSError):
            shutil.rmtree(folder, ignore_errors=True)
            whole.rename(folder)


def _read(folder: Path) -> dict[str, bytes]:
    found = {}
    for name, expected in SHA256.items():
        try:
            found[name] = (folder / name).read_bytes()
        except OSError as error:
            why = f"has no {name} of {PACKAGE} ({error.strerror})"
            raise errors.SettingError("runtime", str(folder), why) from None
        if hashlib.sha256(found[name]).hexdigest() != expected:
            why = f"holds another {name} than that of {PACKAGE}"
            raise errors.SettingError("runtime", str(folder), why)
    return found


def _by_npm(place: Path) -> dict[str, bytes]:
    """The files, from a package downloaded into a folder."""
    hint = f"or get {PACKAGE} and name the folder of its .wasm files by --runtime"
    if shutil.which("npm") is None:
        raise ValueError(f"{PACKAGE} comes by npm: install Node.js, {hint}")
    command = ["npm", "pack", "--loglevel=error", PACKAGE]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True)
    packed = list(place.glob("*.tgz"))
    if done.returncode or len(packed) != 1:
        reason = (done.stderr.strip().splitlines() or ["no reason"])[0]
        raise ValueError(
            f"{PACKAGE} does not come by npm ({reason}): try again, {hint}"
        )
    dist = place / "dist"
    dist.mkdir()
    with tarfile.open(packed[0]) as archive:
        for name in SHA256:
            (dist / name).write_bytes(
                archive.extractfile(f"package/dist/{name}").read()
            )
    return _read(dist)
