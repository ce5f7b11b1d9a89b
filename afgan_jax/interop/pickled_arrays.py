"""NumPy's arrays in pickles, also in those of Python 2, whose text is bytes here."""

from typing import Any

import numpy as np


class _Dtype:
    """A pickled numpy.dtype: its letters, then its byte order as a state."""

    def __init__(self, letters, *_):
        self.letters, self.order = _text(letters), "="

    def __setstate__(self, state):
        self.order = _text(state[1])

    def dtype(self) -> np.dtype:
        found = np.dtype(self.letters)
        if found.kind not in "biuf":
            raise ValueError(f"it holds an array of {found}")
        return found if self.order == "|" else found.newbyteorder(self.order)


class Array:
    """A pickled numpy.ndarray: (version, shape, dtype, is Fortran order, bytes)."""

    def __init__(self, *_):
        self.state = ()

    def __setstate__(self, state):
        self.state = state

    def array(self) -> np.ndarray:
        """The array, read-only; ValueError if it is malformed."""
        if len(self.state) != 5 or not isinstance(self.state[2], _Dtype):
            raise ValueError("it holds an array without content")
        _, shape, dtype, is_fortran, data = self.state
        order = "F" if is_fortran else "C"
        return np.frombuffer(data, dtype.dtype()).reshape(shape, order=order)


def _scalar(dtype, data) -> Any:
    data = data.encode("latin1") if isinstance(data, str) else data
    return np.frombuffer(data, dtype.dtype())[0].item()


def _text(value: str | bytes) -> str:
    return value.decode("latin1") if isinstance(value, bytes) else value


NAMES = {
    "_codecs.encode": lambda text, _: text.encode("latin1"),  # bytes, by Python 3
    "numpy.dtype": _Dtype,
    "numpy.ndarray": "ndarray",  # an argument of _reconstruct
    "numpy.core.multiarray._reconstruct": Array,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy._core.multiarray._reconstruct": Array,
    "numpy._core.multiarray.scalar": _scalar,
}
