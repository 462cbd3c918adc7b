"""The options of every command that measures: which engine computes, and how."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from densing.core.errors import InputError
from densing.measure.engines.table import ENGINES

if TYPE_CHECKING:
    from densing.measure.engines.settings import EngineSettings

EngineName = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="NAME",
        help=f"The engine that computes: {' or '.join(row.name for row in ENGINES.own)}, or one that another "
        "package brings; `densing doctor` lists all that are installed.",
    ),
]
Dtype = Annotated[
    str,
    typer.Option("--dtype", help="Precision of the computation, such as float32; auto is that of the checkpoint."),
]
Device = Annotated[
    str | None,
    typer.Option("--device", help="Where to compute: cpu, cuda, cuda:1 or mps; the engine chooses if not given."),
]
Revision = Annotated[
    str | None, typer.Option("--revision", help="Branch, tag or commit of the model on the Hugging Face hub.")
]
TrustRemoteCode = Annotated[
    bool,
    typer.Option("--trust-remote-code", help="Consent to run the code that the model brings; read it first."),
]
RunUnsafeCode = Annotated[
    bool,
    typer.Option(
        "--run-unsafe-code",
        help="Consent to run the code that the model writes, which HumanEval and MBPP need; do it in a container.",
    ),
]
AllowTruncated = Annotated[
    bool,
    typer.Option(
        "--allow-truncated", help="Cut items that are longer than the model's context on their left, not fail."
    ),
]
Options = Annotated[
    list[str] | None,
    typer.Option("--option", metavar="NAME=VALUE", help="Give the engine an option of its own; repeat it for more."),
]


def engine_settings(options: list[str] | None, **settings: Any) -> EngineSettings:
    """The settings that a command was given.

    Parameters
    ----------
    options : list of str, optional
        "name=value" each; the value is read as JSON where it is JSON (a number, true, a mapping), else as text.
    **settings
        The others, by their names.

    Raises
    ------
    InputError
        If an option is not of that form, is given twice, or is a setting with an option of the command.
    """
    from densing.measure.engines.settings import EngineSettings as Settings

    parsed: dict[str, Any] = {}
    for option in options or []:
        name, equals, value = option.partition("=")
        if not equals or not name:
            raise InputError(f"--option {option}: expected name=value")
        if name in parsed:
            raise InputError(f"--option {option}: {name} is given twice; keep one of them")
        try:
            parsed[name] = json.loads(value)
        except (ValueError, RecursionError):
            parsed[name] = value
    return Settings().replaced(**settings, options=parsed)
