"""The panel of a frame: offsets and scatter of its benchmarks over the models of the shipped registry.

The panel belongs to the frame and not to the models that are asked about, so that a model has the same joint size in
whatever list it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np

from densing.core.arrays import FloatArray
from densing.density.joint import Cells, JointSizes, Panel, estimate_panel, read_jointly, read_pooled
from densing.frame.frame import ReferenceFrame
from densing.frame.inversion import checked_loss, nats_per_point
from densing.frame.store import keep_arrays
from densing.models.benchmarks import load_benchmarks
from densing.models.registry import SHIPPED, overlay, read_folder
from densing.models.subject import Subject

Kind = Literal["full", "conditional"]
KINDS: tuple[Kind, ...] = ("full", "conditional")
_WIDEST_NOISE = 10.0
"""Noise of ln N̂ at most, where a score lies so near the end of a curve that no linear error says how much."""
_FEWEST = 20
"""Models with a score on a benchmark that tell its offset and scatter."""


def frame_panel(frame: ReferenceFrame, kind: Kind) -> Panel | None:
    """Offsets and scatter of the frame's benchmarks, made once and kept as draws are.

    Returns
    -------
    Panel or None
        None where the shipped registry has too few scores on one of the benchmarks, or where the frame was built on
        other items than those behind the registry's scores.
    """
    if "panels" not in frame.derived:
        subjects = panel_subjects()
        counts = [sum(benchmark in subject.scores for subject in subjects) for benchmark in frame.parts]
        known = min(counts) >= _FEWEST and _on_the_registrys_items(frame)
        frame.derived["panels"] = _kept(frame, subjects) if known else {}
    found: Panel | None = frame.derived["panels"].get(kind)
    return found


def _on_the_registrys_items(frame: ReferenceFrame) -> bool:
    """Whether each benchmark of a frame has as many items as the one of that name in the registry."""
    known = load_benchmarks()
    return all(known[name].items == count for name, count in frame.spec.items.items() if name in known)


@lru_cache(maxsize=1)
def panel_subjects() -> tuple[Subject, ...]:
    """Every model of the registry that comes with the package; the user's own rows are not among them."""
    registry = overlay(read_folder(SHIPPED))
    return tuple(registry.subject(name) for name in registry.models)


def make_panels(frame: ReferenceFrame, subjects: Sequence[Subject]) -> dict[Kind, Panel]:
    """Panels of both kinds of draws, made anew."""
    return {kind: estimate_panel(cells_of(frame, subjects, kind)) for kind in KINDS}


def _kept(frame: ReferenceFrame, subjects: Sequence[Subject]) -> dict[Kind, Panel]:
    def make() -> dict[str, FloatArray]:
        panels = make_panels(frame, subjects)
        return {f"{kind}/{part}": values for kind in KINDS for part, values in vars(panels[kind]).items()}

    scores = [[subject.scores.get(benchmark) for benchmark in frame.parts] for subject in subjects]
    arrays = keep_arrays(frame, ["panel", *frame.parts], scores, make)
    return {kind: Panel(arrays[f"{kind}/offsets"], arrays[f"{kind}/scatter"]) for kind in KINDS}


