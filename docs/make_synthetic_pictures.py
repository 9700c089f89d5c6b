"""Draws the pictures of docs/synthetic.md: ``python docs/make_synthetic_pictures.py [out] [folder of real places]``.

The real places are three folders with ``s1.tif``, ``s2.tif`` and ``dw.tif``; without them, pictures that compare
synthetic with real show the synthetic side and the measured class statistics only.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import rasterio
import yaml
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image
from scipy import ndimage
from scipy.spatial import cKDTree

from cromss.dataset.classes import CLASSES as CLASS_SETS
from cromss.synthetic import CLASSES, SyntheticLocation, generate_location
from cromss.synthetic.materials import S2_BANDS
from cromss.types import IGNORE_INDEX

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests"))

from helpers.real_classes import REAL_CLASSES  # noqa: E402

RATES = yaml.safe_load((ROOT / "conf/dataset/_synthetic_scene.yaml").read_text())
COLOURS = [CLASS_SETS["dynamic_world"][name] for name in CLASSES]
SEASONS = ("summer", "autumn", "winter", "spring")
WAVELENGTHS = (443, 490, 560, 665, 705, 740, 783, 842, 865, 940, 1375, 1610, 2190)
GALLERY = ((35, "fields and villages"), (46, "town by the sea"), (11, "tropics"), (20, "mountains"), (34, "north"))
PAIRS = (("637U_59R_1_3", 35, 3), ("282D_485L_3_3", 95, 0), ("609U_541L_3_0", 27, 2))


def location(index: int, size: int, seasons: int = 4) -> SyntheticLocation:
    """A location of world 0 at the rates of the YAML."""
    return generate_location(index, seed=0, size=size, seasons=seasons, noise=1.0, **RATES)


def rgb(s2: np.ndarray) -> np.ndarray:
    """True colour of ``(13, H, W)`` reflectance x 10000: 0 to 3000, gamma 0.7; the same for synthetic and real."""
    return np.clip(s2[[3, 2, 1]].transpose(1, 2, 0) / 3000.0, 0, 1) ** 0.7


def radar(s1: np.ndarray) -> np.ndarray:
    """False colour of ``(2, H, W)`` dB: red VV, green VH, blue VV - VH."""
    vv, vh = s1
    return np.clip(np.stack([(vv + 25) / 25, (vh + 30) / 25, (vv - vh) / 15], axis=-1), 0, 1)


def classes(labels: np.ndarray) -> np.ndarray:
    """Dynamic World's colours; black where there is no label."""
    table = np.array([to_rgb(c) for c in COLOURS] + [(0, 0, 0)])
    return table[np.where(labels == IGNORE_INDEX, len(COLOURS), labels)]


def legend(figure: Figure) -> None:
    """Names of the classes below the picture."""
    patches = [Patch(color=c, label=n) for n, c in zip(CLASSES, COLOURS, strict=True)]
    patches.append(Patch(color="black", label="no label"))
    figure.legend(handles=patches, loc="lower center", ncol=5, frameon=False, fontsize=9)


def show(ax: Axes, image: np.ndarray, title: str = "") -> None:
    """One picture without axes."""
    ax.imshow(image, interpolation="nearest")
    ax.set_xticks([])
    ax.set_yticks([])
    if title:
        ax.set_title(title, fontsize=9)


def save(figure: Figure, path: Path) -> None:
    """Writes a PNG with a palette, which is a third of the size at no visible loss."""
    figure.savefig(path, dpi=100)
    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    mixed = np.array(picture.quantize(160).getpalette()).reshape(-1, 3)
    exact = np.rint([[255 * v for v in to_rgb(name)] for name in (*COLOURS, "white", "black")])
    palette = np.concatenate([exact, mixed])[:256]
    _, position = cKDTree(palette).query(np.asarray(picture).reshape(-1, 3))
    indexed = Image.fromarray(position.astype(np.uint8).reshape(picture.height, picture.width), "P")
    indexed.putpalette(palette.astype(np.uint8).tobytes())
    indexed.save(path, optimize=True)


def draw_gallery(out: Path) -> None:
    """Five landscapes, midsummer and midwinter: image, radar, truth, noisy labels."""
    figure = Figure(figsize=(11.5, 8.1))
    axes = figure.subplots(5, 8)
    for number, (row, (index, name)) in enumerate(zip(axes, GALLERY, strict=True)):
        place = location(index, 160)
        cut = (..., slice(16, 144), slice(16, 144))
        for half, season in ((0, 0), (4, 2)):
            images = (
                rgb(place.images["s2"][season][cut]),
                radar(place.images["s1"][season][cut]),
                classes(place.truth[season][cut]),
                classes(place.labels[season][cut]),
            )
            for ax, image, title in zip(
                row[half:], images, ("optical", "radar", "truth", "noisy labels"), strict=False
            ):
                show(ax, image, f"{title}, {SEASONS[season]}" if number == 0 else "")
        row[0].set_ylabel(name, fontsize=9)
    figure.subplots_adjust(0.025, 0.07, 0.998, 0.975, 0.03, 0.04)
    legend(figure)
    save(figure, out / "synthetic_gallery.png")


