"""Settings without effect in a combination: two runs that differ only in one of them would be the same run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from cromss.config.mistakes import key_of
from cromss.config.reading import Reading, at


class Inert(NamedTuple):
    """A setting of the user that has no effect.

    Attributes:
        key: Dotted.
        sentence: Names the setting, why it has no effect, and the cure.
        is_ablation: Whether it is always refused; else only where runs of a sweep differ in it.
    """

    key: str
    sentence: str
    is_ablation: bool


Condition = Callable[[Reading, str], bool]
"""The config and a key of it -> whether that key has no effect."""


class Rule(NamedTuple):
    """Some keys, and when they have no effect.

    Attributes:
        keys: Dotted; they include the keys below them.
        holds: When they have no effect.
        reason: Completes "... has no effect: ".
        is_ablation: See `Inert`.
    """

    keys: Sequence[str]
    holds: Condition
    reason: str
    is_ablation: bool = True


def without_effect(reading: Reading, overrides: Collection[str]) -> list[Inert]:
    """Settings of a training without effect, see `inert`."""
    return inert(RULES, reading, overrides)


def inert(rules: Sequence[Rule], reading: Reading, overrides: Collection[str]) -> list[Inert]:
    """Settings of the user without effect.

    Args:
        rules: Rules of a program.
        reading: The config, which fits the schema.
        overrides: ``key=value`` as typed; only these are checked.
    """
    found: dict[str, Inert] = {}
    for text in overrides:
        key = key_of(text)
        for rule in rules:
            meant = any(f"{key}.".startswith(f"{above}.") for above in rule.keys)
            if "=" in text and meant and key not in found and rule.holds(reading, key):
                found[key] = Inert(key, f"{text.lstrip('+')} has no effect: {rule.reason}", rule.is_ablation)
    return list(found.values())


def without_effect_in_sweep(runs: Sequence[tuple[Reading, Collection[str]]]) -> list[str]:
    """Sentences about settings without effect in a sweep.

    A key that all runs share is refused where it has no effect in any of them; one that they differ in, where it has
    none in one of them, as then two runs are the same.

    Args:
        runs: The config of each, which fits the schema, and what the user set for it.
    """
    texts: dict[str, set[str]] = {}
    for _, overrides in runs:
        for text in overrides:
            texts.setdefault(key_of(text), set()).add(text)
    times: Counter[str] = Counter()
    sentences: dict[str, str] = {}
    for reading, overrides in runs:
        for found in without_effect(reading, overrides):
            times[found.key] += 1
            is_swept = len(texts[found.key]) > 1
            if is_swept or (found.is_ablation and times[found.key] == len(runs)):
                sentences.setdefault(found.key, found.sentence)
    return list(sentences.values())


def is_one_of(key: str, *values: Any) -> Condition:
    """A key has one of some values."""
    return lambda reading, _: at(reading.values, key) in values


def is_set(key: str) -> Condition:
    """A key is not null."""
    return negated(is_one_of(key, None))


def _is_reference(key: str, target: str) -> Condition:
    return lambda reading, _: reading.references.get(key) == target


def _is_computed(key: str, table: str) -> Condition:
    return lambda reading, _: f"${{{table}." in reading.expressions.get(key, "")


def negated(condition: Condition) -> Condition:
    """A condition does not hold."""
    return lambda reading, key: not condition(reading, key)


def any_of(*conditions: Condition) -> Condition:
    """One of some conditions holds."""
    return lambda reading, key: any(condition(reading, key) for condition in conditions)


def all_of(*conditions: Condition) -> Condition:
    """All of some conditions hold."""
    return lambda reading, key: all(condition(reading, key) for condition in conditions)


def _is_not_before_the_end(reading: Reading, key: str) -> bool:
    epoch, epochs = at(reading.values, key), at(reading.values, "trainer.epochs")
    return isinstance(epoch, int) and isinstance(epochs, int) and epoch >= epochs


def _is_not_mentioned(reading: Reading, key: str) -> bool:
    return not reading.is_referred_to(key)


def _other_decoder(reading: Reading, key: str) -> bool:
    return key.rpartition(".")[2] != at(reading.values, "backbone.decoder")


_TESTS_NOTHING = all_of(is_one_of("trainer.test", None), is_one_of("trainer.test_only", False))
_HAS_NO_CONSISTENCY = any_of(is_one_of("loss.consistency", "none"), is_one_of("loss.consistency_weight", 0))
_KEEPS_ALL_LABELS = is_one_of("selection.prop", 1)
_IS_ONE_PROCESS = all_of(is_one_of("trainer.devices", 1), is_one_of("trainer.num_nodes", 1))


RULES: tuple[Rule, ...] = (
    Rule(
        ("dataset.modality",),
        negated(_is_reference("fusion.modality", "dataset.modality")),
        "the network does not look at it; set fusion=single, which sees one modality",
    ),
    Rule(
        ("dataset.bands",), is_one_of("fusion.modality", "s1"), "the network sees s1 alone, and these are bands of s2"
    ),
    Rule(("dataset.degrees",), is_one_of("dataset.rotate", 0), "dataset.rotate=0 rotates nothing; raise it"),
    Rule(("dataset.rotate",), is_one_of("dataset.degrees", 0), "dataset.degrees=0 rotates by nothing; raise it"),
    Rule(
        ("dataset.samples_seed",),
        is_one_of("dataset.train_samples", None),
        "dataset.train_samples=null draws no samples; set it to their number",
    ),
    Rule(
        ("dataset.eval_season",),
        all_of(_TESTS_NOTHING, is_one_of("dataset.val_fraction", 0)),
        "there is neither a validation nor a test; set dataset.val_fraction or trainer.test",
    ),
    Rule(
        ("dataset.validate",),
        is_one_of("dataset.val_fraction", 0),
        "dataset.val_fraction=0 leaves no validation; raise it",
    ),
    Rule(
        ("trainer.predictions",),
        all_of(_TESTS_NOTHING, negated(is_one_of("trainer.predictions", "none"))),
        "trainer.test=null tests nothing; set trainer.test=last",
    ),
    Rule(("dataset.crops",), _other_decoder, "it is for another backbone.decoder"),
    Rule(
        ("dataset.crops",),
        negated(_is_computed("dataset.crop", "dataset.crops")),
        "dataset.crop is set itself, and does not look it up",
    ),
    Rule(
        ("dataset.noise", "dataset.noise_rates"),
        is_one_of("dataset.reader._target_", "cromss.synthetic.open_synthetic_exact"),
        "dataset=synthetic_exact trains on the exact labels; set dataset=synthetic",
    ),
    Rule(("dataset.noise_rates",), is_one_of("dataset.noise", 0), "dataset.noise=0 makes the labels exact; raise it"),
    Rule(
        ("dataset.units.s1",), is_one_of("dataset.files.s1", None), "dataset.files.s1=null reads no Sentinel-1 images"
    ),
    Rule(
        ("dataset.units.s2", "dataset.s2_offset"),
        is_one_of("dataset.files.s2", None),
        "dataset.files.s2=null reads no Sentinel-2 images",
    ),
    Rule(
        ("backbone.load", "backbone.adapt_bands", "backbone.weights_modality"),
        is_one_of("backbone.weights", "none"),
        "backbone.weights=none loads nothing; set backbone.weights",
    ),
    Rule(
        ("backbone.freeze_epochs",),
        _is_not_before_the_end,
        "the training ends before the encoder is trained; lower it below trainer.epochs, or leave it out",
        # A single run may be resumed with more epochs.
        is_ablation=False,
    ),
    Rule(
        ("weights_folder",),
        _is_not_mentioned,
        "this run starts from none of the published weights; set init to one of them, or backbone.weights_path",
    ),
    Rule(
        ("loss.consistency",),
        all_of(is_one_of("loss.consistency_weight", 0), negated(is_one_of("loss.consistency", "none"))),
        "loss.consistency_weight=0 leaves it out; raise it",
    ),
    Rule(
        ("loss.consistency_weight",),
        is_one_of("loss.consistency", "none"),
        "loss.consistency=none compares no modalities; set loss.consistency",
    ),
    Rule(
        ("selection.confidence",),
        _HAS_NO_CONSISTENCY,
        "only the consistency loss is weighted by it, and there is none; set loss.consistency",
    ),
    Rule(
        ("selection.class_balanced",),
        _KEEPS_ALL_LABELS,
        "selection.prop=1 counts every label fully; lower it",
    ),
    Rule(
        ("selection.class_balanced",),
        all_of(is_one_of("selection.prop", 0), is_one_of("selection.ramp", "none")),
        "selection.prop=0 has no threshold; raise it",
    ),
    Rule(
        ("selection.entangle", "selection.ramp", "selection.ramp_epochs", "trainer.ramp_epochs"),
        all_of(_KEEPS_ALL_LABELS, _HAS_NO_CONSISTENCY),
        "selection.prop=1 counts every label fully, and there is no consistency loss to weight; lower selection.prop",
    ),
    Rule(
        ("selection.ramp_epochs",),
        is_one_of("selection.ramp", "none"),
        "selection.ramp=none has no ramp; set selection.ramp=exp",
    ),
    Rule(
        ("trainer.ramp_epochs",),
        any_of(
            negated(_is_reference("selection.ramp_epochs", "trainer.ramp_epochs")), is_one_of("selection.ramp", "none")
        ),
        "the selection has no ramp of this length; set selection=cromss with a ramp, and no selection.ramp_epochs",
    ),
    Rule(
        ("trainer.decoder_rate_factor",),
        is_one_of("trainer.decoder_rates", "equal"),
        "trainer.decoder_rates=equal has one rate; set rising or falling",
    ),
    # Switching it off in a longer command is harmless, unless runs differ only in it.
    Rule(
        ("dataset.evaluate", "dataset.test_world", "dataset.test_locations", "dataset.test_path"),
        _TESTS_NOTHING,
        "trainer.test=null tests nothing; set trainer.test=last",
        is_ablation=False,
    ),
    # Trying a command for several devices on one is harmless, unless runs differ only in it.
    Rule(
        ("selection.scope", "loss.scope", "trainer.sync_batchnorm"),
        _IS_ONE_PROCESS,
        "one process trains; set trainer.devices",
        is_ablation=False,
    ),
    Rule(
        (
            "selection",
            "smoothing",
            "loss",
            "backbone.freeze",
            "backbone.freeze_epochs",
            "dataset.flip",
            "dataset.rotate",
            "dataset.degrees",
            "trainer.optimizer",
            "trainer.scheduler",
            "trainer.epochs",
            "trainer.ramp_epochs",
            "trainer.decoder_rates",
            "trainer.decoder_rate_factor",
        ),
        is_one_of("trainer.test_only", True),
        "trainer.test_only=true trains nothing",
        is_ablation=False,
    ),
    Rule(
        tuple(f"trainer.wandb_{name}" for name in ("group", "tags", "project", "entity", "job_type")),
        any_of(is_one_of("trainer.wandb", "disabled"), negated(is_set("logger.wandb"))),
        "nothing is logged there with trainer.wandb=disabled, or without wandb in logger",
        is_ablation=False,
    ),
)
