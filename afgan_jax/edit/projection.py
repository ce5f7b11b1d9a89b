"""The latent of an image: ws, and how the image is turned and moved, by descent.

Descent from the centre does not find a turn of half a radian: several starts over
angles and shifts go some way in w, the best of them further, and the best of those to
the end, in W (one w for all layers) or W+ (one each). The distance
is that of a pyramid of pixels, of LPIPS as well where its weights are given.

Sources: Karras et al. 2020 (StyleGAN2), App. D; Abdal et al. 2019 (W+); Alaluf et al.
2022 (StyleGAN3 editing: the input's transform); Roich et al. 2021 (PTI).
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from afgan_jax import errors, jax_settings
from afgan_jax.model import Label, Model
from afgan_jax.signal import affine

SPACES = ("w", "w+")
SAMPLES = 1024  # of w, for its mean and spread
ANGLES, REACH = 12, 0.2  # starts: angles, and shifts to the sides of the middle
FIRST, SECOND, KEPT = 40, 80, 8  # steps of all starts, of the best; how many
CHUNK = 10  # steps of a compiled call
RATE, REGULARITY = 0.05, 1e-3
SHIFT_RATE = 0.2  # of shifts, in shorter sides, beside angles
TUNE_RATE, LOCALITY = 3e-4, 0.1
OFF = 0.1  # how far the held w are, in lengths of w
Embed = Callable[[Array], Array]  # images in [-1, 1], as metrics.vgg.Lpips does
Images = Float[Array | np.ndarray, "N H W C"]
Told = Callable[[str, int, int, float], Any]  # stage, step, steps, loss


@dataclasses.dataclass(frozen=True)
class Projection:
    """What was found: `model` makes `image` of ws under the transform.

    rotate (radians), translate (shorter sides); losses: of each step of the last stage.
    """

    ws: Float[np.ndarray, "1 L w_dim"]
    rotate: float
    translate: tuple[float, float]
    losses: Float[np.ndarray, " steps"]
    model: Model
    target: Float[np.ndarray, "1 H W C"]

    @functools.cached_property
    def image(self) -> Float[np.ndarray, "1 H W C"]:
        motion = {}
        if self.model.can_move:
            motion = {"rotate": self.rotate, "translate": self.translate}
        return self.model.synthesize(self.ws, **motion)

    @property
    def psnr(self) -> float:
        """Of the image and the target, in dB of the range -1 to 1."""
        error = np.mean((np.clip(self.image, -1, 1) - self.target) ** 2)
        return float(10 * np.log10(4 / max(error, 1e-12)))


class Projector:
    """Projects images to a model's latents; compiled once for all of them."""

    @jax_settings.fixed()
    def __init__(
        self,
        model: Model,
        *,
        space: str = "w+",
        steps: int = 300,
        label: Label | None = None,
        move: bool | None = None,
        embed: Embed | None = None,
        batch: int = 4,
        angles: int = ANGLES,
    ):
        """steps: of the last descent. label: of the mean w, where descents begin.

        move: whether the transform is searched, in place of what w makes of it; None:
        if the model's input can be moved. embed: LPIPS, a further distance. batch:
        candidates at a time. angles: at which descents begin, each at 5 shifts.
        Raises SettingError for what the model cannot do.
        """
        if space not in SPACES:
            raise errors.SettingError(
                "space", space, f"must be one of {' or '.join(SPACES)}"
            )
        if steps < 1:
            raise errors.SettingError("steps", steps, "must be 1 or more")
        move = model.can_move if move is None else move
        if move and not model.can_move:
            raise errors.SettingError(
                "move", move, "cannot be: StyleGAN2's input is fixed"
            )
        self.model, self.space, self.steps = model, space, steps
        if angles < 1:
            raise errors.SettingError("angles", angles, "must be 1 or more")
        self._move, self._embed, self._batch = move, embed, batch
        self._angles = angles
        z = np.random.RandomState(0).randn(SAMPLES, model.z_dim).astype(np.float32)
        w = jax.device_get(model.ws(z=z, label=label)[:, -1])
        self._mean = w.mean(axis=0)
        self._std = float(np.sqrt(np.mean((w - self._mean) ** 2)))
        self._losses = jax.jit(self._loss)
        self._descent = jax.jit(self._descend, static_argnames=("count", "steps"))

    @jax_settings.fixed()
    def project(
        self, target: Float[np.ndarray, "1 H W C"], told: Told | None = None
    ) -> Projection:
        """The ws, and the transform, whose image is nearest to the target.

        told: called after every few steps.
        """
        goal = self._goal(target)
        found = self._starts()
        if self._move:
            found, _ = self._run("starts", found, goal, FIRST, told)
            found = self._best(found, goal, KEPT)
            found, _ = self._run("best starts", found, goal, SECOND, told)
        found = self._best(found, goal, 1)
        if self.space == "w+":
            found["w"] = np.repeat(found["w"], self.model.num_ws, axis=1)
        found, losses = self._run(self.space, found, goal, self.steps, told)
        shift = SHIFT_RATE * found["shift"][0]
        return Projection(
            np.array(jax.device_get(self._ws(jax.device_put(found)))),
            float(found["angle"][0]),
            (float(shift[0]), float(shift[1])),
            losses,
            self.model,
            np.asarray(target),
        )

    def _goal(self, target) -> dict[str, Array]:
        goal = {"image": jax.device_put(np.float32(target))}
        if self._embed is not None:
            goal["embedding"] = jax.jit(self._embed)(goal["image"])
        return goal

    def _starts(self) -> dict[str, np.ndarray]:
        """w at the mean, at several angles and shifts."""
        places = [(0.0, (0.0, 0.0))]
        if self._move:
            angles = 2 * np.pi * np.arange(self._angles) / self._angles
            shifts = [(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)]
            places = list(itertools.product(angles, shifts))
        shift = np.float32([shift for _, shift in places]) * REACH / SHIFT_RATE
        w = np.zeros((len(places), 1, self.model.w_dim), np.float32)
        return {"w": w, "angle": np.float32([a for a, _ in places]), "shift": shift}

    def _ws(self, found) -> Array:
        """ws of the candidates; if they are moved, none moves the input by itself."""
        w = self._mean + self._std * found["w"]
        ws = jnp.broadcast_to(w, (len(w), self.model.num_ws, w.shape[-1]))
        if not self._move:
            return ws
        return ws.at[:, : self.model.network.synthesis.input_ws].set(self._mean)

    def _loss(self, variables, found, goal) -> Float[Array, " S"]:
        """Of each candidate."""
        motion = {}
        if self._move:
            shift = SHIFT_RATE * found["shift"]
            motion["transform"] = affine.user_transform(found["angle"], *shift.T)
        images = self.model.apply(
            variables, self._ws(found), method="synthesize", **motion
        )
        far = jnp.mean(found["w"] ** 2, axis=(1, 2))
        return distance(images, goal, self._embed) + REGULARITY * far

    def _slices(self, found) -> Iterator[tuple[dict[str, Array], int]]:
        """Candidates so many at a time, and how many they are without repetition."""
        total = len(found["w"])
        size = min(self._batch, total)
        for start in range(0, total, size):
            part = {k: leaf[start : start + size] for k, leaf in found.items()}
            full = {k: np.resize(v, (size, *v.shape[1:])) for k, v in part.items()}
            yield jax.device_put(full), len(part["w"])

    def _best(self, found, goal, count: int) -> dict[str, np.ndarray]:
        """The candidates of smallest loss."""
        losses = [
            jax.device_get(self._losses(self.model.variables, part, goal))[:own]
            for part, own in self._slices(found)
        ]
        order = np.argsort(np.concatenate(losses))[:count]
        return {name: leaf[order] for name, leaf in found.items()}

    def _run(self, stage: str, found, goal, steps: int, told: Told | None):
        """(candidates after so many steps, losses of the best of the last slice)."""
        slices, moved = list(self._slices(found)), []
        for number, (part, own) in enumerate(slices):
            state, losses = _optimizer(steps).init(part), []
            for done in range(0, steps, CHUNK):
                count = min(CHUNK, steps - done)
                (part, state), values = self._descent(
                    self.model.variables, (part, state), goal, count=count, steps=steps
                )
                losses.append(jax.device_get(values))
                if told is not None:
                    at, of = number * steps + done + count, len(slices) * steps
                    told(stage, at, of, float(losses[-1][-1]))
            moved.append({k: v[:own] for k, v in jax.device_get(part).items()})
        found = {k: np.concatenate([part[k] for part in moved]) for k in found}
        return found, np.concatenate(losses)

    def _descend(self, variables, carry, goal, *, count: int, steps: int):
        optimizer = _optimizer(steps)

        def step(carry, _):
            found, state = carry

            def total(found):
                losses = self._loss(variables, found, goal)
                return jnp.sum(losses), losses

            gradients, losses = jax.grad(total, has_aux=True)(found)
            updates, state = optimizer.update(gradients, state)
            return (optax.apply_updates(found, updates), state), jnp.min(losses)

        return jax.lax.scan(step, carry, None, length=count)


