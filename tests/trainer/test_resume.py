import argparse
import os
import platform

import pytest
import torch
from torch import nn

from cromss.runs.identity import differing_network
from cromss.trainer.checkpoint_file import load_checkpoint, remove_partials
from cromss.trainer.resume import check_checkpoint, find_checkpoint

CONFIG = {"trainer": {"epochs": 3, "optimizer": {"lr": 0.1}, "workers": 0}, "loss": {"consistency": "ce"}}


def changed(**trainer):
    return CONFIG | {"trainer": CONFIG["trainer"] | trainer}


def saved(path, epoch, step, whole=True, config=CONFIG):
    """Writes a checkpoint of an epoch, or within it."""
    progress = {"ready": epoch + 1, "processed": epoch + 1 if whole else epoch}
    content = {"state_dict": nn.Linear(3, 2).state_dict(), "config": config, "epoch": epoch, "global_step": step}
    torch.save(content | {"loops": {"fit_loop": {"epoch_progress": {"current": progress}}}}, path)


@pytest.fixture
def run_folder(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    saved(tmp_path / "checkpoints" / "last.ckpt", 1, 8)
    return tmp_path


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-200])


def flipped(path):
    """Changes one bit of a weight."""
    content = bytearray(path.read_bytes())
    weight = load_checkpoint(path).state["weight"].numpy().tobytes()
    content[content.index(weight) + 3] ^= 1
    path.write_bytes(content)


def test_auto_takes_the_last_checkpoint_if_there_is_one(run_folder, tmp_path_factory):
    assert find_checkpoint("auto", run_folder) == run_folder / "checkpoints" / "last.ckpt"
    assert find_checkpoint("auto", tmp_path_factory.mktemp("empty")) is None


@pytest.mark.parametrize(("step", "newest"), [(9, "step.ckpt"), (7, "last.ckpt")])
def test_auto_takes_the_newest_by_what_it_holds_and_not_by_its_time(run_folder, step, newest):
    places = run_folder / "checkpoints"
    saved(places / "step.ckpt", 2 if step > 8 else 1, step, whole=False)
    saved(places / "epoch-009.ckpt", 9, 40)
    os.utime(places / newest, (0, 0))
    assert find_checkpoint("auto", run_folder) == places / newest


@pytest.mark.parametrize("damage", [cut_short, flipped])
def test_auto_leaves_out_what_is_damaged_and_says_so(run_folder, damage, caplog):
    places = run_folder / "checkpoints"
    saved(places / "step.ckpt", 1, 5, whole=False)
    saved(places / "epoch-000.ckpt", 0, 4)
    saved(places / "best.ckpt", 0, 3)
    for name, remaining in (
        ("last.ckpt", "step.ckpt"),
        ("step.ckpt", "epoch-000.ckpt"),
        ("epoch-000.ckpt", "best.ckpt"),
    ):
        damage(places / name)
        assert find_checkpoint("auto", run_folder) == places / remaining
        assert f"{name} cannot be read as a checkpoint" in caplog.text
    damage(places / "best.ckpt")
    with pytest.raises(ValueError, match=r"all 4 checkpoint\(s\) of .* are damaged: move the folder away"):
        find_checkpoint("auto", run_folder)


def test_auto_reads_no_more_than_the_newest_to_its_end(run_folder):
    # Damage shows only where all of a file is read.
    places = run_folder / "checkpoints"
    saved(places / "epoch-000.ckpt", 0, 4)
    flipped(places / "epoch-000.ckpt")
    saved(places / "step.ckpt", 1, 7, whole=False)
    flipped(places / "step.ckpt")
    assert find_checkpoint("auto", run_folder) == places / "last.ckpt"


def test_what_killed_writers_leave_is_no_checkpoint_and_goes_away(run_folder):
    # No process has so high a number.
    end = f"partial-{platform.node()}-{2**22 + 1}-0badc0de"
    (run_folder / f".metrics.csv.{end}").write_bytes(b"epoch")
    partial = run_folder / "checkpoints" / f".last.ckpt.{end}"
    partial.write_bytes(b"PK")
    assert find_checkpoint("auto", run_folder) == run_folder / "checkpoints" / "last.ckpt"
    remove_partials(run_folder)
    assert [path.name for path in sorted(run_folder.rglob("*"))] == ["checkpoints", "last.ckpt"]


