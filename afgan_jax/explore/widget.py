"""The viewer in a notebook: the page's module, over the connection of the kernel."""

from collections.abc import Mapping
from importlib import resources
from typing import Any

import anywidget
import numpy as np
import traitlets
from jaxtyping import Array, Float

from afgan_jax import errors
from afgan_jax.edit import w_files
from afgan_jax.explore import answers, renderer, views
from afgan_jax.model import Model


class Explorer(anywidget.AnyWidget):
    """Shows a model, or several by name, under the mouse.

    start: fields of View to begin with, such as psi=1, rotate=30 or encoding="jpeg",
    which suits slow connections. `ws` and `view` are what is shown now. Raises
    SettingError for what no view can be.
    """

    _esm = resources.files("afgan_jax.explore").joinpath("explorer.js").read_text()
    _names = traitlets.List().tag(sync=True)
    _start = traitlets.Dict().tag(sync=True)  # the page takes over what changes here

    def __init__(self, models: Model | Mapping[str, Model], **start):
        by_name = models if isinstance(models, Mapping) else {models.source: models}
        drawings = {name: renderer.Renderer(model) for name, model in by_name.items()}
        self._shown = answers.Shown(drawings, drawings.__getitem__)
        self._given = {"model": next(iter(drawings))} | start
        self._view()
        super().__init__(_names=self._shown.names, _start=start)
        self.on_msg(self._answer)

    @property
    def view(self) -> views.View:
        """What was last asked for."""
        return self._view()[1]

    @property
    def ws(self) -> Float[np.ndarray, "1 L w_dim"]:
        """The ws of `view`; what they are set to is shown in place of the lattice's."""
        drawing, view = self._view()
        return drawing.ws(view)

    @ws.setter
    def ws(self, values: Float[np.ndarray | Array, "..."]) -> None:
        drawing, _ = self._view()
        found = w_files.fitted(np.float32(values), drawing.model)
        if len(found) > 1:
            raise ValueError(f"ws of {len(found)} images were given, but one is shown")
        drawing.held = found
        self._given["held"] = True
        # A number that has not been: else the same again would be no change.
        again = 1 + self._start.get("given", 0)
        self._start = {**self._start, "held": True, "given": again}

    @property
    def picture(self) -> renderer.Picture:
        """The picture of `view`."""
        drawing, view = self._view()
        return drawing.draw(view)

    def _view(self) -> tuple[renderer.Renderer, views.View]:
        given = dict(self._given)
        drawing = self._shown.renderer(given.pop("model"))
        return drawing, views.of(given, drawing.model)

    def _answer(self, _, message: dict[str, Any], buffers: list) -> None:
        """Tells the page what it asked; errors are said, as a page's server would."""
        number, given = message.get("id"), dict(message.get("given", {}))
        try:
            found = answers.answer(self._shown, message["asked"], given)
        except (KeyError, ValueError, OSError) as error:
            self.send({"id": number, "error": errors.in_one_line(error)})
            return
        if message["asked"] == "frame":
            given.pop("seq", None)
            self._given = given
        said = {"id": number, "said": found.said}
        self.send(said, [found.content] if found.content else None)
