import csv
import io
import re

import pytest

from cromss.report.formats import FORMATS, as_csv, as_text
from cromss.report.listing import beside_paper, overview
from cromss.report.paper import TABLES
from cromss.report.read import read_runs
from cromss.report.table import Mean, compared
from helpers.invented_runs import config, invent_run


@pytest.fixture
def report(tmp_path):
    return lambda table="dfc2020": beside_paper(TABLES[table], compared(read_runs([tmp_path / "outputs"])))


def lines(report, weights="moco-13b", mode="frozen"):
    """Our lines beside a row of the paper; none where its runs are missing."""
    found = [line for _, group in report.groups for line in group if line.row is not None]
    chosen = [line for line in found if (line.row.weights, line.row.mode) == (weights, mode)]
    assert chosen
    return [line for line in chosen if line.experiment is not None]


def others(report):
    return [line for title, group in report.groups if title == "Other runs" for line in group]


def test_three_seeds_have_a_mean_and_a_sample_standard_deviation(invent, report):
    for seed, miou in ((1, 60.0), (2, 61.0), (3, 62.0)):
        invent(f"{seed}", miou, seed=seed)
    (ours,) = lines(report())
    # Squared distances 1 + 0 + 1, over 3 - 1.
    assert ours.scores["miou"] == Mean(pytest.approx(0.61), pytest.approx(0.01), 3)
    assert ours.scores["oa"] == Mean(pytest.approx(0.81), pytest.approx(0.01), 3)
    # The paper's row reaches 37.57.
    assert ours.difference == pytest.approx(23.43)
    assert ours.experiment.reported_seeds == (1, 2, 3)
    assert report().notes == [
        f"3 runs read in {ours.experiment.first.path.parent}: 3 of rows of the paper, 0 other on dfc2020, "
        "0 on other datasets.",
        "87 of 90 runs missing.",
    ]


def test_one_seed_has_no_standard_deviation(invent, report):
    invent("a", 60.0)
    assert lines(report())[0].scores["miou"] == Mean(pytest.approx(0.6), None, 1)


def test_a_score_that_one_seed_leaves_undefined_is_undefined(invent, report):
    invent("a", 60.0)
    invent("b", seed=2, scores={"s2": {"oa": 0.5, "aa": None, "miou": 0.5, "mf1": 0.5}})
    (ours,) = lines(report())
    assert ours.scores["aa"] is None
    assert ours.scores["miou"].mean == pytest.approx(0.55)


@pytest.mark.parametrize(
    "change",
    [
        {"config_hash": "fedcba9876543210"},
        {"weights": [{"origin": "moco", "path": "weights/moco-13b.pth", "sha256": "cd" * 32, "modality": "s2"}]},
        {"tested": {"locations": 6}},
    ],
    ids=["settings", "weights", "test set"],
)
def test_what_differs_in_more_than_the_seed_is_not_averaged(invent, report, change):
    invent("a", 60.0, seed=1)
    invent("b", 61.0, seed=2)
    invent("c", 10.0, seed=3, **change)
    found = report()
    assert [ours.scores["miou"].mean for ours in lines(found)] == pytest.approx([0.605, 0.1])
    assert [ours.experiment.name for ours in lines(found)] == ["E1", "E2"]
    assert "E1, E2: not averaged, as their settings, weights or test sets differ." in found.notes
    # The larger of the two has two of three seeds.
    assert "88 of 90 runs missing." in found.notes


def test_of_a_seed_that_was_run_twice_the_newer_counts(invent, report, tmp_path):
    invent("z", 10.0, modified=1_000)
    invent("a", 60.0, modified=2_000)
    (ours,) = lines(report())
    assert ours.scores["miou"].mean == pytest.approx(0.6)
    for notes in (report().notes, overview(compared(read_runs([tmp_path / "outputs"]))).notes):
        assert "E1: seed 1 was run more than once: a counts, the older z not." in notes


def test_another_test_set_than_the_paper_s_is_said(invent, report):
    invent("a", tested={"locations": 6})
    assert "E1: tested on 6 locations, the paper on 5128: not to be compared." in report().notes


