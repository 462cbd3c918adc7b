"""Do the 95% intervals hold the truth 95 times in 100? Simulated ladders and simulated frontiers.

python benchmarks/coverage.py                  # everything, with the seed in the result
python benchmarks/coverage.py --data-sets 100  # quicker, rougher
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from common import table, write
from scipy.special import stdtrit

from densing import LossLaw, fit_loss_law, fit_trend
from densing.core.progress import track
from densing.density.published import published_densities
from densing.fit.bootstrap import resample
from densing.fit.profile import profile_costs
from densing.fit.status import FitError, FitStatus
from densing.trend.frontier import date_of, days_since

SEED = 20251112
D0 = 5e12
LAWS = {
    "article's optimum": LossLaw(2.031781, 0.11532, 100.27682, 0.277053),
    "lower optimum": LossLaw(55.38, 0.3647, 16.006, 0.16754),
}
"""Both optima of the published average."""
SIZES = np.array([5247232, 31470080, 106196736, 245416960, 476852480, 828225024.0])


def design(name):
    """N and D of the ladder: as published (33 points, D tied to N), or with D free of N (36 points)."""
    if name == "published":
        pairs = [
            (n, n * k) for i, n in enumerate(SIZES) for k in ((30, 40, 60) if i == 0 else (10, 15, 20, 30, 40, 60))
        ]
    else:
        pairs = [(n, d) for n in SIZES for d in np.geomspace(1.5e8, 5e10, 6)]
    return np.array(pairs).T


def holds(fit, truth, quantity):
    """Whether the likelihood interval of a quantity holds its true value, without finding its ends."""
    floor = float(truth.data_floor(D0))
    if quantity == "alpha":
        asked, value = fit.quantity("alpha"), truth.alpha
    elif quantity == "data floor":
        asked, value = fit.quantity("data_floor", tokens=D0), floor
    else:
        asked, value = fit.quantity("effective_size", tokens=D0, loss=floor + truth.a * 5e9**-truth.alpha), 5e9
    return profile_costs(fit.problem, asked, np.log([value]))[0] <= fit.limit


def bootstrap_holds(fit, truth, kind, rng):
    """The same for percentile intervals of a bootstrap."""
    draws = fit.bootstrap(resample(kind, len(fit.loss), 400, rng, fit.params[np.argsort(fit.rows)])).best
    a, alpha, b, beta = (draws[:, k] for k in range(4))
    floor = b * D0**-beta
    loss = float(truth.loss(5e9, D0))
    with np.errstate(invalid="ignore", over="ignore"):
        size = np.where(loss > floor, ((loss - floor) / a) ** (-1 / alpha), np.inf)
    true = (truth.alpha, float(truth.data_floor(D0)), 5e9)
    found = []
    for values, value in zip((alpha, floor, size), true, strict=True):
        ordered = np.sort(values)
        found.append(ordered[9] <= value <= ordered[-10])
    return found


def ladders(data_sets, bootstrap_sets):
    rows, data = [], []
    for law_name, truth in LAWS.items():
        for design_name in ("published", "D free of N"):
            params, tokens = design(design_name)
            exact = truth.loss(params, tokens)
            for noise in (0.005, 0.01, 0.03):
                rng = np.random.default_rng([SEED, int(1e4 * noise), len(params), len(law_name)])
                identified, covered, rivals_inside, boot = [], [], [], []
                for number in track(range(data_sets), f"{law_name}, {design_name}, {noise:.1%}"):
                    loss = exact * np.exp(noise * rng.standard_normal(len(exact)))
                    fit = fit_loss_law(params, tokens, loss, objective="log-least-squares")
                    identified.append(fit.status is not FitStatus.NOT_IDENTIFIED)
                    covered.append([holds(fit, truth, q) for q in ("alpha", "data floor", "effective size")])
                    if fit.rivals:
                        interval = fit.interval("alpha")
                        rivals_inside.append(all(optimum.alpha in interval for optimum in (fit.best, *fit.rivals)))
                    if number < bootstrap_sets:
                        boot.append(
                            [
                                *bootstrap_holds(fit, truth, "residuals", rng),
                                *bootstrap_holds(fit, truth, "points", rng),
                                *bootstrap_holds(fit, truth, "clusters", rng),
                            ]
                        )
                covered, identified = np.array(covered), np.array(identified)
                share = covered[identified].mean(0)
                drawn = np.array(boot).mean(0)
                row = {
                    "law": law_name, "design": design_name, "noise": noise, "data_sets": data_sets,
                    "identified": float(identified.mean()), "alpha": share[0], "data_floor": share[1], "effective_size": share[2],
                    "with_rival": len(rivals_inside), "interval_holds_both": float(np.mean(rivals_inside)) if rivals_inside else None,
                    "bootstrap_residuals": list(drawn[:3]), "bootstrap_points": list(drawn[3:6]),
                    "bootstrap_clusters": list(drawn[6:]), "bootstrap_sets": len(boot),
                }  # fmt: skip
                data.append(row)
                rows.append(
                    [law_name, design_name, f"{noise:.1%}", f"{identified.mean():.1%}", *(f"{s:.1%}" for s in share),
                     f"{np.mean(rivals_inside):.0%} of {len(rivals_inside)}" if rivals_inside else "none",
                     " / ".join(f"{s:.0%}" for s in drawn[:3]), *(" / ".join(f"{s:.0%}" for s in part) for part in (drawn[3:6], drawn[6:]))]
                )  # fmt: skip
    header = ["true law", "design", "noise", "identified", "α", "data floor", "N̂", "not identified: holds both",
              "bootstrap of residuals: α / floor / N̂", "of points", "of sizes (frames' default)"]  # fmt: skip
    print(table(rows, header))
    return data


def frontiers(data_sets):
    """Exponential frontiers with the published scatter about them."""
    panel = published_densities()
    days = days_since(panel["release_date"].to_numpy())
    slope = np.log(2) / 106.16
    scatter = np.log(panel["density"].to_numpy()) - slope * days
    scatter -= scatter.mean()
    rows, data = [], []
    for count in (30, 45, 60):
        rng = np.random.default_rng([SEED, count])
        found = []
        for number in track(range(data_sets), f"frontier of {count} models"):
            at = rng.choice(days, count)
            values = np.exp(slope * at - 3 + rng.choice(scatter, count))
            dates = [date_of(float(d)) for d in at]
            try:
                trend = fit_trend(dates, values, replicates=600, seed=number)
            except FitError:
                continue
            found.append(
                [
                    slope in trend.interval,
                    slope in trend.interval_fixed,
                    trend.interval.open_low,
                    pairs(at, values, slope, rng),
                ]
            )
        share = np.array(found, float).mean(0)
        data.append({"models": count, "data_sets": len(found), "reselected": share[0], "fixed_frontier": share[1],
                     "open_above": share[2], "resampled_models": share[3]})  # fmt: skip
        rows.append([count, len(found), *(f"{s:.1%}" for s in (share[0], share[1], share[3], share[2]))])
    header = ["models", "data sets", "frontier selected anew (ours)", "frontier held fixed", "models resampled (percentiles)",
              "doubling time without an upper bound"]  # fmt: skip
    print(table(rows, header))
    return data


def pairs(days, values, slope, rng):
    """Percentile interval from models drawn with replacement, frontier selected anew: what others use."""
    from densing.trend.frontier import Dates, frontier_slopes

    present = np.zeros((400, len(days)), bool)
    np.put_along_axis(present, rng.integers(len(days), size=present.shape), True, 1)
    slopes = frontier_slopes(Dates.of(days), np.where(present, np.log(values), -np.inf), "records")
    low, high = np.nanquantile(slopes, [0.025, 0.975])
    return low <= slope <= high


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-sets", type=int, default=1000, help="simulated data sets of each kind")
    parser.add_argument("--bootstrap-sets", type=int, default=200, help="of them, how many also bootstrap")
    arguments = parser.parse_args()
    data = {"seed": SEED, "ladders": ladders(arguments.data_sets, min(arguments.bootstrap_sets, arguments.data_sets))}
    print()
    data["frontiers"] = frontiers(min(arguments.data_sets, 1000))
    error = stdtrit(1e9, 0.975) * np.sqrt(0.95 * 0.05 / arguments.data_sets)
    print(f"\nseed {SEED}; a coverage of 95% from {arguments.data_sets} data sets is known to ±{error:.1%}")
    if arguments.data_sets >= 500:
        write("coverage", data)


if __name__ == "__main__":
    sys.exit(main())
