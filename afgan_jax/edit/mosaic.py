"""Images beyond the frame: the canvas continued by shifted renders, side by side.

A band-limited network has no frame: what it makes at a place does not depend on where
the canvas ends, as far as EQ-T goes. The error at a seam is that of a shift by a whole
canvas.
"""

import jax
import numpy as np
from jaxtyping import Float, UInt8

from afgan_jax import errors, jax_settings
from afgan_jax.model import STILL, Model
from afgan_jax.signal import affine, pixels


def images(
    model: Model,
    ws: Float[np.ndarray, "N L w_dim"],
    tiles: tuple[int, int] = (1, 1),
    *,
    batch: int = 8,
    **motion,
) -> UInt8[np.ndarray, "N _H _W C"]:
    """Images of so many (rows, columns) of canvases around the centre.

    motion: as Model.synthesize has it; the whole moves. Raises SettingError for a model
    whose layers end at the frame, if there is more than one canvas.
    """
    rows, columns = tiles
    if tiles == (1, 1):
        return pixels.to_uint8(model.synthesize(ws, batch=batch, **motion))
    check(model, tiles)
    motion = STILL | motion
    height, width = (side / model.unit for side in model.size)
    with jax_settings.transfers():
        moved = affine.user_transform(
            motion["rotate"], *motion["translate"], motion["zoom"]
        )
        found = []
        for y in np.arange(rows) - (rows - 1) / 2:
            # A tile's points lie to the right of, and below, those of the middle one.
            shifts = [
                affine.translation(x * width, y * height)
                for x in np.arange(columns) - (columns - 1) / 2
            ]
            found.append(
                [jax.device_get(affine.compose(moved, shift)) for shift in shifts]
            )
    lines = []
    for line in found:
        drawn = [
            model.synthesize(
                ws, batch=batch, transform=np.broadcast_to(matrix, (len(ws), 3, 3))
            )
            for matrix in line
        ]
        lines.append(np.concatenate(drawn, axis=2))
    return pixels.to_uint8(np.concatenate(lines, axis=1))


def check(model: Model, tiles: tuple[int, int]) -> None:
    """Raises SettingError unless the model can be seen beyond its frame."""
    first, why = model.network.synthesis.layers[0], None
    if not model.can_move:
        why = "this is a StyleGAN2 generator, whose input cannot be moved"
    elif first.out_size[0] <= first.rate * model.size[0] / model.unit:
        why = "the layers of this model have no margin, so that edges change the image"
    elif model.settings.get("synthesis", {}).get("lowpass") == "none":
        why = "without low-pass filters tiles do not fit together"
    if why is not None:
        raise errors.SettingError(
            "tiles", f"{tiles[0]}x{tiles[1]}", f"cannot be: {why}"
        )