def scored(evaluate, pixels):
    part = {"evaluate": evaluate, "pixels": pixels, "labelled": 1000, "share": pixels / 1000}
    return {"checkpoint": "last.ckpt", "locations": 5128, "season": 0, "seasons": 1, "ignored": 7} | part


@pytest.mark.parametrize("write", FORMATS.values(), ids=FORMATS)
def test_a_test_on_a_part_of_the_pixels_is_never_silent(invent, report, write):
    invent("whole", tested=scored("whole", 1000))
    assert "labelled pixels" not in write(report())
    invent("centre", tested=scored("centre", 735))
    said = " ".join(write(report()).split())
    assert "73.5% of the labelled pixels (dataset.evaluate=centre)" in said


def test_tests_on_all_and_on_a_part_of_the_pixels_are_not_averaged(invent, report):
    # Even if their settings were the same.
    invent("one", miou=40, seed=1, tested=scored("whole", 1000))
    invent("two", miou=50, seed=2, tested=scored("centre", 735))
    invent("three", miou=60, seed=3, tested=scored("whole", 1000))
    assert [one.seeds for one in report().experiments] == [(1, 3), (2,)]
    assert any("not averaged" in note for note in report().notes)


def test_frozen_for_good_is_a_row_like_the_paper_s_drifting_one(invent, report):
    invent("a", freeze="frozen")
    invent("b", freeze="none", config_hash="b")
    assert len(lines(report())) == 1
    assert len(lines(report(), mode="finetuned")) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"freeze_epochs": 20},
        {"backbone": "resnet18"},
        {"decoder": "unet"},
        {"bands": 9},
        {"weights": []},
        {"weights": [{"origin": "cromss", "path": "weights/moco-13b.pth", "sha256": None}]},
        {"input": "s1+s2"},
    ],
)
def test_what_repeats_no_row_is_shown_below(invent, report, change):
    """Whatever row the run says that it repeats."""
    invent("a", **change)
    found = report()
    assert lines(found) == []
    repeated = [line for _, group in found.groups for line in group if line.row and line.experiment]
    # Another number of bands, or random weights, is another row.
    is_row = change in ({"weights": []},)
    assert [one.experiment.name for one in [*others(found), *repeated]] == ["E1"]
    assert bool(repeated) == is_row


def test_a_row_is_known_by_the_settings_of_a_run(invent, report):
    satlas = [{"origin": "satlas", "path": "elsewhere/x.pth", "sha256": None, "modality": "s2"}]
    cromss = [{"origin": "cromss", "path": "elsewhere/x.ckpt", "sha256": None, "modality": "s2"}]
    invent("a", row=None)
    invent("b", row=None, bands="9_rgb_first", weights=satlas, freeze="none")
    invent("c", row=None, input="s1", weights=[])
    # Middle and late fusion leave weights of one origin: the run says which.
    invent("d", weights=cromss, row={"table": "dfc2020", "input": "s2", "weights": "cromss-late-13b"})
    invent("e", weights=cromss, row=None, seed=2, config_hash="e")
    found = report()
    assert len(lines(found)) == 1
    assert len(lines(found, "satlas-9b", "finetuned")) == 1
    assert len(lines(found, "random")) == 1
    assert len(lines(found, "cromss-late-13b")) == 1
    assert [line.experiment.runs[0].name for line in others(found)] == ["e"]


def test_every_branch_of_another_run_is_shown(invent, report):
    invent("a", row=None, fusion="mid", input="s1+s2", branches=("s1", "s2", "fused"))
    found = others(report())
    assert [line.branch for line in found] == ["s1", "s2", "fused"]
    assert found[0].names == ("dfc2020", "s1+s2", "frozen", "resnet50", "moco moco-13b.pth")
    assert found[0].difference is None


def test_other_datasets_are_counted_alone(invent, report):
    invent("a", dataset="dw", decoder="deeplabv3plus")
    found = report()
    assert found.experiments == []
    assert found.notes[0].endswith("0 of rows of the paper, 0 other on dfc2020, 1 on other datasets.")
    assert len(lines(report("dw"))) == 1


