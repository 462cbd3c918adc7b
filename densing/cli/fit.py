"""`densing fit`: the two fits on anybody's data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from densing.cli._output import JsonFlag, print_json
from densing.core.errors import InputError, listed, unknown

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Fit a loss law or a score curve to a CSV file.")

Select = Annotated[list[str] | None, typer.Option(help="Take only the rows where column=value; repeat it.")]
Figure = Annotated[Path | None, typer.Option(help="Draw the fit into this file (png, svg, pdf).")]
Replicates = Annotated[int, typer.Option(min=0, max=100_000, help="Number of bootstrap replicates; 0 for none.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")]


@app.command("loss")
def loss(
    data: Annotated[
        Path,
        typer.Argument(
            help="CSV file with columns params, tokens, loss, and optionally weight, group, score, held_out."
        ),
    ],
    form: Annotated[
        str, typer.Option(help="Form of the law: two-term, irreducible (with E) or params-only.")
    ] = "two-term",
    objective: Annotated[
        str, typer.Option(help="What the fit minimises: least-squares, log-least-squares or huber-log.")
    ] = "least-squares",
    delta: Annotated[
        float, typer.Option(min=1e-12, help="The objective huber-log takes this for Huber's δ, in units of ln L.")
    ] = 1e-3,
    tokens: Annotated[str | None, typer.Option(help="Add the data floor at D₀, this many training tokens.")] = None,
    select: Select = None,
    bootstrap: Annotated[
        str,
        typer.Option(
            help="What the bootstrap redraws: points, clusters (rows of one group, else of one size) or residuals."
        ),
    ] = "clusters",
    replicates: Replicates = 1000,
    hold_out: Annotated[
        int,
        typer.Option(
            min=0,
            help="Leave out this many of the largest sizes and predict their losses, and their scores where given.",
        ),
    ] = 0,
    figure: Figure = None,
    seed: Seed = 0,
    json: JsonFlag = False,
) -> None:
    r"""Fit L = a·N^−α + b·D^−β (+ E): all optima, intervals, residuals.

    \b
    Examples:
      densing fit loss points.csv
      densing fit loss points.csv --form irreducible --objective huber-log --hold-out 1 --json
    """
    import pandas as pd

    from densing.core.units import parse_count, refuse_fractions
    from densing.fit.loss_law.fit import fit_loss_law
    from densing.fit.summary import summarise_loss_fit

    table = read_points(data, {"params": ("N",), "tokens": ("D",), "loss": ("conditional_loss", "L")}, select or [])
    table = table[table["held_out"] == 0]
    scores = pd.to_numeric(table["score"], errors="coerce") if "score" in table else None
    if hold_out and scores is not None:
        refuse_fractions(scores.dropna(), f"{data}, column score")
    settings: dict[str, Any] = {"form": form, "objective": objective, "delta": delta}
    fit = fit_loss_law(table["params"], table["tokens"], table["loss"], weights=table.get("weight"), **settings)
    summary = summarise_loss_fit(
        fit,
        tokens=None if tokens is None else parse_count(tokens, "a token count for --tokens"),
        kind=_kind(bootstrap),
        groups=table.get("group"),
        replicates=replicates,
        hold_out=hold_out,
        scores=scores,
        seed=seed,
    )
    if figure is not None:
        from densing.report.figures.loss_law import loss_law_figure

        loss_law_figure(fit, figure)
    print_json(summary.to_dict()) if json else typer.echo(str(summary))


@app.command("score")
def score(
    data: Annotated[
        Path, typer.Argument(help="CSV file with columns loss, score (percent), and optionally held_out (yes or no).")
    ],
    floor: Annotated[
        float | None, typer.Option(help="Hold the curve's floor, the score by chance, at this percentage.")
    ] = None,
    ceiling: Annotated[float | None, typer.Option(help="Hold the curve's ceiling at this percentage.")] = None,
    anchor: Annotated[
        bool, typer.Option(help="Add the point of 0 nats and 100% to the data, as the article does.")
    ] = True,
    open_ceiling: Annotated[
        bool, typer.Option("--open-ceiling", help="Let the ceiling exceed 100%, as in the article's own curves.")
    ] = False,
    items: Annotated[
        int | None,
        typer.Option(help="Number of items behind each score, which weighs the points by their binomial error."),
    ] = None,
    select: Select = None,
    bootstrap: Annotated[str, typer.Option(help="What the bootstrap redraws: points or residuals.")] = "points",
    replicates: Replicates = 1000,
    figure: Figure = None,
    seed: Seed = 0,
    json: JsonFlag = False,
) -> None:
    r"""Fit S(L) = c/(1 + exp(−γ(L − l))) + d: all optima, intervals, residuals, held-out points.

    \b
    Example:
      densing fit score checkpoints.csv --items 500
    """
    from densing.fit.score_curve.fit import fit_score_curve
    from densing.fit.summary import summarise_score_fit

    table = read_points(data, {"loss": ("conditional_loss",), "score": ()}, select or [])
    held = table["held_out"] == 1
    fitted = table[~held]
    fit = fit_score_curve(
        fitted["loss"],
        fitted["score"],
        floor=floor,
        ceiling=ceiling,
        anchor=anchor,
        items=items,
        open_ceiling=open_ceiling,
    )
    summary = summarise_score_fit(fit, table[held], kind=_kind(bootstrap), replicates=replicates, seed=seed)
    if figure is not None:
        from densing.report.figures.score_curve import score_curve_figure

        score_curve_figure(fit, figure, held_out=table[held])
    print_json(summary.to_dict()) if json else typer.echo(str(summary))


def _kind(name: str) -> Any:
    if name not in ("points", "clusters", "residuals"):
        raise unknown("bootstrap", name, ["points", "clusters", "residuals"])
    return name


def read_points(path: Path, columns: dict[str, tuple[str, ...]], select: list[str]) -> pd.DataFrame:
    """A CSV with the columns a fit needs, under their own or other usual names.

    Raises
    ------
    InputError
        If the file or a column is missing, a cell is no number, nothing is selected, or held_out is neither
        yes nor no.
    """
    import pandas as pd

    from densing.core.files import parse_table
    from densing.core.units import refuse_fractions
    from densing.fit.hold_out import with_held_out

    table = parse_table(path, comment="#")
    present = listed(map(str, table.columns))
    lines = range(2, len(table) + 2)
    table.insert(0, "_line", lines)
    for condition in select:
        column, _, value = condition.partition("=")
        if column not in table:
            raise InputError(f"--select {condition}: {path} has no column {column!r}; it has {present}")
        table = table[table[column].astype(str) == value]
    if table.empty:
        raise InputError(f"{path}: no rows" + (f" with {' and '.join(select)}" if select else ""))
    for name, others in columns.items():
        found = next((c for c in table.columns if c == name or c in others or str(c).lower() == name), None)
        if found is None:
            raise InputError(f"{path}: no column {name!r}; it has {present}")
        numbers = pd.to_numeric(table[found], errors="coerce")
        bad = table[numbers.isna()]
        if len(bad):
            cell = bad.iloc[0]
            raise InputError(f"{path}, line {int(cell['_line'])}: {found} = {str(cell[found])!r} is not a number")
        if name == "score":
            refuse_fractions(numbers, f"{path}, column {found}")
        table = table.assign(**{name: numbers})
    return with_held_out(table, str(path), table["_line"].tolist()).drop(columns="_line").reset_index(drop=True)
