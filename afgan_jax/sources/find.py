"""What a person names as a source of networks."""

import dataclasses
import os
import zlib
from collections.abc import Sequence
from pathlib import Path

from afgan_jax import places
from afgan_jax.interop import model_file as files
from afgan_jax.interop import model_hub
from afgan_jax.runs import bucket
from afgan_jax.sources import boxed, model_file, run, snapshot, source

ALL = tuple(source.PARTS)
IN_FILES = {files.SUFFIX: model_file, ".pkl": snapshot}
EXPORTS = (".jax", ".onnx")  # whose weights are part of a program


def find(text: str | os.PathLike, parts: Sequence[str] = ("G_ema",)) -> source.Source:
    """Those of `parts` that RUN, RUN@STEP, a model file or a published snapshot has.

    Models that come with the package have names of their own: boxed.names().
    Files may be in a bucket, as gs://BUCKET/FOLDER/FILE; a folder with a model card is
    its model file. A model on Hugging Face is hf://OWNER/NAME[@REVISION].
    Raises ValueError if there is no such source, it has none of these parts, or this
    program cannot read it.
    """
    if os.fspath(text).startswith(model_hub.PREFIX):
        return model_file.find(model_hub.fetch(os.fspath(text)), parts)
    named = places.named(text)
    if places.is_url(named):
        return _in_bucket(named, parts)
    if within := boxed.path(named):
        return _called(named, model_file.find(within, parts))
    path = Path(named)
    if (path / model_hub.MODEL).is_file() and not (path / "checkpoints").exists():
        path /= model_hub.MODEL
    if not path.is_file():
        return run.find(os.fspath(text), parts)
    if path.suffix in EXPORTS:
        raise ValueError(
            f"{path} is an export, which runs elsewhere: name what it was made from"
            " (inspect alone shows what it says)"
        )
    return IN_FILES.get(path.suffix, snapshot).find(path, parts)


def _in_bucket(url: str, parts: Sequence[str]) -> source.Source:
    """A run, or a file, which is fetched."""
    kind = IN_FILES.get(os.path.splitext(url)[1])
    if kind is None:
        return run.find(url, parts)
    data = bucket.read_file(url)
    folder = places.temporary() / f"{zlib.crc32(url.encode()):08x}"
    folder.mkdir(exist_ok=True)
    path = folder / url.rpartition("/")[2]
    path.write_bytes(data)
    return _called(url, kind.find(path, parts))


def _called(name: str, found: source.Source) -> source.Source:
    """The source by the name that a person has for it."""

    def read(abstract: dict) -> source.Weights:
        return found.read(abstract)._replace(name=name)

    return dataclasses.replace(found, name=name, read=read)
