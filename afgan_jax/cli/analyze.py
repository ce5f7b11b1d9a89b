"""Measure and show what a network does: numbers as JSON, and figures of them.

python -m afgan_jax analyze equivariance --run=runs/earth --samples=200
python -m afgan_jax analyze layers --run=runs/earth --parts=maps --layers=L2
python -m afgan_jax analyze layers --config=ffhqu256:t --parts=filters,staircase
python -m afgan_jax analyze discriminator --config=earth64
"""

from pathlib import Path

from afgan_jax.cli import flags

OUT = Path("out")
FROM_SET = "set of the classes; default: the run's"
Data = flags.text("data", FROM_SET, "SET")


def equivariance(
    run: flags.Run,
    *,
    step: flags.Step = None,
    samples: flags.Samples = 1000,
    batch: flags.Batch = 4,
    seed: flags.count(
        "seed", "shown; default: that of most contrast of 0-31", 0
    ) = None,
    psi: flags.Psi = 0.7,
    frames: flags.count("frames", "of the animation") = 48,
    data: Data = None,
    class_: flags.Class = None,
    label: flags.Label = None,
    outdir: flags.Outdir = OUT,
) -> None:
    """Measure how exactly images follow the input, in dB, and show it.

    Writes equivariance.json (dB), equivariance.png (one w turned and shifted by parts
    of a pixel) and rotation.gif, each beside the same network with its low-pass filters
    switched off: pixels repeated on the way up and dropped on the way down, as in an
    ordinary GAN. Classes are those of --class or --label, or else drawn as the run's
    set has them.
    """
    from afgan_jax import analysis
    from afgan_jax.analysis import image_equivariance as showing
    from afgan_jax.cli import sources
    from afgan_jax.runs import atomic
    from afgan_jax.viz import grid

    model = sources.load(run, step)
    models = showing.with_and_without_filters(model)
    labels = sources.labels(model, class_, label, data)
    seeds = range(32) if seed is None else [seed]
    ws = showing.choose_ws(model, labels, seeds=seeds, psi=psi)
    decibels = {
        name: analysis.equivariance(each, samples, labels=labels, batch=batch).decibels
        for name, each in models.items()
    }
    report = {"samples": samples, "unit": "dB"} | decibels
    atomic.write_json(outdir / "equivariance.json", report)
    grid.save_png(outdir / "equivariance.png", showing.strip(models, ws))
    grid.save_gif(outdir / "rotation.gif", showing.film(models, ws, frames), fps=12.5)
    print(showing.table(decibels))
    print(f"wrote equivariance.png, equivariance.json and rotation.gif to {outdir}")


def layers(
    *,
    run: flags.OptionalRun = None,
    step: flags.Step = None,
    config: flags.OptionalConfig = None,
    parts: flags.names("parts", "some of them; default: all") = (),
    layers: flags.names("layers", "names, or beginnings: L3; default: all") = (),
    channels: flags.flag(
        "channels",
        tuple[int, ...] | None,
        flags.ranges,
        "RANGE",
        "such as 0-3,7; default: the first 8",
    ) = None,
    seed: flags.count("seed", "of the image whose maps are shown", 0) = 0,
    class_: flags.Class = None,
    label: flags.Label = None,
    outdir: flags.Outdir = OUT,
) -> None:
    """Draw what a generator is made of and what happens inside it.

    staircase: the band of every layer and its sampling rates. filters: impulse and
    frequency responses, and their attenuation. waves: the Fourier features and their
    learned mix. spectrum: of feature maps before, inside and after each nonlinearity,
    which makes frequencies that the output could not hold; the filter takes them out.
    maps: feature maps themselves, the only part of StyleGAN2. Each is a PNG with a JSON
    of its numbers beside it, maps also an npz. A config is drawn untrained.
    """
    from afgan_jax import analysis
    from afgan_jax.analysis import inside
    from afgan_jax.cli import sources

    if (run is None) == (config is None):
        raise ValueError("pass either --run=SOURCE or --config=NAME")
    drawn = set(parts or inside.PARTS) & inside.FROM_WEIGHTS
    if run is not None:
        model = sources.load(run, step)
    else:
        model = sources.configured(config, has_weights=bool(drawn))
    chosen = None
    if drawn or class_ is not None or label is not None:
        chosen = sources.label(model, class_, label)
    found = analysis.layers(model, layers, channels=channels, seed=seed, label=chosen)
    names = parts or found.parts
    found.check(names)
    for why in dict.fromkeys(found.nothing.values() if not parts else ()):
        left = ", ".join(name for name in found.nothing if found.nothing[name] == why)
        print(f"left out {left}: {why}")
    for name in names:
        save_part(outdir, name, found.draw(name))


