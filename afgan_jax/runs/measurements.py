"""What metrics have measured in a run: its files metric-NAME.jsonl."""

import json
from pathlib import Path
from typing import Any

from afgan_jax.runs import atomic


def of_step(run: Path, step: int) -> dict[str, dict[str, Any]]:
    """{metric: its newest results at a checkpoint}, but for damaged lines."""
    found = {}
    for file in sorted(run.glob("metric-*.jsonl")):
        for text in atomic.read(file).splitlines():
            try:
                line = json.loads(text)
                if line["step"] == step:
                    found[str(line["metric"])] = dict(line["results"])
            except (ValueError, KeyError, TypeError):
                continue
    return found
