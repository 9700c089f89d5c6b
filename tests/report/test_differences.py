"""Which settings become columns."""

from cromss.report.differences import ABSENT, differences
from cromss.report.read import read_runs
from helpers.invented_runs import config, invent_run


def columns(folder):
    return {setting.label: setting.values for setting in differences(read_runs([folder]).runs)}


def test_what_was_swept_has_one_column_and_what_follows_none(tmp_path):
    for name, prop, fusion, seed in (("a", 0.3, "mid", 1), ("b", 0.5, "late", 2), ("c", 0.5, "mid", 3)):
        invent_run(tmp_path / name, config(prop, fusion, seed))
    # Not fusion._target_, which the group decides; not seed, cache and workers, which are no settings.
    assert columns(tmp_path) == {"fusion": ("mid", "late", "mid"), "prop": (0.3, 0.5, 0.5)}


def test_of_a_reference_that_shows_at_two_keys_the_shorter_key_counts(tmp_path):
    for name in ("resnet18", "resnet50"):
        settings = config()
        settings["backbone"] |= {"encoder": name, "network": {"encoder": name}}
        invent_run(tmp_path / name, settings, overrides=[])
    (setting,) = differences(read_runs([tmp_path]).runs)
    assert (setting.key, setting.label, setting.numeric) == ("backbone.encoder", "encoder", False)


def test_two_settings_that_change_together_are_both_shown_where_both_were_said(tmp_path):
    for name, prop, lr in (("a", 0.3, 0.1), ("b", 0.5, 0.2)):
        said = [f"selection.prop={prop}", f"trainer.optimizer.lr={lr}"]
        invent_run(tmp_path / name, config(prop, lr=lr), overrides=said)
    assert columns(tmp_path) == {"prop": (0.3, 0.5), "lr": (0.1, 0.2)}


def test_labels_are_as_long_as_it_takes(tmp_path):
    for name, one, other in (("a", 1, 1), ("b", 1, 2), ("c", 2, 2)):
        settings = config()
        settings["trainer"] |= {"x": {"factor": one}, "y": {"factor": other}}
        invent_run(tmp_path / name, settings)
    assert columns(tmp_path) == {"x.factor": (1, 1, 2), "y.factor": (1, 2, 2)}


def test_the_weights_that_training_starts_from_are_a_setting_and_named_by_their_file(tmp_path):
    for name in ("moco.pth", "dino.pth"):
        settings = config()
        settings["backbone"]["weights_path"] = f"/weights/{name}"
        invent_run(tmp_path / name, settings)
    assert columns(tmp_path) == {"weights_path": ("dino.pth", "moco.pth")}
    settings = config()
    settings["backbone"]["weights_path"] = "/other/dino.pth"
    invent_run(tmp_path / "other", settings)
    assert columns(tmp_path) == {"weights_path": ("/weights/dino.pth", "/weights/moco.pth", "/other/dino.pth")}


def test_a_setting_that_a_run_does_not_have_is_absent_and_others_are_plain(tmp_path):
    for name, more in (("a", {"smooth": [0.1, 0.2]}), ("b", {}), ("c", {"smooth": None}), ("d", {"smooth": True})):
        settings = config()
        settings["trainer"] |= more
        invent_run(tmp_path / name, settings)
    assert columns(tmp_path) == {"smooth": ("[0.1, 0.2]", ABSENT, "null", "true")}
