"""Linear filters along the axes of a volume, each as a matrix.

A product of matrices is what computers do best: taken in bands, where the matrix is not zero, it is
several times as fast as going along the lines, and the borders need no care.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
FADED = 1e-7
BAND = 32
"""Rows of a matrix that are multiplied at once, with those columns in which any is not zero."""
SHORTEST_RECURSIVE = 4
"""Voxels that a recursive filter needs."""


def along(matrix: Matrix, values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Every line (n) of ``values`` (k, j, i) along ``axis`` times the matrix (m, n)."""
    shape = list(values.shape)
    shape[axis] = len(matrix)
    product = np.empty(shape, np.float32)
    for start in range(0, len(matrix), BAND):
        rows = slice(start, start + BAND)
        columns = _used_columns(matrix[rows])
        part = matrix[rows, columns]
        if axis == 2:
            np.matmul(values[:, :, columns], part.T, out=product[:, :, rows])
        elif axis == 1:
            np.matmul(part, values[:, columns], out=product[:, rows])
        else:
            flat = values[columns].reshape(part.shape[1], -1)
            np.matmul(part, flat, out=product[rows].reshape(len(part), -1))
    return product


def _used_columns(rows: Matrix) -> slice:
    """From the first to the last column that is not zero throughout."""
    used = np.flatnonzero(rows.any(axis=0))
    return slice(used[0], used[-1] + 1) if used.size else slice(0, 1)


def box_mean(voxels: NDArray[Any], radius: tuple[int, int, int]) -> NDArray[np.float32]:
    """Mean over the box of ``radius`` (x, y, z) around each voxel, of what lies in the volume."""
    values = voxels.astype(np.float32)
    for axis, reach in enumerate(radius[::-1]):
        if reach == 1:
            values = _mean_of_three(values, axis)
        elif reach:
            values = along(box_matrix(values.shape[axis], reach), values, axis)
    return values


def _mean_of_three(values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Each voxel with its two neighbours; sums of three are faster than a product of matrices."""
    if values.shape[axis] == 1:
        return values
    total = values.copy()
    lines, moved = np.moveaxis(values, axis, 0), np.moveaxis(total, axis, 0)
    moved[1:] += lines[:-1]
    moved[:-1] += lines[1:]
    total *= np.float32(1 / 3)
    moved[[0, -1]] *= np.float32(3 / 2)
    return total


@lru_cache(maxsize=16)
def box_matrix(count: int, radius: int) -> Matrix:
    """(count, count): the mean over ``radius`` voxels on both sides, at the ends over fewer."""
    places = np.arange(count)
    near = np.abs(places[:, None] - places) <= radius
    return (near / near.sum(axis=1, keepdims=True)).astype(np.float32)


@lru_cache(maxsize=16)
def gaussian_matrix(count: int, sigma: float, order: int) -> Matrix:
    """(count, count): Gaussian smoothing (order 0) or its first derivative (order 1).

    The recursive filter of Deriche 1993 (INRIA 1893) as ITK has it, of ``sigma`` voxels.
    """
    import SimpleITK as sitk

    impulses = sitk.GetImageFromArray(np.eye(count, dtype=np.float32))
    response = sitk.RecursiveGaussian(impulses, sigma, False, order, 0)
    matrix = sitk.GetArrayFromImage(response).T.copy()
    # The recursion fades for ever, into numbers so small that computing with them is slow.
    matrix[np.abs(matrix) < FADED] = 0
    return matrix
