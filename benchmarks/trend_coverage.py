"""Do the trend's intervals hold the truth 95 times in 100 when models come in families from labs?

python benchmarks/trend_coverage.py                  # everything, with the seed in the result
python benchmarks/trend_coverage.py --data-sets 60   # quicker, rougher
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from common import table, write
from scipy.special import ndtr, stdtrit

from densing import Size, Subject, densities, load_frame
from densing.frontier import days_since
from densing.progress import track
from densing.registry import load_registry
from densing.trendlab.clusters import clustered_slope
from densing.trendlab.mixed_effects import same
from densing.trendlab.panel import mean_line_draws
from densing.trendlab.ratios import ratio
from densing.trendlab.table import registry_table

SEED = 20261121
SLOPE = np.log(2) / 120
SCATTER = 0.85
"""Standard deviation of ln ρ about its trend, as the registry's models have it."""
BENCHMARKS = ["mmlu", "bbh", "math", "humaneval", "mbpp"]
CORRELATIONS = [(0.0, 0.0), (0.5, 0.0), (0.5, 0.3)]
"""Within a family, and between families of a lab."""


def design():
    """Dates, families, labs and sizes of the registry's models that have all scores, since Llama-1."""
    models = registry_table(load_registry()).dropna(subset=BENCHMARKS)
    models = models[models["release_date"] >= "2023-02-24"]
    return days_since(models["release_date"].to_numpy()), *(models[c].to_numpy() for c in ("family", "lab", "total"))


def scattered(families, labs, within_family, within_lab, rng, heavy=False):
    """Errors with those correlations; heavy tails are Student's t with four degrees of freedom."""
    correlation = (
        within_lab * same(labs)
        + (within_family - within_lab) * same(families)
        + (1 - within_family) * np.eye(len(families))
        if within_lab
        else within_family * same(families) + (1 - within_family) * np.eye(len(families))
    )
    normal = np.linalg.cholesky(correlation) @ rng.standard_normal(len(families))
    if heavy:
        return stdtrit(4, ndtr(normal)) / np.sqrt(2)
    return normal


def frontier_coverage(data_sets, replicates):
    days, families, labs, _ = design()
    limits = np.exp(SLOPE * np.quantile(days, 0.6) + 1.0 + 0.3 * np.random.default_rng(SEED).standard_normal(len(days)))
    rows, data = [], []
    cases = [(f, lab, "normal") for f, lab in CORRELATIONS] + [(0.5, 0.3, "heavy tails"), (0.5, 0.3, "censored")]
    for family, lab, kind in cases:
        rng = np.random.default_rng([SEED, int(100 * family), int(100 * lab), len(kind)])
        found = []
        for number in track(range(data_sets), f"frontiers, {family}, {lab}, {kind}"):
            logs = SLOPE * days + SCATTER * scattered(families, labs, family, lab, rng, kind == "heavy tails")
            given = {"limits": limits} if kind == "censored" else {}
            ours = clustered_slope(days, np.exp(logs), families, labs, replicates=replicates, seed=number, **given)
            interval = ours.interval()
            row = [SLOPE in interval, ours.least_squares / SLOPE, ours.median_unbiased / SLOPE, interval.open_low,
                   SLOPE / interval.high if interval.high > 0 else np.nan, SLOPE / interval.low if interval.low > 0 else np.inf]  # fmt: skip
            row.append(ours.censored)
            found.append(row)
        found = np.array(found, float)
        data.append({"within_family": family, "within_lab": lab, "errors": kind, "data_sets": len(found), "coverage": found[:, 0].mean(),
                     "least_squares_over_truth": np.median(found[:, 1]), "median_unbiased_over_truth": np.median(found[:, 2]),
                     "open": found[:, 3].mean()})  # fmt: skip
        rows.append([family, lab, kind, f"{found[:, 0].mean():.1%}", f"{np.median(found[:, 1]):.2f}", f"{np.median(found[:, 2]):.2f}",
                     f"{120 * np.median(found[:, 4]):.0f} to {120 * np.median(found[:, 5]):.0f} days", f"{found[:, 3].mean():.0%}",
                     f"{found[:, 6].mean():.0f}"])  # fmt: skip
        print(rows[-1], flush=True)
    print(table(rows, ["within families", "within labs", "errors", "coverage", "least squares / truth", "median-unbiased / truth",
                       "median interval (truth 120 days)", "no upper bound", "censored"]))  # fmt: skip
    return data


