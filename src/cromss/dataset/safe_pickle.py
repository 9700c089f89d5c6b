"""Reads plain data out of pickles without running anything that they carry.

A pickle is a program that names functions and calls them. Here none can be named but the two with which NumPy pickles
an integer scalar, and those are replaced by stand-ins that only decode eight bytes.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

_NUMPY_SCALAR = {("numpy.core.multiarray", "scalar"), ("numpy._core.multiarray", "scalar")}
_NUMPY_DTYPE = ("numpy", "dtype")

# What a malformed pickle raises, by the documentation of the pickle module and by trial.
_MALFORMED = (
    pickle.UnpicklingError,
    AttributeError,
    EOFError,
    ImportError,
    IndexError,
    KeyError,
    MemoryError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)


def load_plain(data: bytes | memoryview) -> Any:
    """Unpickles bytes, strings, numbers, None, and tuples, lists and dicts of them; NumPy integers become ints.

    Raises:
        ValueError: The pickle wants anything else, or is damaged. Nothing was run.
    """
    try:
        return _PlainUnpickler(io.BytesIO(data)).load()
    except _MALFORMED as error:
        raise ValueError(f"not a pickle of plain data: {error}. Fetch the file again, from its publisher") from error


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _NUMPY_SCALAR:
            return _SCALAR
        if (module, name) == _NUMPY_DTYPE:
            return _DTYPE
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is refused, since a pickle may run it")

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to an object outside of itself, which is refused")


# The stand-ins are instances without attributes, so a pickle finds nothing in them that it could change.
class _IntegerType:
    __slots__ = ("order", "signed", "size")

    def __init__(self, code: str) -> None:
        if code[0] not in "iu" or int(code[1:]) not in (1, 2, 4, 8):
            raise pickle.UnpicklingError(f"NumPy type {code!r} is refused: only integers are expected")
        self.signed = code[0] == "i"
        self.size = int(code[1:])
        self.order = "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]


class _MakeDtype:
    __slots__ = ()

    def __call__(self, code: str, align: bool = False, copy: bool = False) -> _IntegerType:
        return _IntegerType(code)


class _MakeScalar:
    __slots__ = ()

    def __call__(self, dtype: _IntegerType, data: bytes) -> int:
        if not isinstance(dtype, _IntegerType) or len(data) != dtype.size:
            raise pickle.UnpicklingError("a NumPy scalar in it is malformed")
        return int.from_bytes(data, "big" if dtype.order == ">" else "little", signed=dtype.signed)


_DTYPE = _MakeDtype()
_SCALAR = _MakeScalar()
