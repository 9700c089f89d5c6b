"""Where the reference arrays and real places lie, and the mark for tests that need them."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"
GOLDEN = SHARED / "golden"
REAL_PLACES = SHARED / "data" / "real"

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"reference arrays are not at {SHARED}")
