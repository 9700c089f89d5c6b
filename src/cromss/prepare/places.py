"""Where locations lie, in memory that does not grow with their number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from rasterio.transform import array_bounds
from rasterio.warp import transform as transform_points


class Places:
    """How many locations lie in each degree of longitude and latitude."""

    def __init__(self) -> None:
        self._counts = np.zeros((360, 180), dtype=np.int64)

    def add(self, grid: Mapping[str, Any] | None, size: tuple[int, int]) -> None:
        """Adds the centre of a patch of ``(H, W)`` pixels; nothing where its grid is not known."""
        if grid is None:
            return
        left, bottom, right, top = array_bounds(*size, grid["transform"])
        lon, lat, *_ = transform_points(grid["crs"], "EPSG:4326", [(left + right) / 2], [(bottom + top) / 2])
        if np.isfinite((lon[0], lat[0])).all():
            self._counts[int(lon[0] // 1 + 180) % 360, min(max(int(lat[0] // 1 + 90), 0), 179)] += 1

    def as_list(self) -> list[list[float]]:
        """``[lon, lat, locations]`` of each degree that holds any, in degrees, at its centre."""
        return [[x - 179.5, y - 89.5, int(self._counts[x, y])] for x, y in np.argwhere(self._counts).tolist()]
