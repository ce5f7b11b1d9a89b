"""What metrics have measured in a run: its files metric-NAME.jsonl."""

import json
from pathlib import Path
from typing import Any

from afgan_jax.runs import atomic


def of_step(run: Path, step: int) -> dict[str, dict[str, Any]]:
    """{metric: its newest results at a checkpoint}, but for damaged lines."""
    found = of_run(run)
    return {name: by_step[step] for name, by_step in found.items() if step in by_step}


def of_run(run: Path) -> dict[str, dict[int, dict[str, Any]]]:
    """{metric: {step: its newest results there}}, but for damaged lines."""
    found = {}
    for file in sorted(run.glob("metric-*.jsonl")):
        for text in atomic.read(file).splitlines():
            try:
                line = json.loads(text)
                results = {int(line["step"]): dict(line["results"])}
                found.setdefault(str(line["metric"]), {}).update(results)
            except (ValueError, KeyError, TypeError):
                continue
    return found
