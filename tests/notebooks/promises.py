"""What notebooks promise: {name: (small numbers, claims, how many pictures)}.

Claims are expressions that are true in the kernel after the last cell, also with the
notebook's own numbers.
"""

import os
from pathlib import Path

import tiny

MOVES = "decibels['filters on']['{0}'] > 40 > 30 > decibels['filters off']['{0}']"
PROMISES = {
    "start": (
        {"SAMPLES": 4, "SECONDS": 1},
        (
            *(MOVES.format(kind) for kind in ("eqt_int", "eqt_frac", "eqr")),
            "images.shape[0] == 24 and path.stat().st_size > 1000",
            "abs(explorer.ws - model.ws(seeds=[7], psi=0.5)).max() < 1e-6",
        ),
        4,
    ),
    "train": (
        {"KIMG": 0.08, "METRICS": "eqt8_int", "DRIVE": "drive"},
        (
            "is_done and results['eqt8_int'] > 40",
            "backup.save(RUN, DRIVE) is None",
            "backup.restore(DRIVE, 'again') == step == 10",
        ),
        3,
    ),
    "aliasing": (
        {
            "PICTURE": 128,
            "OVERSAMPLING": (1, 2),
            "RESOLUTION": 32,
            "LAYERS": 3,
            "CHANNELS": 4,
            "SAMPLES": 2,
            "FRAMES": 2,
            "MARGINS": (0,),
        },
        (
            "largest_difference < 1e-12 and np.array_equal(loudest, predicted)",
            "-60 < false_rings < -30 and folding_error < 2",
            "all(abs(k[0] - k[1]) < 3 for k in kaiser.values())",
            "kaiser[24][1] > kaiser[24][2] + 30",
            "spread['separable'] > 2 and spread['jinc'] < 0.5",
            "removed > 50 and relu[2]['fractions'] > relu[1]['fractions'] + 15",
            "min(moving[k]['fractions'] for k in moving if 'filtered' in k) > 40",
            "max(moving['down 3: keep every third'].values()) < 10",
            "equivariance['filters on']['eqt_int']"
            " > equivariance['filters off']['eqt_int'] + 20",
            "shares['filters off'].stays > 10 * shares['filters on'].stays",
            "border[0] > border[10] + 60 and max(exactness.values()) < -110",
        ),
        13,
    ),
    "ladder": (
        {"ROWS": ("e", "f", "t"), "CHANNELS": 8, "SAMPLES": 2},
        (
            "found['t']['untrained']['eqt_frac']"
            " > found['f']['untrained']['eqt_frac'] + 20",
            "abs(found[f'{ROW}:{ABLATION}']['untrained']['eqt_frac']"
            " - found[ROW]['untrained']['eqt_frac']) > 3",
        ),
        3,
    ),
    "edit": (
        {"LABEL": 0, "STEPS": 4, "ANGLES": 1, "TUNE": 4, "FRAMES": 6},
        (
            "near.losses[-1] < near.losses[0] and tuned.psnr > near.psnr - 1",
            "again.ws.shape == near.ws.shape == ws.shape",
            "path.stat().st_size > 1000",
        ),
        6,
    ),
    "layers": (
        {
            "RESOLUTION": 96,
            "IMAGES": 2,
            "FIT": 2,
            "STEPS": 2,
            "RATE": 8e-3,
            "HELD": 2,
            "SHIFTS": (0.5, 2),
            "TURNS": (20,),
            "CACHE": "data",
        },
        (
            "first['the same, filtered'] > first['relu, every second pixel'] + 25",
            "first['convolution'] > 45",
            "max(first['relu'], first['every second pixel']) < 30",
            "set(decibels) == {'Linen', 'NNX', 'Equinox'}",
            "all(f['filtered'][i] > f['strided'][i] + 15"
            " for f in decibels.values() for i in (0, 1))",
            "abs(float(quotient / gradient[3]) - 1) < 0.02",
            "plane.decibels(run, images, size=79) > 60",
            "designs['sharper, 20 taps'][1] > designs['sharper, 8 taps'][1] + 10",
            "designs['softer, 6 taps'][0] < designs['usual, 6 taps'][0]",
            "designs['usual, 6 taps'][0] < designs['sharper, 20 taps'][0]",
            "all(s > 100 * a for s, a in [[found.following.rows[n]['shift, pixels']"
            "['following'][SHIFTS.index(0.5)] for n in ('strided', 'alias-free')]])",
        ),
        5,
    ),
    "export": (
        {"ONNX": False},
        (
            "max(differences.values()) <= 1 and len(differences) == 2 + ONNX",
            "(again == ours).all()",
        ),
        1,
    ),
}


def given(name: str, folder: Path) -> dict:
    """What lies on this machine: a small model, onnxruntime if a stage installed it."""
    if name == "edit":  # its searches would take minutes with a larger one
        run = tiny.save_run(folder / "tiny", "none.zip", resolution=16, num_layers=4)
        return {"MODEL": str(run)}
    place = os.environ.get("AFGAN_ONNX")
    if name == "export" and place:
        return {"ONNX": True, "ENVIRONMENT": place}
    return {}
