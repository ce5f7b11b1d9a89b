"""Projections of images in files, with what they leave in a folder."""

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from afgan_jax.data import single
from afgan_jax.edit import projection, w_files
from afgan_jax.export import model_file
from afgan_jax.metrics import features
from afgan_jax.metrics import weights as weight_files
from afgan_jax.model import Model
from afgan_jax.runs import atomic
from afgan_jax.signal import pixels
from afgan_jax.viz import enlarge, grid

names = single.names


@dataclasses.dataclass(frozen=True)
class Found:
    """A projection as it is in the folder; pair: [2 H W C], the image and its own."""

    name: str
    psnr: float
    rotate: float
    translate: tuple[float, float]
    pair: UInt8[np.ndarray, "2 H W C"]

    def __str__(self) -> str:
        x, y = self.translate
        turned = f"turned by {np.degrees(self.rotate):z.1f} degrees"
        moved = f"{turned}, moved by {x:z.3f}, {y:z.3f}"
        return f"{self.name}: PSNR {self.psnr:.1f} dB, {moved}"


def lpips(given: Iterable[str]) -> projection.Embed | None:
    """LPIPS; None if its weights are not here and none are given.

    Raises ValueError for weights that are given and do not fit.
    """
    paths = weight_files.parse(tuple(given))
    if not paths and not all(map(weight_files.is_here, features.NETS["lpips"].files)):
        return None
    params = features.load("lpips", paths)

    def embed(images):
        return features.apply("lpips", params, (images + 1) * 127.5)["embedding"]

    return embed


class Projecting:
    """Projects images of files with one model, into a folder."""

    def __init__(
        self,
        model: Model,
        outdir: Path,
        *,
        tune: int | None = None,
        embed: projection.Embed | None = None,
        **settings: Any,
    ):
        """tune: steps of tuning, None for none; settings: of projection.Projector."""
        self._model, self._outdir = model, outdir
        self._projector = projection.Projector(model, embed=embed, **settings)
        self._tuner = None
        if tune is not None:
            self._tuner = projection.Tuner(model, steps=tune, embed=embed)
        plain = {k: np.asarray(v).tolist() for k, v in settings.items()}
        told = {"source": model.source, "tune": tune, "lpips": embed is not None}
        self._said = json.dumps(told | plain)

    def project(self, path: str, told: projection.Told | None = None) -> Found:
        """Projects the image of a file, unless the folder has that already.

        Raises ValueError for a file that is no image.
        """
        model, channels = self._model, self._model.network.synthesis.img_channels
        target = single.read(path, model.size, channels)
        stem = self._outdir / Path(path).stem
        found = _there(stem.with_suffix(".npz"), self._said, target)
        if found is not None:
            return found
        goal = np.float32(target)[None] / 127.5 - 1
        result = self._projector.project(goal, told)
        self._outdir.mkdir(parents=True, exist_ok=True)
        if self._tuner is not None:
            result = self._tuner.tuned(result, told)
            facts = {"origin": f"{model.source}, tuned to {Path(path).name}"}
            model_file.write_model(
                result.model, stem.with_suffix(".safetensors"), facts
            )
        image = pixels.to_uint8(result.image)
        grid.save_png(stem.with_suffix(".png"), image[0])
        arrays = {
            "w": result.ws,
            "rotate": result.rotate,
            "translate": np.asarray(result.translate),
            "psnr": result.psnr,
            "losses": result.losses,
            "pair": np.stack([target, image[0]]),
            "settings": self._said,
        }
        atomic.write_arrays(stem.with_suffix(".npz"), arrays)
        return _there(stem.with_suffix(".npz"), self._said, target)


def _there(file: Path, said: str, target: np.ndarray) -> Found | None:
    """The projection of a file, if it is one of this image by these settings."""
    if not file.exists():
        return None
    kept = ("rotate", "translate", "psnr", "pair", "settings")
    try:
        found = w_files.arrays(file, *kept)
    except ValueError:
        return None
    if str(found["settings"]) != said or not np.array_equal(found["pair"][0], target):
        return None
    moved = tuple(float(x) for x in found["translate"])
    numbers = float(found["psnr"]), float(found["rotate"]), moved
    return Found(file.stem, *numbers, found["pair"])


def strip(
    pairs: list[UInt8[np.ndarray, "2 H W C"]], *, squares: bool = False
) -> UInt8[np.ndarray, "_H _W _C"]:
    """The images in a row, and below what was found of each."""
    rows = np.stack(pairs, axis=1)
    shown = [enlarge.enlarged(row, columns=len(pairs), squares=squares) for row in rows]
    return grid.strip(shown, ["images", "found"])
