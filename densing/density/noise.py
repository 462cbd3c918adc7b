"""Random numbers that belong to a model by its name, so that it reads the same in whatever list it stands."""

from __future__ import annotations

import hashlib

import numpy as np


def own_generator(seed: int, model: str, place: int, benchmark: str) -> np.random.Generator:
    """A generator for the noise of one model on one benchmark.

    Parameters
    ----------
    seed : int
    model : str
        Its name, by which its stream is chosen.
    place : int
        Where it stands in its list; it takes the place of a name that is empty.
    benchmark : str
        The noise of a score is the same on its own and as a part of an average.
    """
    key = "\x00".join((model or str(place), benchmark))
    digest = hashlib.sha256(key.encode()).digest()  # Python's own hash changes from run to run
    return np.random.default_rng([seed, *np.frombuffer(digest[:16], dtype="<u4").tolist()])
