"""Draw what an alias-free generator is made of and what happens inside it.

python -m afgan_jax explain --run=runs/earth --outdir=out
python -m afgan_jax explain --config=configs/ffhqu256.py:t --pictures=filters,staircase
python -m afgan_jax explain --run=runs/earth --pictures=maps --layers=L2 --channels=0-3

staircase: the band of every layer and its sampling rates. filters: impulse and
frequency responses, and their attenuation. waves: the Fourier features and their
learned mix. spectrum: of feature maps before, inside and after each nonlinearity, which
makes frequencies that the output could not hold; the filter takes them out. maps:
feature maps themselves, the only picture of StyleGAN2. Each is a PNG with a JSON of its
numbers beside it, maps also an npz. A config is drawn untrained, with
--config.section.key=value as in train.
"""

import dataclasses
import functools
import json
from pathlib import Path

from absl import flags

from afgan_jax import cli
from afgan_jax.cli import labels

FLAGS = flags.FlagValues()
flags.DEFINE_string("run", None, "run directory of the training", flag_values=FLAGS)
flags.DEFINE_integer("step", None, "checkpoint; default: newest", flag_values=FLAGS)
flags.DEFINE_string("config", None, "or FILE.py or FILE.py:ARG", flag_values=FLAGS)
flags.DEFINE_list("pictures", [], "some of them; default: all", flag_values=FLAGS)
flags.DEFINE_list(
    "layers", [], "names, or their beginnings (L3); default: all", flag_values=FLAGS
)
flags.DEFINE_string(
    "channels", None, "such as 0-3,7; default: the first 8", flag_values=FLAGS
)
flags.DEFINE_integer(
    "seed",
    0,
    "of the picture whose maps are shown",
    lower_bound=0,
    upper_bound=2**32 - 1,
    flag_values=FLAGS,
)
labels.define(FLAGS)
flags.DEFINE_string("outdir", "out", "where the files go", flag_values=FLAGS)

MOST_SHOWN = 8  # channels, if none are asked for


