"""`cromss predict`: maps a scene with a trained network."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from cromss.cli.command import check_exist, run_command
from cromss.io.user_paths import as_path, check_new_file

log = logging.getLogger(__name__)

IMAGES = ("s1", "s2")
"""Keys of the images of a scene."""

USUAL_WINDOW = 256


def main() -> None:
    """Runs the command line."""
    interrupted = "no map was written. The same command starts again."
    run_command("predict", run, interrupted)


def run(settings: Any) -> None:
    """Does what `conf/predict.yaml`, as a plain dict that fits `cromss.config.programs.Predict`, says.

    Raises:
        ValueError: A scene is missing, or checkpoint and scene do not fit; nothing has been
            written by then.
        OSError: The disk is full or cannot be written.
    """
    if all(settings[modality] is None for modality in IMAGES):
        raise ValueError("a scene is missing: set s1=FILE, s2=FILE or both")
    check_exist({key: settings[key] for key in ("checkpoint", *IMAGES, "truth")})
    targets = _targets(settings)
    # Imported late: they take seconds to load.
    import rasterio
    import torch

    from cromss.dataset.augment import HALVINGS
    from cromss.predict.block_cache import cache_for
    from cromss.predict.mapping import Mapper
    from cromss.predict.network import load_network
    from cromss.predict.opening import check_values, open_scene
    from cromss.predict.truth import open_truth, summary

    paths = {modality: as_path(settings[modality]) for modality in IMAGES if settings[modality] is not None}
    network = load_network(as_path(settings["checkpoint"]))
    branches = network.branches(paths.keys(), settings["branch"])
    network.net.to(_device(settings["device"], torch.cuda.device_count()))
    bands = {modality: network.bands[modality] for modality in paths}
    with rasterio.Env(), ExitStack() as stack:
        scene = stack.enter_context(
            open_scene(paths, bands, settings["units"], settings["s2_offset"], settings["align"])
        )
        read = [as_path(settings[key]) for key in ("checkpoint", "truth") if settings[key] is not None]
        _check_unread(targets.values(), [*read, *paths.values(), *scene.files])
        # No larger than the scene needs: computing padding is a waste.
        needed = max(network.smallest, math.ceil(max(scene.size) / HALVINGS) * HALVINGS)
        trained = network.crop if network.crop and network.crop % HALVINGS == 0 else USUAL_WINDOW
        window = min(settings["window"] or trained, needed)
        if window < network.smallest:
            raise ValueError(f"window={window} is too small for this network, which needs {network.smallest} px")
        # GDAL reads this once, before it decodes the first block.
        rasterio.env.setenv(GDAL_CACHEMAX=settings["cache_mb"] or cache_for(scene.layers, window))
        check_values(scene)
        height, width = scene.size
        log.info("%d x %d px by %s in windows of %d px", width, height, " and ".join(branches), window)
        if scene.header.crs == "none":
            log.warning("The scene has no CRS, and so the map will have none")
        mapper = Mapper(
            network,
            branches,
            window=window,
            overlap=round(settings["overlap"] * window),
            batch_size=settings["batch_size"],
            bfloat16=settings["precision"] == "bfloat16",
            progress_bar=settings["progress_bar"],
        )
        truth = None
        if settings["truth"] is not None:
            truth = stack.enter_context(open_truth(as_path(settings["truth"]), scene.header, network.classes))
        mapper.write(scene, targets, truth)
    if truth is not None:
        log.info("%s", summary(truth.results()))
    for name, path in targets.items():
        log.info("%-14s %s", name, path)


def _targets(settings: Mapping[str, Any]) -> dict[str, Path]:
    """Name -> file to write; ValueError where one cannot be written."""
    out = as_path(settings["out"])
    if out.suffix.lower() not in (".tif", ".tiff"):
        raise ValueError(f"out={out}: maps are GeoTIFFs: let it end in .tif")
    if out.is_symlink():
        # The map replaces the file that a link points to, not the link.
        out = out.resolve()
    targets = {"classes": out}
    for name in ("confidence", "probabilities"):
        if settings[name]:
            targets[name] = out.with_stem(f"{out.stem}_{name}")
    if settings["preview"]:
        targets["preview"] = out.with_suffix(".png")
    if settings["truth"] is not None:
        targets["scores"] = out.with_name(f"{out.stem}_scores.json")
    for target in targets.values():
        check_new_file(target, settings["overwrite"])
    return targets


def _check_unread(targets: Iterable[Path], read: Iterable[Path]) -> None:
    """ValueError where a target is one of the input files, even under another name."""
    files = list(read)
    for target in targets:
        # Links, soft or hard, count as the file.
        if target.exists() and any(file.exists() and target.samefile(file) for file in files):
            raise ValueError(f"out=… would write over {target}, which is read: choose another out=…")


def _device(name: str, gpus: int) -> str:
    if name == "auto":
        return "cuda" if gpus else "cpu"
    if name.startswith("cuda") and int(name.partition(":")[2] or 0) >= gpus:
        raise ValueError(f"device={name}: torch sees {gpus} GPU(s): set device=cpu, or check nvidia-smi")
    return name
