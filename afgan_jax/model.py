"""A trained generator to draw from: `afgan_jax.load(source)`.

N samples, L = num_ws, H W C of an image. Images move right and down by parts of their
shorter side and turn counterclockwise by radians. Everything is computed in float32,
with products in full precision, whatever the run was trained in.
"""

import dataclasses
import functools
import logging
import os
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, UInt8

from afgan_jax import errors, jax_settings
from afgan_jax.networks import generator
from afgan_jax.signal import affine, pixels
from afgan_jax.sources import find
from afgan_jax.sources.source import Source, Weights

Label = int | np.integer | str | Sequence[float] | np.ndarray
_log = logging.getLogger(__name__)
STILL = {"rotate": 0.0, "translate": (0.0, 0.0), "zoom": 1.0}
LISTED = 20  # names of classes in an error
FLOAT32 = {"dtype": "float32", "remat": "none"}


@jax_settings.fixed()
def load(source: str | os.PathLike) -> "Model":
    """The averaged generator of a run, of RUN@STEP, a model file or a snapshot.

    A model file is a .safetensors that `export` wrote, a snapshot a .pkl of the
    published program: nothing in them is run. Raises ValueError if there is no such
    source, or if this program cannot read it.
    """
    found = find.find(source, ("G_ema",))
    return of_weights(found, found.load("G_ema"))


def of_weights(found: Source, weights: Weights) -> "Model":
    """The averaged generator of what was read of a source."""
    return Model(
        found.network("G_ema", **FLOAT32),
        weights.tree["G_ema"],
        found.settings["generator"],
        found.class_names,
        weights.name,
        found.empty_classes,
    )