def save_part(outdir: Path, name: str, drawn) -> None:
    """Writes NAME.json, NAME.png and arrays, if there are any, and says so."""
    from afgan_jax.analysis import inside
    from afgan_jax.runs import atomic
    from afgan_jax.viz import grid, plot

    if name == "filters":
        print(inside.filter_table(drawn.numbers))
    atomic.write_json(outdir / f"{name}.json", drawn.numbers)
    figure = drawn.figure()
    save = plot.save if isinstance(figure, plot.Figure) else grid.save_png
    save(outdir / f"{name}.png", figure)
    if drawn.arrays is not None:
        atomic.write_arrays(outdir / f"{name}.npz", drawn.arrays)
    print(f"wrote {name}.png and {name}.json to {outdir}", flush=True)


def layer_equivariance(
    run: flags.Run,
    *,
    step: flags.Step = None,
    samples: flags.Samples = 16,
    batch: flags.Batch = 4,
    data: Data = None,
    class_: flags.Class = None,
    label: flags.Label = None,
    outdir: flags.Outdir = OUT,
) -> None:
    """Measure how exactly every layer follows the input, and name the one that leaks.

    Writes layer-equivariance.json and .png and prints a table, in dB: the maps of each
    layer when the image is shifted or turned (of which T keeps nothing), by how much a
    layer falls below both the one before and its filter ("drop"), the same layer alone
    on exact waves, and alone with the filters it should have. A layer that loses 6 dB
    to its design leaks. Samples come in whole batches, each moved alike.
    """
    from afgan_jax import analysis
    from afgan_jax.analysis import leaks
    from afgan_jax.cli import sources
    from afgan_jax.runs import atomic
    from afgan_jax.viz import plot

    model = sources.load(run, step)
    leaks.check_plan(model)
    labels = sources.labels(model, class_, label, data)
    found = analysis.layer_equivariance(model, samples, labels=labels, batch=batch)
    report = {"samples": samples, "unit": "dB", "leak": found.leak}
    path = outdir / "layer-equivariance.json"
    atomic.write_json(path, report | {"layers": found.rows})
    plot.save(path.with_suffix(".png"), found.figure())
    print(f"{found.table()}\n{found.verdict}")
    print(f"wrote {path.name} and {path.stem}.png to {outdir}")


