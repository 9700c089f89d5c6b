"""From a pretrained encoder to a tested map, as users call it, on small data."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import lmdb
import numpy as np
import pytest
import rasterio
import torch
from PIL import Image

from cromss.cli.train import main
from cromss.dataset.classes import CLASSES
from cromss.dataset.geotiff import opened
from cromss.dataset.reference import open_reference
from cromss.dataset.store import StoreWriter
from helpers.entrypoint import SMALL, latest, metrics
from helpers.locations import random_places
from helpers.published import published_lmdbs
from helpers.shared import REAL_PLACES, needs_shared
from helpers.stores import flip_byte, random_location, small_info

QUICK = ["trainer=finetune", "trainer.epochs=2", "trainer.batch_size=2", "trainer.workers=0", "trainer.wandb=disabled"]
QUICK += ["trainer.progress_bar=false", "trainer.panel_samples=2"]
EXACT = ["dataset=synthetic_exact", "dataset.size=40", "dataset.crop=32", "dataset.locations=6"]
EXACT += ["dataset.test_locations=5"]
LMDBS = published_lmdbs()
DW = ["dataset=dw", f"dataset.train_path={LMDBS}/dw_test_lmdb", f"dataset.test_path={LMDBS}/dw_test_lmdb"]
OSM = [
    "dataset=osm",
    f"dataset.train_path={LMDBS}/osm_test_lmdb",
    f"dataset.test_path={LMDBS}/osm_test_lmdb",
]
DFC = ["dataset=dfc2020", f"dataset.train_path={LMDBS}/DFC2020_s12_test.lmdb"]
DFC += [f"dataset.test_path={LMDBS}/DFC2020_s12_test.lmdb"]


@pytest.fixture
def here(tmp_path, cache, monkeypatch):
    """Runs train.py in this process, as the imports alone take seconds; returns the run's folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))

    def call(name, *overrides):
        monkeypatch.setattr("sys.argv", ["train.py", *latest([*overrides, f"hydra.run.dir={name}"])])
        main()
        return tmp_path / name

    return call


def weights(folder):
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def picture_size(path):
    with Image.open(path) as picture:
        return picture.size


def results(folder):
    return json.loads((folder / "results.json").read_text())


def test_a_pretrained_encoder_is_transferred_frozen_and_tested(here):
    pretrained = here("pretrained", *SMALL, "trainer.epochs=1", "trainer.progress_bar=false")
    start = ["backbone.weights=cromss", f"backbone.weights_path={pretrained}/checkpoints/last.ckpt"]
    # With a validation in between, which switches modes.
    settings = ["backbone.freeze=frozen", "trainer.predictions=png", "dataset.val_fraction=0.2"]
    folder = here("tuned", *EXACT, *QUICK, *start, *settings)

    before, after = weights(pretrained), weights(folder)
    encoder = [key for key in after if key.startswith("net.encoder.")]
    assert len(encoder) > 50
    assert all(torch.equal(after[key], before[key]) for key in encoder)
    assert not torch.equal(after["net.decoder.blocks.0.conv1.0.weight"], before["net.decoder.blocks.0.conv1.0.weight"])

    found = results(folder)
    assert found["weights"][0]["origin"] == "cromss"
    assert found["seed"] == 1
    assert len(found["config_hash"]) == 16
    confusion = np.array(found["scores"]["s2"]["confusion"])
    # Whole tiles: every pixel of all five test locations, none twice.
    assert confusion.sum() == 5 * 40 * 40
    assert found["scores"]["s2"]["oa"] == pytest.approx(confusion.trace() / confusion.sum(), abs=1e-5)
    assert found["scores"]["s2"]["absent"] == [
        label for label, row in zip(found["scores"]["s2"]["classes"], confusion, strict=True) if not row.sum()
    ]
    assert picture_size(folder / "confusion.png") > (300, 300)
    maps = sorted((folder / "predictions").glob("*.png"))
    assert [file.name for file in maps] == [f"000000{i}_s2.png" for i in range(5)]
    assert picture_size(maps[0]) == (40, 40)