def panel_coverage(data_sets):
    """Doubling time of the mean line of a panel of the registry's sizes and dates."""
    days, families, labs, sizes = design()
    x = np.column_stack([np.ones(len(days)), np.log(sizes) - np.log(sizes).mean(), days - days.mean()])
    kernels, rate = [same(families), same(labs)], np.log(2) / 130
    rows, data = [], []
    for family, lab in CORRELATIONS:
        rng = np.random.default_rng([SEED, 1, int(100 * family), int(100 * lab)])
        held = []
        for number in range(data_sets):
            y = 0.45 * (x[:, 1] + rate * x[:, 2] + scattered(families, labs, family, lab, rng))
            _, draws = mean_line_draws(x, y, kernels, 1000, number)
            low, high = np.quantile(draws[:, 2] / draws[:, 1], [0.025, 0.975])
            held.append(low <= rate <= high)
        data.append(
            {"within_family": family, "within_lab": lab, "data_sets": data_sets, "coverage": float(np.mean(held))}
        )
        rows.append([family, lab, f"{np.mean(held):.1%}"])
        print(rows[-1], flush=True)
    print(table(rows, ["within families", "within labs", "panel: coverage"]))
    return data


def ratio_coverage(data_sets):
    """Ratio of two models whose scores have item noise, read in a frame whose error both share.

    The truth of each set is one replicate of the shipped frame, law and curve; the scores are as many answered
    items as the benchmark has; the interval is that of the frame's draws.
    """
    frame = load_frame("densing-law-2025")
    rows, data = [], []
    for benchmark in ("mmlu", "bbh", "math"):
        rng = np.random.default_rng([SEED, 2, len(benchmark), ord(benchmark[0])])
        drawn, items = frame.draws(benchmark), frame.spec.items[benchmark]
        held = []
        while len(held) < data_sets:
            truth = rng.integers(len(drawn.across))
            law, curve = drawn.across[truth], drawn.curve[truth]
            sizes = np.exp(rng.uniform(np.log(1e9), np.log(2e10), 2))
            loss = law[0] * sizes ** -law[1] + law[2] * frame.spec.tokens ** -law[3] + law[4]
            shares = (curve[0] / (1 + np.exp(-curve[1] * (loss - curve[2]))) + curve[3]) / 100
            if not ((shares > 0.05) & (shares < 0.95)).all():
                continue
            scores = 100 * rng.binomial(items, shares) / items
            subjects = [Subject(n, Size(non_embedding=1e9), {benchmark: s}) for n, s in zip("ab", scores, strict=True)]
            first, second = densities(frame, subjects, benchmark, seed=len(held))
            interval = ratio(first.draws, second.draws, (first.value, second.value)).interval
            held.append(sizes[0] / sizes[1] in interval)
        data.append({"benchmark": benchmark, "data_sets": data_sets, "coverage": float(np.mean(held))})
        rows.append([benchmark, f"{np.mean(held):.1%}"])
        print(rows[-1], flush=True)
    print(table(rows, ["ratio of two models on", "coverage"]))
    return data


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-sets", type=int, default=400, help="simulated data sets of each kind")
    parser.add_argument("--replicates", type=int, default=400, help="replicates of each interval")
    arguments = parser.parse_args()
    data = {"seed": SEED, "frontiers": frontier_coverage(arguments.data_sets, arguments.replicates),
            "panel": panel_coverage(arguments.data_sets), "ratios": ratio_coverage(arguments.data_sets)}  # fmt: skip
    error = 1.96 * np.sqrt(0.95 * 0.05 / arguments.data_sets)
    print(f"\nseed {SEED}; a coverage of 95% from {arguments.data_sets} data sets is known to ±{error:.1%}")
    if arguments.data_sets >= 300:
        write("trend_coverage", data)


if __name__ == "__main__":
    sys.exit(main())
