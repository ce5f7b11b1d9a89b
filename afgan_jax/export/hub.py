"""A folder as Hugging Face expects a model, and its upload.

README.md, the model card, says what is known: data, settings, results of metrics with
their commands, limits, licence. model.safetensors is a model file, config.json its
settings, samples.png images of seeds 0 to 31.
"""

import json
import os
from pathlib import Path
from typing import Any

import jax

from afgan_jax.export import model_file, staging
from afgan_jax.interop import model_file as files
from afgan_jax.interop import model_hub
from afgan_jax.model import Model, load
from afgan_jax.runs import config
from afgan_jax.viz import grid

SHOWN = (4, 8)  # rows and columns of samples.png
TAGS = ["gan", "stylegan3", "jax", "alias-free"]


def write(
    text: str | os.PathLike,
    out: Path,
    *,
    licence: str | None = None,
    push: str | None = None,
) -> str:
    """Writes the folder; returns what was checked, and where it was pushed.

    licence: as Hugging Face calls it, such as "cc0-1.0"; None: that of the source.
    push: OWNER/NAME, the repository that gets the files; it is made if there is none.
    Raises ValueError if `out` holds other files, or they cannot be pushed.
    """
    staging.check_new(out)
    if push is not None:
        model_hub.check_name(push)
    with staging.staged(out / model_hub.MODEL) as place:
        checked = model_file.write(text, place, licence=licence)
        model, facts = load(place), files.read_header(place).facts
        label = 0 if model.c_dim else None
        images = model.images(range(SHOWN[0] * SHOWN[1]), label=label)
        grid.save_png(place.parent / "samples.png", grid.sheet(images, SHOWN[1]))
        described = {"model_type": "afgan_jax", **model.settings}
        (place.parent / "config.json").write_text(
            json.dumps(described, indent=2) + "\n"
        )
        card = card_of(model, facts, out.name if push is None else push)
        (place.parent / "README.md").write_text(card)
    if push is not None:
        checked += f"; pushed to {model_hub.push(out, push)}"
    return checked


def card_of(model: Model, facts: dict[str, Any], name: str) -> str:
    """The model card in Markdown, with its YAML."""
    (height, width), training = model.size, facts.get("training", {})
    label = ", label=0" if model.c_dim else ""
    top = {"library_name": "afgan_jax", "tags": TAGS}
    top["pipeline_tag"] = "unconditional-image-generation"
    top["license"] = facts.get("licence") or "unknown"
    numbers = sum(leaf.size for leaf in jax.tree.leaves(model.variables["params"]))
    # JSON is YAML, and needs no library.
    head = [f"{key}: {json.dumps(value)}" for key, value in top.items()]
    parts = [
        "\n".join(["---", *head, "---"]),
        f"# {name}",
        f"A generator of {width} x {height} images, {numbers:,} parameters, made with"
        " afgan_jax (Alias-Free GAN in JAX).",
        f"![Images of seeds 0 to {SHOWN[0] * SHOWN[1] - 1}](samples.png)",
        "## Use",
        "```python\nimport afgan_jax\n\n"
        f'model = afgan_jax.load("hf://{name}")\n'
        f"images = model.images(seeds=[0, 1]{label})  # uint8 [N H W C]\n```",
        "## Training",
        _training(facts, training),
        "## Measured",
        _measured(facts),
        "## Limits",
        "It draws what its data held, with the biases of that choice, and only that."
        + (" " if model.can_move else " Its images cannot be moved by its input. ")
        + "Samples with psi below 1 are closer to the average image.",
        "## Licence",
        facts.get("licence") or "Nothing is said: ask whoever gave you this model.",
    ]
    if training:
        text = json.dumps(config.flat(training), indent=2, sort_keys=True)
        parts += ["## All settings of the training", f"```json\n{text}\n```"]
    return "\n\n".join(parts) + "\n"


def _training(facts: dict, training: dict) -> str:
    lines = [f"- origin: {facts.get('origin', 'unknown')}"]
    if "kimg" in facts:
        lines.append(f"- {facts['kimg']:g} thousand images shown, step {facts['step']}")
    data = training.get("data", {}).get("path")
    lines += [f"- data: {data}"] if data else []
    return "\n".join(lines)


def _measured(facts: dict) -> str:
    lines = [
        f"| {key} | {value:z.4g} | `python -m afgan_jax metrics --metrics={metric}` |"
        for metric, results in facts.get("metrics", {}).items()
        for key, value in results.items()
        if isinstance(value, int | float)
    ]
    head = ["| what | result | command |", "| --- | --- | --- |"]
    return "\n".join(head + lines) if lines else "Nothing yet."