def draw_seasons(out: Path) -> None:
    """One location through the year."""
    figure = Figure(figsize=(7.6, 8.1))
    axes = figure.subplots(4, 4)
    place = location(31, 160)
    rows = (
        ("optical", [rgb(image) for image in place.images["s2"]]),
        ("radar", [radar(image) for image in place.images["s1"]]),
        ("truth", [classes(truth) for truth in place.truth]),
        ("noisy labels", [classes(labels) for labels in place.labels]),
    )
    for number, (row, (name, images)) in enumerate(zip(axes, rows, strict=True)):
        for ax, image, season in zip(row, images, SEASONS, strict=True):
            show(ax, image, season if number == 0 else "")
        row[0].set_ylabel(name, fontsize=9)
    figure.subplots_adjust(0.03, 0.07, 0.998, 0.975, 0.03, 0.03)
    legend(figure)
    save(figure, out / "synthetic_seasons.png")


def draw_beside_real(out: Path, real: Path) -> None:
    """Three real places and a synthetic one like each, in the same stretch, cut to 160 px."""
    figure = Figure(figsize=(13.3, 5.75))
    axes = figure.subplots(3, 8)
    for number, (row, (name, index, season)) in enumerate(zip(axes, PAIRS, strict=True)):
        s1, s2, labels = (
            rasterio.open(real / name / f"{kind}.tif").read()[:, -160:, :160] for kind in ("s1", "s2", "dw")
        )
        place = location(index, 160)
        both = (
            ("real", s1, s2, labels[0]),
            ("synthetic", place.images["s1"][season], place.images["s2"][season], place.labels[season]),
        )
        for half, (kind, radar_image, optical, noisy) in enumerate(both):
            infrared = np.clip(optical[[7, 3, 2]].transpose(1, 2, 0) * 0.7 / 3000.0, 0, 1) ** 0.7
            images = (rgb(optical), infrared, radar(radar_image), classes(noisy))
            titles = ("true colour", "near infrared", "radar", "labels")
            for ax, image, title in zip(row[4 * half :], images, titles, strict=False):
                show(ax, image, f"{kind}: {title}" if number == 0 else "")
        row[0].set_ylabel(name[:4], fontsize=9)
    figure.subplots_adjust(0.02, 0.1, 0.998, 0.955, 0.02, 0.03)
    legend(figure)
    save(figure, out / "synthetic_beside_real.png")


def draw_spectra(out: Path, places: list[SyntheticLocation]) -> None:
    """Class spectra, synthetic band and measured lines."""
    truth = np.stack([p.truth for p in places])
    s2 = np.stack([p.images["s2"] for p in places]).transpose(2, 0, 1, 3, 4)
    figure = Figure(figsize=(11, 8.2))
    axes = figure.subplots(3, 3, sharex=True)
    shown = [b for b in range(len(S2_BANDS)) if b != S2_BANDS.index("B10")]
    x = np.array(WAVELENGTHS)[shown]
    for c, ax in enumerate(axes.ravel()):
        pixels = s2[:, truth == c][shown] / 1e4
        low, middle, high = np.percentile(pixels, (10, 50, 90), axis=1)
        ax.fill_between(x, low, high, color=COLOURS[c], alpha=0.35, label="synthetic, 10 to 90 %")
        ax.plot(x, middle, color=COLOURS[c], label="synthetic, median")
        for number, row in enumerate(r for r in REAL_CLASSES if r.label == c):
            mean, std = np.array(row.mean)[shown] / 1e4, np.array(row.std)[shown] / 1e4
            ax.errorbar(
                x, mean, std, color="black", fmt="o--" if number else "o-", ms=3, lw=0.8, capsize=2,
                label=f"real {row.place[:4]}, mean and std",
            )  # fmt: skip
        ax.set_title(CLASSES[c], fontsize=10)
        ax.legend(fontsize=7, frameon=False)
        ax.set_ylim(0)
    for ax in axes[-1]:
        ax.set_xlabel("wavelength, nm")
    figure.supylabel("reflectance at the top of the atmosphere", fontsize=10)
    figure.tight_layout()
    save(figure, out / "synthetic_spectra.png")


