"""A checkout of the published PyTorch program, which the user has.

Nothing of that program is part of this one.
"""

import importlib.util
import os

from afgan_jax import errors


def check(path: str | os.PathLike) -> None:
    """Raises SettingError if the folder or PyTorch is missing."""
    if not os.path.isfile(os.path.join(path, "training", "networks_stylegan3.py")):
        why = (
            "holds no training/networks_stylegan3.py: give the folder of the published"
            " StyleGAN3 program"
        )
        raise errors.SettingError("checkout", str(path), why)
    if importlib.util.find_spec("torch") is None:
        why = "needs PyTorch: pip install torch"
        raise errors.SettingError("checkout", str(path), why)
