"""Video files hold every frame, in time and in order, and need no memory for it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from afgan_jax import errors
from afgan_jax.viz import video

FRAMES = 12


def brightness(i):
    return 16 + 16 * i


def frames(count=FRAMES, size=(30, 45), channels=3):
    """Each of one brightness."""
    for i in range(count):
        frame = np.full((*size, channels), brightness(i), np.uint8)
        if channels == 4:
            frame[..., 3] = 255
        yield frame


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("suffix", [".avif", ".webp", ".gif"])
def test_pillow_writes_every_frame_once(suffix, channels, tmp_path):
    path = tmp_path / f"a{suffix}"
    video.save(path, frames(channels=channels), FRAMES, 20)
    with Image.open(path) as opened:
        assert suffix == ".avif" or opened.info["loop"] == 0  # AVIF always loops
        assert opened.n_frames == FRAMES and opened.size == (45, 30)
        for i in range(FRAMES):
            opened.seek(i)
            shown = np.asarray(opened.convert("RGB")).astype(int)
            assert np.abs(shown - brightness(i)).max() <= 3, i
            if suffix != ".avif" or i:
                assert opened.info["duration"] == pytest.approx(50, abs=1)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_gif_lasts_as_long_as_it_should(tmp_path):
    """It counts in hundredths of a second."""
    video.save(tmp_path / "a.gif", frames(), FRAMES, 30)
    with Image.open(tmp_path / "a.gif") as opened:
        lasts = []
        for i in range(FRAMES):
            opened.seek(i)
            lasts.append(opened.info["duration"])
    assert sum(lasts) == pytest.approx(1000 * FRAMES / 30, abs=10)


def test_an_mp4_has_every_frame_at_its_size_and_rate(tmp_path):
    path = tmp_path / "a.mp4"
    assert video.placed(path) == (path, ""), (
        "imageio-ffmpeg is among the extras of tests"
    )
    video.save(path, frames(), FRAMES, 20)
    command = [
        video.ffmpeg(),
        "-i",
        str(path),
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-",
    ]
    read = subprocess.run(command, capture_output=True, check=True)
    assert b"46x30" in read.stderr and b"20 fps" in read.stderr  # even sizes
    shown = np.frombuffer(read.stdout, np.uint8).reshape(FRAMES, 30, 46, 3)[:, :, :45]
    for i in range(FRAMES):
        assert np.abs(shown[i].astype(int) - brightness(i)).max() <= 4, i


def test_without_ffmpeg_another_file_is_named_and_why(tmp_path, monkeypatch):
    monkeypatch.setattr(video, "ffmpeg", lambda: None)
    path, why = video.placed(tmp_path / "a.mp4")
    assert path == tmp_path / "a.avif"
    assert why.startswith(".mp4 needs ffmpeg") and str(path) in why
    monkeypatch.setattr(video.features, "check", lambda name: False)
    with pytest.raises(ValueError, match="this Pillow has no AVIF"):
        video.placed(tmp_path / "a.avif")
    assert video.placed(tmp_path / "a.mp4")[0] == tmp_path / "a.webp"


@pytest.mark.parametrize("suffix", [".mp4", ".webp"])
def test_a_film_that_breaks_off_leaves_nothing(suffix, tmp_path):
    def broken():
        yield from frames(3)
        raise KeyboardInterrupt

    (tmp_path / f"a{suffix}").write_text("older")
    with pytest.raises(KeyboardInterrupt):
        video.save(tmp_path / f"a{suffix}", broken(), FRAMES, 20)
    assert [entry.read_text() for entry in tmp_path.iterdir()] == ["older"]


def test_what_ffmpeg_refuses_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(video, "OF_FFMPEG", ["-c:v", "no_such_codec"])
    with pytest.raises(ValueError, match="could not write .*no_such_codec"):
        video.save(tmp_path / "a.mp4", frames(), FRAMES, 20)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name, fps", [("a.mp4", 0), ("a.webp", 300), ("a.gif", 60)])
def test_a_rate_that_cannot_be_shown_is_refused(name, fps, tmp_path):
    with pytest.raises(errors.SettingError, match=f"fps={fps} must be above 0"):
        video.save(tmp_path / name, frames(), FRAMES, fps)


def test_a_long_film_takes_no_more_memory(tmp_path):
    """100 frames of 3 MB: 300 MB, if they were kept."""
    program = f"""
import resource, numpy as np
from afgan_jax.viz import video
frame = np.zeros((1024, 1024, 3), np.uint8)
def frames(n):
    for i in range(n):
        frame[:] = i % 256
        yield frame
video.save({str(tmp_path / "a.webp")!r}, frames(5), 5, 25)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
video.save({str(tmp_path / "a.webp")!r}, frames(100), 100, 25)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", program]
    told = subprocess.run(command, cwd=root, capture_output=True, check=True)
    assert float(told.stdout) < 100


def test_a_notebook_gets_the_video_itself(tmp_path):
    path = tmp_path / "a.webp"
    path.write_bytes(b"RIFF")
    assert video.as_html(path) == (
        '<img src="data:image/webp;base64,UklGRg==" alt="a.webp">'
    )
    other = path.rename(tmp_path / "a.mp4")
    assert video.as_html(other).startswith(
        '<video src="data:video/mp4;base64,UklGRg==" controls loop'
    )
