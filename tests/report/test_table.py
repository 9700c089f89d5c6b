"""Means over seeds, effects, curves and warnings, worked by hand."""

import json
import os

import pytest

from cromss.report.notes import notes as all_notes
from cromss.report.page.figures import curves, effects_of
from cromss.report.page.patches import gallery
from cromss.report.page.render import page_data
from cromss.report.read import read_runs
from cromss.report.table import Mean, compared
from helpers.invented_runs import config, invent_patches, invent_run, invent_sweep


def table(folder):
    return compared(read_runs([folder]))


def experiments(folder):
    return table(folder).experiments


def effects(folder):
    found = table(folder)
    return found.experiments, effects_of(found.experiments, found.settings)


def notes(folder):
    return "\n".join(all_notes(table(folder)))


def test_the_best_epoch_is_that_of_the_monitor_and_the_last_is_the_last(tmp_path):
    invent_run(tmp_path / "a", config(seed=1), curve=[0.3, 0.5, 0.4])
    invent_run(tmp_path / "b", config(seed=2), curve=[0.3, 0.7, 0.6])
    (one,) = experiments(tmp_path)
    # Mean of 0.5 and 0.7; the sample's deviation of two values is their distance over the root of 2.
    best, last = one.scores["val/s2/miou"]
    assert best == Mean(pytest.approx(0.6), pytest.approx(0.2 / 2**0.5), 2)
    assert last == Mean(pytest.approx(0.5), pytest.approx(0.2 / 2**0.5), 2)
    assert one.seeds == (1, 2)


def test_what_is_not_done_counts_only_where_nothing_is(tmp_path):
    invent_run(tmp_path / "a", config(0.3, seed=1), curve=[0.4])
    invent_run(tmp_path / "b", config(0.3, seed=2), curve=[0.9], state="running")
    invent_run(tmp_path / "c", config(0.5, seed=1), curve=[0.8], state="failed", error="ValueError: no")
    first, second = experiments(tmp_path)
    # The unfinished one stands below, however high its score.
    assert [(one.settings, one.is_done) for one in (first, second)] == [((0.3,), True), ((0.5,), False)]
    assert first.scores["val/s2/miou"][0] == Mean(0.4, None, 1)
    assert second.scores["val/s2/miou"][0] == Mean(0.8, None, 1)
    text = notes(tmp_path)
    assert "1 run running: b" in text
    assert "1 run failed: c (ValueError: no)" in text


def test_of_a_seed_that_ran_twice_the_newest_counts(tmp_path):
    invent_run(tmp_path / "new", config(), curve=[0.6])
    old = invent_run(tmp_path / "old", config(), curve=[0.2])
    for path in old.iterdir():
        os.utime(path, (1, 1))
    (one,) = experiments(tmp_path)
    assert one.scores["val/s2/miou"][0] == Mean(0.6, None, 1)
    assert "E1: seed 1 was run more than once: new counts, the older old not." in notes(tmp_path)


def test_differences_of_seeds_code_and_data_are_warned_of(tmp_path):
    invent_run(tmp_path / "a", config(0.3, seed=1))
    assert notes(tmp_path) == ""
    invent_run(tmp_path / "b", config(0.5, seed=1), git_commit="b" * 40)
    invent_run(tmp_path / "c", config(0.7, seed=2, locations=99), git_commit="b" * 40 + "+changes")
    text = notes(tmp_path)
    assert "Unequal seeds: most experiments have 1; E3 has 2." in text
    assert "Different code: commits aaaaaaaa (1 run), bbbbbbbb (1 run), bbbbbbbb+changes (1 run)." in text
    assert "1 run of code with changes that were not committed" in text
    assert "Different data: dataset.reader.locations is 12, 99." in text
    assert "cache" not in text


