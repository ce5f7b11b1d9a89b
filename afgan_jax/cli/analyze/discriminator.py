"""Measure how much D's logits depend on shifts by parts of a pixel.

Real images are shifted by up to half a pixel either way. "moving" is the standard
deviation of logits over shifts, in per cent of that over images; "kink" is the part of
it that is no linear function of the shift, which is where aliases are. Of the trained
discriminator of a run, or of untrained ones of a config, by --seeds.
"""

from afgan_jax.cli import flags

COUNT = "real images, in whole batches; all there are of a smaller set"


def main(
    *,
    run: flags.OptionalRun = None,
    step: flags.Step = None,
    config: flags.OptionalConfig = None,
    seeds: flags.Seeds = (0, 1, 2),
    count: flags.count("count", COUNT, 2) = 64,
    batch: flags.Batch = 16,
    shifts: flags.count("shifts", "along either axis", 2) = 4,
    out: flags.Out = None,
) -> None:
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
        print(f"{name}: moving {moving:z.3f} %, kink {kink:z.4f} %", flush=True)
    if out:
        report = {"images": taken, "lowpass": D.lowpass, "networks": rows}
        atomic.write_json(out, report)
