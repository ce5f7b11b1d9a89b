"""The files of onnxruntime-web that a page needs, as published (MIT licence)."""

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

    Raises SettingError if they are not there, or not those of PACKAGE.
    """
    if folder is not None:
        return _read(Path(folder))
    cache = places.cache()
    kept = None if cache is None else cache / PACKAGE
    if kept is not None and kept.is_dir():
        return _read(kept)
    with tempfile.TemporaryDirectory() as place:
        found = _read(_by_npm(Path(place)))
        if kept is not None and places.is_open(kept.parent):
            with tempfile.TemporaryDirectory(dir=kept.parent) as whole:
                for name, data in found.items():
                    (Path(whole) / name).write_bytes(data)
                shutil.copytree(whole, kept, dirs_exist_ok=True)
    return found


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


def _by_npm(place: Path) -> Path:
    """Downloads the package into a folder; that of its files."""
    hint = f"or get {PACKAGE} yourself and name the folder of its .wasm files"
    if shutil.which("npm") is None:
        why = f"cannot be downloaded without npm: install Node.js, {hint}"
        raise errors.SettingError("runtime", None, why)
    done = subprocess.run(
        ["npm", "pack", "--silent", PACKAGE], cwd=place, capture_output=True, text=True
    )
    packed = list(place.glob("*.tgz"))
    if done.returncode or len(packed) != 1:
        last = (done.stderr.strip().splitlines() or ["no reason"])[-1]
        why = f"was not downloaded by npm ({last}): try again, {hint}"
        raise errors.SettingError("runtime", None, why)
    with tarfile.open(packed[0]) as archive:
        for name in SHA256:
            archive.extract(f"package/dist/{name}", place, filter="data")
    return place / "package" / "dist"
