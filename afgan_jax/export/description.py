"""What an exported file says of itself, without the model that it was made from."""

import hashlib
import os
from pathlib import Path
from typing import Any

from afgan_jax import places
from afgan_jax.export import reader, state_dict, web_page


def of(text: str | os.PathLike) -> dict[str, Any] | None:
    """The description of a .jax or .onnx file, a state dict or a page; None of others.

    With the size in bytes and the SHA-256 of the file. Raises ValueError if there is
    none, or onnxruntime is missing, which reads that of ONNX.
    """
    path = Path(places.named(text))
    if (path / web_page.MODEL).is_file():
        path = path / web_page.MODEL
    read = READERS.get(path.suffix)
    if read is None or not path.is_file():
        return None
    try:
        found = read(path)
    except ImportError as error:
        raise ValueError(f"{path}: {error}: pip install onnxruntime") from error
    except Exception as error:  # a damaged file can raise anything
        raise ValueError(f"{path} does not say what it is: {error!r:.200}") from error
    if found is None:
        return None
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return found | {"bytes": path.stat().st_size, "sha256": digest}


READERS = {
    ".jax": reader.describe_jax,
    ".onnx": reader.describe_onnx,
    ".js": web_page.describe,
    ".safetensors": state_dict.describe,
}
