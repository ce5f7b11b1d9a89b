"""Video files, written a frame at a time: their length takes no memory, but of GIF."""

import base64
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, features

from afgan_jax import errors
from afgan_jax.viz import grid

Frame = UInt8[np.ndarray, "_H _W _C"]
OF_PILLOW = {
    ".avif": {"format": "AVIF", "quality": 80, "speed": 8},
    ".webp": {"format": "WEBP", "quality": 85, "method": 2},
    ".gif": {"format": "GIF"},
}
SUFFIXES = (".mp4", *OF_PILLOW)
OF_FFMPEG = ["-c:v", "libx264", "-crf", "17"]
BEST_FPS = {".gif": 50}


def placed(path: Path) -> tuple[Path, str]:
    """Where a video can be written here, and a line that says why if not at `path`.

    Raises ValueError for a file name that is no video's.
    """
    if path.suffix not in SUFFIXES:
        raise ValueError(f"{path} is no video's name: it must end in {_known()}")
    if path.suffix == ".avif" and not features.check("avif"):
        raise ValueError(
            f"{path} cannot be: this Pillow has no AVIF; use .webp or .mp4"
        )
    if path.suffix != ".mp4" or ffmpeg() is not None:
        return path, ""
    other = path.with_suffix(".avif" if features.check("avif") else ".webp")
    why = ".mp4 needs ffmpeg, which is not found: install it, or imageio-ffmpeg by pip"
    return other, f"{why}; writing {other}"


def ffmpeg() -> str | None:
    """The program, of PATH or of the package imageio-ffmpeg; None if there is none."""
    found = shutil.which("ffmpeg")
    if found is None:
        try:
            import imageio_ffmpeg

            found = imageio_ffmpeg.get_ffmpeg_exe()
        except (ImportError, RuntimeError):
            return None
    return found


def save(
    path: str | os.PathLike, frames: Iterator[Frame], count: int, fps: float
) -> None:
    """Writes `count` frames of one size; an older file stays until it is complete.

    Transparent images are on white. Raises ValueError if the video cannot be written.
    """
    path = Path(path)
    most = BEST_FPS.get(path.suffix, 240)
    if not 0 < fps <= most:
        raise errors.SettingError("fps", fps, f"must be above 0 and at most {most}")
    coloured = (grid.on_white(frame) for frame in frames)
    if path.suffix == ".mp4":
        grid.write(path, lambda part: _with_ffmpeg(part, coloured, fps))
        return
    unit = 10 if path.suffix == ".gif" else 1  # milliseconds
    ends = unit * np.rint(np.arange(count + 1) * 1000 / fps / unit).astype(int)
    options = {"save_all": True, "duration": np.diff(ends).tolist(), "loop": 0}
    options |= OF_PILLOW[path.suffix]
    film = _Frames(coloured, count)

    def write(part):
        with open(part, "wb") as file:
            film.save(file, **options)

    grid.write(path, write)


def as_html(path: str | os.PathLike) -> str:
    """HTML that shows the video in itself, for notebooks: it needs no file."""
    path = Path(path)
    data = base64.b64encode(path.read_bytes()).decode()
    if path.suffix == ".mp4":
        source = f"data:video/mp4;base64,{data}"
        return (
            f'<video src="{source}" controls loop autoplay muted playsinline></video>'
        )
    return f'<img src="data:image/{path.suffix[1:]};base64,{data}" alt="{path.name}">'


def _with_ffmpeg(path: Path, frames: Iterator[Frame], fps: float) -> None:
    frames = (_even(frame) for frame in frames)
    first = next(frames)
    height, width, _ = first.shape
    command = [ffmpeg(), "-y", "-loglevel", "error", "-f", "rawvideo"]
    command += [
        "-pix_fmt",
        "rgb24",
        "-s",
        f"{width}x{height}",
        "-r",
        f"{fps:g}",
        "-i",
        "-",
    ]
    command += ["-pix_fmt", "yuv420p"]  # as players want it
    command += [*OF_FFMPEG, "-movflags", "+faststart", "-f", "mp4", str(path)]
    with tempfile.TemporaryFile() as told:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=told)
        try:
            with process.stdin as pipe:
                pipe.write(first.tobytes())
                for frame in frames:
                    pipe.write(frame.tobytes())
        except BrokenPipeError:
            pass  # it says why
        except BaseException:
            process.kill()
            raise
        finally:
            process.wait()
        if process.returncode:
            told.seek(0)
            lines = told.read().decode(errors="replace").split("\n")
            why = next(
                (line.strip() for line in lines if line.strip()), "no reason given"
            )
            raise ValueError(f"{command[0]} could not write {path.name}: {why}")


def _even(frame: Frame) -> Frame:
    """The frame with even sides, which players want: the last lines are repeated."""
    return np.pad(frame, ((0, len(frame) % 2), (0, frame.shape[1] % 2), (0, 0)), "edge")


class _Frames(Image.Image):
    """An image of several frames for Pillow, which takes one after the other."""

    is_animated = True

    def __init__(self, frames: Iterator[Frame], count: int):
        super().__init__()
        self._left, self._at, self.n_frames = frames, -1, count
        self.seek(0)

    def seek(self, frame: int) -> None:
        if frame == self._at + 1:  # back to the first, once all are taken: stays
            image = Image.fromarray(np.ascontiguousarray(next(self._left)))
            self.im, self._mode, self._size = image.im, image.mode, image.size
            self._at = frame

    def tell(self) -> int:
        return self._at


def _known() -> str:
    return ", ".join(SUFFIXES)
