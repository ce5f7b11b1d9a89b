"""Files of ws: .npz with `w` [N L w_dim], as the published projector writes it too."""

import os
import zipfile
import zlib

import numpy as np
from jaxtyping import Float

from afgan_jax.model import Model

Ws = Float[np.ndarray, "N L w_dim"]


def read(path: str | os.PathLike, model: Model) -> Ws:
    """The ws of a file, one for all layers or one each.

    Raises ValueError for what is no such file, or does not fit the model.
    """
    found = arrays(path, "w")["w"]
    if not np.issubdtype(found.dtype, np.number):
        raise ValueError(f"{path}: w has no numbers, but {found.dtype}")
    return fitted(np.float32(found), model, path)


def arrays(path: str | os.PathLike, *names: str) -> dict[str, np.ndarray]:
    """The arrays of an .npz; ValueError unless it is one and has these."""
    with open(path, "rb") as file:
        try:
            found = np.load(file, allow_pickle=False)
        except (ValueError, EOFError, zipfile.BadZipFile):
            raise ValueError(f"{path} is no .npz, or it is damaged") from None
        if not isinstance(found, np.lib.npyio.NpzFile):
            raise ValueError(f"{path} is one array, not an .npz of arrays with names")
        missing = [name for name in names if name not in found]
        if missing:
            has = ", ".join(found) or "nothing"
            raise ValueError(f"{path} has no {missing[0]}, only {has}")
        try:
            return {name: found[name] for name in names}
        except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(f"{path} is damaged: {error}") from None


def fitted(ws: np.ndarray, model: Model, where: object = "w") -> Ws:
    """ws as [N L w_dim] of the model; ValueError if they are of another."""
    shape = (model.num_ws, model.w_dim)
    if ws.ndim == 2:  # of one image, or one for all layers of each
        ws = ws[None] if ws.shape == shape else ws[:, None]
    if not len(ws):
        raise ValueError(f"{where} holds no ws")
    if ws.ndim != 3 or ws.shape[2] != shape[1] or ws.shape[1] not in (1, shape[0]):
        known = f"[{shape[0]} {shape[1]}], or [N {shape[0]} {shape[1]}]"
        raise ValueError(
            f"{where}: ws {list(ws.shape)} do not fit; this model has {known}"
        )
    if not np.isfinite(ws).all():
        raise ValueError(f"{where} has numbers that are not finite")
    return np.ascontiguousarray(np.broadcast_to(ws, (len(ws), *shape)))
