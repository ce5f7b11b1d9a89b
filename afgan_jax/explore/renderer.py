"""Pictures of a model by views, computed as they are asked for."""

import functools
import math
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, UInt8
from PIL import Image

from afgan_jax import errors, jax_settings
from afgan_jax.analysis import feature_maps
from afgan_jax.analysis import image_equivariance as showing
from afgan_jax.explore import views
from afgan_jax.model import Model
from afgan_jax.signal import affine, pixels

ROW = 100  # seeds in a row of the lattice
FLOOR = -80.0  # dB, black in spectra
KEPT = 256  # w of seeds

Picture = UInt8[np.ndarray, "_H _W 3"]


class Frame(NamedTuple):
    """A picture, and what a page is told of it."""

    picture: Picture
    said: dict[str, Any]


class Renderer:
    """Draws one picture at a time, whoever asks. `held`: see View."""

    def __init__(self, model: Model):
        self.model = model
        self.held: Float[np.ndarray, "1 L w_dim"] | None = None
        self._one = threading.Lock()
        self._models = {"on": model}
        self._w = functools.lru_cache(KEPT)(self._w_of)
        self._maps = functools.cache(self._maps_of)

    def draw(self, view: views.View) -> Picture:
        """The picture of a view."""
        with self._one:
            drawn = [self._draw(name, view) for name in _networks(view)]
        gap = np.full((len(drawn[0]), 2, 3), 255, np.uint8)
        parts = [part for picture in drawn for part in (gap, picture)][1:]
        return np.concatenate(parts, axis=1)

    def timed(self, view: views.View) -> Frame:
        """The picture of a view, its size, how many milliseconds it took, and EQ."""
        begun = time.perf_counter()
        picture = self.draw(view)
        took = 1e3 * (time.perf_counter() - begun)
        height, width, _ = picture.shape
        said = {"w": width, "h": height, "ms": round(took, 2)}
        if view.equivariance:
            said["decibels"] = self.decibels(view)
        return Frame(picture, said)

    def decibels(self, view: views.View) -> dict[str, dict[str, float]]:
        """{filters: {kind: dB}} of the view's shift and of its turn, zoom aside."""
        motion = {"rotate": math.radians(view.rotate), "translate": (view.tx, view.ty)}
        ws = self.ws(view)
        with self._one:
            return {
                name: showing.of_motion(self._model(name), ws, **motion)
                for name in _networks(view)
            }

    def about(self) -> dict[str, Any]:
        """What a page needs to know of the model, for JSON."""
        model = self.model
        classes = [str(i) for i in range(model.c_dim)]
        for i, name in enumerate(model.class_names or ()):
            classes[i] += f" {name}"
        return {
            "source": model.source,
            "size": list(model.size),
            "layers": views.layers(model),
            "rows": [names[0] for names in model.network.synthesis.layers_of_ws],
            "classes": classes,
            "can_move": model.can_move,
            "held": self.held is not None,
        }

    def ws(self, view: views.View) -> Float[np.ndarray, "1 L w_dim"]:
        """The ws of a view."""
        if view.held and self.held is None:
            raise errors.SettingError("held", True, "cannot be: no ws were given")
        ws = self.held.copy() if view.held else self._at(view.x, view.y, view)
        if view.mix:
            rows = list(view.mix)
            ws[:, rows] = self._at(view.mix_x, view.mix_y, view)[:, rows]
        return ws

    def _at(self, x: float, y: float, view: views.View) -> np.ndarray:
        """Bilinear in w between the four seeds around a place."""
        left, top = math.floor(x), math.floor(y)
        right, below = x - left, y - top
        corners = ((0, 0, 1 - right, 1 - below), (1, 0, right, 1 - below))
        corners += ((0, 1, 1 - right, below), (1, 1, right, below))
        found = 0.0
        for dx, dy, across, down in corners:
            if across * down:
                seed = (left + dx + ROW * (top + dy)) % 2**32
                found += (
                    across * down * self._w(seed, view.label, view.psi, view.cutoff)
                )
        return np.float32(found)

    def _w_of(self, seed, label, psi, cutoff) -> np.ndarray:
        options = {"label": label, "psi": psi, "cutoff": cutoff}
        return np.float64(jax.device_get(self.model.ws([seed], **options)))

    def _model(self, filters: str) -> Model:
        if filters not in self._models:
            self._models[filters] = self.model.without_filters()
        return self._models[filters]

    def _draw(self, filters: str, view: views.View) -> Picture:
        model, ws = self._model(filters), self.ws(view)
        transform = None
        if model.can_move:
            with jax_settings.transfers():
                turn = math.radians(view.rotate)
                made = affine.user_transform(turn, view.tx, view.ty, view.zoom)
            transform = jax.device_get(made)[None]
        if view.layer:
            drawn = jax.device_put((ws, transform))
            maps = jax.device_get(
                self._maps(filters, view.layer)(model.variables, *drawn)
            )
            values = _channels(maps[0], view.channel)
            if view.kind == "image":
                values = values / max(np.abs(values).max(), 1e-9)
        else:
            values = model.synthesize(ws, transform=transform)[0]
            values = _channels(values, view.channel)
        if view.kind == "spectrum":
            return _spectrum(values, view.beta)
        picture = pixels.to_uint8(values[None])[0]
        if view.untransform and transform is not None and not view.layer:
            picture = _undone(picture, np.float64(transform[0]), model.unit)
        return picture

    def _maps_of(
        self, filters: str, layer: str
    ) -> Callable[..., Float[Array, "N H W C"]]:
        """A compiled function of (variables, ws, transform)."""
        found = feature_maps.of_ws(self._model(filters).network)

        @jax.jit
        def maps(variables, ws, transform):
            with jax.default_matmul_precision("highest"):
                return found(variables, ws, transform)[layer]

        return maps


def _networks(view: views.View) -> tuple[str, ...]:
    return ("on", "off") if view.filters == "both" else (view.filters,)


def _channels(values: Float[np.ndarray, "H W C"], channel: int) -> np.ndarray:
    """[H W 3] of one channel, or of the first three; RGBA without its transparency."""
    count = values.shape[2]
    chosen = (
        [min(i, count - 1) for i in range(3)] if channel < 0 else [channel % count] * 3
    )
    return values[..., chosen]


def _spectrum(values: Float[np.ndarray, "H W 3"], beta: float) -> Picture:
    """Power in dB, the mean frequency in the middle, the strongest white."""
    height, width, _ = values.shape
    window = np.outer(np.kaiser(height, beta), np.kaiser(width, beta))[..., None]
    centred = (values - values.mean(axis=(0, 1))) * window
    power = np.abs(np.fft.fftshift(np.fft.fft2(centred, axes=(0, 1)), (0, 1))) ** 2
    level = 10 * np.log10(np.maximum(power / max(power.max(), 1e-30), 1e-20))
    return np.uint8(np.rint(255 * np.clip(1 - level / FLOOR, 0, 1)))


def _undone(picture: Picture, transform: np.ndarray, unit: int) -> Picture:
    """The picture with its motion undone; black where it has moved out."""
    height, width, _ = picture.shape
    to_pixels = np.array([[unit, 0, width / 2], [0, unit, height / 2], [0, 0, 1]])
    # What belongs at p is seen where the motion, the inverse, has brought it.
    seen = to_pixels @ np.linalg.inv(transform) @ np.linalg.inv(to_pixels)
    image = Image.fromarray(picture).transform(
        (width, height),
        Image.Transform.AFFINE,
        tuple(seen[:2].ravel()),
        Image.Resampling.BICUBIC,
    )
    return np.asarray(image)
