"""Which feature maps are computed in half precision."""

from collections.abc import Mapping
from typing import Any

from jaxtyping import Array

from afgan_jax import errors
from afgan_jax.signal import precision

DTYPES = ("float32", "bfloat16", "float16")


def dtype_at(rate: float, resolution: int, dtype: str, num_half_res: int) -> str:
    """`dtype` for the `num_half_res` highest resolutions, float32 below them."""
    return dtype if rate * 2**num_half_res > resolution else "float32"


def cast(x: Array, dtype: str) -> Array:
    """x in half precision, or in float32 at least."""
    return x.astype(precision.wide(x.dtype) if dtype == "float32" else dtype)


def check(settings: Mapping[str, Any]) -> None:
    """Raises SettingError for an unknown dtype, and for float16 without a clamp."""
    errors.check_known("dtype", settings["dtype"], DTYPES)
    if settings["dtype"] == "float16" and settings["conv_clamp"] is None:
        why = "overflows without conv_clamp: set conv_clamp to 256, or use bfloat16"
        raise errors.SettingError("dtype", "float16", why)
