"""Models as files that others open, each compared with its source when written."""

import os
from pathlib import Path


def write(source: str | os.PathLike, out: Path, to: str, **options) -> str:
    """Writes a source's averaged generator in the form `to`; returns what was checked.

    to: "model", "jax", "onnx", "web", "pytorch" or "hub": see these modules.
    Raises ValueError for what cannot be written, or is different when read again.
    """
    # Here, not on top: those who use one form need not have what others import.
    from afgan_jax import errors
    from afgan_jax.export import (
        hub,
        jax_file,
        model_file,
        onnx_file,
        state_dict,
        web_page,
    )

    forms = {"model": model_file, "jax": jax_file, "onnx": onnx_file}
    forms |= {"web": web_page, "pytorch": state_dict, "hub": hub}
    errors.check_known("to", to, forms)
    return forms[to].write(source, Path(out), **options)