def test_weights_that_saw_other_values_are_warned_of(here, capfd):
    pretrained = here("pretrained", *SMALL, "trainer.epochs=1", "trainer.progress_bar=false", "fusion=mid")
    capfd.readouterr()
    start = ["backbone.weights=cromss", f"backbone.weights_path={pretrained}/checkpoints/last.ckpt"]
    here("tuned", *EXACT, *QUICK, *start, "trainer.epochs=1", "trainer.test=null", "dataset.normalisation=standardise")
    assert "saw images of dataset.normalisation=quantise, and now see standardise" in capfd.readouterr().out


@pytest.mark.slow
def test_a_test_alone_gives_the_same_scores_whatever_the_batch_size(here):
    folder = here("tuned", *EXACT, *QUICK)
    for size in (1, 4):
        settings = [*EXACT, *QUICK, f"trainer.batch_size={size}", "trainer.test_only=true"]
        again = here(f"test-{size}", *settings, f"trainer.checkpoint={folder}/checkpoints/last.ckpt")
        assert results(again)["scores"] == results(folder)["scores"]
        assert not (again / "checkpoints").exists()


def test_a_test_alone_is_set_up_as_the_checkpoint_was_trained(here):
    folder = here("tuned", *EXACT, *QUICK, "fusion=early", "dataset.bands=9", "seed=5")
    alone = ["trainer=finetune", "trainer.test_only=true", f"trainer.checkpoint={folder}/checkpoints/last.ckpt"]
    alone += ["trainer.workers=0"]
    again = here("again", *alone)
    same = ("scores", "seed", "bands", "dataset", "fusion", "input", "config_hash")
    assert {name: results(again)[name] for name in same} == {name: results(folder)[name] for name in same}
    assert results(again)["dataset"] == "synthetic_exact"
    fewer = here("fewer", *alone, "dataset=synthetic_exact", "dataset.test_locations=2")
    assert results(fewer)["tested"]["locations"] == 2


@pytest.mark.slow
def test_an_encoder_is_unfrozen_and_a_run_resumes_on_either_side(here):
    settings = [*EXACT, *QUICK, "backbone.freeze=frozen", "backbone.freeze_epochs=2", "trainer.test=null"]
    whole = here("whole", *settings, "trainer.epochs=4")
    for resumed_at in (1, 3):
        name = f"parts-{resumed_at}"
        first = weights(here(name, *settings, f"trainer.epochs={resumed_at}"))
        parts = here(name, *settings, "trainer.epochs=4", "trainer.resume=auto")
        assert all(torch.equal(weights(whole)[key], value) for key, value in weights(parts).items())
        moved = not torch.equal(
            first["net.encoder.model.conv1.weight"], weights(parts)["net.encoder.model.conv1.weight"]
        )
        assert moved
    assert [row["epoch"] for row in metrics(whole)] == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    ("dataset", "overrides"),
    [
        (DW, ["backbone.decoder=deeplabv3plus", "dataset.modality=s1"]),
        (DW, ["fusion=early", "dataset.bands=9", "dataset.normalisation=standardise"]),
        (OSM, ["backbone.decoder=fpn", "dataset.bands=10"]),
        (OSM, ["backbone.decoder=unet", "dataset.bands=3", "dataset.normalisation=reflectance"]),
        (DFC, ["backbone.decoder=pspnet", "dataset.bands=12", "backbone.freeze=reference"]),
        (DFC, ["fusion=late", "backbone.decoder=linknet"]),
        (DFC, ["fusion=mid", "backbone.decoder=manet", "trainer.predictions=tif"]),
    ],
    ids=["dw-s1", "dw-early", "osm-fpn", "osm-rgb", "dfc-pspnet", "dfc-late-linknet", "dfc-mid-manet"],
)
def test_published_files_are_fine_tuned_on_and_tested_as_whole_tiles(here, dataset, overrides):
    settings = [*dataset, "dataset.crop=auto", *QUICK, "backbone=resnet18", "trainer.epochs=1", *overrides]
    folder = here("run", *settings)
    kind = dataset[0].partition("=")[2]
    reader = open_reference(dataset[1].partition("=")[2], kind)
    labels = np.concatenate([reader.read_labels(i) for i in range(len(reader))])
    for scores in results(folder)["scores"].values():
        counted = np.array(scores["confusion"]).sum(axis=1)
        assert counted.tolist() == [int((labels == c).sum()) for c in range(len(reader.info.classes))]
    if "fusion=mid" in overrides:
        assert list(results(folder)["scores"]) == ["s1", "s2", "fused"]
        with opened(folder / "predictions" / "0000000_fused.tif") as written:
            assert (written.width, written.height) == (96, 96)
            assert written.colormap(1)[0] == (0x41, 0x9B, 0xDF, 255)
            assert written.tags(1)["CLASS_0"] == "water"