def test_an_effect_averages_the_other_settings(tmp_path):
    tops = {(0.3, "mid"): 0.4, (0.3, "late"): 0.2, (0.5, "mid"): 0.8, (0.5, "late"): 0.4}
    for number, ((prop, fusion), top) in enumerate(tops.items()):
        invent_run(tmp_path / str(number), config(prop, fusion), curve=[top])
    found, (fusion, prop) = effects(tmp_path)
    assert (fusion.label, fusion.axis, fusion.note) == ("fusion", "category", "")
    assert (prop.values, prop.axis, prop.note) == ((0.3, 0.5), "linear", "")
    means = prop.means(found, "val/s2/miou", 0)
    # Deviation of 0.2 and 0.4, and of 0.4 and 0.8: the distance over the root of 2.
    assert [mean.mean for mean in means] == pytest.approx([0.3, 0.6])
    assert [mean.std for mean in means] == pytest.approx([0.2 / 2**0.5, 0.4 / 2**0.5])
    by_fusion = zip(fusion.values, fusion.means(found, "val/s2/miou", 0), strict=True)
    assert {value: mean.mean for value, mean in by_fusion} == pytest.approx({"mid": 0.6, "late": 0.3})


def test_an_unbalanced_grid_says_so_and_decades_make_a_logarithmic_axis(tmp_path):
    for name, lr, fusion in (("a", 1e-4, "mid"), ("b", 1e-2, "mid"), ("c", 1e-2, "late")):
        invent_run(tmp_path / name, config(0.5, fusion, lr=lr), overrides=["fusion=x", "trainer.optimizer.lr=1"])
    found = {effect.label: effect for effect in effects(tmp_path)[1]}
    assert found["lr"].axis == "log"
    assert found["lr"].note.startswith("unbalanced: of 2 combinations of the other settings 1 were tried with every")


def test_curves_are_means_and_thinned_to_what_a_screen_shows(tmp_path):
    invent_run(tmp_path / "a", config(seed=1), curve=[0.2, 0.4])
    invent_run(tmp_path / "b", config(seed=2), curve=[0.4, 0.4, 0.6])
    ((epochs, means, stds),) = curves(experiments(tmp_path), "val/s2/miou")
    assert (epochs, means) == ([0, 1, 2], [0.3, 0.4, 0.6])
    # The third epoch has one seed and so no deviation.
    assert stds == [pytest.approx(0.141, abs=1e-3), 0, None]
    invent_run(tmp_path / "long" / "c", config(), curve=[0.1] * 999 + [0.9])
    ((epochs, means, _),) = curves(experiments(tmp_path / "long"), "val/s2/miou")
    assert len(epochs) == 200
    assert (epochs[0], epochs[-1], means[-1]) == (0, 999, 0.9)


def test_patches_stand_side_by_side_only_where_they_are_the_same(tmp_path):
    for name, prop in (("a", 0.3), ("b", 0.5), ("c", 0.7)):
        invent_patches(invent_run(tmp_path / name, config(prop)))
    blocks, said = gallery(experiments(tmp_path))
    assert ([len(block.runs) for block in blocks], said) == ([3], [])
    invent_patches(invent_run(tmp_path / "d", config(0.8)), labels=1)
    invent_patches(invent_run(tmp_path / "e", config(0.9)), locations=("00001", "00003"))
    blocks, said = gallery(experiments(tmp_path))
    assert sorted(len(block.runs) for block in blocks) == [1, 1, 3]
    assert said == ["The patches are not the same in all experiments: each group is shown by itself."]


def test_of_many_experiments_the_best_show_their_patches(tmp_path):
    invent_sweep(tmp_path, props=[0.1 * n for n in range(1, 8)], seeds=[1])
    blocks, said = gallery(experiments(tmp_path))
    names = [run["name"] for block in blocks for run in block.runs]
    assert names == [f"E{rank}" for rank in range(1, 13)]
    assert said == ["The best 12 of 14 experiments with pictures."]


def test_damaged_patches_are_named(tmp_path):
    invent_patches(invent_run(tmp_path / "a", config()))
    (tmp_path / "a" / "panels" / "patches.npz").write_bytes(b"PK half a file")
    blocks, said = gallery(experiments(tmp_path))
    assert blocks == []
    assert "patches.npz is damaged" in said[0]


def test_runs_without_any_score_make_a_page_too(tmp_path):
    run = invent_run(tmp_path / "a", config(), state="running")
    (run / "metrics.csv").unlink()
    found = table(tmp_path)
    assert found.primary is None
    assert "No run has logged a score yet." in notes(tmp_path)
    assert json.loads(json.dumps(page_data(found, [], []), allow_nan=False))["metrics"] == []
