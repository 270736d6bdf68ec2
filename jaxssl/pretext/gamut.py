"""Which bins of the ab plane sRGB can show: computed from the RGB cube, in NumPy."""

import functools
import itertools

import numpy as np

from jaxssl import colorspace

GRID = 10  # distance of neighbouring bins along a and along b, Lab units
NUM_AB_BINS = 313


@functools.cache
def ab_bins() -> np.ndarray:
    """The centres of the ab bins that sRGB can show: the corners of all grid cells it touches.

    The colours of the 12 edges of the RGB cube are projected on the ab plane; every cell of the
    grid that overlaps their convex hull is marked, and the corners of the marked cells are the
    bins. The paper says only that 313 bins of the grid are in gamut; this procedure gives exactly
    the published ones.

    Returns:
        float64 [313, 2] (read-only), a and b in Lab units, ordered by a, then by b.

    Source: Zhang et al. 2016, sec. 2.1 and fig. 3a.
    """
    hull = _convex_hull(_rgb_edges_ab())
    edges = np.roll(hull, -1, axis=0) - hull
    outward = np.stack([edges[:, 1], -edges[:, 0]], axis=1)
    reach = np.sum(outward * hull, axis=1)
    axis = np.arange(-120, 120, GRID)
    cells = np.array(list(itertools.product(axis, axis)))  # the lower corner of each
    corners = cells[:, None] + GRID * np.array([[0, 0], [0, 1], [1, 0], [1, 1]])  # [cells, 4, 2]
    # Two convex shapes are apart if and only if the normal of a side of one of them tells them so.
    is_apart = np.any(np.min(corners @ outward.T, axis=1) >= reach, axis=1)
    is_apart |= np.any(cells >= hull.max(axis=0), axis=1)
    is_apart |= np.any(cells + GRID <= hull.min(axis=0), axis=1)
    bins = np.unique(corners[~is_apart].reshape(-1, 2), axis=0).astype(np.float64)
    bins.setflags(write=False)
    return bins


def _rgb_edges_ab() -> np.ndarray:
    """ab of the 12 edges of the RGB cube in 256 levels, float64 [3072, 2]."""
    levels = np.linspace(0, 1, 256)
    colors = []
    for free, first, second in itertools.product(range(3), (0, 1), (0, 1)):
        edge = np.empty((256, 3))
        edge[:, free] = levels
        edge[:, (free + 1) % 3] = first
        edge[:, (free + 2) % 3] = second
        colors.append(edge)
    return colorspace.rgb_to_lab(np.concatenate(colors))[:, 1:]


def _convex_hull(points: np.ndarray) -> np.ndarray:
    """Corners of the convex hull of [n, 2] points, counter-clockwise (Andrew's monotone chain)."""
    ordered = np.unique(points, axis=0).tolist()

    def half(points: list) -> list:
        chain: list = []
        for x, y in points:
            while len(chain) > 1:
                (x0, y0), (x1, y1) = chain[-2:]
                if (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0) > 0:
                    break
                chain.pop()
            chain.append((x, y))
        return chain[:-1]

    return np.array(half(ordered) + half(ordered[::-1]))
