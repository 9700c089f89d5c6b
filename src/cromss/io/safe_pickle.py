"""Reads plain data from pickles without running code from them.

A pickle is a program that names functions and calls them. Here none can be named but the two with which NumPy pickles
an integer scalar, and those are replaced by stand-ins that only decode eight bytes. Before it runs, the program is read
through: it has few instructions, none claims more bytes, or a higher index of the memo, than such data need, and few
use a value a second time.
"""

from __future__ import annotations

import io
import pickle
import pickletools
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
        _check_program(memoryview(data))
        return _PlainUnpickler(io.BytesIO(data)).load()
    except _MALFORMED as error:
        raise ValueError(f"not a pickle of plain data: {error}. Fetch the file again, from its publisher") from error


_MOST_INSTRUCTIONS = 256
_MOST_REPEATED = 8
"""A pair of a value with itself, of which a pair is made, and so on, is as long as 2 to the power of its levels."""
_MOST_DIGITS = 64
_LONGEST_LINE = 1024
_OPCODES = {ord(opcode.code): opcode for opcode in pickletools.opcodes}
_LENGTH_BYTES = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}
_PLACES = {"BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET"}
_REPEATING = {"DUP", "GET", "BINGET", "LONG_BINGET"}
_NUMBERS = {"LONG1", "LONG4"}


def _check_program(data: memoryview) -> None:
    """Reads through the instructions of a pickle, without a copy of what they carry.

    The unpickler trusts lengths, and allocates memory before it reads the data; the memo is as long as its highest
    index; nested or repeated instructions need stack and time, but few bytes; and values that contain the same value
    again and again take exponential time to compare or print.

    Raises:
        UnpicklingError: There are too many instructions, one is unknown or claims too much, or it does not end with
            the last byte.
    """
    position = repeated = 0
    for _ in range(_MOST_INSTRUCTIONS):
        if position >= len(data):
            raise pickle.UnpicklingError("it breaks off")
        opcode = _OPCODES.get(data[position])
        if opcode is None:
            raise pickle.UnpicklingError(f"it holds the unknown instruction {data[position]:#x}")
        position += 1
        repeated += opcode.name in _REPEATING
        if repeated > _MOST_REPEATED:
            raise pickle.UnpicklingError(f"it takes values a second time more than {_MOST_REPEATED} times")
        if opcode.name == "STOP":
            if position < len(data):
                raise pickle.UnpicklingError(f"{len(data) - position} bytes follow its end")
            return
        position += _argument_bytes(opcode, data[position:])
    raise pickle.UnpicklingError(f"it has more than {_MOST_INSTRUCTIONS} instructions")


def _argument_bytes(opcode: pickletools.OpcodeInfo, rest: memoryview) -> int:
    """The number of bytes that belong to an instruction whose argument `rest` begins with."""
    if opcode.arg is None:
        return 0
    if opcode.arg.n == pickletools.UP_TO_NEWLINE:
        # Text of old protocols: names of functions, and numbers, whose conversion takes time with the square of digits.
        lines = 2 if opcode.name in ("GLOBAL", "INST") else 1
        parts = bytes(rest[: lines * _LONGEST_LINE]).split(b"\n", lines)
        if len(parts) <= lines or max(map(len, parts[:lines])) > _LONGEST_LINE:
            raise pickle.UnpicklingError(f"its instruction {opcode.name} has more text than {_LONGEST_LINE} bytes")
        if opcode.name in ("PUT", "GET", "INT", "LONG") and len(parts[0]) > _MOST_DIGITS:
            raise pickle.UnpicklingError(f"its instruction {opcode.name} has more digits than {_MOST_DIGITS}")
        if opcode.name == "PUT" and not (parts[0].isdigit() and int(parts[0]) < _MOST_INSTRUCTIONS):
            raise pickle.UnpicklingError("it uses an index of its memo that is too high")
        return sum(len(part) + 1 for part in parts[:lines])
    claimed = 0
    width = _LENGTH_BYTES.get(opcode.arg.n)
    if width is not None:
        claimed = int.from_bytes(rest[:width], "little")
        if opcode.name in _NUMBERS and claimed > _MOST_DIGITS:
            raise pickle.UnpicklingError(f"it holds a whole number of {claimed} bytes")
    else:
        width = opcode.arg.n
    if width + claimed > len(rest):
        raise pickle.UnpicklingError(
            f"its instruction {opcode.name} claims {claimed or width} bytes, {len(rest)} follow"
        )
    argument = int.from_bytes(rest[:width], "little")
    if opcode.name in _PLACES and argument >= _MOST_INSTRUCTIONS:
        raise pickle.UnpicklingError("it uses an index of its memo that is too high")
    if opcode.name == "FRAME" and argument > len(rest) - width:
        raise pickle.UnpicklingError(f"its frame claims {argument} bytes, {len(rest) - width} follow")
    return width + claimed


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