def test_a_new_run_never_writes_over_an_old_one(run_folder, tmp_path_factory):
    assert find_checkpoint(None, tmp_path_factory.mktemp("empty")) is None
    with pytest.raises(ValueError, match="already holds a run.*trainer.resume=auto"):
        find_checkpoint(None, run_folder)
    (run_folder / "checkpoints" / "last.ckpt").rename(run_folder / "checkpoints" / "step.ckpt")
    with pytest.raises(ValueError, match="already holds a run"):
        find_checkpoint(None, run_folder)


def test_a_wrong_path_says_so(tmp_path):
    with pytest.raises(ValueError, match="nowhere.ckpt is no file"):
        find_checkpoint(str(tmp_path / "nowhere.ckpt"), tmp_path)


def test_its_own_checkpoint_passes(run_folder):
    check_checkpoint(run_folder / "checkpoints" / "last.ckpt", nn.Linear(3, 2), CONFIG)


def test_another_model_is_refused_with_the_keys_that_differ(run_folder):
    with pytest.raises(
        ValueError, match=r"another model; 1 of its keys differ:\n.*weight: checkpoint \(2, 3\), model \(2, 4\)"
    ):
        check_checkpoint(run_folder / "checkpoints" / "last.ckpt", nn.Linear(4, 2), CONFIG)
    with pytest.raises(ValueError, match="bias: checkpoint .*, model has none"):
        check_checkpoint(run_folder / "checkpoints" / "last.ckpt", nn.Linear(3, 2, bias=False), CONFIG)


def test_a_change_that_the_restored_optimiser_would_undo_is_refused(run_folder):
    with pytest.raises(ValueError, match=r"trainer.optimizer.lr=0.2 \(checkpoint: 0.1\) would not change"):
        check_checkpoint(run_folder / "checkpoints" / "last.ckpt", nn.Linear(3, 2), changed(optimizer={"lr": 0.2}))


def test_other_rates_of_the_decoder_are_refused_as_the_optimiser_brings_its_own(run_folder):
    last = run_folder / "checkpoints" / "last.ckpt"
    saved(last, 1, 8, config=changed(decoder_rates="rising", decoder_rate_factor=0.8))
    for change in ({"decoder_rates": "falling"}, {"decoder_rate_factor": 0.5}):
        with pytest.raises(ValueError, match="trainer.decoder_rate.* would not change"):
            check_checkpoint(
                last, nn.Linear(3, 2), changed(**{"decoder_rates": "rising", "decoder_rate_factor": 0.8} | change)
            )


def test_a_finished_checkpoint_is_refused(run_folder):
    with pytest.raises(ValueError, match="has finished its 2 epochs and trainer.epochs=2 asks for no more"):
        check_checkpoint(run_folder / "checkpoints" / "last.ckpt", nn.Linear(3, 2), changed(epochs=2))


def test_other_changes_are_warned_of_unless_they_change_nothing(run_folder, caplog):
    path = run_folder / "checkpoints" / "last.ckpt"
    check_checkpoint(path, nn.Linear(3, 2), changed(epochs=9, workers=4))
    assert not caplog.records
    check_checkpoint(path, nn.Linear(3, 2), CONFIG | {"loss": {"consistency": "kl"}})
    assert "loss.consistency=kl (checkpoint: ce)" in caplog.text


def test_a_run_that_resumes_in_its_folder_stays_what_it_is(run_folder):
    path = run_folder / "checkpoints" / "last.ckpt"
    check_checkpoint(path, nn.Linear(3, 2), changed(epochs=9, workers=4), own=True)
    with pytest.raises(
        ValueError,
        match=r"loss.consistency=kl \(checkpoint: ce\)\. Train in another folder .*; trainer.resume=.*last.ckpt",
    ):
        check_checkpoint(path, nn.Linear(3, 2), CONFIG | {"loss": {"consistency": "kl"}}, own=True)
    # A cure that would not help is not offered.
    with pytest.raises(ValueError, match=r"trainer.optimizer.lr=0.2 \(checkpoint: 0.1\)\. .*, or move this one away$"):
        check_checkpoint(path, nn.Linear(3, 2), changed(optimizer={"lr": 0.2}), own=True)


