"""Mix two lists of seeds: coarse layers of one, fine layers of the other.

python -m afgan_jax mix --run=runs/earth --rows=0-3 --columns=4-9 --layers=L4-L7

Writes mix.png, a table with the seeds of --rows down the left side and those of
--columns along the top, whose ws the --layers have; and mix.npz, the ws of its cells in
reading order, for --ws of other verbs.
"""

import math
from pathlib import Path

from afgan_jax.cli import flags


def main(
    run: flags.Run,
    *,
    step: flags.Step = None,
    rows: flags.flag("rows", tuple[int, ...], flags.ranges, "RANGE", "seeds") = (
        0,
        1,
        2,
    ),
    columns: flags.flag("columns", tuple[int, ...], flags.ranges, "RANGE", "seeds") = (
        3,
        4,
        5,
        6,
    ),
    layers: flags.Layers = None,
    psi: flags.Psi = 1.0,
    class_: flags.Class = None,
    label: flags.Label = None,
    rotate: flags.Rotate = 0.0,
    translate: flags.Translate = (0.0, 0.0),
    squares: flags.Squares = False,
    batch: flags.Batch = 8,
    outdir: flags.Outdir = Path("out"),
) -> None:
    import jax

    from afgan_jax.cli import sources
    from afgan_jax.edit import mixing
    from afgan_jax.edit import rows as ws_rows
    from afgan_jax.runs import atomic
    from afgan_jax.viz import grid

    model = sources.load(run, step)
    names = ws_rows.names(model)
    fine = (
        ws_rows.chosen(model, layers) if layers else range(len(names) // 2, len(names))
    )
    options = {"label": sources.label(model, class_, label), "psi": psi}
    ws = [jax.device_get(model.ws(seeds, **options)) for seeds in (rows, columns)]
    table = mixing.table(
        *(model, *ws, fine),
        batch=batch,
        squares=squares,
        rotate=math.radians(rotate),
        translate=translate,
    )
    outdir.mkdir(parents=True, exist_ok=True)
    grid.save_figure(outdir / "mix.png", table)
    cells = mixing.mixed(*ws, fine)
    atomic.write_arrays(outdir / "mix.npz", {"w": cells.reshape(-1, *cells.shape[2:])})
    said = ", ".join(names[row] for row in fine)
    print(f"wrote mix.png and mix.npz to {outdir}; of --columns: {said}")
