"""The look of the figures: journal widths, colours for grey print and colour-blind readers, stable bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from densing.core.errors import InputError, listed
from densing.core.files import atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

SINGLE, DOUBLE = 3.5, 7.2
"""Widths of a figure over one column of a journal and over two, inches."""
FORMATS = ("pdf", "png", "svg")
USUAL_FORMATS = ("pdf", "png")
"""For papers, and for everything else that shows a picture."""
INK, QUIET, FAINT = "#222222", "#5f5f5f", "#8a8a8a"
"""Colours of text and lines, of the text beside them, and of what stays in the background."""
PALETTE = ("#0067a6", "#bf4b00", "#00785a", "#a13f86", "#8a6100", "#5d4ba0")
"""The page's colours: Okabe and Ito's hues, dark enough for thin marks on white."""
MARKERS = ("s", "^", "D", "P", "*", "v")
"""One shape per colour, so that families differ in grey too; the circle is left to what has no colour."""

_SETTINGS: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "font.family": "DejaVu Sans",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.2,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.5,
    "axes.grid": True,
    "axes.axisbelow": True,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 300,
    # The same figure is the same file: no random identifiers, letters stay letters.
    "svg.hashsalt": "densing",
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}


@contextmanager
def style() -> Iterator[None]:
    """Give Matplotlib the look of the reports while the block runs."""
    import matplotlib as mpl

    with mpl.rc_context(_SETTINGS):
        yield


def new_figure(width: float, height: float, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, Any]:
    """Make a figure of a width and height in inches, and its axes, outside of pyplot's global state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    return figure, figure.subplots(rows, columns, **options)


def say(figure: Figure, finding: str, source: str) -> None:
    """Write what a figure shows above it, and what it was drawn from below its legend; call it last."""
    width, height = figure.get_size_inches()
    figure.suptitle(fill(finding, int(12.3 * width)), x=0.01, ha="left", fontsize=9, fontweight="bold")
    lines = fill(source, int(21 * width))
    figure.text(0.01, 0.03 / height, lines, fontsize=6, color=QUIET, va="bottom", linespacing=1.1)
    foot = (0.08 + 0.1 * (lines.count("\n") + 1)) / height
    taken = foot
    for legend in figure.legends:  # lifted over the source; the layout reserves no room for a legend that was moved
        box = legend.get_tightbbox()
        taken += (box.height / figure.bbox.height if box else 0) + 0.06 / height
        legend.set_bbox_to_anchor((0, foot, 1, 1 - foot), transform=figure.transFigure)
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.set(rect=(0, taken, 1, 1 - taken))  # type: ignore[call-arg]


def is_narrow(figure: Figure | SubFigure | None) -> bool:
    """Whether a figure is too narrow for three panels and long legends."""
    return figure is not None and figure.bbox.width / figure.dpi < (SINGLE + DOUBLE) / 2


def save(figure: Figure, path: Path) -> None:
    """Write a figure in the format of the path's ending; the same figure gives the same bytes.

    Raises
    ------
    InputError
        If the path ends in another format.
    """
    kind = path.suffix.lstrip(".")
    if kind not in FORMATS:
        raise InputError(f"{path}: a figure is written as {listed(FORMATS)}; end its name in .png, for example")
    metadata: dict[str, dict[str, Any]] = {
        "svg": {"Date": None, "Creator": "densing"},
        "pdf": {"CreationDate": None, "ModDate": None, "Creator": "densing", "Producer": None},
        "png": {"Software": "densing"},
    }
    with style(), atomic(path, "wb") as file:
        figure.savefig(file, format=kind, metadata=metadata.get(kind))


def save_all(figure: Figure, stem: Path, formats: Sequence[str] = USUAL_FORMATS) -> list[Path]:
    """Write a figure in several formats, laid out once for all."""
    with style():
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        for ax in figure.axes:  # the solver's last digits differ from run to run, and the bytes with them
            ax.set_position([round(float(edge), 6) for edge in ax.get_position().bounds])
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in formats]
    for path in paths:
        save(figure, path)
    return paths


def shortened(name: str, length: int = 28) -> str:
    """Return a name cut to a length that fits on a figure, in which dollar signs do not start a formula."""
    plain = " ".join(name.split()).replace("$", r"\$")
    return plain if len(plain) <= length else plain[: length - 1] + "…"
