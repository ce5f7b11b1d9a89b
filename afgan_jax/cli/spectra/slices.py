"""Draw spectra that calc wrote, in dB at 0 and at 45 degrees."""

from pathlib import Path

from afgan_jax.cli import flags


def main(
    files: flags.positional("FILES", tuple[str, ...]),
    /,
    *,
    smooth: flags.Smooth = 0.0,
    dpi: flags.Dpi = 100,
    out: flags.file("out", "PNG") = Path("slices.png"),
) -> None:
    from afgan_jax.analysis import spectra
    from afgan_jax.viz import plot

    if not files:
        raise ValueError("spectra slices: name one or more FILES that calc wrote")
    found = {
        name: spectra.read(file, "calc", ("power", "interp"))
        for name, file in spectra.short_names(files).items()
    }
    powers = {name: arrays["power"] for name, arrays in found.items()}
    interp = {name: int(arrays["interp"]) for name, arrays in found.items()}
    figure = spectra.slices(powers, interp=interp, smooth=smooth)
    plot.save(out, figure, dpi=dpi)
    print(f"wrote {out}")
