"""Do the intervals of tied sizes hold the truth 95 times in 100, whatever the truth's form is?

python benchmarks/law_coverage.py                # 300 simulated ladders in each of twelve cells
python benchmarks/law_coverage.py --ladders 60   # quicker, rougher

Ladders of the published design, from three laws that its points cannot tell apart. A size is read from its
true loss, so that the error is the law's alone. A cell fails where its coverage is significantly, at 5%,
outside 92% to 99%.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from common import table, write
from scipy.stats import binom

from densing.core.progress import track
from densing.fit.loss_law.posterior import law_posterior
from densing.fit.loss_law.reading import Reading

SEED = 20251112
LAWS = {
    "article's optimum": (2.031781, 0.11532, 100.27682, 0.277053, 0.0),
    "lower optimum": (55.38, 0.3647, 16.006, 0.16754, 0.0),
    "with E": (16.722246, 0.285135, 42.961539, 0.227656, 0.0917052),
}
"""Three readings of the published average."""
RUNGS = np.array([5247232, 31470080, 106196736, 245416960, 476852480, 828225024.0])
SIZES = np.array([1e9, 1e10, 7e10])
READING = Reading(tokens_per_param=60)


def design():
    """N and D of the published ladder, 33 points."""
    budgets = {0: (30, 40, 60)}
    pairs = [(n, n * k) for i, n in enumerate(RUNGS) for k in budgets.get(i, (10, 15, 20, 30, 40, 60))]
    return np.array(pairs).T


def cell(law, correlation, noise, ladders, draws, label):
    """Coverage, median width and median over the truth, each (3,), of 95% intervals."""
    params, tokens = design()
    a, alpha, b, beta, irreducible = law
    exact = a * params**-alpha + b * tokens**-beta + irreducible
    target = READING.losses(np.array(law), SIZES)
    _, rung = np.unique(params, return_inverse=True)
    rng = np.random.default_rng([SEED, int(100 * correlation), int(1e4 * noise), len(label)])
    ends = []
    for number in track(range(ladders), f"{label}, correlation {correlation:g}, noise {noise:.1%}"):
        shared, own = rng.standard_normal(len(RUNGS))[rung], rng.standard_normal(len(params))
        error = noise * (np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own)
        posterior = law_posterior(params, tokens, exact * np.exp(error), draws=draws, seed=[SEED, number])
        ends.append(np.quantile(READING.sizes(posterior.laws, target), [0.025, 0.5, 0.975], 0, method="inverted_cdf"))
    low, middle, high = np.moveaxis(np.array(ends), 1, 0)
    return ((low <= SIZES) & (high >= SIZES)).mean(0), np.median(high / low, 0), np.median(middle / SIZES, 0)


def fails(coverage, ladders):
    """Whether a coverage is too far under 92% or over 99% to be chance."""
    held = round(coverage * ladders)
    return binom.cdf(held, ladders, 0.92) < 0.025 or binom.sf(held - 1, ladders, 0.99) < 0.025


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ladders", type=int, default=300, help="simulated ladders in each cell")
    parser.add_argument("--draws", type=int, default=400, help="draws of the posterior of each")
    arguments = parser.parse_args()
    rows, data = [], []
    for label, law in LAWS.items():
        for correlation in (0.0, 0.34):
            for noise in (0.005, 0.01):
                found = cell(law, correlation, noise, arguments.ladders, arguments.draws, label)
                failed = [bool(fails(share, arguments.ladders)) for share in found[0]]
                data.append({"law": label, "correlation": correlation, "noise": noise, "coverage": list(found[0]),
                             "width": list(found[1]), "median": list(found[2]), "fails": failed})  # fmt: skip
                cells = [
                    f"{c:.1%}, ×{w:.3g}{' fails' if bad else ''}" for c, w, bad in zip(*found[:2], failed, strict=True)
                ]
                rows.append([label, correlation, f"{noise:.1%}", *cells])
    print(table(rows, ["true law", "correlation", "noise", "1B", "10B", "70B"]))
    if arguments.ladders >= 300:
        write("law_coverage", {"seed": SEED, "ladders": arguments.ladders, "draws": arguments.draws, "rows": data})
    return int(any(bad for row in data for bad in row["fails"]))


if __name__ == "__main__":
    sys.exit(main())