@jax_settings.fixed()
def untrained(settings: dict[str, Any], *, has_weights: bool = True) -> "Model":
    """A generator of these settings, arguments of make_generator, before training.

    has_weights: False leaves them out, for what looks at the layers alone.
    """
    G = generator.make_generator(**generator.changed(settings, **FLOAT32))
    variables = jax.jit(G.initialize)(jax_settings.key(0)) if has_weights else {}
    return Model(G, variables, dict(settings), None, "untrained")


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
    """A generator with its weights.

    network: the Flax module; variables: its {"params", "buffers"}; settings: the
    arguments of make_generator; class_names: names of its classes, None if they have
    none; source: where it comes from; empty_classes: those it was shown no image of, as
    far as is known, whose samples a warning tells of.
    """

    network: generator.Generator
    variables: dict
    settings: dict[str, Any]
    class_names: tuple[str, ...] | None
    source: str
    empty_classes: frozenset[int] = frozenset()

    @property
    def z_dim(self) -> int:
        return self.network.mapping.z_dim

    @property
    def w_dim(self) -> int:
        return self.network.mapping.w_dim

    @property
    def c_dim(self) -> int:
        """How many numbers a label has; 0 of a model without labels."""
        return self.network.mapping.c_dim

    @property
    def num_ws(self) -> int:
        return self.network.synthesis.num_ws

    @property
    def resolution(self) -> int | tuple[int, int]:
        """The setting of this name: the side of a square, or (height, width)."""
        return self.network.synthesis.resolution

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of an image."""
        return self.network.synthesis.size

    @property
    def unit(self) -> int:
        """Pixels of the shorter side, the unit of `translate`."""
        return self.network.synthesis.unit

    @property
    def can_move(self) -> bool:
        """Whether images can be moved by their input: not in StyleGAN2."""
        return self.network.synthesis.can_move

    @property
    def layers(self) -> list[dict]:
        """The layers of the synthesis network: names, sizes, rates and bands."""
        return self.network.synthesis.rows()

    def apply(self, variables: dict, *arguments, **options) -> Array:
        """`network.apply` for use under jit, grad and vmap; arrays may be traced.

        apply(variables, z, c, psi=..., transform=...) -> images [N H W C];
        method="map" gives ws of (z, c), method="synthesize" images of ws.
        """
        with jax.default_matmul_precision("highest"):
            return self.network.apply(variables, *arguments, **options)

    def z(self, seeds: Sequence[int]) -> Float[np.ndarray, "N z_dim"]:
        """Latents: numpy's RandomState(seed).randn(1, z_dim) of each seed."""
        rows = [np.random.RandomState(seed).randn(1, self.z_dim) for seed in seeds]
        return np.concatenate(rows or [np.zeros((0, self.z_dim))]).astype(np.float32)

    def c(self, label: Label | None, count: int) -> Float[np.ndarray, "N c_dim"] | None:
        """Labels of `count` samples: one class (number or name) or vector for all.

        An array of integers [N] has the class of each, an array [N c_dim] the vector.
        None for a model without labels.
        Raises ValueError for a label that the model does not take.
        """
        if self.c_dim == 0:
            if label is not None:
                why = "is for generators with labels, which this is not: leave it out"
                raise errors.SettingError("label", label, why)
            return None
        given = label
        if isinstance(label, str):
            label = self._class_of(label)
        if isinstance(label, int | np.integer) or self.are_classes(label):
            classes = np.asarray(label)[..., None]
            if np.all((0 <= classes) & (classes < self.c_dim)):
                label = np.float32(classes == np.arange(self.c_dim))
                self._warn_of_empty(classes.ravel().tolist())
        numbers = np.nan if label is None or isinstance(label, str) else label
        vector = np.asarray(numbers, np.float32)
        if vector.shape not in ((self.c_dim,), (count, self.c_dim)) or not np.all(
            np.isfinite(vector)
        ):
            why = f"must be one of {self.known_classes}, or {self.c_dim} numbers"
            raise errors.SettingError("label", given, why)
        return np.broadcast_to(vector, (count, self.c_dim))

    @jax_settings.fixed()
    def ws(
        self,
        seeds: Sequence[int] | None = None,
        *,
        z: Float[np.ndarray | Array, "N z_dim"] | None = None,
        label: Label | None = None,
        psi: float = 1.0,
        cutoff: int | None = None,
    ) -> Float[Array, "N L w_dim"]:
        """Intermediate latents of seeds or of z.

        psi: 1 leaves them, 0 makes the average; of the first `cutoff`, None: of all.
        Raises ValueError unless either seeds or z are given.
        """
        if (seeds is None) == (z is None):
            raise ValueError("give either seeds or z")
        z = np.float32(self.z(seeds) if z is None else jax.device_get(z))
        drawn = jax.device_put((z, self.c(label, len(z)), np.float32(psi)))
        return self._map(self.variables, *drawn, cutoff)

    @jax_settings.fixed()
    def synthesize(
        self,
        ws: Float[np.ndarray | Array, "N L w_dim"],
        *,
        rotate: float = 0.0,
        translate: tuple[float, float] = (0.0, 0.0),
        zoom: float = 1.0,
        transform: Float[np.ndarray | Array, "N 3 3"] | None = None,
        noise: str = "const",
        batch: int = 8,
    ) -> Float[np.ndarray, "N H W C"]:
        """Images of ws in about [-1, 1], moved, computed `batch` at a time.

        zoom: above 1 enlarges; below, waves beyond the first layer's band fade, as
        published. transform: a user transform of each image (`signal.affine`), in place
        of the three. noise: "const" or "none", of networks that have any. Raises
        ValueError for a motion of a network whose input cannot be moved.
        """
        options = {} if noise == "const" else {"noise": noise}
        ws = np.float32(jax.device_get(ws))
        motion = {"rotate": rotate, "translate": tuple(translate), "zoom": zoom}
        transform = self._transform(motion, transform, len(ws))
        size = min(batch, len(ws))

        def part(rows, start):
            rows = rows[start : start + batch]
            full = np.resize(rows, (size, *rows.shape[1:]))  # one shape, compiled once
            return jax.device_put(full)

        found = []
        for start in range(0, len(ws), batch):
            if transform is not None:
                options["transform"] = part(transform, start)
            images = self._synthesize(self.variables, part(ws, start), **options)
            found.append(jax.device_get(images)[: len(ws) - start])
        shape = (0, *self.size, self.network.synthesis.img_channels)
        return np.concatenate(found) if found else np.zeros(shape, np.float32)

    def _transform(
        self, motion: dict[str, Any], given: np.ndarray | Array | None, count: int
    ) -> Float[np.ndarray, "N 3 3"] | None:
        """The user transform of each image, if any. Raises as synthesize does."""
        moves = motion != STILL
        if given is not None and moves:
            raise ValueError("transform is given: leave out rotate, translate and zoom")
        if given is None and not moves:
            return None
        if not self.can_move:
            said = ", ".join(f"{k}={v}" for k, v in motion.items() if v != STILL[k])
            raise ValueError(
                f"{said or 'transform'}: this is a StyleGAN2 generator, whose input"
                " cannot be moved: leave it out"
            )
        if given is None:
            if not motion["zoom"] > 0:
                raise errors.SettingError("zoom", motion["zoom"], "must be above 0")
            turn, shift, zoom = motion.values()
            with jax_settings.transfers():
                given = affine.user_transform(turn, *shift, None if zoom == 1 else zoom)
        given = np.float32(jax.device_get(given))
        return np.broadcast_to(given, (count, 3, 3))

    def images(
        self,
        seeds: Sequence[int] | None = None,
        *,
        z: Float[np.ndarray | Array, "N z_dim"] | None = None,
        ws: Float[np.ndarray | Array, "N L w_dim"] | None = None,
        label: Label | None = None,
        psi: float = 1.0,
        **motion,
    ) -> UInt8[np.ndarray, "N H W C"]:
        """Images of seeds, z or ws as bytes; label and psi apply to seeds and z.

        `motion` and further arguments are those of `synthesize`.
        """
        if ws is None:
            ws = self.ws(seeds, z=z, label=label, psi=psi)
        elif seeds is not None or z is not None or label is not None or psi != 1:
            raise ValueError("ws are given: leave out seeds, z, label and psi")
        return pixels.to_uint8(self.synthesize(ws, **motion))

    def without_filters(self) -> "Model":
        """The same weights with the low-pass filters off, as in an ordinary GAN.

        Pixels are repeated on the way up and dropped on the way down. Raises
        ValueError for StyleGAN2, whose filters are not of that kind.
        """
        if not self.can_move:
            raise ValueError("this is a StyleGAN2 generator: it has no filters to omit")
        settings = generator.changed(self.settings, lowpass="none")
        G = generator.make_generator(**generator.changed(settings, **FLOAT32))
        return dataclasses.replace(self, network=G, settings=settings)

    @staticmethod
    def are_classes(label: Any) -> bool:
        """Whether it is an array of integers [N]: the classes of N samples."""
        if not isinstance(label, np.ndarray | jax.Array):
            return False
        return label.ndim == 1 and np.issubdtype(label.dtype, np.integer)

    @property
    def known_classes(self) -> str:
        """The classes in words: their numbers, and their names if they have any."""
        names = ", ".join((self.class_names or ())[:LISTED])
        more = len(self.class_names or ()) - LISTED
        names += f" and {more} more names" if more > 0 else ""
        return f"0 to {self.c_dim - 1}" + (f" or {names}" if names else "")

    def _class_of(self, name: str) -> int | str:
        """The number of a class: its name goes before what reads as a number."""
        names = self.class_names or ()
        if name in names:
            return names.index(name)
        return int(name) if name.isdecimal() else name

    def _warn_of_empty(self, classes: list[int]) -> None:
        """Tells once of each class without images."""
        for number in self.empty_classes.intersection(classes) - self._told:
            names = f" ({self.class_names[number]})" if self.class_names else ""
            why = "has no image in the set trained on: its samples are arbitrary"
            _log.warning("class %d%s %s", number, names, why)
            self._told.add(number)

    @functools.cached_property
    def _told(self) -> set[int]:
        return set()

    @functools.cached_property
    def _map(self):
        def ws(variables, z, c, psi, cutoff):
            options = {"psi": psi, "cutoff": cutoff, "method": "map"}
            return self.apply(variables, z, c, **options)

        return jax.jit(ws, static_argnums=4)

    @functools.cached_property
    def _synthesize(self):
        def images(variables, ws, transform=None, **noise):
            motion = {} if transform is None else {"transform": transform}
            return self.apply(variables, ws, method="synthesize", **motion, **noise)

        return jax.jit(images, static_argnames="noise")
