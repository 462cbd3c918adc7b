"""Tables as CSV, Markdown and LaTeX (booktabs), each naming the artifact its numbers stand in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from densing.core.files import atomic
from densing.core.intervals import Interval
from densing.core.text import harmless, latex_text, markdown_text, one_line
from densing.core.units import short_count
from densing.density.sets import INCOMPLETE
from densing.frame.frame import AVERAGE
from densing.trend.exponential import AT_CHANCE, DAYS_PER_MONTH, TOO_DENSE, left_out_lines

if TYPE_CHECKING:
    import pandas as pd

    from densing.report.data import ReportData

_LONGEST_ON_A_PAGE = 40
"""Rows of a table in LaTeX that does not go on over pages."""
_LONGEST_IN_A_LINE = 30
"""Letters of a cell in LaTeX that is not broken into lines."""


@dataclass(frozen=True)
class Table:
    """A table of a report.

    Attributes
    ----------
    title : str
    rows : DataFrame
        Numbers, for CSV.
    shown : DataFrame
        The same numbers for people: rounded, with units in the headings and intervals in one cell.
    source : str
        The artifact that the numbers stand in.
    """

    title: str
    rows: pd.DataFrame
    shown: pd.DataFrame
    source: str

    def csv(self) -> str:
        """Return comma-separated values, in which no cell is one that a spreadsheet would run."""
        return self.rows.map(harmless).to_csv(index=False, lineterminator="\n")

    def markdown(self) -> str:
        """Return a Markdown table with its title and source."""
        header = [markdown_text(str(column)) for column in self.shown]
        lines = [f"**{markdown_text(self.title)}**", "", f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}"]
        for row in self.shown.itertuples(index=False):
            lines.append(f"| {' | '.join(markdown_text(str(cell)) for cell in row)} |")
        return "\n".join([*lines, "", f"Numbers: {markdown_text(self.source)}", ""])

    def latex(self, name: str) -> str:
        """Return a LaTeX table in the style of booktabs, labelled ``tab:name``; a long one goes on over pages."""
        shown = self.shown.rename(columns=lambda column: latex_text(str(column)))
        shown = shown.map(lambda cell: latex_text(str(cell)))
        text = shown.style.hide(axis="index").to_latex(
            environment="longtable" if len(shown) > _LONGEST_ON_A_PAGE else None,
            column_format="".join(_alignment(self.shown[column]) for column in self.shown),
            caption=f"{latex_text(self.title)}.",
            label=f"tab:{name}",
            hrules=True,
        )
        return f"% Numbers: {one_line(self.source)}\n{text}"

    def write(self, folder: Path, name: str) -> list[Path]:
        """Write the table in all three forms, as files of one name, and return their paths."""
        forms: dict[str, Callable[[], str]] = {
            "csv": self.csv,
            "md": self.markdown,
            "tex": lambda: self.latex(name),
        }
        paths = []
        for ending, make in forms.items():
            path = folder / f"{name}.{ending}"
            with atomic(path) as file:
                file.write(make())
            paths.append(path)
        return paths


def _alignment(column: pd.Series[Any]) -> str:
    """Return how LaTeX sets a column: numbers to the right, text to the left, sentences in lines."""
    if max(len(str(cell)) for cell in column) > _LONGEST_IN_A_LINE:
        return r"p{0.2\linewidth}"
    return "r" if all(str(cell)[:1] in "0123456789<>–" or str(cell) == "" for cell in column) else "l"


def densities_table(data: ReportData, which: str) -> Table:
    """Tabulate every model of a set, the densest first."""
    row = data.row(which)
    frame = row.densities.to_frame()
    shown = [
        {
            "model": detail["model"],
            "released": detail["release_date"],
            "size": short_count(detail["size"]),
            **({"average score (%)": f"{detail['score']:.1f}"} if frame["score"].notna().any() else {}),
            "N̂": short_count(detail["effective_size"]) if np.isfinite(detail["effective_size"]) else "",
            "density ρ": _density_text(detail),
            "95% full": str(Interval(detail["density_low"], detail["density_high"])),
            "95% conditional": str(Interval(detail["density_low_conditional"], detail["density_high_conditional"])),
            "status": detail["status"],
        }
        for detail in frame.to_dict("records")
    ]
    title = _with_counts(f"Densities of {row.densities.title}", {INCOMPLETE: row.left_out.get(INCOMPLETE, ())})
    return _table(data, title, frame, shown, f"densities/{row.densities.label}")


def _density_text(detail: dict[Any, Any]) -> str:
    if np.isfinite(detail["density"]):
        return f"{detail['density']:.3g}"
    return f"{'<' if 'chance' in str(detail['status']) else '>'} {detail['bound']:.3g}"


def frames_table(data: ReportData, which: str) -> Table:
    """Tabulate the doubling time of a set of models under every frame."""
    import pandas as pd

    rows = list(data.rows[which].values())
    shown = []
    for row in rows:
        doubling, full, conditional = row.texts
        numbers = row.to_dict()
        of = "" if numbers["law_of"] == AVERAGE else f" (law of {numbers['law_of']})"
        shown.append(
            {
                "frame": row.frame.name + of, "read at": row.frame.spec.read_at, "α": f"{numbers['alpha']:.3f}",
                "β": f"{numbers['beta']:.3f}", "E": f"{numbers['E']:.3f}", "data floor": f"{numbers['data_floor']:.3f}",
                "in range": f"{numbers['in_range']} of {numbers['models']}", "doubling time": doubling,
                "95% full": full, "95% conditional": conditional,
                "draws behind full": row.shares_texts[0], "draws behind conditional": row.shares_texts[1],
                "why": row.reason,
            }
        )  # fmt: skip
    of_the_set = {why: who for why, who in rows[0].left_out.items() if why not in (TOO_DENSE, AT_CHANCE)}
    title = f"Doubling time of {rows[0].densities.title.partition(' in frame')[0]} under every frame"
    title = _with_counts(title, of_the_set)
    source = "; ".join(str(data.artifacts.get(f"trends/{row.densities.label}", "")) for row in rows if row.trend)
    return Table(title, pd.DataFrame([row.to_dict() for row in rows]), pd.DataFrame(shown), source)


def _with_counts(title: str, left_out: Mapping[str, Sequence[str]]) -> str:
    """Return a title that says how many models are left out, and why."""
    return "; ".join([title, *left_out_lines({why: who for why, who in left_out.items() if who})])


def trend_table(data: ReportData, which: str) -> Table:
    """Tabulate the models on the frontier of a set and the line through them; the set must have a trend."""
    row = data.row(which)
    assert row.trend is not None
    members = row.trend.members_table()
    shown = [
        {
            "model": r["model"],
            "released": r["release_date"],
            "density ρ": f"{r['density']:.3g}",
            "on the line": f"{r['on_line']:.3g}" if np.isfinite(r["on_line"]) else "–",
        }
        for r in members.to_dict("records")
    ]
    days = row.trend.doubling_time_days
    title = f"Frontier of {row.densities.title}: "
    if row.trend.censored:
        title += f"doubling time not identified, {row.trend.censored}"
    else:
        title += (
            f"A = {row.trend.slope_per_day:.6f} per day, R² = {row.trend.r_squared:.4f}, "
            f"doubling time {days:.1f} days ({days / DAYS_PER_MONTH:.2f} months), "
            f"95% full {row.texts[1]}, conditional {row.texts[2]}"
        )
    title = _with_counts(title, row.left_out)
    return _table(data, title, members, shown, f"trends/{row.densities.label}")


def corollaries_table(data: ReportData) -> Table:
    """Tabulate what follows from the trend, beside the article's numbers."""
    import pandas as pd

    rows = pd.DataFrame([vars(row) for row in data.corollaries])
    shown = [
        {
            "corollary": row.name,
            "here": row.texts[0],
            "95%": row.texts[2],
            "article": row.texts[1],
            "unit": row.unit,
            "why": row.reason,
        }
        for row in data.corollaries
    ]
    label = data.row("published").densities.label if "published" in data.rows else ""
    trend = data.artifacts.get(f"trends/{label}", "the article's densities")
    source = f"{trend}; published densities on MMLU, of compressed models, and prices (Xiao et al. 2025)"
    return Table("Corollaries, beside the article's numbers", rows, pd.DataFrame(shown), source)


