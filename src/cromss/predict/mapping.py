"""The loop over a scene: read windows, predict, blend, write."""

from __future__ import annotations

import itertools
import json
import logging
import math
import shutil
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from cromss.io.atomic import remove_leftovers, sibling, write_file, writers
from cromss.predict.blend import Axis, Blender, lay_windows
from cromss.predict.network import TrainedNetwork, class_probs
from cromss.predict.output import RawMap, classes_and_confidence
from cromss.predict.preview import write_preview
from cromss.predict.scene import Patch, Scene
from cromss.predict.truth import Truth

log = logging.getLogger(__name__)
Item = TypeVar("Item")

_AHEAD = 2
"""Batches that are read ahead."""

_MOST_UNKNOWN = 0.5
"""Share of unknown pixels above which a warning is logged."""

CLASSES, CONFIDENCE, PROBABILITIES, PREVIEW, SCORES = "classes", "confidence", "probabilities", "preview", "scores"
_RASTERS = (CLASSES, CONFIDENCE, PROBABILITIES)


@dataclass(frozen=True)
class Mapper:
    """How a scene is mapped.

    Attributes:
        network: Predicts, on its device.
        branches: Those of its branches whose probabilities are averaged.
        window: Pixels per side of a window.
        overlap: Pixels that neighbouring windows share at least.
        batch_size: Windows per forward pass.
        bfloat16: Whether the network calculates in half precision where that is safe.
        progress_bar: Whether a bar shows the windows per second and the time left.
    """

    network: TrainedNetwork
    branches: tuple[str, ...]
    window: int
    overlap: int
    batch_size: int
    bfloat16: bool
    progress_bar: bool

    def write(self, scene: Scene, targets: Mapping[str, Path], truth: Truth | None = None) -> None:
        """Writes maps of a scene; each appears under its name when all are complete.

        Args:
            scene: An opened scene.
            targets: What to write -> its file, all in one folder: `CLASSES`, and where wanted `CONFIDENCE` and
                `PROBABILITIES`, are GeoTIFFs, `PREVIEW` is a PNG, and `SCORES`, for which `truth` is needed, JSON.
            truth: Exact labels of the scene; None where there are none.

        Raises:
            ValueError: A part of the scene cannot be read, the network's output is not finite or its windows do not fit
                into the device's memory, or another process writes the same map.
            OSError: The disk is full or cannot be written.
        """
        first = targets[CLASSES]
        if busy := writers(first):
            raise ValueError(f"another process is writing {first}, in {busy[0]}: wait for it, or choose another out=…")
        remove_leftovers(first)
        work = sibling(first, "partial")
        try:
            work.mkdir()
            self._check_space(scene, targets)
            maps = self._maps(scene, work, targets)
            self._report_unknown(scene, self._fill(scene, maps, truth, work))
            written = {name: raw.encode() for name, raw in maps.items()}
            beside = {name: work / f"{name}.file" for name in targets if name not in _RASTERS}
            if PREVIEW in beside:
                write_preview(scene, written[CLASSES].file, beside[PREVIEW], self.network.classes, self.network.colours)
            if SCORES in beside and truth is not None:
                write_file(beside[SCORES], json.dumps(truth.results(), indent=1).encode())
            for map_ in written.values():
                map_.sync()
            # From here on everything is fast, so a kill hardly ever leaves files of two maps. The map is last:
            # if it is new, the others are, too.
            for name, file in beside.items():
                file.replace(targets[name])
            for name in sorted(written, key=lambda name: name == CLASSES):
                written[name].move_to(targets[name])
        except torch.OutOfMemoryError as error:
            raise ValueError(
                f"batch_size={self.batch_size} windows of {self.window} px do not fit into the memory of "
                f"{self.network.device}: lower batch_size, then window, or set device=cpu"
            ) from error
        except OSError as error:
            raise OSError(
                f"cannot write {first}: {error.strerror or error}. The old content is unchanged; free space or "
                "write elsewhere"
            ) from error
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _maps(self, scene: Scene, work: Path, targets: Mapping[str, Path]) -> dict[str, RawMap]:
        names = self.network.classes
        # A palette may have colours to spare.
        classes = list(zip(names, self.network.colours[: len(names)], strict=True))
        bands = {CLASSES: ["class"], CONFIDENCE: ["probability of the class"], PROBABILITIES: names}
        return {
            name: RawMap(work, name, scene.header, bands[name], classes if name == CLASSES else None)
            for name in targets
            if name in _RASTERS
        }

    def _fill(self, scene: Scene, maps: Mapping[str, RawMap], truth: Truth | None, work: Path) -> int:
        """Predicts all windows, writes and scores the result; the number of pixels that are known."""
        rows, columns = (lay_windows(size, self.window, self.overlap) for size in scene.size)
        known = 0

        def emit(top: int, left: int, block: np.ndarray) -> None:
            nonlocal known
            probs = class_probs(torch.from_numpy(block[:-1]), len(self.branches)).numpy()
            valid = block[-1] > 0.5
            known += int(valid.sum())
            layers = classes_and_confidence(probs, valid)
            for name, layer in zip(_RASTERS, layers, strict=True):
                if name in maps:
                    maps[name].write(top, left, layer)
            if truth is not None:
                truth.add(top, left, layers[0][0])

        layers = len(self.branches) * len(self.network.classes) + 1
        total = len(rows.starts) * len(columns.starts)
        with ExitStack() as stack:
            blender = stack.enter_context(Blender(rows, columns, layers, work / "waiting", emit))
            bar = stack.enter_context(tqdm(total=total, unit="window", disable=not self.progress_bar))
            for batch in ahead(self._batches(scene, rows, columns), _AHEAD):
                for position, window in zip(batch.positions, self._predicted(batch), strict=True):
                    blender.add(*position, window)
                bar.update(len(batch.positions))
        return known

    @staticmethod
    def _report_unknown(scene: Scene, known: int) -> None:
        """Logs how much of the map is 255; ValueError where all of it is."""
        height, width = scene.size
        share = 1 - known / (height * width)
        rule = "nodata, masks, alpha bands, impossible values, and what S1 does not cover"
        if not known:
            files = " and ".join(str(layer.image.path) for layer in scene.layers)
            raise ValueError(
                f"no pixel of {files} is known, so that there is nothing to map: look at {rule}, e.g. with gdalinfo "
                "-stats"
            )
        # All that is not whole, so that a single pixel does not read as 0 %.
        share_text = f"{math.ceil(share * 1000) / 10:g} % of the pixels are unknown, and 255 in the map"
        if share > _MOST_UNKNOWN:
            log.warning("%s: look at %s", share_text, rule)
        else:
            log.info("%s", share_text)

    def _batches(self, scene: Scene, rows: Axis, columns: Axis) -> Iterator[Windows]:
        """Windows in reading order."""
        positions = itertools.product(range(len(rows.starts)), range(len(columns.starts)))
        while chosen := list(itertools.islice(positions, self.batch_size)):
            patches = [scene.read(rows.starts[row], columns.starts[column], self.window) for row, column in chosen]
            weights = np.stack([np.outer(rows.weights[row], columns.weights[column]) for row, column in chosen])
            yield Windows(chosen, patches, weights)

    @torch.inference_mode()
    def _predicted(self, batch: Windows) -> np.ndarray:
        """Weighted logits of all branches, and last the weighted mask of known pixels, ``(B, K + 1, h, w)``."""
        device = self.network.device
        images = {
            modality: torch.from_numpy(np.stack([patch.images[modality] for patch in batch.patches])).to(device)
            for modality in batch.patches[0].images
        }
        with torch.autocast(device.type, torch.bfloat16, enabled=self.bfloat16):
            logits = self.network(images, self.branches)
        weights = torch.from_numpy(batch.weights).to(device)[:, None]
        valid = torch.from_numpy(np.stack([patch.valid for patch in batch.patches])).to(device)[:, None]
        # float32 before the sums of windows, of which half precision would keep three digits.
        layers: list[Tensor] = [*(logits[branch].float() for branch in self.branches), valid.float()]
        found = (torch.cat(layers, dim=1) * weights).cpu().numpy()
        if not np.isfinite(found).all():
            raise ValueError(
                "the network's output is not finite: its weights are damaged, or its values are too large for "
                "precision=bfloat16; set precision=float32, or take an earlier checkpoint"
            )
        return found

    def _check_space(self, scene: Scene, targets: Mapping[str, Path]) -> None:
        """OSError before any work where the disk is too small."""
        height, width = scene.size
        bytes_a_pixel = {CLASSES: 1, CONFIDENCE: 1, PROBABILITIES: len(self.network.classes)}
        # Once as plain bytes and, at the worst, once more encoded, with overviews.
        needed = sum(bytes_a_pixel.get(name, 0) for name in targets) * height * width * 7 // 3
        free = shutil.disk_usage(targets[CLASSES].parent).free
        if needed > free:
            raise OSError(
                f"a scene of {width} x {height} px needs {needed / 1e6:,.0f} MB and {free / 1e6:,.0f} MB are free"
            )


class Windows(NamedTuple):
    """A batch: the windows' numbers down and across, what lies in them, and their weights ``(B, h, w)``."""

    positions: list[tuple[int, int]]
    patches: list[Patch]
    weights: np.ndarray


def ahead(items: Iterator[Item], depth: int) -> Iterator[Item]:
    """Yields items in their order, each of which is made up to `depth` before it is asked for.

    Args:
        items: Runs in one other thread, and in no two at once.
        depth: At least 1.
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        pending: deque[Future[list[Item]]] = deque(pool.submit(_next, items) for _ in range(depth))
        while made := pending.popleft().result():
            pending.append(pool.submit(_next, items))
            yield from made


def _next(items: Iterator[Item]) -> list[Item]:
    """The next item in a list, which is empty at the end."""
    for item in items:
        return [item]
    return []
