"""Speed of the fits against the recipe of the literature, and their cost as data and replicates grow.

python benchmarks/fitting.py            # about 15 minutes: the recipe takes most of it
python benchmarks/fitting.py --starts 450
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from common import in_fresh_process, paired, peak_megabytes, seconds, table, write
from scipy.optimize import least_squares, minimize

from densing import fit_loss_law, load_frame
from densing.fit.bootstrap import resample

CHINCHILLA = Path(__file__).parents[1] / "tests" / "published" / "data" / "chinchilla.csv"


def chinchilla():
    points = pd.read_csv(CHINCHILLA).sort_values("loss").iloc[:-5]
    return points["params"].to_numpy(), (points["flop"] / 6 / points["params"]).to_numpy(), points["loss"].to_numpy()


def reference():
    points = load_frame("densing-law-2025").losses.query("benchmark == 'average'")
    return tuple(points[c].to_numpy(float) for c in ("params", "tokens", "conditional_loss"))


def judged(params, tokens, loss, **options):
    """One fit with its status, which a fit works out when it is first asked for."""
    fit = fit_loss_law(params, tokens, loss, **options)
    assert fit.status
    return fit


def recipe(params, tokens, loss, starts, *, irreducible, huber):
    """L-BFGS from a grid of starts on logarithms of the coefficients, analytic gradient, SciPy's defaults."""
    log_n, log_d, log_l = np.log(params), np.log(tokens), np.log(loss)

    def value(x):
        parts = [x[0] - x[2] * log_n, x[1] - x[3] * log_d] + ([np.full_like(log_n, x[4])] if irreducible else [])
        top = np.logaddexp.reduce(parts)
        share = np.exp(parts - top)
        slopes = [share[0], share[1], -share[0] * log_n, -share[1] * log_d] + ([share[2]] if irreducible else [])
        if huber:
            residual = log_l - top
            size = np.abs(residual)
            objective = np.where(size <= 1e-3, 0.5 * residual**2, 1e-3 * (size - 0.5e-3)).sum()
            psi = np.clip(residual, -1e-3, 1e-3)
            return objective, -np.array([(psi * s).sum() for s in slopes])
        predicted = np.exp(top)
        residual = loss - predicted
        return (residual**2).sum(), -2 * np.array([(residual * predicted * s).sum() for s in slopes])

    grid = itertools.product(
        range(0, 30, 5), range(0, 30, 5), np.arange(0, 2.5, 0.5), np.arange(0, 2.5, 0.5), np.arange(-1, 1.5, 0.5)
    )
    chosen = list(grid)
    chosen = chosen[:: max(1, len(chosen) // starts)][:starts]
    ends = [minimize(value, start if irreducible else start[:4], jac=True, method="L-BFGS-B") for start in chosen]
    best = min(end.fun for end in ends)
    return best, np.mean([end.fun < best * (1 + 1e-4) for end in ends]), len(chosen)


def single_fits(starts):
    rows, data = [], {}
    cases = {
        "Chinchilla, 240 points, Huber on the logarithm, with E": (
            chinchilla(),
            {"form": "irreducible", "objective": "huber-log"},
        ),
        "published average, 33 points, least squares": (
            reference(),
            {"form": "two-term", "objective": "least-squares"},
        ),
    }
    for name, (points, options) in cases.items():
        irreducible, huber = options["form"] == "irreducible", options["objective"] == "huber-log"
        ends = {}
        ours = np.median(seconds(lambda p=points, o=options: ends.update(ours=judged(*p, **o)), 9))
        theirs = seconds(lambda p=points: ends.update(theirs=recipe(*p, starts, irreducible=irreducible, huber=huber)))[
            0
        ]
        ours = np.median([ours, *seconds(lambda p=points, o=options: judged(*p, **o), 9)])
        objective, share, count = ends["theirs"]
        excess = ends["ours"].best.objective / objective - 1
        data[name] = {"ours_s": ours, "recipe_s": theirs, "starts": count, "ratio": theirs / ours, "objective_excess": excess,
                      "starts_that_found_it": share, "optima_ours": len(ends["ours"].optima)}  # fmt: skip
        rows.append(
            [
                name,
                f"{1000 * ours:.0f} ms",
                f"{theirs:.1f} s",
                f"{theirs / ours:,.0f}",
                f"{excess:+.1e}",
                f"{share:.1%}",
            ]
        )
    header = [
        "(a) one fit",
        "ours, with status and all optima",
        f"recipe, {count:,} starts",
        "ratio",
        "our objective over theirs",
        "starts that found it",
    ]
    print(table(rows, header))
    return data


def bootstrap_part(replicates):
    """1,000 refits of six benchmarks' laws and curves; run in a process of its own."""
    frame = load_frame("densing-law-2025")
    start = time.perf_counter()
    for benchmark in frame.benchmarks:
        law, curve = frame.law_fit(benchmark), frame.curve_fit(benchmark)
        rng = np.random.default_rng(0)
        law.bootstrap(resample("clusters", len(law.loss), replicates, rng, law.params))
        curve.bootstrap(resample("points", len(curve.loss), replicates, rng))
    print(json.dumps({"seconds": time.perf_counter() - start, "peak_mb": peak_megabytes()}))


def plain_loop(count):
    """One law and one curve refitted the plain way: SciPy's least squares from nine starts each."""
    frame = load_frame("densing-law-2025")
    params, tokens, loss = reference()
    points = frame.scores.query("benchmark == 'average' and held_out == 0")
    at, scores = np.append(points["conditional_loss"], 0.0), np.append(points["score"], 100.0)
    n, d = params / np.exp(np.log(params).mean()), tokens / np.exp(np.log(tokens).mean())
    rng = np.random.default_rng(0)
    for _ in range(count):
        rows = rng.integers(len(loss), size=len(loss))

        def law(x, rows=rows):
            return x[0] * n[rows] ** -x[1] + x[2] * d[rows] ** -x[3] - loss[rows]

        for alpha, beta in itertools.product((0.1, 0.3, 0.6), repeat=2):
            least_squares(law, (0.3, alpha, 0.3, beta), bounds=([0, 0.01, 0, 0.01], [np.inf, 2, np.inf, 2]))
        rows = np.append(rng.integers(len(at) - 1, size=len(at) - 1), len(at) - 1)

        def curve(x, rows=rows):
            return x[0] / (1 + np.exp(-x[1] * (at[rows] - x[2]))) + x[3] - scores[rows]

        for gamma, middle in itertools.product((-15, -25, -40), (0.1, 0.2, 0.3)):
            least_squares(curve, (80, gamma, middle, 10), bounds=([0, -500, 0, 0], [np.inf, -1, 1, np.inf]))


def growth():
    rng = np.random.default_rng(0)
    rows = []
    for points in (33, 330, 3300):
        params = np.exp(rng.uniform(np.log(5e6), np.log(1e9), points))
        tokens = params * rng.choice([10, 15, 20, 30, 40, 60], points)
        loss = (2.03 * params**-0.115 + 100 * tokens**-0.277) * np.exp(0.01 * rng.standard_normal(points))
        fit_time = np.median(seconds(lambda p=params, d=tokens, y=loss: judged(p, d, y), 3))
        fit = fit_loss_law(params, tokens, loss)
        cells = [points, f"{1000 * fit_time:.0f} ms"]
        for replicates in (10, 100, 1000):
            plan = resample("points", points, replicates, rng)
            cells.append(f"{seconds(lambda f=fit, p=plan: f.bootstrap(p))[0]:.2f} s")
        rows.append(cells)
    print(table(rows, ["(c) points", "one fit", "10 replicates", "100", "1,000"]))
    return [dict(zip(("points", "fit", "r10", "r100", "r1000"), row, strict=True)) for row in rows]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=4500, help="starts of the literature's recipe")
    parser.add_argument("--bootstrap", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.bootstrap:
        bootstrap_part(arguments.bootstrap)
        return
    data = {"single": single_fits(arguments.starts)}
    print()
    refits = in_fresh_process(Path(__file__), "--bootstrap", "1000")
    _, loop, _ = paired(
        lambda: (
            load_frame("densing-law-2025")
            .law_fit("average")
            .bootstrap(resample("points", 33, 200, np.random.default_rng(0)))
        ),
        lambda: plain_loop(2),
    )
    per_fit = refits["seconds"] / 12_000
    per_loop = loop / 4
    print(table(
        [["ours", f"{refits['seconds']:.1f} s", f"{refits['peak_mb']:.0f} MB", f"{1e3 * per_fit:.2f} ms"],
         ["plain SciPy loop, 9 starts each", f"{per_loop * 12_000 / 60:.0f} min (from {1e3 * per_loop:.0f} ms a fit)", "", f"{1e3 * per_loop:.0f} ms"]],
        ["(b) 1,000 refits of six laws and six curves", "time", "peak memory", "per fit"],
    ))  # fmt: skip
    data["bootstrap"] = {**refits, "per_fit_s": per_fit, "loop_per_fit_s": per_loop, "ratio": per_loop / per_fit}
    print()
    data["growth"] = growth()
    if arguments.starts >= 4500:
        write("fitting", data)


if __name__ == "__main__":
    sys.exit(main())
