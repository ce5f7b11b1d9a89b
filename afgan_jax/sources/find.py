"""What a person names as a source of networks."""

import os
from collections.abc import Sequence

from afgan_jax import places
from afgan_jax.interop import model_file as files
from afgan_jax.sources import model_file, run, snapshot, source


def find(text: str | os.PathLike, parts: Sequence[str] = ("G_ema",)) -> source.Source:
    """Those of `parts` that RUN, RUN@STEP, a model file or a published snapshot has.

    Raises ValueError if there is no such source, it has none of these parts, or this
    program cannot read it.
    """
    path = places.local(text)
    if not path.is_file():
        return run.find(os.fspath(text), parts)
    is_ours = path.suffix == files.SUFFIX
    return (model_file if is_ours else snapshot).find(path, parts)
