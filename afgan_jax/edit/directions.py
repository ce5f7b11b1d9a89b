"""Directions in w along which images change, found without labels.

sefa: eigenvectors of what the affine layers make of w (Shen & Zhou 2021, closed-form
factorization). pca: principal components of w (Härkönen et al. 2020, GANSpace).
"""

import dataclasses
import os
from collections.abc import Mapping, Sequence

import jax
import numpy as np
from jaxtyping import Float, UInt8

from afgan_jax import errors
from afgan_jax.edit import w_files
from afgan_jax.model import Label, Model
from afgan_jax.signal import pixels
from afgan_jax.viz import enlarge, grid

SAMPLES = 4096  # of w


@dataclasses.dataclass(frozen=True)
class Directions:
    """vectors [K w_dim], each as long as w's standard deviation along it.

    names: of each; rows: of ws that they change; strengths: eigenvalues, as parts of
    their sum.
    """

    vectors: Float[np.ndarray, "K w_dim"]
    names: tuple[str, ...]
    rows: tuple[int, ...]
    strengths: Float[np.ndarray, " K"]

    def pushed(
        self, ws: Float[np.ndarray, "N L w_dim"], amounts: Mapping[int | str, float]
    ) -> Float[np.ndarray, "N L w_dim"]:
        """ws moved by so many standard deviations along directions, by number or name.

        Raises SettingError for a direction that is not there.
        """
        ws = np.array(ws, np.float32)
        for which, amount in amounts.items():
            ws[:, list(self.rows)] += amount * self.vectors[self.number(which)]
        return ws

    def number(self, which: int | str) -> int:
        """The number of a direction, by its name or itself."""
        text = str(which)
        if text.isdecimal() and int(text) < len(self.names):
            return int(text)
        if text in self.names:
            return self.names.index(text)
        known = f"0 to {len(self.names) - 1}, or {', '.join(self.names)}"
        raise errors.SettingError("direction", which, f"is unknown: use {known}")

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """What a file holds, for `read`."""
        fields = dataclasses.asdict(self)
        return {name: np.asarray(value) for name, value in fields.items()}


def read(path: str | os.PathLike, model: Model) -> Directions:
    """Directions of a file. Raises ValueError unless they are and fit the model."""
    found = w_files.arrays(path, "vectors", "names", "rows", "strengths")
    vectors = np.asarray(found["vectors"], np.float32)
    rows = tuple(int(row) for row in found["rows"])
    if vectors.ndim != 2 or vectors.shape[1] != model.w_dim:
        raise ValueError(f"{path}: w has {model.w_dim} numbers in this model")
    if not set(rows) <= set(range(model.num_ws)):
        raise ValueError(f"{path}: ws have {model.num_ws} rows in this model")
    names = tuple(str(name) for name in found["names"])
    return Directions(vectors, names, rows, np.asarray(found["strengths"]))


def find(
    model: Model,
    method: str,
    *,
    count: int = 8,
    rows: Sequence[int] | None = None,
    names: Sequence[str] = (),
    label: Label | None = None,
    seed: int = 0,
) -> Directions:
    """The `count` strongest directions; see the top of this file for METHODS.

    rows: of ws; None: those of all layers, but not the input's, which move the image.
    names: of the first; others are called pca3 and so on. label: of the w whose spread
    is the unit of length.
    Raises SettingError for an unknown method.
    """
    if method not in METHODS:
        known = ", ".join(METHODS)
        raise errors.SettingError("method", method, f"is unknown: use one of {known}")
    odd = [x for x in names if x.isdecimal() or list(names).count(x) > 1]
    if odd:
        why = "must be other than numbers, and different from each other"
        raise errors.SettingError("names", ",".join(names), why)
    if rows is None:
        rows = range(model.network.synthesis.input_ws, model.num_ws)
    z = np.random.RandomState(seed).randn(SAMPLES, model.z_dim).astype(np.float32)
    w = np.float64(jax.device_get(model.ws(z=z, label=label)[:, -1]))
    centred = w - w.mean(axis=0)
    spread = centred.T @ centred / len(w)
    values, vectors = np.linalg.eigh(METHODS[method](model, rows, spread))
    order = np.argsort(-values)[: min(count, len(values))]
    found = vectors.T[order]
    # The sign of an eigenvector is free: that of its largest number is positive.
    found *= np.sign(found[np.arange(len(found)), np.abs(found).argmax(axis=1)])[
        :, None
    ]
    lengths = np.sqrt(np.einsum("ki,ij,kj->k", found, spread, found))
    said = [
        *names[: len(found)],
        *(f"{method}{i}" for i in range(len(names), len(found))),
    ]
    return Directions(
        np.float32(found * lengths[:, None]),
        tuple(said),
        tuple(rows),
        values[order] / values.sum(),
    )


def _affine(model: Model, rows: Sequence[int], spread: np.ndarray) -> np.ndarray:
    """A A^T of the layers' weights A [w_dim styles], columns of length 1."""
    fed = model.network.synthesis.layers_of_ws
    layers = dict.fromkeys(name for row in rows for name in fed[row])
    parts = []
    for name in layers:
        leaf = model.variables["params"]["synthesis"]
        for part in name.split("/"):
            leaf = leaf[part]
        parts.append(np.float64(jax.device_get(leaf["affine"]["weight"])))
    weights = np.concatenate(parts, axis=1)
    weights /= np.maximum(np.linalg.norm(weights, axis=0), 1e-12)
    return weights @ weights.T


METHODS = {"sefa": _affine, "pca": lambda model, rows, spread: spread}


def strip(
    model: Model,
    found: Directions,
    ws: Float[np.ndarray, "1 L w_dim"],
    *,
    amount: float = 3.0,
    steps: int = 7,
    batch: int = 8,
    squares: bool = False,
) -> UInt8[np.ndarray, "_H _W _C"]:
    """A row for each direction: ws pushed by -amount to amount along it."""
    amounts = np.linspace(-amount, amount, steps)
    lines = []
    for name in found.names:
        pushed = np.concatenate([found.pushed(ws, {name: a}) for a in amounts])
        images = pixels.to_uint8(model.synthesize(pushed, batch=batch))
        lines.append(enlarge.enlarged(images, columns=steps, squares=squares))
    return grid.strip(
        lines, [f"{name}: {-amount:g} to {amount:g}" for name in found.names]
    )
