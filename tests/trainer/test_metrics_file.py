import csv

import pytest

from cromss.trainer.metrics_file import MetricsFile


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_one_row_an_epoch_with_whatever_was_logged_before_it(tmp_path):
    record = MetricsFile(tmp_path / "metrics.csv")
    record.log_metrics({"lr-Adam": 0.1}, step=0)
    record.log_metrics({"epoch": 0, "val/loss": 2.5}, step=4)
    record.log_metrics({"epoch": 0, "train/loss": 3.0}, step=4)
    record.log_metrics({"epoch": 1, "val/loss": 1.5}, step=8)
    first, second = rows(tmp_path / "metrics.csv")
    assert first == {"epoch": "0", "step": "4", "lr-Adam": "0.1", "train/loss": "3.0", "val/loss": "2.5"}
    assert (second["epoch"], second["val/loss"], second["train/loss"]) == ("1", "1.5", "")


def test_a_resumed_run_replaces_the_epochs_that_it_trains_again(tmp_path):
    path = tmp_path / "metrics.csv"
    record = MetricsFile(path)
    for epoch in range(3):
        record.log_metrics({"epoch": epoch, "val/loss": float(epoch)})
    resumed = MetricsFile(path)
    resumed.log_metrics({"epoch": 2, "val/loss": 9.0})
    resumed.log_metrics({"epoch": 3, "val/loss": 10.0})
    assert [(row["epoch"], row["val/loss"]) for row in rows(path)] == [
        ("0", "0.0"),
        ("1", "1.0"),
        ("2", "9.0"),
        ("3", "10.0"),
    ]


def test_nothing_but_the_finished_file_is_left(tmp_path):
    MetricsFile(tmp_path / "metrics.csv").log_metrics({"epoch": 0, "a": 1.0})
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]


@pytest.mark.parametrize("content", ["", "epoch,a\nx,1\n", "epoch,a\n0\n", "epoch,a\n0,=1\n", "epoch\n1\n0\n", "\0"])
def test_a_damaged_file_is_not_continued(tmp_path, content):
    (tmp_path / "metrics.csv").write_text(content)
    with pytest.raises(ValueError, match=r"metrics.csv is damaged \(.*\)"):
        MetricsFile(tmp_path / "metrics.csv")
    assert (tmp_path / "metrics.csv").read_text() == content
