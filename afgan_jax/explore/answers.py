"""What a page asks of models, and what it is told, whatever carries the words.

Asked are models, about, frame and ws, with text or numbers by name; an answer is what
can be said in JSON, and bytes.
"""

import io
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from afgan_jax import errors
from afgan_jax.explore import renderer, views

JPEG_QUALITY = 90


class Answer(NamedTuple):
    """`said` goes into JSON; content: a picture or a file, else nothing."""

    said: dict[str, Any]
    content: bytes = b""


class Shown:
    """Models by name; load(name) makes the Renderer of one when it is asked for."""

    def __init__(self, names: Iterable[str], load: Callable[[str], renderer.Renderer]):
        self.names = list(names)
        self._load, self._loaded = load, {}
        self._loading = threading.Lock()

    def renderer(self, name: str) -> renderer.Renderer:
        """Raises SettingError for a name that is none of the models'."""
        if name not in self.names:
            why = f"is unknown: use one of {', '.join(self.names)}"
            raise errors.SettingError("model", name, why)
        with self._loading:
            if name not in self._loaded:
                self._loaded[name] = self._load(name)
            return self._loaded[name]


def answer(shown: Shown, asked: str, given: Mapping[str, Any]) -> Answer:
    """Raises SettingError for what no view can be, KeyError for what is not ASKED."""
    return ASKED[asked](shown, dict(given))


def _models(shown: Shown, given: dict) -> Answer:
    return Answer({"models": shown.names})


def _about(shown: Shown, given: dict) -> Answer:
    return Answer(shown.renderer(given.get("model", "")).about())


def _frame(shown: Shown, given: dict) -> Answer:
    drawing = shown.renderer(given.pop("model", ""))
    seq = str(given.pop("seq", "0"))
    if not seq.isdecimal():
        raise errors.SettingError("seq", seq, "must be a whole number")
    view = views.of(given, drawing.model)
    picture, said = drawing.timed(view)
    content = ENCODINGS[view.encoding](picture)
    return Answer({"seq": int(seq), "encoding": view.encoding} | said, content)


def _ws(shown: Shown, given: dict) -> Answer:
    """The ws of a view, as a w file."""
    drawing = shown.renderer(given.pop("model", ""))
    given.pop("seq", None)
    file = io.BytesIO()
    np.savez(file, w=drawing.ws(views.of(given, drawing.model)))
    return Answer({"name": "w.npz"}, file.getvalue())


def _jpeg(picture: renderer.Picture) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return file.getvalue()


ASKED = {"models": _models, "about": _about, "frame": _frame, "ws": _ws}
ENCODINGS = {"raw": np.ndarray.tobytes, "jpeg": _jpeg}