def draw_backscatter(out: Path, places: list[SyntheticLocation]) -> None:
    """Histograms of VV and VH a class, with measured means."""
    truth = np.stack([p.truth for p in places])
    s1 = np.stack([p.images["s1"] for p in places]).transpose(2, 0, 1, 3, 4)
    figure = Figure(figsize=(11, 4))
    for ax, values, k, band in zip(figure.subplots(1, 2), s1, (0, 1), ("VV", "VH"), strict=True):
        for c in range(len(CLASSES)):
            counts, edges = np.histogram(values[truth == c], bins=np.arange(-34, 8, 0.5), density=True)
            ax.plot(edges[:-1] + 0.25, counts, color=COLOURS[c], label=CLASSES[c])
            for row in REAL_CLASSES:
                if row.label == c:
                    ax.plot(row.mean[13 + k], -0.006, "^", color=COLOURS[c], ms=7, clip_on=False)
        ax.set_xlabel(f"{band}, dB (triangles: means measured in real places)")
        ax.set_ylim(-0.012)
    ax.legend(fontsize=7, frameon=False)
    figure.tight_layout()
    save(figure, out / "synthetic_backscatter.png")


def draw_noise(out: Path, places: list[SyntheticLocation]) -> None:
    """Confusion, repetition over the seasons, and errors by distance to the border."""
    truth, labels = (np.stack([getattr(p, name) for p in places]) for name in ("truth", "labels"))
    known = labels != IGNORE_INDEX
    wrong = (labels != truth) & known
    table = np.zeros((9, 9))
    np.add.at(table, (truth[known], labels[known]), 1)
    table = 100 * table / table.sum(axis=1, keepdims=True)
    figure = Figure(figsize=(12, 4.4))
    first, second, third = figure.subplots(1, 3, gridspec_kw={"width_ratios": [1.25, 1, 1]})
    first.imshow(table, cmap="magma_r", vmin=0, vmax=80)
    for i, j in np.ndindex(9, 9):
        if table[i, j] >= 0.5:
            first.text(j, i, f"{table[i, j]:.0f}", ha="center", va="center", fontsize=7, color="w" if i == j else "k")
    first.set_xticks(range(9), CLASSES, rotation=55, ha="right", fontsize=7)
    first.set_yticks(range(9), CLASSES, fontsize=7)
    first.set_title(
        f"label (column) given truth (row), %; {100 * wrong.sum() / known.sum():.0f} % wrong in all", fontsize=9
    )

    rate = [wrong[:, t].mean() for t in range(4)]
    again = [[wrong[:, t][wrong[:, s]].mean() for t in range(4) if t != s] for s in range(4)]
    x = np.arange(4)
    second.bar(x - 0.2, 100 * np.array(rate), 0.4, label="wrong in this season", color="#888888")
    second.bar(
        x + 0.2, 100 * np.mean(again, axis=1), 0.4, label="of those, wrong in another season too", color="#c4281b"
    )
    second.set_xticks(x, SEASONS)
    second.set_ylabel("% of pixels")
    second.set_ylim(0, 100)
    second.legend(fontsize=7, frameon=False)
    second.set_title("errors repeat in place", fontsize=9)

    distances, errors = [], []
    for place_truth, place_wrong in zip(
        truth.reshape(-1, *truth.shape[-2:]), wrong.reshape(-1, *truth.shape[-2:]), strict=True
    ):
        edge = np.zeros(place_truth.shape, dtype=bool)
        for axis in (0, 1):
            step = np.diff(place_truth.astype(int), axis=axis) != 0
            edge |= np.pad(step, [(0, 1) if a == axis else (0, 0) for a in (0, 1)])
            edge |= np.pad(step, [(1, 0) if a == axis else (0, 0) for a in (0, 1)])
        if edge.any():
            distances.append(ndimage.distance_transform_edt(~edge).ravel())
            errors.append(place_wrong.ravel())
    distance, error = np.concatenate(distances), np.concatenate(errors)
    bins = np.arange(0, 13)
    shares = [100 * error[(distance >= b) & (distance < b + 1)].mean() for b in bins]
    third.plot(bins, shares, "o-", color="#c4281b", ms=4)
    third.set_xlabel("distance to the nearest true border, px")
    third.set_ylabel("wrong, %")
    third.set_ylim(0)
    third.set_title("more errors at borders, many inside", fontsize=9)
    figure.tight_layout()
    save(figure, out / "synthetic_noise.png")


def main() -> None:
    """Draws all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", nargs="?", type=Path, default=ROOT / "docs/pictures")
    parser.add_argument("real", nargs="?", type=Path, default=ROOT.parent / "shared/data/real")
    arguments = parser.parse_args()
    mpl.use("Agg")
    arguments.out.mkdir(parents=True, exist_ok=True)
    draw_gallery(arguments.out)
    draw_seasons(arguments.out)
    if arguments.real.is_dir():
        draw_beside_real(arguments.out, arguments.real)
    places = [location(index, 96) for index in range(120)]
    draw_spectra(arguments.out, places)
    draw_backscatter(arguments.out, places)
    draw_noise(arguments.out, places)


if __name__ == "__main__":
    main()
