"""Scenes and trained networks, small, for tests of maps."""

import warnings

import numpy as np
import rasterio
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf
from rasterio.errors import NotGeoreferencedWarning

from cromss.config.resolvers import register_resolvers
from cromss.dataset.bands import BANDS
from cromss.io.package_data import config_dir
from helpers.weights_files import run_checkpoint

CRS = "EPSG:32632"
CORNER = (400_000, 5_300_000)

register_resolvers()


def trained(path, *overrides, seed=0):
    """Writes the checkpoint of a network with random weights that spread their predictions over the classes."""
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        cfg = compose("config", ["fusion=single", "selection=none", "loss.consistency=none", *overrides])
    torch.manual_seed(seed)
    net = instantiate(cfg.fusion)
    groups = OmegaConf.to_container(cfg, resolve=True)
    run_checkpoint(net, path, **{name: groups[name] for name in ("fusion", "dataset", "backbone")})
    return net.eval()


def pixels(modality, height, width, seed=0):
    """Values as a sensor might give them, ``(K, H, W)`` in raw units: uint16 or float32."""
    random = np.random.default_rng(seed)
    bands = BANDS[modality]
    noise = random.normal(size=(len(bands), height, width)).cumsum(axis=1).cumsum(axis=2)
    noise /= np.abs(noise).max() + 1e-9
    image = np.stack([band.mean + 1.5 * band.std * plane for band, plane in zip(bands, noise, strict=True)])
    return image.clip(1, None).astype(np.uint16) if modality == "s2" else image.astype(np.float32)


def write_scene(path, image, crs=CRS, corner=CORNER, pixel=10, names=None, tags=None, **profile):
    """Writes ``(K, H, W)`` as a GeoTIFF and returns its path."""
    count, height, width = image.shape
    transform = None if corner is None else rasterio.Affine(pixel, 0, corner[0], 0, -pixel, corner[1])
    if transform is not None:
        profile["transform"] = transform
    with warnings.catch_warnings():
        # A scene without georeference is meant.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        file = rasterio.open(
            path, "w", driver="GTiff", count=count, height=height, width=width, dtype=image.dtype, crs=crs, **profile
        )
    with file:
        file.write(image)
        file.update_tags(**(tags or {}))
        for number, name in enumerate(names or [], start=1):
            file.set_band_description(number, name)
    return path