def sticking(
    run: flags.Run,
    *,
    step: flags.Step = None,
    samples: flags.Samples = 16,
    batch: flags.Batch = 4,
    reach: flags.count(
        "reach", "pixels moved either way; default: 1/8 of the width, 16 at most"
    ) = None,
    image: flags.count("image", "which of the samples is shown", 0) = 0,
    row: flags.count("row", "of pixels shown; default: that of most detail", 0) = None,
    frames: flags.count("frames", "lines of the figure", 2) = 64,
    pace: flags.number("pace", "pixels moved a line") = 0.25,
    drift: flags.number("drift", "show w going so far to another one's, too") = 0.0,
    data: Data = None,
    class_: flags.Class = None,
    label: flags.Label = None,
    outdir: flags.Outdir = OUT,
) -> None:
    """Measure whether texture sticks to pixels while the input moves, and show it.

    sticking.png: one row of pixels, each line a moment later, while the input moves to
    the right, above the same of the network with its low-pass filters switched off.
    Detail that sticks to pixels shows as streaks down the figure, detail that follows
    as slanted hair. With --drift, also while w drifts. sticking.json: of the power of
    detail along rows, the share that stays at its pixels and the share that follows the
    input when it moves by whole pixels, and the score stays / (stays + follows), 0 for
    alias-free and 1 for stuck.
    """
    from afgan_jax import analysis
    from afgan_jax.analysis import image_equivariance
    from afgan_jax.analysis import sticking as showing
    from afgan_jax.cli import sources
    from afgan_jax.runs import atomic
    from afgan_jax.viz import grid

    model = sources.load(run, step)
    models = image_equivariance.with_and_without_filters(model)
    labels = sources.labels(model, class_, label, data)
    reach = showing.usual_reach(model) if reach is None else reach
    films, report = {}, {"samples": samples, "reach": reach}
    for name, each in models.items():
        found = analysis.texture_sticking(
            each, samples, labels=labels, batch=batch, reach=reach
        )
        options = {"image": image, "frames": frames, "pace": pace, "drift": drift}
        film = showing.film(each, labels=labels, row=row, batch=batch, **options)
        row = film.row
        films[f"{name}, score {found.score:.3f}"] = film
        report[name] = {"score": found.score} | found._asdict()
    atomic.write_json(outdir / "sticking.json", report)
    grid.save_png(outdir / "sticking.png", showing.strip(films))
    for name in models:
        print(name, *(f"{key} {value:.4f}" for key, value in report[name].items()))
    print(f"wrote sticking.png and sticking.json to {outdir}")


def discriminator(
    *,
    run: flags.OptionalRun = None,
    step: flags.Step = None,
    config: flags.OptionalConfig = None,
    seeds: flags.Seeds = (0, 1, 2),
    count: flags.count("count", "real images, in whole batches", 2) = 64,
    batch: flags.Batch = 16,
    shifts: flags.count("shifts", "along either axis", 2) = 4,
    out: flags.Out = None,
) -> None:
    """Measure how much D's logits depend on shifts by parts of a pixel.

    Real images are shifted by up to half a pixel either way. "moving" is the standard
    deviation of logits over shifts, in per cent of that over images; "kink" is the part
    of it that is no linear function of the shift, which is where aliases are. Of the
    trained discriminator of a run, or of untrained ones of a config, by --seeds.
    """
    from afgan_jax import analysis
    from afgan_jax.assembly import model_sets
    from afgan_jax.runs import atomic

    if (run is None) == (config is None):
        raise ValueError("pass either --run=SOURCE or --config=NAME")
    if count % batch:
        raise ValueError(f"--count={count} must be a multiple of --batch={batch}")
    if run is not None:
        D, archive, networks = model_sets.discriminator_of_run(run, step)
    else:
        D, archive, networks = model_sets.untrained_discriminators(
            config.spec, config.changes, seeds
        )
    group, rows = D.mbstd_group_size, {}
    batches = model_sets.spread_over(archive, count, batch, group)
    taken = sum(len(images) for images, _ in batches)
    if taken < count:
        print(f"the set has {len(archive)} images: measured are {taken}")
    for name, logits in networks.items():
        found = analysis.shift_consistency(logits, batches, shifts=shifts)
        rows[name] = found._asdict()
        moving, kink = (100 * s / found.among for s in (found.moving, found.kink))
        print(f"{name}: moving {moving:.3f} %, kink {kink:.4f} %", flush=True)
    if out:
        report = {"images": taken, "lowpass": D.lowpass, "networks": rows}
        atomic.write_json(out, report)


PARTS = {
    "equivariance": equivariance,
    "layers": layers,
    "layer-equivariance": layer_equivariance,
    "sticking": sticking,
    "discriminator": discriminator,
}
