"""Settings of the other programs that have no effect in combination with the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cromss.config.inert import Rule, all_of, any_of, inert, is_one_of, is_set, negated
from cromss.config.reading import Reading


def without_effect(program: str, settings: Mapping[str, Any], overrides: Sequence[str]) -> list[str]:
    """One sentence for each setting of the user without effect.

    Args:
        program: Key of `cromss.config.programs.PROGRAMS`.
        settings: The composed settings, of valid types.
        overrides: ``key=value`` as typed.
    """
    reading = Reading(settings, (), {}, {}, {}, frozenset())
    return [found.sentence for found in inert(_RULES.get(program, ()), reading, overrides)]


_MAKES_STORE = is_one_of("action", "convert", "plan")
_WRITES_RAW = is_one_of("action", "download", "export", "examples")


def _option_of(key: str, action: str) -> Rule:
    return Rule((key,), negated(is_one_of("action", action)), f"it is an option of action={action}")


_PREPARE = (
    *(
        Rule(
            (source,),
            negated(all_of(_MAKES_STORE, is_one_of("source", source))),
            f"it is an option of making a store of source={source}",
        )
        for source in ("ssl4eo_s12", "dw", "osm", "dfc2020", "folder")
    ),
    Rule(
        ("reference",),
        negated(any_of(is_one_of("action", "stats"), all_of(_MAKES_STORE, is_one_of("source", "reference")))),
        "it is an option of source=reference and of action=stats",
    ),
    *(_option_of(action, action) for action in ("download", "export", "examples")),
    *(
        Rule(
            (f"download.{source}",),
            negated(is_one_of("source", source)),
            f"it is an option of action=download source={source}",
        )
        for source in ("dw", "osm", "ssl4eo_s12")
    ),
    Rule(
        ("download.tiles", "download.again"),
        negated(is_one_of("source", "dw", "osm")),
        "only source=dw and source=osm download tiles",
    ),
    Rule(
        ("quantise", "compression", "overwrite", "workers", "locations_per_shard", "shard", "shards", "retry"),
        negated(_MAKES_STORE),
        "only action=convert makes a store",
    ),
    Rule(
        ("accept_missing",),
        any_of(is_one_of("action", "stats"), _WRITES_RAW),
        "it is an option of action=convert and of action=verify",
    ),
    Rule(
        ("source",),
        is_one_of("action", "verify", "stats", "export", "examples"),
        "it is an option of making a store and of action=download",
    ),
    Rule(("path",), _WRITES_RAW, "this action reads no file of the user"),
    Rule(
        ("out",),
        all_of(is_one_of("action", "verify"), is_set("path")),
        "action=verify checks the store at path; set one of the two",
    ),
)

_HAS_NO_S2 = negated(is_set("s2"))
_PREDICT = (
    Rule(("units.s1",), negated(is_set("s1")), "there is no Sentinel-1 scene; set s1"),
    Rule(("units.s2",), _HAS_NO_S2, "there is no Sentinel-2 scene; set s2"),
    # Values that switch these off are harmless for any scene.
    Rule(
        ("s2_offset",),
        all_of(_HAS_NO_S2, negated(is_one_of("s2_offset", None, 0))),
        "there is no Sentinel-2 scene; set s2",
    ),
    Rule(
        ("align",),
        all_of(is_one_of("align", True), negated(all_of(is_set("s1"), is_set("s2")))),
        "it is for two scenes; set s1 and s2",
    ),
)

_REPORT = (
    Rule(("runs", "format"), is_set("status"), "status=FOLDER shows the progress of one sweep, as text"),
    Rule(("runs", "format", "overwrite"), is_set("wandb"), "wandb=PROJECT makes a report on W&B of what is there"),
)

_RULES: Mapping[str, Sequence[Rule]] = {"prepare": _PREPARE, "predict": _PREDICT, "report": _REPORT}
