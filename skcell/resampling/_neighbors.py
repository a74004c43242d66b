"""Exact nearest neighbours among the members of one class, in bounded memory.

Squared distances are computed by matrix products, `|a - b|^2 = |a|^2 + |b|^2 - 2 a.b`, for one tile
of pairs and one chunk of columns at a time, so that only one chunk is converted to floats.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import get_blas_funcs
from threadpoolctl import ThreadpoolController

# uint8 pixels minus 128 lie in -128..127: a sum of 1024 products is at most 1024 * 2**14 = 2**24.
# float32 represents all integers up to 2**24, so with chunks of this width the products are exact.
_COLUMNS = 1024
_UINT8_CENTRE = np.float32(128)


def nearest_neighbors(
    X: NDArray[Any], members: NDArray[np.intp], k: int, *, memory: int = 1 << 28
) -> NDArray[np.intp]:
    """Find the `k` nearest neighbours of each member among the other members."""
    n = len(members)
    distances = np.full((n, k), np.inf)
    neighbors = np.full((n, k), n)
    lock = Lock()

    def keep(rows, columns, squared):
        found = _smallest(squared, np.broadcast_to(columns, squared.shape), k)
        with lock:
            distances[rows], neighbors[rows] = _smallest(
                np.hstack([distances[rows], found[0]]), np.hstack([neighbors[rows], found[1]]), k
            )

    def compare(pair):
        rows, columns = pair
        if rows is columns:
            squared = _squared_distances(X, members[rows])
            np.fill_diagonal(squared, np.inf)
        else:
            squared = _squared_distances(X, members[rows], members[columns])
            keep(columns, rows, squared.T)
        keep(rows, columns, squared)

    tile, n_workers = _plan(memory, count_threads())
    tiles = np.array_split(np.arange(n), -(-n // tile))
    pairs = [(rows, columns) for i, rows in enumerate(tiles) for columns in tiles[:i]]
    # Diagonal tiles are half the work; they come last, so that all threads end at about the same
    # time.
    pairs += [(rows, rows) for rows in tiles]
    # Each thread computes whole tiles and BLAS runs on a single thread, because the threads of
    # BLAS would wait for each other at every product.
    with _blas().limit(limits=1), ThreadPoolExecutor(n_workers) as workers:
        list(workers.map(compare, pairs))
    return neighbors


def count_threads() -> int:
    """Return the number of threads of BLAS, which respects joblib and the environment."""
    return max((pool["num_threads"] for pool in _blas().info()), default=1)


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")


def _plan(memory: int, n_threads: int) -> tuple[int, int]:
    """Choose the side of a tile, in members, and how many tiles are computed at once."""
    tile = 512
    while tile > 128 and _bytes(tile) > memory:
        tile //= 2
    return tile, max(1, min(n_threads, memory // _bytes(tile)))


def _bytes(tile: int) -> int:
    """Estimate the memory for one tile: its pairs, and a chunk of columns for each side."""
    return tile * (32 * tile + 18 * _COLUMNS)


def _squared_distances(
    X: NDArray[Any], rows: NDArray[np.intp], others: NDArray[np.intp] | None = None
) -> NDArray[np.float64]:
    """Return squared distances between `rows` and `others` of `X`, or among `rows`."""
    dtype = np.float32 if X.dtype == np.uint8 else np.float64
    product = np.zeros((len(rows), len(rows if others is None else others)), dtype)
    squared = np.zeros(product.shape)  # collects the dot products first
    a_norms, b_norms = np.zeros((len(rows), 1)), np.zeros(product.shape[1])
    syrk = get_blas_funcs("syrk", dtype=dtype)
    for start in range(0, X.shape[1], _COLUMNS):
        chunk = X[:, start : start + _COLUMNS]
        a = chunk[rows]
        centre = _centre(a)
        a = np.subtract(a, centre, dtype=dtype)
        if others is None:
            # syrk computes one triangle only, which is half the work. It is the upper triangle in
            # Fortran order, and the lower one of the transposed result.
            product = syrk(1.0, a.T, trans=1, c=product.T, overwrite_c=1).T
        else:
            b = np.subtract(chunk[others], centre, dtype=dtype)
            a_norms[:, 0] += np.einsum("ij,ij->i", a, a)
            b_norms += np.einsum("ij,ij->i", b, b)
            np.matmul(a, b.T, out=product)
        squared += product
    if others is None:
        # The diagonal of a.a^T contains the squared norms; the upper triangle is still empty.
        b_norms = squared.diagonal().copy()
        a_norms = b_norms[:, None]
        squared += np.tril(squared, -1).T
    squared *= -2
    squared += a_norms
    squared += b_norms
    return squared


def _centre(a: NDArray[Any]) -> Any:
    """Return what to subtract from all rows, so that rounding large norms loses no distances."""
    if a.dtype == np.uint8:
        return _UINT8_CENTRE
    mean = a.mean(axis=0, dtype=np.float64)
    return mean if a.dtype.kind == "f" else np.rint(mean)  # integers stay integers


def _smallest(
    values: NDArray[np.float64], index: NDArray[np.intp], k: int
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return the `k` smallest values of each row with their index, sorted by value, then index."""
    k = min(k, values.shape[1])
    small = values <= np.partition(values, k - 1, axis=1)[:, k - 1 : k]  # also ties of the k-th
    row, column = np.nonzero(small)
    values, index = values[row, column], index[row, column]
    order = np.lexsort((index, values, row))
    n_small = small.sum(axis=1)
    rank = np.arange(len(order)) - np.repeat(np.cumsum(n_small) - n_small, n_small)
    best = order[rank < k].reshape(-1, k)
    return values[best], index[best]
