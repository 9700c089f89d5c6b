"""The state of the sampler cmaes in a study: Optuna stores it as a pickle, which can run code when it is loaded."""

from __future__ import annotations

import io
import pickle
from typing import Any

_STATE = {
    ("cmaes._cma", "CMA"),
    ("cmaes._sepcma", "SepCMA"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
}
"""The only classes and functions in the state of an optimiser."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _STATE:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is refused, as it could run any code")
        return super().find_class(module, name)


def check_state(content: bytes) -> None:
    """Checks that a pickle holds nothing but the state of an optimiser, before Optuna loads it.

    Raises:
        ValueError: It names something else, or is damaged.
    """
    try:
        _Unpickler(io.BytesIO(content)).load()
    except (pickle.UnpicklingError, AttributeError, EOFError, ImportError, LookupError) as error:
        raise ValueError(f"the state of the sampler cmaes cannot be read: {error}") from error
    except (MemoryError, OverflowError, RecursionError, TypeError) as error:
        raise ValueError(f"the state of the sampler cmaes is damaged: {error}") from error
