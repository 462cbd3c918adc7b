"""`densing ladder`: plan, train, load and inspect reference models."""

from __future__ import annotations

import math
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from densing.cli._output import JsonFlag, print_json, table
from densing.core.text import printable

if TYPE_CHECKING:
    from densing.ladder.config import LadderConfig
    from densing.ladder.manifest import Ladder
    from densing.ladder.plan import Plan

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Plan, train, load and inspect ladders of reference models."
)

LadderName = Annotated[
    str,
    typer.Argument(metavar="LADDER", help="Name of a ladder that comes with densing, or the YAML file of your own."),
]
Folder = Annotated[
    Path | None, typer.Option("--out", "-o", help="Folder of the ladder; by default reference_models/<its name>.")
]

_POWER_SIZES = {"1B": 1e9, "8B": 8e9}


@app.command()
def plan(
    config: LadderName,
    device: Annotated[
        list[str] | None, typer.Option(help="Device to give hours for; may be repeated. By default rtx-4090 and h100.")
    ] = None,
    mfu: Annotated[float, typer.Option(help="Share of the device's peak rate that training reaches.")] = 0.4,
    power: Annotated[
        bool,
        typer.Option(
            "--power", help="Simulate ladders of this design, and say how exactly they would tell a model's size."
        ),
    ] = False,
    json: JsonFlag = False,
) -> None:
    r"""Sizes, tokens, FLOPs, hours and disk of a ladder; trains nothing.

    \b
    Examples:
        densing ladder plan densing-law --device h100 --mfu 0.4
        densing ladder plan open --power
    """
    from densing.ladder.plan import check_cost_options, make_plan

    devices = device or ["rtx-4090", "h100"]
    check_cost_options(devices, mfu)
    loaded = _load(config)
    made = make_plan(loaded)
    widths = _widths(made) if power else {}
    if json:
        print_json(_plan_data(made, devices, mfu) | ({"width_95": widths} if power else {}))
        return
    typer.echo(_plan_text(loaded, made, devices, mfu))
    if power:
        typer.echo(_power_text(widths))


@app.command()
def corpus(config: LadderName, out: Folder = None, json: JsonFlag = False) -> None:
    r"""Make the corpus of a ladder; run it again to continue after any interruption.

    Training makes a missing corpus by itself, except under torchrun, where all devices would wait for it. A corpus
    that is there is compared with its hashes, file by file.

    \b
    Example:
        densing ladder corpus densing-law
    """
    from densing.ladder.training.run import longest_tokens, make_corpus

    loaded = _load(config)
    made = make_corpus(loaded, _folder(loaded, out))
    epochs = longest_tokens(loaded) / made.tokens
    if json:
        found = {"tokens": made.tokens, "documents": made.documents, "sha256": made.sha256, "epochs": epochs}
        print_json({"folder": str(made.folder), **found})
        return
    typer.echo(
        f"{made.folder}: {made.tokens:,} training tokens in {made.documents:,} documents. The longest training reads "
        f"it {epochs:.2g} times."
    )
    if made.tokens < (loaded.corpus.max_tokens or 0):
        typer.echo(f"The text ended before corpus.max_tokens = {loaded.corpus.max_tokens:,}.", err=True)


@app.command()
def train(
    config: LadderName,
    out: Folder = None,
    save_every: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Seconds between two states on disk. By default as many as make saving take at most 2% of the time.",
        ),
    ] = None,
    json: JsonFlag = False,
) -> None:
    r"""Train every size to every budget; run it again to continue after any interruption.

    Under torchrun the processes train together; without it, every GPU trains a size of its own.

    \b
    Examples:
        densing ladder train quickstart
        densing ladder train densing-law --save-every 1800
        torchrun --nproc-per-node 8 --no-python densing ladder train densing-law
    """
    import os

    from densing.ladder.plan import make_plan
    from densing.ladder.training.run import train_ladder

    loaded = _load(config)
    if (warning := _warning(make_plan(loaded))) and os.environ.get("RANK", "0") == "0":
        typer.echo(warning, err=True)
    ladder = train_ladder(loaded, _folder(loaded, out), processes=None, save_seconds=save_every)
    if os.environ.get("RANK", "0") == "0":
        _show(ladder, json)