@needs_shared
def test_maps_of_places_lie_where_the_places_lie(here):
    places = ["dataset=folder", f"dataset.path={REAL_PLACES}", f"dataset.test_path={REAL_PLACES}"]
    folder = here("run", *places, *QUICK, "trainer.epochs=1", "dataset.evaluate=whole", "trainer.predictions=tif")
    for place in REAL_PLACES.glob("*/"):
        with (
            rasterio.open(place / "s2.tif") as image,
            rasterio.open(folder / f"predictions/{place.name}_s2.tif") as map_,
        ):
            assert (map_.crs, map_.transform, map_.shape) == (image.crs, image.transform, image.shape)


def labelled(path, *labels):
    """A store of locations of 32 px with the given labels, one per location, in the classes of Dynamic World."""
    info = replace(small_info(seasons=1, size=(32, 32)), classes=tuple(CLASSES["dynamic_world"]))
    with StoreWriter(path, info, {}, overwrite=False) as writer:
        for i, label in enumerate(labels):
            images = random_location(info, i)["images"]
            writer.add(str(i), images, np.full((1, 32, 32), label, np.uint8))
    return [f"dataset.train_path={path}", f"dataset.test_path={path}", "dataset=dw", "dataset.crop=32"]


def test_tiles_and_batches_without_a_label_train_nothing_and_harm_nothing(here):
    settings = ["backbone.decoder=unet", "dataset.bands=3", "trainer.batch_size=1", "dataset.normalisation=standardise"]
    folder = here("run", *labelled("store", 255, 3, 255, 5), *QUICK, *settings)
    assert all(np.isfinite(float(row["train/loss"])) for row in metrics(folder))
    assert all(value.isfinite().all() for value in weights(folder).values())
    assert np.array(results(folder)["scores"]["s2"]["confusion"]).sum() == 2 * 32 * 32


def test_a_set_without_a_label_is_refused(here, capfd):
    with pytest.raises(SystemExit):
        here("run", *labelled("store", 255, 255), *QUICK, "dataset.bands=3")
    said = capfd.readouterr().err
    assert "none of the 2 location(s) to train on has a labelled pixel: all are 255, ignored" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("workers", [0, 2])
def test_a_value_that_is_damaged_ends_a_training_with_one_message(here, capfd, tmp_path, workers):
    data = labelled("store", 1, 2, 3, 4)
    info = replace(small_info(seasons=1, size=(32, 32)), classes=tuple(CLASSES["dynamic_world"]))
    flip_byte(tmp_path / "store", random_location(info, 2)["images"]["s2"][0].tobytes(), offset=9)
    with pytest.raises(SystemExit):
        here("run", *data, *QUICK, "dataset.bands=3", "backbone.decoder=unet", f"trainer.workers={workers}")
    said = capfd.readouterr().err
    assert "do not match their checksum" in said
    assert "Traceback" not in said


def published_tiles(path, *labels):
    """Tiles of 32 px as published, of one stored label each."""
    with lmdb.open(str(path), map_size=2**22, lock=False) as env, env.begin(write=True) as txn:
        for i, label in enumerate(labels):
            for name, shape, dtype in (("s1", (2, 32, 32), "f4"), ("s2", (13, 32, 32), "u2"), ("dw", (32, 32), "u1")):
                value = np.full(shape, label, dtype).tobytes(), shape, f"{name}_{i}.tif"
                txn.put(f"{name}_{i}".encode(), pickle.dumps(value))
    return str(path)