def test_a_run_that_has_all_its_epochs_may_go_on_to_its_test_but_not_have_fewer(run_folder):
    path = run_folder / "checkpoints" / "last.ckpt"
    check_checkpoint(path, nn.Linear(3, 2), changed(epochs=2), own=True)
    with pytest.raises(ValueError, match="has 2 trained epochs and trainer.epochs=1 asks for fewer"):
        check_checkpoint(path, nn.Linear(3, 2), changed(epochs=1), own=True)


def test_an_epoch_is_not_half_trained_with_other_settings(run_folder):
    path = run_folder / "checkpoints" / "step.ckpt"
    saved(path, 2, 9, whole=False)
    check_checkpoint(path, nn.Linear(3, 2), CONFIG)
    with pytest.raises(ValueError, match=r"written within an epoch.*loss.consistency=kl.*last.ckpt"):
        check_checkpoint(path, nn.Linear(3, 2), CONFIG | {"loss": {"consistency": "kl"}})


def test_a_truncated_file_is_refused(run_folder):
    path = run_folder / "checkpoints" / "last.ckpt"
    cut_short(path)
    with pytest.raises(ValueError, match="cannot be read as a checkpoint"):
        load_checkpoint(path)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 and so on"])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    path = tmp_path / "other.ckpt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"other.ckpt cannot be read as a checkpoint \(.+\)"):
        load_checkpoint(path)


def test_a_flipped_byte_in_a_weight_is_found(run_folder):
    path = run_folder / "checkpoints" / "last.ckpt"
    flipped(path)
    with pytest.raises(ValueError, match="does not match its checksum"):
        load_checkpoint(path)


def test_a_file_that_carries_more_than_data_is_refused(tmp_path):
    path = tmp_path / "namespace.ckpt"
    torch.save({"state_dict": {}, "hyper_parameters": argparse.Namespace(lr=1)}, path)
    with pytest.raises(ValueError, match="cannot be read as a checkpoint"):
        load_checkpoint(path)


def test_a_file_without_weights_is_refused(tmp_path):
    path = tmp_path / "other.ckpt"
    torch.save({"weights": {}}, path)
    with pytest.raises(ValueError, match="holds no state_dict"):
        load_checkpoint(path)


def test_what_a_test_looks_at_changes_nothing_that_is_learned(run_folder):
    # Written when `evaluate` told what both validation and test look at.
    path = run_folder / "checkpoints" / "last.ckpt"
    saved(path, 1, 8, config=CONFIG | {"dataset": {"evaluate": "centre"}})
    now = {"validate": "centre", "evaluate": "whole"}
    check_checkpoint(path, nn.Linear(3, 2), changed(epochs=9) | {"dataset": now}, own=True)
    with pytest.raises(ValueError, match=r"dataset.validate=whole \(checkpoint: centre\)"):
        check_checkpoint(path, nn.Linear(3, 2), changed(epochs=9) | {"dataset": now | {"validate": "whole"}}, own=True)


def test_networks_are_distinguished_in_the_words_of_settings():
    backbone = {"encoder": "resnet50", "decoder": "unet"}
    late = {"_target_": "cromss.fusion.LateFusion", "backbone": backbone, "classes": 9, "common": False}
    single = {"_target_": "cromss.fusion.SingleFusion", "backbone": backbone, "classes": 9, "modality": "s2"}
    old, new = ({"fusion": fusion, "dataset": {"bands": 13}} for fusion in (late, single))
    assert differing_network(old, old) == differing_network(new, new) == {}
    assert differing_network(old, new) == {"fusion": ("late", "single"), "dataset.modality": ("s1 and s2", "s2")}
    stacked = {**new, "fusion": single | {"modality": "common"}}
    assert differing_network(new, stacked)["fusion"] == ("single", "early")
    # Of a config in a file nothing is certain.
    assert differing_network({"fusion": [1], "dataset": None}, new)["dataset.bands"] == ("None", "13")
