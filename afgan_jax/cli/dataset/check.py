"""Tell what an archive holds and how to train on it.

Sizes, modes, duplicates, balance of classes, and whether images look upscaled, blocked
by JPEG, aliased or letterboxed; faults begin with "!".
"""

from afgan_jax.cli import flags


def main(
    path: flags.positional("SET"),
    /,
    *,
    sample: flags.count("sample", "how many images are judged for defects") = 2000,
    workers: flags.Workers = None,
) -> None:
    from afgan_jax.data import advice, inspect, paths

    findings = inspect.inspect(path, sample=sample, workers=workers)
    for line in [*advice.describe(findings), *advice.suggest(findings)]:
        print(paths.printable(line))
