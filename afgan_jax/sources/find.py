"""What a person names as a source of networks."""

import os
from collections.abc import Sequence

from afgan_jax import places
from afgan_jax.interop import model_file as files
from afgan_jax.interop import model_hub
from afgan_jax.sources import model_file, run, snapshot, source

ALL = tuple(source.PARTS)


def find(text: str | os.PathLike, parts: Sequence[str] = ("G_ema",)) -> source.Source:
    """Those of `parts` that RUN, RUN@STEP, a model file or a published snapshot has.

    A model on Hugging Face is hf://OWNER/NAME[@REVISION].
    Raises ValueError if there is no such source, it has none of these parts, or this
    program cannot read it.
    """
    if os.fspath(text).startswith(model_hub.PREFIX):
        return model_file.find(model_hub.fetch(os.fspath(text)), parts)
    path = places.local(text)
    if not path.is_file():
        return run.find(os.fspath(text), parts)
    is_ours = path.suffix == files.SUFFIX
    return (model_file if is_ours else snapshot).find(path, parts)
