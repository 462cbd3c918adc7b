"""The order in which text is seen: a random permutation that is computed, not stored.

The place of sample i depends on the seed and i alone, so neither interruption, nor the number of
processes, nor the size of the corpus changes it or costs memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_ROUNDS = 4


def training_order(first: int, count: int, size: int, seed: int) -> NDArray[np.int64]:
    """Which of `size` windows the samples `first` to `first + count` are.

    Every epoch is a permutation of its own.

    Parameters
    ----------
    first, count : int
        Samples since the beginning of training.
    size : int
        Windows in the corpus.
    seed : int

    Returns
    -------
    array, shape (count,)
        Window of each sample.
    """
    samples = np.arange(first, first + count)
    epochs = samples // size
    windows = np.empty(count, np.int64)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        windows[here] = _permute(samples[here] % size, size, np.random.SeedSequence([seed, int(epoch)]))
    return windows


def _permute(positions: NDArray[np.int64], size: int, seed: np.random.SeedSequence) -> NDArray[np.int64]:
    """A Feistel network permutes the next power of four; values outside `size` walk on until inside."""
    keys = seed.generate_state(_ROUNDS, np.uint64).astype(np.uint64)
    half_bits = max(1, (int(size - 1).bit_length() + 1) // 2)
    values = _feistel(positions.astype(np.uint64), keys, half_bits)
    while (outside := values >= size).any():
        values[outside] = _feistel(values[outside], keys, half_bits)
    return values.astype(np.int64)


def _feistel(values: NDArray[np.uint64], keys: NDArray[np.uint64], half_bits: int) -> NDArray[np.uint64]:
    shift, mask = np.uint64(half_bits), np.uint64((1 << half_bits) - 1)
    left, right = values >> shift, values & mask
    for key in keys:
        left, right = right, left ^ (_mix(right ^ key) & mask)
    return (left << shift) | right


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scatter the bits (the finaliser of SplitMix64)."""
    values = (values ^ (values >> _u(30))) * _u(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> _u(27))) * _u(0x94D049BB133111EB)
    return values ^ (values >> _u(31))


def _u(value: int) -> Any:
    return np.uint64(value)
