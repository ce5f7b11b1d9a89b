"""Remove checkpoints of a run that is not being trained, by rule.

python -m afgan_jax checkpoint prune runs/earth --keep=3 --dry-run

The newest --keep stay, with --keep-every-kimg also one every so many thousand images,
and always the best by each metric that was measured. What stays is read as a whole: a
damaged checkpoint does not count. --dry-run tells what would go and removes nothing.
"""

from afgan_jax.cli import flags

Keep = flags.count("keep", "how many of the newest stay")
Every = flags.number("keep-every-kimg", "one every so many thousand images stays", 0)
DryRun = flags.switch("tell, and remove nothing")


def main(
    run: flags.positional("RUN"),
    /,
    *,
    keep: Keep,
    keep_every_kimg: Every = None,
    dry_run: DryRun = False,
) -> None:
    from afgan_jax.metrics import registry
    from afgan_jax.runs import pruning

    def is_lower(metric: str) -> bool:
        return registry.parse(metric).row.lower

    act = pruning.plan if dry_run else pruning.prune
    found = act(run, pruning.Rule(keep, keep_every_kimg, is_lower))
    for step, metrics in found.kept.items():
        print(f"keep {step}" + (f", best by {', '.join(metrics)}" if metrics else ""))
    for step in found.damaged:
        print(f"damaged {step}, left as it is")
    for step in found.removed:
        print(f"{'would remove' if dry_run else 'removed'} {step}")
