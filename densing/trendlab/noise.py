"""Random numbers that belong to a name, so that a model reads the same in whatever list it stands."""

from __future__ import annotations

import hashlib

import numpy as np


def named_generator(seed: int, *names: str) -> np.random.Generator:
    """A generator whose stream depends on the seed and the names alone.

    Parameters
    ----------
    seed : int
    *names : str
        As the model and the benchmark. Python's own hash changes from run to run, so this is SHA-256.
    """
    digest = hashlib.sha256("\x00".join(names).encode()).digest()
    return np.random.default_rng([seed, *np.frombuffer(digest[:16], dtype=np.uint32).tolist()])
