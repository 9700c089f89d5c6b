"""The search space, read from overrides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep, Transformer
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from cromss.config import UserError

Space = dict[str, BaseDistribution]
"""Key of a setting, or name of a group -> its possible values."""


def read_space(params: Mapping[str, Any], arguments: Sequence[str]) -> tuple[Space, list[str]]:
    """Splits overrides into those that a search varies and those that all its runs share.

    Args:
        params: Key -> sweep of the experiment's file, such as ``"interval(0.2, 0.8)"``.
        arguments: As typed, such as ``"selection.prop=interval(0.2, 0.8)"`` or ``"seed=2"``. They win over `params`.

    Returns:
        The space, and the shared overrides unchanged.

    Raises:
        UserError: Nothing varies, or in a way that Optuna does not support.
    """
    overrides = [*(f"{key}={value}" for key, value in params.items()), *arguments]
    space: Space = {}
    shared: dict[str, str] = {}
    for text, override in zip(overrides, OverridesParser.create().parse_overrides(overrides), strict=True):
        key = override.get_key_element()
        if override.is_sweep_override():
            try:
                space[key] = _distribution(override)
            except ValueError as error:
                raise UserError(
                    f"{text} cannot be searched over ({error}): set interval(LOW, HIGH), "
                    "tag(log, interval(LOW, HIGH)), range(LOW, HIGH, STEP) or choice(A, B)"
                ) from error
            shared.pop(key, None)
        else:
            shared[key] = text
            space.pop(key, None)
    if not space:
        raise UserError(
            "This search has nothing to vary: set e.g. selection.prop='interval(0.2, 0.8)', or choose an experiment "
            "that sets hydra.sweeper.params"
        )
    return space, list(shared.values())


def _distribution(override: Override) -> BaseDistribution:
    """The distribution of a setting for Optuna; ValueError where it has none like it."""
    sweep, limits = override.value(), cast(Any, override.value())
    if isinstance(sweep, IntervalSweep):
        low, high, is_log = limits.start, limits.end, "log" in sweep.tags
        whole = isinstance(low, int) and isinstance(high, int)
        return IntDistribution(low, high, log=is_log) if whole else FloatDistribution(low, high, log=is_log)
    if isinstance(sweep, RangeSweep) and not sweep.shuffle:
        low, high, step = limits.start, limits.stop, limits.step
        if all(isinstance(value, int) for value in (low, high, step)):
            return IntDistribution(low, high, step=step)
        return FloatDistribution(low, high, step=step)
    if isinstance(sweep, ChoiceSweep | RangeSweep):
        choices: list[Any] = list(override.sweep_iterator(transformer=Transformer.encode))
        if all(isinstance(choice, str | int | float | bool | None) for choice in choices):
            return CategoricalDistribution(choices)
    raise ValueError("it is no interval, range or choice of plain values")
