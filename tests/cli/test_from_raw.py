"""From each published raw layout to an epoch of training, by the command lines."""

import pytest

from helpers.raw_layouts import as_tar_gz, dfc2020, ssl4eo_s12, tiles
from helpers.shared import needs_shared

pytestmark = [needs_shared, pytest.mark.slow]

TINY = ["backbone=tiny", "trainer=smoke", "trainer.epochs=1", "trainer.wandb=disabled"]


@pytest.mark.parametrize("packed", [False, True])
def test_pretraining_from_ssl4eo_s12(tmp_path, prepare, train, packed):
    raw = ssl4eo_s12(tmp_path / "SSL4EO S12")
    path = as_tar_gz(raw, tmp_path / "all.tar.gz", parts=("s1", "s2c", "labels")) if packed else raw
    prepare("source=ssl4eo_s12", f"path={path}", f"ssl4eo_s12.ids='{raw / 'ids.csv'}'", "out=made.store")
    assert "3 locations, 30 values, ok" in prepare("action=verify", "path=made.store").stdout
    train("dataset=nol", "dataset.path=made.store", *TINY, "hydra.run.dir=run")
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()


@pytest.mark.parametrize("cut", ["whole", "patches"])
@pytest.mark.parametrize("kind", ["dw", "osm", "dfc2020"])
def test_fine_tuning_from_tiles(tmp_path, prepare, train, kind, cut):
    raw = dfc2020(tmp_path / "raw") if kind == "dfc2020" else tiles(tmp_path / "raw", kind)
    side = {"whole": "null", "patches": {"dfc2020": 128}.get(kind, 102)}[cut]
    prepare(f"source={kind}", f"path={raw}", f"{kind}.cut={side}", "out=made.store")
    prepare("action=verify", "path=made.store")
    settings = [*TINY, "trainer/scheduler=none", "fusion=single", "selection=none", "loss.consistency=none"]
    settings += ["smoothing=none", "hydra.run.dir=run", *(["dataset.crop=96"] if cut == "patches" else [])]
    train(f"dataset={kind}", "dataset.train_path=made.store", "dataset.test_path=made.store", *settings)
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()
