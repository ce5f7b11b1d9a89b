"""Style mixing: coarse ws of one image, fine ws of another (StyleGAN, Sec. 3.1)."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8

from afgan_jax.model import Model
from afgan_jax.signal import pixels
from afgan_jax.viz import enlarge, grid

Ws = Float[np.ndarray, "_N L w_dim"]


def mixed(
    coarse: Ws, fine: Ws, rows: Sequence[int]
) -> Float[np.ndarray, "R C L w_dim"]:
    """ws of each of `coarse` with those `rows` of each of `fine`; see `rows.chosen`."""
    shape = (len(coarse), len(fine), *coarse.shape[1:])
    found = np.broadcast_to(coarse[:, None], shape).copy()
    found[:, :, rows] = fine[None, :, rows]
    return found


def table(
    model: Model,
    coarse: Ws,
    fine: Ws,
    rows: Sequence[int],
    *,
    batch: int = 8,
    squares: bool = False,
    **motion,
) -> UInt8[np.ndarray, "_H _W _C"]:
    """The mixed images, `coarse` down the left side, `fine` along the top."""
    inner = mixed(coarse, fine, rows)
    ws = np.concatenate([coarse, fine, inner.reshape(-1, *inner.shape[2:])])
    images = pixels.to_uint8(model.synthesize(ws, batch=batch, **motion))
    down, along, cells = np.split(images, [len(coarse), len(coarse) + len(fine)])
    corner = np.full_like(images[:1], 255)
    rows_of_images = [corner, along]
    for i, image in enumerate(down):
        rows_of_images += [image[None], cells[i * len(fine) : (i + 1) * len(fine)]]
    columns = len(fine) + 1
    shown = enlarge.enlarged(
        np.concatenate(rows_of_images), columns=columns, squares=squares
    )
    return grid.tile(shown, columns)