def cells_of(frame: ReferenceFrame, subjects: Sequence[Subject], kind: Kind) -> Cells:
    """What every score of the models says alone: in the first row by the frame's own laws, then by its draws."""
    shape = (1 + len(frame.draws(frame.parts[0]).curve), len(subjects), len(frame.parts))
    sizes, noise = np.full(shape, np.nan), np.zeros(shape[1:])
    bounds = np.empty((2, shape[0], shape[2]))
    for place, benchmark in enumerate(frame.parts):
        reach = np.array([frame.least_score(benchmark), frame.curve_fit(benchmark).reach[1]])
        read = _log_sizes(frame, reach, benchmark, kind)
        # A draw that does not reach so far leaves the frame's own bound, and where that has none the ladder's ends.
        own = np.where(np.isfinite(read[0]), read[0], np.log(frame.rungs(benchmark)))
        bounds[:, :, place] = np.where(np.isfinite(read), read, own).T
        scored = [i for i, subject in enumerate(subjects) if benchmark in subject.scores]
        scores = np.array([subjects[i].scores[benchmark] for i in scored])
        items = np.array([subjects[i].items.get(benchmark, frame.spec.items.get(benchmark, 0)) for i in scored])
        errors = np.sqrt(scores * (100 - scores) / np.where(items > 0, items, np.inf))
        sizes[:, scored, place] = _log_sizes(frame, scores, benchmark, kind)
        # A score of nothing or of everything has no error, wherever the curve is flat there.
        steep = nats_per_point(frame.curve(benchmark).constants, scores)
        noise[scored, place] = np.multiply(steep, errors, out=np.zeros(len(scored)), where=errors > 0)
        for i, subject in enumerate(subjects):
            if benchmark in subject.losses:
                loss = np.full((shape[0], 1), checked_loss(subject.losses[benchmark], benchmark))
                with np.errstate(divide="ignore"):
                    sizes[:, [i], place] = np.log(frame.sizes_of_losses(loss, benchmark, kind))
                noise[i, place] = subject.loss_errors.get(benchmark, 0.0)
        noise[:, place] = _in_log_size(frame, sizes[0, :, place], noise[:, place], benchmark)
    return Cells(sizes, noise, *bounds)


def _log_sizes(frame: ReferenceFrame, scores: FloatArray, benchmark: str, kind: Kind) -> FloatArray:
    """Ln N̂ of scores (M,) by the frame's own curve and law and by those of its draws, (1 + R, M)."""
    rows = 1 + len(frame.draws(benchmark).curve)
    losses = frame.losses_of_scores(np.broadcast_to(scores, (rows, len(scores))), benchmark)
    losses = np.where(frame.at_chance(scores, benchmark), np.inf, losses)
    with np.errstate(divide="ignore"):
        return np.log(frame.sizes_of_losses(losses, benchmark, kind))


def _in_log_size(frame: ReferenceFrame, log_sizes: FloatArray, errors: FloatArray, benchmark: str) -> FloatArray:
    """Standard errors of losses as standard errors of ln N̂; zero where there is no size."""
    inside = np.isfinite(log_sizes)
    falls = frame.reading.falls(frame.law(benchmark).constants, np.exp(np.where(inside, log_sizes, 0.0)))
    return np.where(inside, np.minimum(errors / falls, _WIDEST_NOISE), 0.0)


def read_together(frame: ReferenceFrame, subjects: Sequence[Subject]) -> dict[Kind, JointSizes]:
    """Joint sizes by both kinds of draws, of models with a score or a loss on one or more of the frame's benchmarks.

    Models that are read by their losses are pooled: offsets are those of scores, and hold the errors of score curves.
    """
    cells = {kind: cells_of(frame, subjects, kind) for kind in KINDS}
    panel, conditional = (frame_panel(frame, kind) for kind in KINDS)
    by_loss = np.array([bool(subject.losses) for subject in subjects])
    if panel is None or conditional is None or by_loss.any():
        own = read_pooled(cells["full"])
        pooled: dict[Kind, JointSizes] = {"full": own, "conditional": read_pooled(cells["conditional"], like=own)}
    if panel is None or conditional is None or by_loss.all():
        return pooled
    full = read_jointly(cells["full"], panel)
    jointly: dict[Kind, JointSizes] = {
        "full": full,
        "conditional": read_jointly(cells["conditional"], conditional, like=full),
    }
    if not by_loss.any():
        return jointly
    return {kind: pooled[kind].where(by_loss, jointly[kind]) for kind in KINDS}


def size_bounds(frame: ReferenceFrame) -> FloatArray:
    """Sizes of the lowest and the highest score that each benchmark's curve was fitted on, (2, B)."""
    cells = cells_of(frame, [], "full")
    return np.exp([cells.lowest[0], cells.highest[0]])