def test_the_settings_of_an_experiment_are_one_line(invent, report):
    invent("a", freeze="frozen", freeze_epochs=20, train_samples=100, epochs=1, row=None, weights=[])
    (experiment,) = report().experiments
    assert experiment.description() == (
        "config 0123456789abcdef, s2 of 13 bands, resnet50 pspnet, fusion=single, random, "
        "freeze=frozen until epoch 20, 1 epoch, 100 samples, 5128 test locations, seed 1"
    )


def test_without_a_table_all_runs_stand_beside_each_other_by_dataset_and_mode(invent, tmp_path):
    invent("a", miou=60, row=None, dataset="synthetic_exact", freeze="frozen", seed=1)
    invent("b", miou=62, row=None, dataset="synthetic_exact", freeze="frozen", seed=2)
    invent("c", miou=50, row=None, dataset="synthetic_exact", freeze="frozen", weights=[])
    invent("d", miou=40, dataset="dw", freeze="none", config_hash="d")
    report = overview(compared(read_runs([tmp_path / "outputs"])))
    (first, _), (second, group) = report.groups
    assert (first, second) == ("dw, fine-tuned", "synthetic_exact, frozen")
    means = [line.scores["miou"].mean for line in group]
    assert means == pytest.approx([0.61, 0.5])
    assert group[1].names == ("synthetic_exact", "s2", "frozen", "resnet50", "random")
    assert report.notes == [f"4 runs read in {tmp_path}/outputs."]


def test_runs_that_were_never_tested_show_their_validation_and_say_so(invent, tmp_path):
    invent("tested", 60, row=None)
    for seed, curve in ((1, [0.3, 0.5, 0.4]), (2, [0.3, 0.7, 0.6])):
        invent_run(tmp_path / "outputs" / f"run{seed}", config(seed=seed), curve=curve)
    invent_run(tmp_path / "outputs" / "begun", config(0.9), curve=[], state="failed", error="ValueError: no")
    found = overview(compared(read_runs([tmp_path / "outputs"])))
    titles = ["dfc2020, frozen", "synthetic, not tested: validation scores at the best epoch"]
    assert [title for title, _ in found.groups] == titles
    s1, s2, begun = found.groups[1][1]
    # Mean of 0.5 and 0.7, where the loss of each is lowest.
    assert (s2.branch, s2.scores["miou"].mean, s1.scores["miou"].mean) == ("s2", *map(pytest.approx, (0.6, 0.5)))
    assert s2.scores["aa"] is None
    assert (begun.branch, begun.scores) == ("", None)
    assert "not tested, seeds 1 2" in s2.experiment.description()
    assert "1 run failed: begun (ValueError: no)." in found.notes
    text = as_text(found)
    assert re.search(r"tu-resnet18 +random +s1 .*2 seeds, E\d\n +s2 .* 60.00 ± 14.14 .*2 seeds, E\d\n", text)
    assert re.search(r"no score .*1 seed, E\d, failed\n", text)
    rows = list(csv.DictReader(io.StringIO(as_csv(found))))
    assert [row["scores"] for row in rows] == ["test", "validation", "validation", ""]
    # A table of the paper is of tests alone.
    beside = beside_paper(TABLES["dfc2020"], compared(read_runs([tmp_path / "outputs"])))
    assert beside.notes[0].endswith("1 of rows of the paper, 0 other on dfc2020, 0 on other datasets, 3 not tested.")


def test_scores_against_the_truth_are_lines_of_their_own(tmp_path):
    run = invent_run(tmp_path / "a", config())
    (run / "metrics.csv").write_text("epoch,val/loss,val/s2/miou,val/s2/miou_true\n0,1,0.25,0.5\n")
    ((_, lines),) = overview(compared(read_runs([tmp_path]))).groups
    assert [(line.branch, line.scores["miou"].mean) for line in lines] == [("s2", 0.25), ("s2 (truth)", 0.5)]
