"""Draw a spectrum that calc wrote, in dB."""

from pathlib import Path

from afgan_jax.cli import flags


def main(
    file: flags.positional("FILE"),
    /,
    *,
    smooth: flags.Smooth = 1.25,
    dpi: flags.Dpi = 100,
    out: flags.file("out", "PNG") = Path("heatmap.png"),
) -> None:
    from afgan_jax.analysis import spectra
    from afgan_jax.viz import plot

    found = spectra.read(file, "calc", ("power", "interp"))
    options = {"interp": int(found["interp"]), "smooth": smooth}
    figure = spectra.heatmap(found["power"], **options, title=Path(file).stem)
    plot.save(out, figure, dpi=dpi)
    print(f"wrote {out}")