def capabilities_table(data: ReportData) -> Table:
    """Tabulate the doubling time of every benchmark by ladders and without one."""
    import pandas as pd

    found = data.capabilities
    shown = pd.DataFrame(found.cells, columns=found.header)
    source = "registry; ikp_rare_facts.csv (arXiv 2604.24827)"
    title = f"Which capabilities get denser. {found.paragraph}"
    return Table(title, pd.DataFrame(found.to_dict()["readings"]), shown, source)


def compression_table(data: ReportData) -> Table:
    """Tabulate compressed models and their parents."""
    shown = [
        {
            "model": r["model"], "parent": r["parent"], "density ρ": f"{r['density']:.3g}",
            "parent's density": f"{r['parent_density']:.3g}", "ratio": f"{r['ratio']:.2f}",
        }
        for r in data.compression.to_dict("records")
    ]  # fmt: skip
    source = "published_densities.csv, panel compression (Xiao et al. 2025)"
    import pandas as pd

    return Table(
        "Compressed models and the models they were made from",
        data.compression,
        pd.DataFrame(shown),
        source,
    )


def harnesses_table(data: ReportData) -> Table:
    """Tabulate how far the vendors' scores lie above those of one harness, per benchmark."""
    import pandas as pd

    from densing.models.harness import vendor_differences

    found = vendor_differences(data.registry)
    shown = [
        {
            "harness": r["set"], "benchmark": r["benchmark"], "models in both": r["models"],
            "median (points)": f"{round(r['median'], 1) + 0:.1f}", "standard deviation": f"{r['spread']:.1f}",
            "largest": f"{r['largest']:.1f}", "of": r["model"],
        }
        for r in found.to_dict("records")
    ]  # fmt: skip
    source = "same-harness sets and vendors' scores of the registry"
    return Table("Vendors' scores less those that one harness measured", found, pd.DataFrame(shown), source)


def _table(data: ReportData, title: str, rows: pd.DataFrame, shown: Sequence[dict[str, Any]], artifact: str) -> Table:
    import pandas as pd

    return Table(title, rows, pd.DataFrame(list(shown)), str(data.artifacts.get(artifact, artifact)))
