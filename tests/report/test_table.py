import logging

import pytest

from cromss.report.formats import FORMATS
from cromss.report.paper import TABLES, Score
from cromss.report.runs import find_runs
from cromss.report.table import make_overview, make_report


@pytest.fixture
def report(tmp_path):
    return lambda table="dfc2020": make_report(TABLES[table], find_runs([tmp_path / "outputs"]))


def entry(report, weights="moco-13b", mode="frozen"):
    """The entry of a row of the paper."""
    found = [entry for group in report.groups for entry in group.entries if entry.row is not None]
    (one,) = [entry for entry in found if (entry.row.weights, entry.row.mode) == (weights, mode)]
    return one


def others(report):
    return [entry for group in report.groups if group.title == "Other runs" for entry in group.entries]


def test_three_seeds_have_a_mean_and_a_sample_standard_deviation(invent, report):
    for seed, miou in ((1, 60.0), (2, 61.0), (3, 62.0)):
        invent(f"{seed}", miou, seed=seed)
    (ours,) = entry(report()).ours
    # Squared distances 1 + 0 + 1, over 3 - 1.
    assert ours.scores["miou"] == pytest.approx(Score(61.0, 1.0))
    assert ours.scores["oa"] == pytest.approx(Score(81.0, 1.0))
    # The paper's row reaches 37.57.
    assert ours.difference == pytest.approx(23.43)
    assert ours.experiment.seeds == (1, 2, 3)
    assert report().notes[:2] == (
        f"3 runs read in {ours.experiment.runs[0].path.parents[1]}: 3 of rows of the paper, 0 other on dfc2020, "
        "0 on other datasets.",
        "87 of 90 runs missing.",
    )


def test_one_seed_has_no_standard_deviation(invent, report):
    invent("a", 60.0)
    assert entry(report()).ours[0].scores["miou"] == (pytest.approx(60.0), None)


def test_a_score_that_one_seed_leaves_undefined_is_undefined(invent, report):
    invent("a", 60.0)
    invent("b", seed=2, scores={"s2": {"oa": 0.5, "aa": None, "miou": 0.5, "mf1": 0.5}})
    (ours,) = entry(report()).ours
    assert ours.scores["aa"] is None
    assert ours.scores["miou"].mean == pytest.approx(55.0)


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
    assert [ours.scores["miou"].mean for ours in entry(found).ours] == pytest.approx([60.5, 10.0])
    assert [ours.experiment.name for ours in entry(found).ours] == ["E1", "E2"]
    assert "E1, E2: not averaged, as their settings, weights or test sets differ." in found.notes
    # The larger of the two has two of three seeds.
    assert "88 of 90 runs missing." in found.notes


def test_of_a_seed_that_was_run_twice_the_newer_counts(invent, report, caplog):
    old = invent("z", 10.0, modified=1_000)
    new = invent("a", 60.0, modified=2_000)
    with caplog.at_level(logging.WARNING):
        (ours,) = entry(report()).ours
    assert ours.scores["miou"].mean == pytest.approx(60.0)
    assert f"{new} counts, the older {old} does not" in caplog.text


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
    assert [experiment.seeds for experiment in report().experiments] == [(1, 3), (2,)]
    assert any("not averaged" in note for note in report().notes)


def test_frozen_for_good_is_a_row_like_the_paper_s_drifting_one(invent, report):
    invent("a", freeze="frozen")
    invent("b", freeze="none", config_hash="b")
    assert len(entry(report()).ours) == 1
    assert len(entry(report(), mode="finetuned").ours) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"row": None},
        {"row": {"table": "dfc2020", "input": "s2", "weights": "mine"}},
        {"row": {"table": "dw", "input": "s2", "weights": "moco-13b"}},
        {"freeze_epochs": 20},
        {"backbone": "resnet18"},
        {"input": "s1"},
    ],
)
def test_what_repeats_no_row_is_shown_below(invent, report, change):
    invent("a", **change)
    found = report()
    assert entry(found).ours == ()
    assert [one.ours[0].experiment.name for one in others(found)] == ["E1"]
    assert "90 of 90 runs missing." in found.notes


def test_every_branch_of_another_run_is_shown(invent, report):
    invent("a", row=None, fusion="mid", input="s1+s2", branches=("s1", "s2", "fused"))
    (one,) = others(report())
    assert [ours.branch for ours in one.ours] == ["s1", "s2", "fused"]
    assert one.names() == ("dfc2020", "s1+s2", "frozen", "resnet50", "moco moco-13b.pth")
    assert one.ours[0].difference is None


def test_other_datasets_are_counted_alone(invent, report):
    invent("a", dataset="dw", row={"table": "dw", "input": "s2", "weights": "moco-13b"})
    found = report()
    assert found.experiments == ()
    assert found.notes[0].endswith("0 of rows of the paper, 0 other on dfc2020, 1 on other datasets.")
    assert len(entry(report("dw")).ours) == 1


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
    invent("d", miou=40, dataset="dw", freeze="none")
    report = make_overview(find_runs([tmp_path / "outputs"]))
    assert [group.title for group in report.groups] == ["dw, fine-tuned", "synthetic_exact, frozen"]
    means = [entry.ours[0].scores["miou"].mean for entry in report.groups[1].entries]
    assert means == pytest.approx([61, 50])
    assert report.groups[1].entries[1].names() == ("synthetic_exact", "s2", "frozen", "resnet50", "random")
    assert report.notes == (f"4 runs read in {tmp_path}/outputs.",)
