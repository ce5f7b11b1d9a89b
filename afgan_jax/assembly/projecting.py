"""Projections of images in files, with what they leave in a folder."""

import dataclasses
import json
from collections.abc import Iterable, Sequence
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

FOUND, STRIP = ".found.png", "projection.png"
LINE, MOST = 16, 64  # images in a row of the strip, and in all


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
        moved = f"--rotate={np.degrees(self.rotate):z.2f} --translate={x:z.4f},{y:z.4f}"
        return f"{self.name}: PSNR {self.psnr:z.1f} dB, with {moved}"


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
        batch: int = 4,
        **settings: Any,
    ):
        """tune: steps of tuning, None for none; settings: of projection.Projector."""
        self._model, self._outdir = model, outdir
        options = {"embed": embed, "batch": batch}
        self._projector = projection.Projector(model, **options, **settings)
        self._tuner = None
        if tune is not None:
            self._tuner = projection.Tuner(
                model, steps=tune, label=settings.get("label"), embed=embed
            )
        plain = {k: np.asarray(v).tolist() for k, v in settings.items()}
        told = {"source": model.source, "tune": tune, "lpips": embed is not None}
        self._said = json.dumps(told | plain)

    def project(
        self, path: str, name: str, told: projection.Told | None = None
    ) -> Found:
        """Projects the image of a file, unless the folder has that already.

        name: begins the names of its files. Raises ValueError for what is no image.
        """
        model, channels = self._model, self._model.network.synthesis.img_channels
        target = single.read(path, model.size, channels)
        kept = self._outdir / f"{name}.npz"
        found = _there(kept, name, self._said, target)
        if found is not None:
            return found
        goal = np.float32(target)[None] / 127.5 - 1
        result = self._projector.project(goal, told)
        self._outdir.mkdir(parents=True, exist_ok=True)
        if self._tuner is not None:
            result = self._tuner.tuned(result, told)
            facts = {"origin": f"{model.source}, tuned to {Path(path).name}"}
            out = self._outdir / f"{name}.safetensors"
            model_file.write_model(result.model, out, facts)
        image = pixels.to_uint8(result.image)
        grid.save_png(self._outdir / f"{name}{FOUND}", image[0])
        arrays = {
            "w": result.ws,
            "rotate": result.rotate,
            "translate": np.asarray(result.translate),
            "psnr": result.psnr,
            "losses": result.losses,
            "pair": np.stack([target, image[0]]),
            "settings": self._said,
        }
        atomic.write_arrays(kept, arrays)
        return _there(kept, name, self._said, target)


def names(paths: Sequence[str], outdir: Path) -> dict[str, str]:
    """How the files of each image begin: its own name, without the ending if it can.

    Raises ValueError if one of the images would be written over.
    """
    stems = [Path(path).stem.lower() for path in paths]
    chosen = {
        path: Path(path).stem if stems.count(stem) == 1 else Path(path).name
        for path, stem in zip(paths, stems)
    }
    made = {f"{name}{FOUND}".lower() for name in chosen.values()} | {STRIP}
    for path in paths:
        is_there = Path(path).resolve().parent == outdir.resolve()
        if is_there and Path(path).name.lower() in made:
            raise ValueError(f"{path} would be written over: name another --outdir")
    return chosen


def _there(file: Path, name: str, said: str, target) -> Found | None:
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
    return Found(name, *numbers, found["pair"])


def strip(
    pairs: Sequence[UInt8[np.ndarray, "2 H W C"]], *, squares: bool = False
) -> UInt8[np.ndarray, "_H _W _C"]:
    """Rows of the first images, and below each what was found of them."""
    rows, captions = [], []
    for start in range(0, min(len(pairs), MOST), LINE):
        both = np.stack(pairs[start : start + LINE], axis=1)
        rows += [enlarge.enlarged(r, columns=LINE, squares=squares) for r in both]
        captions += ["images", "found"]
    return grid.strip(rows, captions)
