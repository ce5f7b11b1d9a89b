"""Write a film of a generator: latents that change, images that turn and drift.

python -m afgan_jax video --run=runs/earth --seeds=0-7 --turns=1 --out=out/turn.mp4
python -m afgan_jax video --run=runs/earth --walk=noise --grid=2x3 --out=out/noise.mp4
python -m afgan_jax video --run=runs/earth --track=track.yaml --beside --out=out/t.mp4

--walk: spline and linear go through the seeds in w, slerp in z; circle and noise wander
in z, from one seed each. --track is a file of keyframes, which afgan_jax/edit/track.py
describes. .mp4 needs ffmpeg, on PATH or from the package imageio-ffmpeg; without it an
.avif is written, and a line says so.
"""

import dataclasses
import math
from pathlib import Path

from afgan_jax.cli import flags


def main(
    run: flags.Run,
    *,
    step: flags.Step = None,
    seeds: flags.OptionalSeeds = None,
    ws: flags.Ws = None,
    track: flags.text("track", "or keyframes: a YAML file", "FILE") = None,
    walk: flags.text(
        "walk", "spline, linear, slerp, circle or noise", "WALK"
    ) = "spline",
    loop: flags.switch("end where it begins") = True,
    seconds: flags.number(
        "seconds", "from seed to seed, default: 2; of a circle or noise in all: 8", 0.01
    ) = None,
    fps: flags.number("fps", "frames per second", 0.1) = 30.0,
    grid: flags.Grid = (1, 1),
    psi: flags.Psi = 1.0,
    class_: flags.Class = None,
    label: flags.Label = None,
    rotate: flags.Rotate = 0.0,
    turns: flags.number("turns", "in all, counterclockwise") = 0.0,
    drift: flags.Drift = (0.0, 0.0),
    circle: flags.number("circle", "move on a circle of this radius") = 0.0,
    zoom: flags.Zoom = 1.0,
    directions: flags.DirectionsFile = None,
    push: flags.Push = None,
    anchor: flags.switch("keep w from moving the image") = False,
    beside: flags.switch("show it beside the same without low-pass filters") = False,
    frames: flags.folder("frames", "for each frame as a PNG") = None,
    squares: flags.Squares = False,
    batch: flags.Batch = 8,
    out: flags.file("out", "video: .mp4, .avif, .webp or .gif") = Path("out/video.mp4"),
) -> None:
    from afgan_jax.analysis import image_equivariance
    from afgan_jax.cli import sources
    from afgan_jax.edit import film as films
    from afgan_jax.viz import video

    of_seeds = {"seeds": seeds, "psi": psi != 1, "class_": class_, "label": label}
    if ws is not None:
        flags.check_alone("ws", track=track, **of_seeds)
    if track is not None:
        timed = {"walk": walk != "spline", "no-loop": not loop, "seconds": seconds}
        flags.check_alone("track", **timed, grid=grid != (1, 1), **of_seeds)
    place = video.placed(out)
    model = sources.load(run, step)
    options = {"walk": walk, "loop": loop, "seconds": seconds, "size": grid, "psi": psi}
    if ws is None and track is None:
        options["label"] = sources.label(model, class_, label)
    film = _film(model, seeds, ws, track, options)
    film = _moving(film, turns, drift, circle, math.radians(rotate), zoom)
    if push:
        film = films.swinging(film, *sources.pushes(model, directions, push))
    if anchor:
        film = films.anchored(model, film)
    twins = image_equivariance.with_and_without_filters
    models = twins(model) if beside else {"": model}
    count = max(round(film.seconds * fps), 1)
    drawn = films.frames(models, film, count, batch=batch, squares=squares)
    _write(place, films.kept(drawn, frames), count, fps)


def _film(model, seeds, ws, track, options):
    """The Film of --track, or of --seeds or --ws."""
    from afgan_jax.edit import film as films
    from afgan_jax.edit import track as tracks
    from afgan_jax.edit import w_files

    if track is not None:
        return tracks.read(flags.expanded(track), model)
    if ws is not None:
        options = options | {"ws": w_files.read(flags.expanded(ws), model)}
    return films.of_seeds(model, seeds, **options)


def _moving(film, turns, drift, circle, angle, zoom):
    """The Film with the motion of the flags, if they have one."""
    from afgan_jax.edit import motions

    if not (angle or turns or any(drift) or circle or zoom != 1):
        return film
    if film.motion is not None:
        raise ValueError("--track has motions: leave out those of the flags")
    steady = motions.steady(turns, drift, circle, angle, zoom)
    return dataclasses.replace(film, motion=steady)


def _write(place, frames, count: int, fps: float) -> None:
    """Writes the frames where video.placed says, with a progress bar."""
    import tqdm

    from afgan_jax.viz import video

    path, why = place
    if why:
        print(why)
    shown = tqdm.tqdm(frames, total=count, unit="frame", disable=None)
    path.parent.mkdir(parents=True, exist_ok=True)
    video.save(path, iter(shown), count, fps)
    print(f"wrote {count} frames, {count / fps:g} s, to {path}")
