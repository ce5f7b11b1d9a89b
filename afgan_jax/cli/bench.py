"""Time a configuration on this machine: its operations, generator, updates and data.

python -m afgan_jax bench ops,synthesis,update --config=ffhqu256:t --batch=2
python -m afgan_jax bench data --config=earth64
python -m afgan_jax bench metrics --config=ffhqu256 --batch=8
python -m afgan_jax bench device --config=ffhqu256:r --batch=8 --out=r.json
python -m afgan_jax bench aot --config=ffhqu256:t --topology=v5e:1x1,v5e:2x4 --images=4

A line each: the median time of a call; images/s; GFLOP/s of the arithmetic that the
call needs; naive/this, how many times longer the same takes in XLA's own
implementations in this process (a single run; --no-naive leaves it out); memory of a
call, by the compiler; seconds of compiling. Of the update, "step" is the mean of
training, with each phase as often as it is due; data is the config's image set, and
together (update,data) they tell how many times faster images are read than trained on.
After ops (ops,synthesis,update) a line has a floor too: the time of its arithmetic at
the rate of the fastest operation.

metrics times the networks of features on images of the config's size, with weights
drawn at random, and what each metric does with the generator for an image (ppl: a pair;
equivariance: an image and its moved one), up to the distance between all of them.

scaling times the generator as batch, resolution and width grow.

device is for a GPU or TPU on which nobody has been: how exact every implementation of
the filtered nonlinearity is, against float64 on the host, and how fast; then synthesis
and updates in bfloat16, float32 and float16. Send us the JSON.

--against=pytorch --checkout=FOLDER times the same networks and batch of synthesis and
update in this process with the published program, of which you have a copy.

aot needs neither TPU nor GPU: libtpu, or JAX's CUDA plugin, compiles the updates for
--topology or --card, with --images on each device or a share of the batch. A line each,
per device: memory; of a TPU the compiler's static estimate of the time, good for
ranking only, and how many loops and kernels it leaves out; of a card a floor of the
time, what its kernels read and write over its bandwidth; the collectives between
devices and their bytes. The last line says what the mean step needs of the memory, and
by the same estimates images/s. What needs more than there is has a line that says so.
"""

import dataclasses
import os

from afgan_jax.cli import flags

Parts = flags.positional("PARTS")
Repeats = flags.count("repeats", "runs, of which the median counts")
Naive = flags.switch("compare with XLA's own implementations")
Topology = flags.names("topology", "aot: the TPU chips; default: v5e:1x1")
Card = flags.names("card", "aot: NVIDIA cards, of a100, rtx4090, h100 and b200")
Devices = flags.count("devices", "aot: so many cards in one machine")
Images = flags.count("images", "aot: images on each device")
Phases = flags.names("phases", "aot: updates to compile, such as Gboth; default: all")
Against = flags.choice("against", "another program to time too", "pytorch")
Checkout = flags.text("checkout", "the published PyTorch program", "FOLDER")
Minutes = flags.number("minutes", "device: begin nothing later; default: 8", least=0.1)
Plot = flags.file("plot", "figure of scaling")


def main(
    parts: Parts = "synthesis,update",
    /,
    *,
    config: flags.Config,
    batch: flags.Batch = None,
    repeats: Repeats = 3,
    naive: Naive = True,
    topology: Topology = None,
    card: Card = None,
    devices: Devices = None,
    images: Images = None,
    phases: Phases = (),
    against: Against = None,
    checkout: Checkout = None,
    minutes: Minutes = None,
    plot: Plot = None,
    out: flags.Out = None,
) -> None:
    names = parts.split(",")
    if names == ["aot"]:  # before JAX looks for a device to compile for
        os.environ["JAX_PLATFORMS"] = "cpu"
    # Here, not on top: --help must not wait for JAX.
    import jax

    from afgan_jax.assembly import timings
    from afgan_jax.bench import networks
    from afgan_jax.runs import atomic

    given = {"against": against, "plot": plot, "phases": phases, "images": images}
    given |= {"topology": topology is not None, "card": card is not None}
    given |= {"devices": devices, "minutes": minutes}
    check(names, {name for name, value in given.items() if value})
    if card is not None:
        flags.check_alone("card", topology=topology)
    if devices and card is None:
        raise ValueError("--devices is for --card: pass that as well")
    if (against is None) != (checkout is None):
        raise ValueError("--against=pytorch and --checkout=FOLDER need each other")

    # What is kept from an earlier run would make compiling look quick.
    jax.config.update("jax_enable_compilation_cache", False)
    found, batch = timings.settings_of(config.spec, config.changes, batch)
    theirs = timings.pytorch_work(found, batch, checkout) if against else {}
    how = repeats, naive, phases, images, minutes or 8.0
    job = timings.Job(found, batch, *how, topology, card, devices or 1)
    device, head = timings.heading(names, job)
    size = f"batch {batch}" if images is None else f"{images} images a device"
    print(f"{config.spec} on {device}, {size}\n{head}")
    rows = [told(row) for row in timings.rows(names, job, theirs)]
    content = {"config": config.spec, "device": device, "rows": rows}
    content |= {"versions": timings.versions()}
    seconds = {row["name"]: row["seconds"] for row in rows if "seconds" in row}
    if {"step", "data"} <= seconds.keys():
        content["step_over_data"] = ratio = seconds["step"] / seconds["data"]
        print(f"images are read {ratio:z.1f} times as fast as they are trained on")
    if plot:
        networks.draw_scaling(plot, rows, config.spec)
    if out:
        atomic.write_json(out, content)


def told(row) -> dict:
    """Prints a row; returns its numbers."""
    print(row.line(), flush=True)
    return dataclasses.asdict(row)


def check(names: list[str], given: set[str]) -> None:
    """Raises ValueError for parts and flags that do not go together."""
    from afgan_jax.assembly import timings

    for name in names:
        if name not in timings.PARTS:
            known = ",".join(timings.PARTS)
            raise ValueError(f"bench {name!r} is unknown: use some of {known}")
    if "aot" in names and len(names) > 1:
        raise ValueError("bench aot compiles for other machines: ask for it alone")
    for flag in sorted(given):
        takers = [name for name, part in timings.PARTS.items() if flag in part.flags]
        if not set(takers) & set(names):
            raise ValueError(
                f"--{flag} is for {' and '.join(takers)}: ask for it, as in bench"
                f" {takers[0]}"
            )
