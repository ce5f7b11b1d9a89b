"""Draw what a generator is made of and what happens inside it.

staircase: the band of every layer and its sampling rates. filters: impulse and
frequency responses, and their attenuation. waves: the Fourier features and their
learned mix. spectrum: of feature maps before, inside and after each nonlinearity, which
makes frequencies that the output could not hold; the filter takes them out. maps:
feature maps themselves, the only part of StyleGAN2. Each is a PNG with a JSON of its
numbers beside it, maps also an npz. A config is drawn untrained.
"""

from pathlib import Path

from afgan_jax.cli import flags, sources


def main(
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
    outdir: flags.Outdir = Path("out"),
) -> None:
    from afgan_jax import analysis
    from afgan_jax.analysis import inside

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
    save = plot.save if isinstance(figure, plot.Figure) else grid.save_figure
    save(outdir / f"{name}.png", figure)
    if drawn.arrays is not None:
        atomic.write_arrays(outdir / f"{name}.npz", drawn.arrays)
    print(f"wrote {name}.png and {name}.json to {outdir}", flush=True)
