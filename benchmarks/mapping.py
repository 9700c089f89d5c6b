"""What a map of a scene costs: time beside the network alone, and memory, whatever the size of the scene."""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import rasterio
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf
from rasterio.windows import Window

from benchmarks.memory import highest_memory
from benchmarks.timing import one_thread
from cromss.config.resolvers import register_resolvers
from cromss.dataset.bands import BANDS
from cromss.io.package_data import config_dir
from cromss.predict.mapping import CLASSES, Mapper
from cromss.predict.network import load_network
from cromss.predict.opening import open_scene

TILE = 512


def measure_mapping(side: int, window: int, batch: int) -> dict[str, float]:
    """Maps a scene with a ResNet-50 U-Net, from the GeoTIFF to the finished map.

    Args:
        side: Pixels per side of the scene.
        window: Pixels per side of a window; a quarter overlaps.
        batch: Windows a forward pass.

    Returns:
        ``windows_s``, seconds a window, and ``network``, the share of the time in the network's own forward pass.
    """
    spent = []
    with one_thread(), tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = Path(name)
        scene = _write_scene(folder / "s2.tif", side)
        network = load_network(_write_checkpoint(folder / "net.ckpt", "backbone=resnet50"))
        network.net.register_forward_pre_hook(lambda *_: spent.append(-time.perf_counter()))
        network.net.register_forward_hook(lambda *_: spent.append(time.perf_counter()))
        mapper = Mapper(network, ("s2",), window, window // 4, batch, bfloat16=False, progress_bar=False)
        with open_scene({"s2": scene}, network.bands, s2_offset=0, align=False) as opened:
            # The first pass pays for memory that later ones use again.
            mapper.write(opened, {CLASSES: folder / "warm.tif"})
            spent.clear()
            start = time.perf_counter()
            mapper.write(opened, {CLASSES: folder / "map.tif"})
            total = time.perf_counter() - start
    return {"windows_s": total / (len(spent) / 2 * batch), "network": sum(spent) / total}


def compare_scenes(small: int, large: int) -> dict[str, float]:
    """Maps a scene and a larger one, each by the real command line.

    Args:
        small: Pixels per side of the smaller scene.
        large: Pixels per side of the larger one.

    Returns:
        Highest anonymous resident memory of the process in MiB, for both, and the ratio.

    Raises:
        RuntimeError: A command failed.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint = _write_checkpoint(folder / "net.ckpt", "backbone.decoder_channels=[8,8,8]")
        used = []
        for side in (small, large):
            scene = _write_scene(folder / f"s2-{side}.tif", side)
            settings = [f"checkpoint={checkpoint}", f"s2={scene}", f"out={folder}/map-{side}.tif", "s2_offset=0"]
            settings += ["overlap=0.05", "preview=true", "progress_bar=false"]
            used.append(highest_memory([sys.executable, "-m", "cromss.predict", *settings]))
    return {"small_mib": used[0], "large_mib": used[1], "ratio": used[1] / used[0]}


def _write_checkpoint(path: Path, *overrides: str) -> Path:
    """A network of random weights that sees S2."""
    register_resolvers()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        cfg = compose("config", ["fusion=single", *overrides])
    net = instantiate(cfg.fusion)
    state = {f"net.{key}": value for key, value in net.state_dict().items()}
    torch.save({"state_dict": state, "config": OmegaConf.to_container(cfg, resolve=True), "epoch": 0}, path)
    return path


def _write_scene(path: Path, side: int) -> Path:
    """13 bands of noise, the same in every tile, since only its bytes matter."""
    random = np.random.default_rng(0)
    bands = BANDS["s2"]
    tile = np.stack([random.normal(band.mean, band.std, (TILE, TILE)).clip(1, 65535) for band in bands])
    # In coarse steps, which compress: a large scene need not fill the disk.
    tile = (tile // 128 * 128).astype(np.uint16)
    profile = {"driver": "GTiff", "tiled": True, "blockxsize": TILE, "blockysize": TILE, "compress": "zstd"}
    grid = {"crs": "EPSG:32632", "transform": rasterio.Affine(10, 0, 4e5, 0, -10, 5.3e6)}
    with rasterio.open(
        path, "w", count=len(bands), height=side, width=side, dtype="uint16", zstd_level=1, **profile, **grid
    ) as file:
        for top in range(0, side, TILE):
            for left in range(0, side, TILE):
                height, width = min(TILE, side - top), min(TILE, side - left)
                file.write(tile[:, :height, :width], window=Window(left, top, width, height))
    return path
