import argparse

import pytest
import torch
from torch import nn

from cromss.trainer.resume import check_checkpoint, find_checkpoint, load_checkpoint

CONFIG = {"trainer": {"epochs": 3, "optimizer": {"lr": 0.1}, "workers": 0}, "loss": {"consistency": "ce"}}


def changed(**trainer):
    return CONFIG | {"trainer": CONFIG["trainer"] | trainer}


@pytest.fixture
def run_folder(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    content = {"state_dict": nn.Linear(3, 2).state_dict(), "config": CONFIG, "epoch": 1}
    torch.save(content, tmp_path / "checkpoints" / "last.ckpt")
    return tmp_path


def test_auto_takes_the_last_checkpoint_if_there_is_one(run_folder, tmp_path_factory):
    assert find_checkpoint("auto", run_folder) == run_folder / "checkpoints" / "last.ckpt"
    assert find_checkpoint("auto", tmp_path_factory.mktemp("empty")) is None


def test_a_new_run_never_writes_over_an_old_one(run_folder, tmp_path_factory):
    assert find_checkpoint(None, tmp_path_factory.mktemp("empty")) is None
    with pytest.raises(ValueError, match="already holds a run.*trainer.resume=auto"):
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
    content = torch.load(last, weights_only=True) | {"config": changed(decoder_rates="rising", decoder_rate_factor=0.8)}
    torch.save(content, last)
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


def test_a_truncated_file_is_refused(run_folder):
    path = run_folder / "checkpoints" / "last.ckpt"
    path.write_bytes(path.read_bytes()[:-200])
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
    content = bytearray(path.read_bytes())
    weight = load_checkpoint(path)["state_dict"]["weight"].numpy().tobytes()
    content[content.index(weight) + 3] ^= 1
    path.write_bytes(content)
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
