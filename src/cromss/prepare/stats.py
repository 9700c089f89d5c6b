"""Measures a dataset in one pass, and shows what was found as a page."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from tqdm import tqdm

from cromss.dataset.sources import open_dataset
from cromss.dataset.statistics import Statistics
from cromss.io.atomic import write_file
from cromss.prepare.measured import EXAMPLES, Measured
from cromss.prepare.places import Places
from cromss.prepare.tallies import Examples, NoiseTally, band_tallies


def measure(path: str | Path, kind: str) -> Measured:
    """Reads every value of a dataset once, in constant memory.

    Args:
        path: What `cromss.dataset.open_dataset` opens.
        kind: ``nol``, ``dw``, ``osm`` or ``dfc2020``, see there; a store needs no telling.

    Raises:
        ValueError: It does not open, or a value is damaged; the message names it.
    """
    reader = open_dataset(path, kind)
    info = reader.info
    labels = Statistics({}, len(info.classes))
    bands = band_tallies(info.modalities)
    noise, examples, places = NoiseTally(len(info.classes)), Examples(len(info.classes), EXAMPLES), Places()
    for index in tqdm(range(len(reader)), desc=f"measuring {Path(path).name}", unit="location"):
        given = reader.read_labels(index)
        labels.add({}, given)
        examples.add(index, given)
        places.add(reader.grid(index), info.size)
        if info.has_truth:
            noise.add(given, reader.read_truth(index))
        for modality, tallies in bands.items():
            image = np.stack([reader.read_images(index, season, modality) for season in range(info.seasons)])
            for number, tally in enumerate(tallies):
                tally.add(image[:, number])
    counts = labels.as_dict()["labels"]
    unlabelled = counts["unlabelled_pixels"] / max(1, sum(counts["pixels"]) + counts["unlabelled_pixels"])
    return Measured(
        path=str(path),
        locations=len(reader),
        seasons=info.seasons,
        size=info.size,
        classes=info.classes,
        bands={modality: [tally.as_dict() for tally in tallies] for modality, tallies in bands.items()},
        labels={**counts, "unlabelled_share": unlabelled},
        noise=noise.as_dict() if info.has_truth else None,
        places=places.as_list(),
        examples=examples.found(),
    )


def stats(path: Path, kind: str, out: Path) -> str:
    """Measures a dataset and writes ``stats.json`` and ``index.html``, a page without outside resources.

    Args:
        path: See `measure`.
        kind: See `measure`.
        out: Folder; files of these names in it are replaced.

    Returns:
        A table for the terminal.

    Raises:
        ValueError: See `measure`; or `out` is a file.
        OSError: `out` cannot be written.
    """
    # Drawing takes seconds to import, which the other actions of the command need not wait for.
    from cromss.prepare.stats_page import page

    if out.exists() and not out.is_dir():
        raise ValueError(f"out={out} is a file: give a folder, new or not, for stats.json and index.html")
    found = measure(path, kind)
    html = page(found, open_dataset(path, kind))
    out.mkdir(parents=True, exist_ok=True)
    write_file(out / "stats.json", json.dumps(asdict(found), indent=1).encode())
    write_file(out / "index.html", html.encode())
    return f"{found}\n\n{out / 'index.html'}"