@app.command()
def load(
    source: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE...", help="Folder, manifest or hub repository; one per size if need be."),
    ],
    tokens: Annotated[
        str | None,
        typer.Option(
            help="Rule for training tokens: per-step:COUNT, per-parameter:COUNT, in-name, NAME=COUNT,... or a CSV file."
        ),
    ] = None,
    select: Annotated[list[str] | None, typer.Option(help="Pattern of checkpoints or revisions to take.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder to write a manifest into.")] = None,
    losses: Annotated[
        Path | None, typer.Option(help="CSV to write the held-out losses into, as `densing fit loss` reads it.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    r"""Load a ladder that was trained here or released, and show the table that was understood.

    \b
    Examples:
        densing ladder load openbmb/DensingLaw-ScalingModels --tokens per-parameter:60 -o reference_models/openbmb
        densing ladder load EleutherAI/pythia-14m EleutherAI/pythia-70m --tokens per-step:2097152 --select "step*000"
        densing ladder load reference_models/quickstart --losses losses.csv
    """
    from densing.core.files import atomic, refuse_foreign
    from densing.ladder.load import load_ladder
    from densing.ladder.manifest import MANIFEST

    for path in (losses, out and out / MANIFEST):
        if path:
            refuse_foreign(path)
    ladder = load_ladder(
        source, tokens, select=select or (), show=lambda found: typer.echo(printable(_ladder_text(found)), err=True)
    )
    with ExitStack() as written:  # both files or neither
        if losses:
            written.enter_context(atomic(losses)).write(_losses(ladder))
        if out:
            ladder.write(out)
            typer.echo(printable(f"wrote {out / 'manifest.json'}"), err=True)
    _show(ladder, json)


@app.command()
def status(config: LadderName, out: Folder = None, json: JsonFlag = False) -> None:
    r"""What of a ladder is done, half done, missing or stale.

    \b
    Example:
        densing ladder status quickstart
    """
    from densing.ladder.status import ladder_status

    loaded = _load(config)
    entries = ladder_status(loaded, _folder(loaded, out))
    if json:
        print_json([vars(entry) for entry in entries])
    else:
        typer.echo(table([[entry.name, entry.state, entry.detail] for entry in entries], ["what", "state", "detail"]))


def _load(name_or_path: str) -> LadderConfig:
    from densing.core.config import find_config, load
    from densing.ladder.config import LadderConfig

    return load(find_config("ladder", name_or_path), LadderConfig)


def _folder(config: LadderConfig, out: Path | None) -> Path:
    return out or Path("reference_models") / config.name


def _losses(ladder: Ladder) -> str:
    import pandas as pd

    from densing.core.artifacts import csv_text
    from densing.core.errors import InputError

    if any(checkpoint.held_out_loss is None for checkpoint in ladder.checkpoints):
        raise InputError(
            f"{ladder.name}: its held-out losses are not recorded; measure it, as with densing frame build"
        )
    rows = [
        {"checkpoint": c.name, "params": c.params_non_embedding, "tokens": c.tokens, "loss": c.held_out_loss}
        for c in ladder.checkpoints
    ]
    hashes = {key: str(ladder.training.get(f"{key}_sha256", "")) for key in ("corpus", "tokenizer")}
    made_from = {key: sha256 for key, sha256 in hashes.items() if sha256}
    return csv_text("losses", pd.DataFrame(rows), made_from=made_from)


def _show(ladder: Ladder, json: bool) -> None:
    if json:
        print_json({"name": ladder.name, "budgets": ladder.budgets, "checkpoints": ladder.rows()})
    else:
        typer.echo(_ladder_text(ladder))


def _ladder_text(ladder: Ladder) -> str:
    rows = [
        [
            row["checkpoint"],
            f"{row['params_non_embedding']:,}",
            "" if row["params"] is None else f"{row['params']:,}",
            f"{row['tokens']:,}",
            f"{row['tokens_per_parameter']:.1f}",
            "" if row["held_out_loss"] is None else f"{row['held_out_loss']:.4f}",
            "" if row["held_out_bits_per_byte"] is None else f"{row['held_out_bits_per_byte']:.4f}",
        ]
        for row in ladder.rows()
    ]
    header = [
        "checkpoint",
        "params without embeddings",
        "params",
        "tokens",
        "per parameter",
        "held-out loss",
        "bits per byte",
    ]
    return f"{ladder}\n\n{table(rows, header)}"


def _widths(plan: Plan) -> dict[str, float]:
    """Width of the interval of a size that the ladder would give, by the size, as simulated ladders have it."""
    from densing.ladder.power import widths

    design = [(rung.params_non_embedding, tokens) for rung in plan.rungs for tokens in rung.tokens]
    params, tokens = zip(*design, strict=True)
    return dict(zip(_POWER_SIZES, map(float, widths(params, tokens, list(_POWER_SIZES.values()))), strict=True))


def _power_text(widths: dict[str, float]) -> str:
    rows = [[size, f"×{width:.3g}" if math.isfinite(width) else "not bounded"] for size, width in widths.items()]
    return (
        f"\n{table(rows, ['power: model of', '95% interval, high over low'])}\n\n"
        "Width of the interval of a model's effective size: median over 20 simulated ladders of this design, whose "
        "losses scatter as the published ladder's do, read at 60 tokens per parameter. The model's own loss is taken "
        "as known."
    )


def _plan_data(plan: Plan, devices: list[str], mfu: float) -> dict[str, object]:
    return {
        "mfu": mfu,
        "flops": plan.flops,
        "disk_bytes": plan.disk_bytes,
        "corpus_tokens": plan.corpus_tokens,
        "saved": plan.saved,
        "rungs": [
            vars(rung)
            | {"rates": rung.rates._asdict(), "saved": rung.saved}
            | {"hours": {device: rung.hours(device, mfu) for device in devices}}
            for rung in plan.rungs
        ],
    }


def _plan_text(config: LadderConfig, plan: Plan, devices: list[str], mfu: float) -> str:
    from densing.core.units import short_count
    from densing.ladder.shapes import MFU_CONVENTION

    rows = [
        [
            rung.name,
            f"{rung.params_non_embedding:,}",
            f"{rung.params:,}",
            str(rung.batch),
            short_count(rung.tokens[-1]),
            short_count(rung.trained_tokens),
            f"{rung.saved:.0%}",
            f"{rung.flops:.2e}",
            *(f"{rung.hours(device, mfu):.3g}" for device in devices),
            f"{rung.disk_bytes / 1e9:.3g}",
        ]
        for rung in plan.rungs
    ]
    hours = [f"{sum(rung.hours(device, mfu) for rung in plan.rungs):.3g}" for device in devices]
    trained = short_count(sum(rung.trained_tokens for rung in plan.rungs))
    total = [
        "all",
        "",
        "",
        "",
        "",
        trained,
        f"{plan.saved:.0%}",
        f"{plan.flops:.2e}",
        *hours,
        f"{plan.disk_bytes / 1e9:.3g}",
    ]
    header = ["rung", "params without embeddings", "params", "batch", "longest", "trained", "saved", "FLOPs"]
    header += [*(f"hours {device}" for device in devices), "disk GB"]
    budgets = ", ".join(f"{budget:g}" for budget in config.budgets)
    return (
        f"{table([*rows, total], header)}\n\n{_rates_text(plan)}\n"
        f"Budgets: {budgets} tokens per parameter without embeddings. Trained: one trunk and a decayed branch per "
        f"budget; saved: against a run of its own for every budget.\n"
        f"Hours on one device at an MFU of {mfu:.0%}: {MFU_CONVENTION}.\n"
        f"Disk: checkpoints and training state in 32 bits, and the corpus of {short_count(plan.corpus_tokens)} tokens "
        "if nothing is read twice."
    )


def _rates_text(plan: Plan) -> str:
    """Peak learning rates of every rung, and which of them were not checked."""
    rows = [
        [rung.name, f"{rung.tokens_per_step:,}", *(f"{rate:.2g}" for rate in rung.rates), ", ".join(rung.unchecked)]
        for rung in plan.rungs
    ]
    header = ["rung", "tokens per step", "rate of matrices", "of embeddings", "of norms", "beyond the checked"]
    warning = _warning(plan)
    return table(rows, header) + (f"\n\n{warning}\n" if warning else "\n")


def _warning(plan: Plan) -> str | None:
    """The sentence on rates that no run has compared with others."""
    from densing.ladder.model import CHECKED

    found = [rung.name for rung in plan.rungs if rung.unchecked]
    if not found:
        return None
    ranges = " and ".join(f"{name} {least:,} to {most:,}" for name, (least, most) in CHECKED.items())
    return (
        f"Warning: the rule for learning rates was checked for {ranges}; {', '.join(found)} lie outside. Compare a few "
        "rates at your smallest two sizes first (docs/ladder.md, Learning rate)."
    )