def test_a_stored_label_beyond_the_classes_of_the_test_set_is_found_before_the_training(here, capfd):
    data = [
        f"dataset.train_path={published_tiles('train', 1, 9)}",
        f"dataset.test_path={published_tiles('test', 1, 11)}",
    ]
    with pytest.raises(SystemExit):
        here("run", "dataset=dw", *data, "dataset.crop=32", *QUICK)
    said = capfd.readouterr().err
    assert "test, key dw_1 (labels): label values [11] are none of [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]" in said
    assert "Traceback" not in said
    assert not Path("run/checkpoints").exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["backbone.decoder=deeplabv3plus", "trainer.batch_size=1"], "backbone.decoder=deeplabv3plus (Expected more"),
        (["backbone.decoder=pan", "trainer.batch_size=1"], "dataset.crop=128 px are too little for the batch norm"),
        (["backbone.decoder=deeplabv3", "dataset.train_samples=1"], "or dataset.train_samples where that is 1"),
    ],
)
def test_a_batch_of_one_that_a_batch_norm_cannot_learn_from_is_refused(here, capfd, overrides, message):
    sizes = ["dataset.size=136", "dataset.crop=128", "dataset.locations=2", "backbone=resnet18"]
    with pytest.raises(SystemExit):
        here("run", *EXACT, *QUICK, *sizes, *overrides)
    said = capfd.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_test_tiles_too_small_for_a_decoder_are_refused_before_the_training(here, capfd):
    sizes = [
        "dataset.size=136",
        "dataset.crop=128",
        "+dataset.test.size=40",
        "backbone=resnet18",
        "backbone.decoder=pan",
    ]
    with pytest.raises(SystemExit):
        here("run", *EXACT, *QUICK, *sizes)
    assert "the tiles to test on are 64 px with their padding, too small for" in capfd.readouterr().err


def test_labels_beyond_the_classes_are_refused(here, capfd):
    with pytest.raises(SystemExit):
        here("run", *DW, *QUICK, "dataset.crop=auto", "dataset.classes=[water,trees]", "dataset.colours=[blue,green]")
    said = capfd.readouterr().err
    assert "the dataset has 9 classes" in said
    assert "name those of the dataset, in its order, in dataset.classes" in said


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["trainer.checkpoint=nowhere.ckpt"], "trainer.checkpoint=nowhere.ckpt does not exist"),
        (["backbone.decoder=pan"], "needs one number, e.g. 32; null takes that"),
        (["fusion=mid"], "it was trained with fusion=single, dataset.modality=s2, and this test asks for fusion=mid"),
        (["dataset.bands=9"], "is a checkpoint of another model: it was trained with dataset.bands=13"),
        (["dataset.normalisation=reflectance"], "trained on another input: dataset.normalisation=reflectance"),
        (
            ["backbone=resnet18", "backbone.decoder=pan"],
            "too small for backbone.decoder=pan, which needs 128",
        ),
        (["dataset.test=null"], "there is nothing to test on: set dataset.test_path, or dataset.val_fraction"),
    ],
)
def test_what_cannot_be_tested_says_why(here, capfd, overrides, message):
    folder = here("tuned", *EXACT, *QUICK, "trainer.epochs=1", "trainer.test=null")
    checkpoint = [f"trainer.checkpoint={folder}/checkpoints/last.ckpt"] * ("checkpoint" not in overrides[0])
    with pytest.raises(SystemExit):
        here("test", *EXACT, *QUICK, "trainer.test_only=true", *checkpoint, *overrides)
    said = capfd.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_a_pretraining_is_tested_as_it_was_trained_and_not_as_a_fine_tuning(here, capfd):
    folder = here("pretrained", *SMALL, "trainer.epochs=1", "trainer.progress_bar=false")
    alone = ["trainer.test_only=true", f"trainer.checkpoint={folder}/checkpoints/last.ckpt", "trainer.workers=0"]
    alone += ["trainer.wandb=disabled", "trainer.progress_bar=false"]
    with pytest.raises(SystemExit):
        here("test", "trainer=finetune", *alone)
    said = capfd.readouterr().err
    assert "it was trained with fusion=mid, dataset.modality=s1 and s2, and this test asks for fusion=single" in said
    assert "such as trainer=finetune" in said
    assert "backbone.weights=cromss" in said
    assert list(results(here("again", *alone))["scores"]) == ["s1", "s2", "fused"]


