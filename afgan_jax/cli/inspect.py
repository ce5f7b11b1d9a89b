"""Show what a model holds: settings, layers, tensors, checksums, metrics found.

python -m afgan_jax inspect runs/earth
python -m afgan_jax inspect runs/earth@52 earth.safetensors

Of two it tells what differs: settings, and tensors with by how much; exit code 0 either
way. A source is a run, RUN@STEP, a model file or a published snapshot (.pkl). Of an
export (.jax, .onnx, a page's folder, a state dict) it shows what the file says.
"""

from afgan_jax.cli import flags

Source = flags.positional("SOURCE")
Other = flags.positional("OTHER", str | None)


def main(source: Source, other: Other = None, /, *, out: flags.Out = None) -> None:
    # Here, not on top: --help must not wait for JAX.
    from afgan_jax.export import description
    from afgan_jax.runs import atomic
    from afgan_jax.sources import find, inspect

    exported = description.of(source) if other is None else None
    if exported is not None:
        content = {"name": source} | exported
        print("\n".join(table(content)))
    elif other is not None:
        read = [inspect.read(find.find(text, find.ALL)) for text in (source, other)]
        lines = inspect.difference(*read)
        print("\n".join(lines) or "the same settings and tensors")
        content = {"difference": lines}
    else:
        content = report(inspect.read(find.find(source, find.ALL)))
        print("\n".join(table(content)))
    if out:
        atomic.write_json(out, content)


def report(contents) -> dict:
    """Everything that is known, for JSON."""
    from afgan_jax.runs import config
    from afgan_jax.sources import inspect

    found = contents.found
    facts = {k: v for k, v in contents.facts.items() if k not in ("training", "layers")}
    return {
        "name": contents.name,
        **facts,
        "class_names": found.class_names,
        "settings": config.flat(inspect.settings(contents)),
        "layers": found.network("G_ema").synthesis.rows(),
        "tensors": contents.rows(),
        "sha256": contents.sha256,
    }


def _columns(rows: list[dict]) -> list[str]:
    """Rows of one kind as lines, numbers short."""

    def cell(value) -> str:
        return f"{value:z.4g}" if isinstance(value, float) else str(value)

    cells = [list(rows[0]), *([cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    padded = ((text.ljust(n) for text, n in zip(line, widths)) for line in cells)
    return ["", *("  ".join(line).rstrip() for line in padded)]


def table(content: dict) -> list[str]:
    """The report in lines to read: facts, settings, then tables and checksums."""
    rest = dict(content)
    lines = [rest.pop("name")]
    settings, tables = rest.pop("settings", {}), ("layers", "tensors")
    columns = [_columns(rest.pop(name)) for name in tables if rest.get(name)]
    checksums = rest.pop("sha256")
    lines += [f"  {name}: {value}" for name, value in rest.items()]
    lines += [f"  {name} = {value!r}" for name, value in settings.items()]
    lines += sum(columns, [])
    if isinstance(checksums, str):
        checksums = {"the file": checksums}
    return lines + [f"  sha256 of {part}: {x}" for part, x in checksums.items()]
