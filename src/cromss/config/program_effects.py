"""Settings of the programs beside training that have no effect with the others that were chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from cromss.config.overrides import key_of


class _Rule(NamedTuple):
    """Some keys, and when they have no effect.

    Attributes:
        keys: Dotted; the keys below them are meant, too.
        holds: Settings -> whether the keys have no effect.
        reason: Completes "... has no effect: ".
    """

    keys: Sequence[str]
    holds: Callable[[Mapping[str, Any]], bool]
    reason: str


def without_effect(program: str, settings: Mapping[str, Any], overrides: Sequence[str]) -> list[str]:
    """What a user set and has no effect.

    Args:
        program: Key of `cromss.config.programs.PROGRAMS`.
        settings: Composed, each of the type that it may be.
        overrides: ``key=value`` as typed.

    Returns:
        One sentence for each such setting.
    """
    found = []
    for text in overrides:
        key = key_of(text)
        for rule in _RULES.get(program, ()):
            if any(key == idle or key.startswith(f"{idle}.") for idle in rule.keys) and rule.holds(settings):
                found.append(f"{text.lstrip('+')} has no effect: {rule.reason}")
                break
    return found


_MAKES_RAW = ("download", "export", "examples")
"""Actions that write raw data and read none."""


def _makes_store(settings: Mapping[str, Any]) -> bool:
    return settings["action"] in ("convert", "plan")


def _of_source(source: str) -> _Rule:
    return _Rule(
        (source,),
        lambda settings: not _makes_store(settings) or settings["source"] != source,
        f"it is an option of making a store of source={source}",
    )


def _of_download(source: str) -> _Rule:
    return _Rule(
        (f"download.{source}",),
        lambda settings: settings["source"] != source,
        f"it is an option of action=download source={source}",
    )


def _of_action(action: str) -> _Rule:
    return _Rule((action,), lambda settings: settings["action"] != action, f"it is an option of action={action}")


_PREPARE = (
    *map(_of_source, ("ssl4eo_s12", "dw", "osm", "dfc2020", "folder")),
    _Rule(
        ("reference",),
        lambda settings: (
            settings["action"] != "stats" and not (_makes_store(settings) and settings["source"] == "reference")
        ),
        "it is an option of source=reference and of action=stats",
    ),
    _Rule(("download",), lambda settings: settings["action"] != "download", "it is an option of action=download"),
    *map(_of_action, ("export", "examples")),
    *map(_of_download, ("dw", "osm", "ssl4eo_s12")),
    _Rule(
        ("download.tiles", "download.again"),
        lambda settings: settings["source"] not in ("dw", "osm"),
        "only source=dw and source=osm download tiles",
    ),
    _Rule(
        ("quantise", "compression", "overwrite", "workers", "locations_per_shard", "shard", "shards", "retry"),
        lambda settings: not _makes_store(settings),
        "only action=convert makes a store",
    ),
    _Rule(
        ("accept_missing",),
        lambda settings: settings["action"] in ("stats", *_MAKES_RAW),
        "it is an option of action=convert and of action=verify",
    ),
    _Rule(
        ("source",),
        lambda settings: settings["action"] in ("verify", "stats", "export", "examples"),
        "it is an option of making a store and of action=download",
    ),
    _Rule(("path",), lambda settings: settings["action"] in _MAKES_RAW, "this action reads no file of the user"),
    _Rule(
        ("out",),
        lambda settings: settings["action"] == "verify" and settings["path"] is not None,
        "action=verify checks the store at path; set one of the two",
    ),
)

_PREDICT = (
    _Rule(("units.s1",), lambda settings: settings["s1"] is None, "there is no Sentinel-1 scene; set s1"),
    _Rule(("units.s2",), lambda settings: settings["s2"] is None, "there is no Sentinel-2 scene; set s2"),
    # That nothing is taken off, or resampled, is true of any scene.
    _Rule(
        ("s2_offset",),
        lambda settings: settings["s2"] is None and bool(settings["s2_offset"]),
        "there is no Sentinel-2 scene; set s2",
    ),
    _Rule(
        ("align",),
        lambda settings: settings["align"] and (settings["s1"] is None or settings["s2"] is None),
        "it is for two scenes; set s1 and s2",
    ),
)

_REPORT = (
    _Rule(
        ("runs", "format"),
        lambda settings: settings["status"] is not None,
        "status=FOLDER shows the progress of one sweep, as text",
    ),
    _Rule(
        ("runs", "format", "overwrite"),
        lambda settings: settings["wandb"] is not None,
        "wandb=PROJECT makes a report on W&B of what is there",
    ),
)

_RULES: Mapping[str, Sequence[_Rule]] = {"prepare": _PREPARE, "predict": _PREDICT, "report": _REPORT}