def test_a_test_on_another_dataset_leaves_out_what_that_does_not_have(here):
    folder = here("tuned", *EXACT, *QUICK, "trainer.epochs=1", "trainer.test=null")
    alone = ["trainer.test_only=true", f"trainer.checkpoint={folder}/checkpoints/last.ckpt", "trainer.workers=0"]
    found = results(here("other", *alone, *DW))
    assert found["dataset"] == "dw"
    assert found["tested"]["epochs"] == 1


@needs_shared
def test_maps_of_the_centre_lie_at_the_centre(here):
    places = ["dataset=folder", f"dataset.path={REAL_PLACES}", f"dataset.test_path={REAL_PLACES}", "dataset.crop=32"]
    folder = here("run", *places, *QUICK, "trainer.epochs=1", "dataset.evaluate=centre", "trainer.predictions=tif")
    place = next(REAL_PLACES.glob("*/"))
    with (
        rasterio.open(place / "s2.tif") as image,
        rasterio.open(folder / f"predictions/{place.name}_s2.tif") as map_,
    ):
        top, left = ((size - 32) // 2 for size in image.shape)
        assert map_.shape == (32, 32)
        assert map_.crs == image.crs
        corner = image.transform.c + 10 * left, image.transform.f - 10 * top
        assert map_.transform == rasterio.Affine(10, 0, corner[0], 0, -10, corner[1])


def folder_of_places(root, height, width, count=4):
    """Places of one size; the first rows have no label. Returns how many pixels have one."""
    labelled = 0
    for number, place in enumerate(random_places(count, size=max(height, width)).values()):
        labels = place.labels[:height, :width].copy()
        labels[: number + 1] = 255
        labelled += (height - number - 1) * width
        parts = {"s1": place.s1, "s2": place.s2, "dw": labels[None]}
        for name, pixels in parts.items():
            (root / f"p{number}").mkdir(parents=True, exist_ok=True)
            corner = rasterio.Affine(10, 0, place.corner[0], 0, -10, place.corner[1])
            shape = {"count": len(pixels), "height": height, "width": width, "dtype": pixels.dtype.name}
            grid = {"crs": place.crs, "transform": corner}
            with rasterio.open(root / f"p{number}" / f"{name}.tif", "w", driver="GTiff", **shape, **grid) as file:
                file.write(pixels[:, :height, :width])
    return labelled


def test_a_folder_is_tested_on_each_labelled_pixel_unless_the_centre_is_asked_for(here, tmp_path, capfd):
    # 45 x 70 px: crops of 32 px see 32.5 % of a place, and neither side is a multiple of 32.
    labelled = folder_of_places(tmp_path / "places", 45, 70)
    assert labelled == (44 + 43 + 42 + 41) * 70
    places = ["dataset=folder", "dataset.path=places", "dataset.test_path=places", "backbone=tiny"]
    settings = [*places, *QUICK, "trainer.epochs=1", "trainer.predictions=tif"]

    folder = here("whole", *settings)
    tested = results(folder)["tested"]
    assert (tested["evaluate"], tested["season"], tested["seasons"]) == ("whole", 0, 1)
    assert (tested["pixels"], tested["labelled"], tested["ignored"]) == (labelled, labelled, 10 * 70)
    assert tested["share"] == 1
    assert np.array(results(folder)["scores"]["s2"]["confusion"]).sum() == labelled
    assert f"all {labelled:,} labelled pixels, 700 have no label" in capfd.readouterr().out
    for map_ in (folder / "predictions").glob("*.tif"):
        with rasterio.open(map_) as written:
            assert written.shape == (45, 70)

    # The middle 32 rows start at row 6, below all that has no label.
    alone = ["trainer.test_only=true", f"trainer.checkpoint={folder}/checkpoints/last.ckpt", "trainer.workers=0"]
    centre = here("centre", *alone, *places, "dataset.evaluate=centre", "trainer.wandb=disabled")
    tested = results(centre)["tested"]
    assert (tested["evaluate"], tested["pixels"], tested["labelled"]) == ("centre", 4 * 32 * 32, labelled)
    said = f"4,096 of {labelled:,} labelled pixels ({4096 / labelled:.1%}), dataset.evaluate=centre"
    assert said in capfd.readouterr().out
