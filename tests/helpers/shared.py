"""Where real locations lie for tests that look at them, and the mark of these tests: no clone carries them."""

import os
from pathlib import Path

import pytest

_BESIDE = Path(__file__).resolve().parents[3] / "shared"

REAL_PLACES = Path(os.environ.get("CROMSS_REAL_LOCATIONS") or _BESIDE / "data" / "real")
"""A folder per location with s1.tif, s2.tif and dw.tif."""

needs_shared = pytest.mark.skipif(not REAL_PLACES.is_dir(), reason=f"no real locations at {REAL_PLACES}")

PUBLISHED = Path(os.environ.get("CROMSS_PUBLISHED_LMDBS") or _BESIDE / "golden" / "lmdb")
"""Cuts of the published LMDBs beside ``expected.npz``, what the published program reads of them."""

needs_published = pytest.mark.skipif(not PUBLISHED.is_dir(), reason=f"no cuts of the published files at {PUBLISHED}")

PAPER = _BESIDE / "paper_results.csv"
needs_paper = pytest.mark.skipif(not PAPER.is_file(), reason=f"no second copy of the paper's tables at {PAPER}")
