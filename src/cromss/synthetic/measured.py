"""Facts: what classes measure in three real places, against which the material table was set and is tested.

Sentinel-2 L1C and Sentinel-1 images of three places of 224 x 224 px from the examples of IBM TerraMind (Apache-2.0;
contains modified Copernicus Sentinel data), pixels grouped by the class that Google's published Dynamic World model
gives them. Those labels are noisy themselves, so classes with few pixels, or in places where the map plainly errs
(roofs and "water" among the winter fields of 637U, "snow" on the sand of 282D), are left out. Each is one date of one
place: a synthetic class varies around these numbers, it does not repeat them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RealClass:
    """Moments of one class in one place.

    Attributes:
        label: The class.
        place: The place.
        pixels: Number of pixels.
        mean: 13 reflectances x 10000 (B1 to B12, B8A after B8), then VV and VH in dB.
        std: Standard deviation of the same.
    """

    label: int
    place: str
    pixels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


# fmt: off
REAL_CLASSES = (
    RealClass(0, "282D_485L_3_3", 19606,
              (1496, 1229, 1029, 737, 682, 594, 612, 549, 576, 183, 8, 383, 236, -17.2, -22.1),
              (203, 292, 345, 456, 482, 511, 561, 547, 608, 170, 2, 580, 375, 3.0, 2.0)),
    RealClass(1, "282D_485L_3_3", 20041,
              (1254, 916, 732, 474, 781, 1867, 2309, 2266, 2599, 714, 10, 1146, 490, -7.7, -13.8),
              (63, 63, 75, 128, 127, 225, 322, 336, 336, 68, 1, 257, 211, 2.4, 2.1)),
    RealClass(1, "637U_59R_1_3", 10621,
              (1569, 1142, 833, 635, 832, 1268, 1469, 1469, 1707, 624, 16, 1224, 673, -7.8, -15.5),
              (23, 46, 75, 95, 141, 396, 490, 523, 545, 149, 3, 271, 174, 2.9, 2.4)),
    RealClass(2, "637U_59R_1_3", 6899,
              (1613, 1239, 1003, 882, 1181, 1824, 2099, 2118, 2409, 817, 18, 1874, 1060, -10.6, -17.3),
              (51, 99, 145, 271, 301, 536, 645, 643, 710, 206, 3, 495, 330, 2.8, 2.4)),
    RealClass(3, "282D_485L_3_3", 587,
              (1533, 1212, 1094, 1047, 1202, 1328, 1445, 1396, 1564, 486, 10, 1483, 902, -15.7, -21.5),
              (179, 123, 170, 237, 222, 249, 284, 287, 335, 146, 2, 462, 350, 3.1, 2.3)),
    RealClass(4, "637U_59R_1_3", 29779,
              (1586, 1188, 962, 729, 1104, 2183, 2592, 2574, 2913, 966, 17, 1729, 908, -11.0, -17.5),
              (40, 82, 108, 239, 218, 644, 824, 818, 873, 233, 3, 366, 251, 3.0, 2.2)),
    RealClass(5, "282D_485L_3_3", 665,
              (1386, 1052, 879, 782, 1058, 1629, 1900, 1894, 2201, 654, 11, 1921, 1110, -10.7, -15.1),
              (159, 106, 130, 176, 174, 202, 230, 236, 235, 73, 1, 323, 301, 2.1, 2.1)),
    RealClass(7, "282D_485L_3_3", 8945,
              (2131, 2157, 2263, 2515, 2596, 2747, 2954, 2842, 3154, 815, 14, 3567, 2910, -17.1, -22.0),
              (315, 435, 505, 655, 628, 651, 691, 667, 729, 184, 2, 936, 1049, 3.0, 2.0)),
    RealClass(8, "609U_541L_3_0", 50176,
              (6014, 5491, 4340, 4835, 5163, 5362, 5384, 5196, 5374, 2896, 69, 901, 880, -14.3, -21.7),
              (1024, 1334, 1274, 1721, 1766, 1742, 1751, 1819, 1801, 820, 12, 324, 337, 3.0, 2.9)),
)
# fmt: on
"""Measured classes; trees twice, since the dense tropical forest of 282D and the bare woods of 637U differ widely."""
