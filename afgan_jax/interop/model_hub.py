"""Models on Hugging Face, through its own library: hf://OWNER/NAME[@REVISION]."""

import importlib.util
import re
from pathlib import Path

from afgan_jax import errors

PREFIX = "hf://"
MODEL = "model.safetensors"
_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def check_name(name: str) -> None:
    """Raises ValueError unless it is OWNER/NAME, and the library is there."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a model: write OWNER/NAME")
    if importlib.util.find_spec("huggingface_hub") is None:
        raise ValueError("huggingface_hub is missing: pip install huggingface_hub")


def fetch(address: str) -> Path:
    """The model file of hf://OWNER/NAME[@REVISION], from the library's cache if there.

    Raises ValueError if it cannot be had.
    """
    name, _, revision = address.removeprefix(PREFIX).partition("@")
    check_name(name)
    import huggingface_hub

    try:
        path = huggingface_hub.hf_hub_download(name, MODEL, revision=revision or None)
    except Exception as error:  # of the library and those it uses
        raise ValueError(f"{address} cannot be had: {_reason(error)}") from None
    return Path(path)


def push(folder: Path, name: str) -> str:
    """Uploads the files of a folder; returns where they are to be seen.

    Needs a token: `hf auth login`, or HF_TOKEN. Raises ValueError if it is refused.
    """
    check_name(name)
    import huggingface_hub

    try:
        hub = huggingface_hub.HfApi()
        hub.create_repo(name, exist_ok=True)
        commit = hub.upload_folder(repo_id=name, folder_path=folder)
    except Exception as error:  # of the library and those it uses
        fix = "see to the token (hf auth login, or HF_TOKEN) and the name"
        raise ValueError(f"{name} is not pushed: {_reason(error)}; {fix}") from None
    return str(commit.commit_url)


def _reason(error: Exception) -> str:
    return errors.in_one_line(error)[:300]
