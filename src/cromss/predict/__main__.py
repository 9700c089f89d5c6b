"""The command line of `python -m cromss.predict`."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cromss.command import as_path, check_new_file, run_command
from cromss.dataset.imagery.offset import LARGEST_OFFSET
from cromss.dataset.imagery.units import check_setting
from cromss.types import MODALITIES

log = logging.getLogger(__name__)

SWITCHES = ("align", "probabilities", "confidence", "preview", "overwrite", "progress_bar")
USUAL_WINDOW = 256


def main() -> None:
    """Runs the command line."""
    interrupted = "no map was written. The same command starts again."
    run_command("predict", run, paths=("checkpoint", *MODALITIES, "out"), interrupted=interrupted)


def run(settings: Any) -> None:
    """Does what `conf/predict.yaml`, as a plain dict, says.

    Raises:
        ValueError: A setting is missing or out of range, or checkpoint and scene do not go together; nothing has been
            written by then.
        OSError: The disk is full or cannot be written.
    """
    if problems := list(_problems(settings)):
        raise ValueError("\n".join(["This scene cannot be mapped:", *(f"  - {problem}" for problem in problems)]))
    # All that is quick and can be wrong is wrong before torch is there.
    import rasterio
    import torch

    from cromss.dataset.augment import HALVINGS
    from cromss.predict.block_cache import cache_for
    from cromss.predict.mapping import Mapper
    from cromss.predict.network import load_network
    from cromss.predict.opening import check_values, open_scene

    targets = _targets(settings)
    paths = {modality: as_path(settings[modality]) for modality in MODALITIES if settings[modality] is not None}
    network = load_network(as_path(settings["checkpoint"]))
    branches = network.branches(paths.keys(), settings["branch"])
    network.net.to(_device(settings["device"], torch.cuda.device_count()))
    bands = {modality: network.bands[modality] for modality in paths}
    with rasterio.Env(), open_scene(paths, bands, settings["units"], settings["s2_offset"], settings["align"]) as scene:
        _check_unread(targets.values(), [as_path(settings["checkpoint"]), *paths.values(), *scene.files])
        # No larger than the scene needs: what is padded is worked off in vain.
        needed = max(network.smallest, math.ceil(max(scene.size) / HALVINGS) * HALVINGS)
        trained = network.crop if network.crop and network.crop % HALVINGS == 0 else USUAL_WINDOW
        window = min(settings["window"] or trained, needed)
        if window < network.smallest:
            raise ValueError(f"window={window} is too small for this network, which needs {network.smallest} px")
        # GDAL asks once, before it decodes the first block.
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
        mapper.write(scene, targets)
    for name, path in targets.items():
        log.info("%-14s %s", name, path)


def _problems(settings: Mapping[str, Any]) -> Iterator[str]:
    for key in ("checkpoint", "out"):
        if settings[key] is None:
            yield f"{key}=… is missing; `python -m cromss.predict --help` shows examples"
    if all(settings[modality] is None for modality in MODALITIES):
        yield "a scene is missing: say s1=FILE, s2=FILE or both"
    for key in SWITCHES:
        if not isinstance(settings[key], bool):
            yield f"{key}={settings[key]} must be true or false"
    window = settings["window"]
    if window is not None and (not isinstance(window, int) or window < 32 or window % 32):
        yield f"window={window} must be a multiple of 32 px, which encoders can halve, or null"
    overlap = settings["overlap"]
    if not isinstance(overlap, int | float) or not 0 <= overlap <= 0.9:
        yield f"overlap={overlap} must be a share of a window in [0, 0.9]"
    for key in ("batch_size", "cache_mb"):
        value = settings[key]
        if (key, value) != ("cache_mb", None) and not (_is_whole(value) and value >= 1):
            yield f"{key}={value} must be a whole number of at least 1"
    offset = settings["s2_offset"]
    if offset is not None and not (_is_whole(offset) and 0 <= offset <= LARGEST_OFFSET):
        yield f"s2_offset={offset} must be a whole number, 0 or 1000, or null: it is taken off"
    yield from _problems_of_units(settings["units"])
    if settings["precision"] not in ("float32", "bfloat16"):
        yield f"precision={settings['precision']} must be float32 or bfloat16"
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", str(settings["device"])):
        yield f"device={settings['device']} must be auto, cpu, cuda, or cuda: and a number"


def _problems_of_units(units: Any) -> Iterator[str]:
    if not isinstance(units, Mapping) or set(units) != set(MODALITIES):
        yield f"units={units} must name those of {' and '.join(MODALITIES)}: set units.s1=… or units.s2=…"
        return
    for modality, unit in units.items():
        try:
            check_setting(modality, unit)
        except ValueError as error:
            yield str(error)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _targets(settings: Mapping[str, Any]) -> dict[str, Path]:
    """What is to be written, by name; ValueError where that cannot be."""
    out = as_path(settings["out"])
    if out.suffix.lower() not in (".tif", ".tiff"):
        raise ValueError(f"out={out}: maps are GeoTIFFs: let it end in .tif")
    if out.is_symlink():
        # The map takes the place of what the link points to, not of the link.
        out = out.resolve()
    targets = {"classes": out}
    for name in ("confidence", "probabilities"):
        if settings[name]:
            targets[name] = out.with_stem(f"{out.stem}_{name}")
    if settings["preview"]:
        targets["preview"] = out.with_suffix(".png")
    for target in targets.values():
        check_new_file(target, settings["overwrite"])
    return targets


def _check_unread(targets: Iterable[Path], read: Iterable[Path]) -> None:
    """ValueError where a target is one of the files that are read, by whatever name."""
    files = {file.resolve() for file in read}
    for target in targets:
        if target.resolve() in files:
            raise ValueError(f"out=… would write over {target}, which is read: choose another out=…")


def _device(name: str, gpus: int) -> str:
    if name == "auto":
        return "cuda" if gpus else "cpu"
    if name.startswith("cuda") and int(name.partition(":")[2] or 0) >= gpus:
        raise ValueError(f"device={name}: torch sees {gpus} GPU(s): say device=cpu, or look at nvidia-smi")
    return name


if __name__ == "__main__":
    main()