def _optimizer(steps: int) -> optax.GradientTransformation:
    warmup = max(steps // 20, 1)
    return optax.adam(
        optax.warmup_cosine_decay_schedule(0.0, RATE, warmup, max(steps, 2))
    )


def distance(
    images: Images, goal: Mapping[str, Any], embed: Embed | None
) -> Float[Array, " N"]:
    """Of images to the goal's: of pixels at all scales, and LPIPS."""
    found = pyramid_distance(images, goal["image"])
    if embed is None:
        return found
    return found + jnp.sum((embed(images) - goal["embedding"]) ** 2, axis=-1)


def pyramid_distance(
    images: Images, target: Float[Array | np.ndarray, "1 H W C"]
) -> Float[Array, " N"]:
    """Mean squared differences at all halved sizes down to 4 pixels, summed."""
    found = jnp.zeros(len(images))
    while True:
        found += jnp.mean((images - target) ** 2, axis=(1, 2, 3))
        if min(images.shape[1:3]) < 8:
            return found
        images, target = _halved(images), _halved(target)


def _halved(images):
    n, h, w, c = images.shape
    shape = (n, h // 2, w // 2, c)
    return jax.image.resize(images, shape, "linear", antialias=True)


class Tuner:
    """Tunes a copy of a model's weights to images (PTI); compiled once for all."""

    def __init__(
        self,
        model: Model,
        *,
        steps: int = 200,
        label: Label | None = None,
        embed: Embed | None = None,
    ):
        """label: of the other w, whose images are held."""
        self._model, self._steps, self._embed = model, steps, embed
        self._c = model.c(label, 1)
        self._optimizer = optax.adam(TUNE_RATE)
        self._update = jax.jit(self._step)

    @jax_settings.fixed()
    def tuned(self, found: Projection, told: Told | None = None) -> Projection:
        """The projection with weights of its own, nearer to its target.

        Images of other w, some way off, are held where they were.
        """
        goal = {"image": jax.device_put(np.float32(found.target))}
        if self._embed is not None:
            goal["embedding"] = jax.jit(self._embed)(goal["image"])
        if self._model.can_move:
            with jax_settings.transfers():
                moves = affine.user_transform(found.rotate, *found.translate)
            goal["transform"] = moves[None]
        goal["ws"] = jax.device_put(found.ws)
        goal["c"] = None if self._c is None else jax.device_put(self._c)
        synthesis, losses = self._model.variables["params"]["synthesis"], []
        state, random = self._optimizer.init(synthesis), np.random.RandomState(0)
        for done in range(self._steps):
            z = random.randn(1, self._model.z_dim).astype(np.float32)
            synthesis, state, loss = self._update(
                self._model.variables, synthesis, state, goal, jax.device_put(z)
            )
            losses.append(loss)
            if told is not None and (done + 1) % CHUNK == 0:
                told("tuning", done + 1, self._steps, float(loss))
        model = dataclasses.replace(
            self._model, variables=_with(self._model.variables, synthesis)
        )
        losses = np.asarray(jax.device_get(losses))
        return dataclasses.replace(found, model=model, losses=losses)

    def _step(self, variables, synthesis, state, goal, z):
        gradients, near = jax.grad(self._loss, has_aux=True)(
            synthesis, variables, goal, z
        )
        updates, state = self._optimizer.update(gradients, state)
        return optax.apply_updates(synthesis, updates), state, near

    def _loss(self, synthesis, variables, goal, z):
        """(what is descended, the distance to the image)."""
        model, ws = self._model, goal["ws"]
        new = _with(variables, synthesis)
        motion = {"transform": goal["transform"]} if "transform" in goal else {}
        images = model.apply(new, ws, method="synthesize", **motion)
        near = distance(images, goal, self._embed)[0]
        way = model.apply(variables, z, goal["c"], method="map") - ws
        other = ws + way * (OFF * jnp.linalg.norm(ws) / jnp.linalg.norm(way))
        before = model.apply(variables, other, method="synthesize")
        after = model.apply(new, other, method="synthesize")
        held = jax.lax.stop_gradient(before)
        return near + LOCALITY * pyramid_distance(after, held)[0], near


def _with(variables, synthesis):
    params = variables["params"] | {"synthesis": synthesis}
    return variables | {"params": params}
