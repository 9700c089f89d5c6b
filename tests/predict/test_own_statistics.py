import pytest
import torch

from cromss.dataset.bands import BANDS
from cromss.dataset.datamodule import LocationDataModule
from cromss.predict.network import load_network
from helpers.scenes import trained


def test_a_network_brings_the_statistics_of_its_training_store(tmp_path):
    trained(tmp_path / "net.ckpt", "dataset.normalisation=standardise", "dataset.statistics=store")
    with pytest.raises(ValueError, match="dataset.statistics=store, and its statistics of s2 are those of no band"):
        load_network(tmp_path / "net.ckpt")
    checkpoint = torch.load(tmp_path / "net.ckpt", weights_only=True)
    bands = [[band.name, band.wavelength, 500.0, 20.0] for band in BANDS["s2"]]
    saved = {"s2": {"quantised": False, "bands": bands}}
    torch.save(checkpoint | {LocationDataModule.__qualname__: saved}, tmp_path / "net.ckpt")
    network = load_network(tmp_path / "net.ckpt")
    assert network.statistics.as_dict() == saved
    ours = network({"s2": torch.full((1, 13, 64, 64), 520.0)}, ["s2"])["s2"]
    assert torch.equal(ours, network.net({"s2": torch.ones(1, 13, 64, 64)}, ["s2"])["s2"])


def test_a_network_of_the_published_statistics_needs_none(tmp_path):
    trained(tmp_path / "net.ckpt")
    assert load_network(tmp_path / "net.ckpt").statistics.as_dict() == {}