def main(argv: list[str]) -> None:
    overrides = cli.parse(FLAGS, argv)
    unknown = [name for name in FLAGS.pictures if name not in PICTURES]
    if unknown:
        raise ValueError(
            f"--pictures: {unknown[0]!r} is unknown; use some of {','.join(PICTURES)}"
        )
    channels = None
    if FLAGS.channels is not None:
        channels = cli.parse_ranges("channels", FLAGS.channels)
    cli.check_writable("outdir", FLAGS.outdir)

    # Here, not on top: --help must not wait for JAX.
    import jax

    jax.config.update("jax_default_matmul_precision", "highest")  # alike everywhere
    G, load = open_generator(FLAGS, overrides)
    specs = choose_layers(G.synthesis.layers, FLAGS.layers)
    pictures = choose_pictures(FLAGS.pictures, G, specs)
    label = None
    if set(pictures) & DRAWN_FROM_LATENTS:
        label = labels.read(G.mapping.c_dim, FLAGS["class"].value, FLAGS.label)
    subject = Subject(G, specs, load, channels, FLAGS.seed, label)
    check_channels(subject, pictures)
    for name in pictures:
        draw(name, subject, Path(FLAGS.outdir))


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is drawn: some layers of a generator, and channels (None: the first ones).

    `load()` gives its variables, which not every picture needs. `label` is that of the
    latent of `seed`, None for a generator without.
    """

    G: object
    specs: tuple
    load: object
    channels: list[int] | None = None
    seed: int = 0
    label: list[float] | None = None

    def shown(self, count: int) -> list[int]:
        """The channels shown of so many."""
        first = list(range(min(count, MOST_SHOWN)))
        return first if self.channels is None else self.channels

    def latent(self):
        """(z [1 z_dim], c [1 c_dim] or None)"""
        import jax.numpy as jnp
        import numpy as np

        z = np.random.RandomState(self.seed).randn(1, self.G.mapping.z_dim)
        c = None if self.label is None else jnp.asarray([self.label], jnp.float32)
        return jnp.asarray(z, jnp.float32), c


def open_generator(values: flags.FlagValues, overrides: dict) -> tuple:
    """(G, function that gives its variables) of the flags --run and --step or --config.

    A config's are untrained.
    """
    import jax

    from afgan_jax.networks import generator
    from afgan_jax.runs import config, saved_networks

    if (values.run is None) == (values.config is None):
        raise ValueError("pass either --run=RUN or --config=FILE.py")
    changes = {"dtype": "float32", "remat": "none"}
    if values.run is not None:
        if overrides:
            raise ValueError(
                f"--config.{next(iter(overrides))} is for --config; a run is as it is"
            )
        G, variables, _ = saved_networks.load_generator(
            values.run, values.step, **changes
        )
        load = functools.partial(lambda known: known, variables)
    else:
        settings = config.load(values.config, overrides, cli.schema())
        with config.naming("generator"):
            G = generator.make_generator(
                **generator.changed(settings["generator"], **changes)
            )
        load = functools.cache(lambda: G.initialize(jax.random.key(0)))
    return G, load


def filters_of(values: flags.FlagValues, overrides: dict, outdir: Path) -> None:
    """The picture of all filters of --run or --config."""
    G, load = open_generator(values, overrides)
    specs = G.synthesis.layers
    choose_pictures(["filters"], G, specs)
    draw("filters", Subject(G, specs, load), outdir)


def choose_layers(specs, names: list[str]) -> tuple:
    """Those of the specs that the names, or their beginnings before a _ or /, mean."""
    for name in names:
        if not any(_means(name, spec) for spec in specs):
            raise ValueError(
                f"--layers: {name!r} is none of {', '.join(s.name for s in specs)}"
            )
    return tuple(s for s in specs if not names or any(_means(n, s) for n in names))


def _means(name: str, spec) -> bool:
    return spec.name == name or spec.name.startswith((f"{name}_", f"{name}/"))


def choose_pictures(names: list[str], G, specs) -> list[str]:
    """The names, or all; raises ValueError if one has nothing to draw of the specs.

    Of all, such are left out and a line says so.
    """
    nothing = _nothing_to_draw(G, specs)
    for name in names:
        if name in nothing:
            raise ValueError(f"--pictures={name}: {nothing[name]}; leave it out")
    if names:
        return names
    for why in dict.fromkeys(nothing.values()):
        which = ", ".join(name for name in nothing if nothing[name] == why)
        print(f"left out {which}: {why}")
    return [name for name in PICTURES if name not in nothing]


def _nothing_to_draw(G, specs) -> dict[str, str]:
    """Why, by picture that does not apply to these layers."""
    if not G.synthesis.has_bands:
        why = "this is a StyleGAN2 generator, which has no plan of bands and filters"
        return dict.fromkeys((name for name in PICTURES if name != "maps"), why)
    nothing = {}
    if not _filtering(specs):
        nothing["filters"] = "none of the layers has a filter"
    if not _bending(specs):
        nothing["spectrum"] = "none of the layers has a nonlinearity"
    return nothing


def check_channels(subject: Subject, pictures: list[str]) -> None:
    """Raises ValueError for channels that what is drawn does not have."""
    counts = {}
    if "maps" in pictures:
        counts |= {spec.name: spec.out_channels for spec in subject.specs}
    if "waves" in pictures:
        counts["input"] = subject.G.synthesis.layers[0].in_channels
    for name, count in counts.items():
        for channel in subject.shown(count):
            if channel >= count:
                raise ValueError(
                    f"--channels: {channel} is none of the channels 0 to {count - 1} of"
                    f" {name}; choose others, or other --layers"
                )


def _bending(specs) -> tuple:
    """The layers whose nonlinearity is one: that of the last is linear."""
    return tuple(spec for spec in specs if not spec.is_rgb)


def _filtering(specs) -> tuple:
    return tuple(s for s in specs if s.up_taps > 1 or s.down_taps > 1)


def draw(name: str, subject: Subject, outdir: Path) -> None:
    """Writes NAME.png and NAME.json, and says so in a line."""
    from afgan_jax.runs import atomic

    numbers = PICTURES[name](subject, outdir / f"{name}.png")
    atomic.write(outdir / f"{name}.json", json.dumps(numbers) + "\n")
    print(f"wrote {name}.png and {name}.json to {outdir}", flush=True)


def staircase(subject: Subject, path: Path) -> list[dict]:
    from afgan_jax.networks import plan
    from afgan_jax.viz import layer_figures

    rows = plan.rows(subject.specs)
    layer_figures.staircase(path, rows)
    return rows


def filters(subject: Subject, path: Path) -> list[dict]:
    from afgan_jax.analysis import layer_report
    from afgan_jax.viz import layer_figures

    rows = layer_report.filter_bank(_filtering(subject.specs))
    layer_figures.filter_bank(path, rows)
    print(table(rows))
    return rows


def waves(subject: Subject, path: Path) -> dict:
    import jax
    import numpy as np

    from afgan_jax.analysis import feature_maps, layer_report
    from afgan_jax.viz import layer_figures

    variables = subject.load()
    found = layer_report.waves(subject.G, variables)
    shown = subject.shown(len(found["use"]))
    mix = jax.jit(lambda *a: feature_maps.within(subject.G)(*a, None)[0])
    mixed = np.moveaxis(np.asarray(mix(variables, *subject.latent())[0]), -1, 0)
    plain = np.moveaxis(feature_maps.plain_waves(subject.G, variables), -1, 0)
    layer_figures.waves(path, found, plain[shown], mixed[shown], shown)
    return found


def spectrum(subject: Subject, path: Path) -> list[dict]:
    import jax

    from afgan_jax.analysis import layer_report
    from afgan_jax.viz import layer_figures

    specs = _bending(subject.specs)
    found = jax.jit(layer_report.powers(subject.G, specs))
    rows = layer_report.spectra(specs, found(subject.load(), *subject.latent()))
    layer_figures.spectra(path, rows)
    return rows


def feature_maps(subject: Subject, path: Path) -> list[dict]:
    """The maps themselves go to an npz beside the picture."""
    import jax
    import numpy as np

    from afgan_jax.analysis import feature_maps, layer_report
    from afgan_jax.cli import spectra
    from afgan_jax.viz import layer_figures

    chosen = {s.name: subject.shown(s.out_channels) for s in subject.specs}

    @jax.jit
    def find(variables, z, c):
        found = feature_maps.by_name(subject.G)(variables, z, c)
        return {k: found[k][0][..., np.array(v)] for k, v in chosen.items()}

    found = find(subject.load(), *subject.latent())
    found = {name: np.asarray(found[name]) for name in chosen}
    rows = []
    for spec in subject.specs:
        name = spec.name
        row = layer_report.feature_map(name, spec.rate, found[name], chosen[name])
        rows.append(row)
    layer_figures.feature_maps(path, rows, found)
    spectra.save(path.with_suffix(".npz"), found)
    return rows


# name: function of (subject, path of the PNG) that draws it and returns its numbers
PICTURES = {
    "staircase": staircase,
    "filters": filters,
    "waves": waves,
    "spectrum": spectrum,
    "maps": feature_maps,
}
DRAWN_FROM_LATENTS = {"waves", "spectrum", "maps"}


def table(rows: list[dict]) -> str:
    """Lines of dB: by design and as found from the stopband on, by layer and filter."""
    head = "".join(f"{side:>10}{'design':>8}{'found':>8}" for side in ("up", "down"))
    lines = [f"{'layer':16}{head}"]
    for row in rows:
        line = f"{row['name']:16}"
        for found in (row["up"], row["down"]):
            if found is None:
                line += f"{'-':>10}{'-':>8}{'-':>8}"
                continue
            line += f"{len(found['taps']):5} taps"
            for value in (found["designed"], found["attenuation"]):
                line += f"{'-' if value is None else f'{value:.1f}':>8}"
        lines.append(line)
    return "\n".join(lines)
