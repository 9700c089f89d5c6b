"""What the sampler cmaes remembers in a study: Optuna keeps it as a pickle, which is loaded without running code."""

from __future__ import annotations

import io
import pickle
from typing import Any

from optuna.samplers import _cmaes

from cromss.config import UserError

_STATE = {
    ("cmaes._cma", "CMA"),
    ("cmaes._sepcma", "SepCMA"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
}
"""All that the state of an optimiser consists of beside plain values."""

_MALFORMED = (
    pickle.UnpicklingError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _STATE:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is refused, since it may run anything")
        return super().find_class(module, name)


class _Pickle:
    """In place of the module `pickle` where Optuna loads the state."""

    dumps = staticmethod(pickle.dumps)

    @staticmethod
    def loads(content: bytes) -> Any:
        try:
            return _Unpickler(io.BytesIO(content)).load()
        except _MALFORMED as error:
            raise UserError(
                f"the study holds a state of the sampler cmaes that cannot be read ({error}): search in another folder "
                "(hydra.sweep.dir=…), or by another sampler"
            ) from error


def load_without_code() -> None:
    """Makes Optuna load the state of its sampler cmaes as data."""
    _cmaes.pickle = _Pickle  # type: ignore[assignment]
