import numpy as np
import rasterio

from cromss.dataset.geotiff import Header
from cromss.predict.output import RawMap
from cromss.trainer.prediction_files import PredictionFiles
from helpers.class_names import ANY_CLASS_NAMES

COLOURS = [f"#{40 + c:02x}{90 + c:02x}{140 + c:02x}" for c in range(len(ANY_CLASS_NAMES))]
RGBA = [(40 + c, 90 + c, 140 + c, 255) for c in range(len(ANY_CLASS_NAMES))]
HEADER = Header(1, "uint8", (4, 4), (), "EPSG:32632", (10.0, 0, 5e5, 0, -10.0, 5e6))


def written(tmp_path, raw):
    raw.write(0, 0, np.zeros((len(raw_bands(raw)), 4, 4), np.uint8))
    target = tmp_path / "out.tif"
    raw.encode().move_to(target)
    return target


def raw_bands(raw):
    with rasterio.open(raw.description) as source:
        return source.indexes


def test_a_map_s_legend_has_each_class_at_its_number_whatever_its_name(tmp_path):
    classes = list(zip(ANY_CLASS_NAMES, COLOURS, strict=True))
    with rasterio.open(written(tmp_path, RawMap(tmp_path, "m", HEADER, ["class"], classes))) as map_:
        assert [map_.tags(1)[f"CLASS_{c}"] for c in range(len(classes))] == ANY_CLASS_NAMES
        assert [map_.colormap(1)[c] for c in range(len(classes))] == RGBA


def test_probabilities_have_a_band_for_each_class_whatever_its_name(tmp_path):
    with rasterio.open(written(tmp_path, RawMap(tmp_path, "p", HEADER, ANY_CLASS_NAMES, None))) as map_:
        assert list(map_.descriptions) == ANY_CLASS_NAMES


def test_a_prediction_file_has_each_class_at_its_number_whatever_its_name(tmp_path):
    files = PredictionFiles(tmp_path, "tif", ANY_CLASS_NAMES, COLOURS)
    grid = {"crs": HEADER.crs, "transform": rasterio.Affine(*HEADER.transform)}
    (tmp_path / "m.tif").write_bytes(files._encoded(np.zeros((4, 4), np.uint8), grid))
    with rasterio.open(tmp_path / "m.tif") as map_:
        assert [map_.tags(1)[f"CLASS_{c}"] for c in range(len(ANY_CLASS_NAMES))] == ANY_CLASS_NAMES
