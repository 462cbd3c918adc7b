"""`densing sweep`: many checkpoints on many suites, on many machines."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from densing.cli import _engine_options
from densing.cli._output import JsonFlag, print_json
from densing.core.errors import DensingError, InputError

OUT = Path("results") / "sweeps"
RUN = "run"


class SweepGroup(TyperGroup):
    """Takes a sweep in place of a command: `densing sweep NAME` is `densing sweep run NAME`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command's name in where it was left out."""
        if args and args[0] not in (*self.commands, "--help"):
            args = [RUN, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=SweepGroup,
    no_args_is_help=True,
    help="Measure many checkpoints on many suites, on one machine or a cluster; `densing sweep NAME` runs a sweep.",
)

Sweep = Annotated[
    str, typer.Argument(metavar="NAME", help="The sweep: one that comes with densing, or a sweep's YAML file.")
]
Out = Annotated[
    Path, typer.Option(help="Folder that the sweep's own folder is in, on a disk that all machines of a cluster see.")
]


@app.command(RUN)
def run(
    name: Sweep,
    out: Out = OUT,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="The Ray cluster to run on; if not given, the one that this machine is part of, or else this machine.",
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="How many models are loaded at once; as many as have room if not given.")
    ] = None,
    worker: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Run one of N shares in this process, without Ray, as a Slurm array does; I is 0 to N-1.",
        ),
    ] = None,
    scratch: Annotated[
        Path | None,
        typer.Option(help="A folder on each machine's own disk for caches; below TMPDIR or /tmp if not given."),
    ] = None,
    trust_remote_code: _engine_options.TrustRemoteCode = False,
    run_unsafe_code: _engine_options.RunUnsafeCode = False,
    json: JsonFlag = False,
) -> None:
    r"""Run a sweep, or what is left of it.

    Each result is the one that `densing measure` writes. What is finished is skipped, so the same command goes on
    after an interruption, on any machine that sees the folder.

    \b
    Examples:
      densing sweep my_sweep.yaml
      densing sweep my_sweep.yaml --address 10.0.0.1:6379
      densing sweep my_sweep.yaml --worker 3/16
      densing sweep status my_sweep.yaml
    """
    from densing.cluster.run import run_share, run_sweep
    from densing.cluster.sweep import Consent, load_sweep

    config = load_sweep(name)
    consent = Consent(trust_remote_code, run_unsafe_code)
    if worker is None:
        result = run_sweep(
            config, out / config.name, address=address, workers=workers, scratch=scratch, consent=consent
        )
    elif address is not None or workers is not None:
        raise InputError("--worker runs one share without Ray; leave --address and --workers out")
    else:
        result = run_share(config, out / config.name, _share(worker), scratch=scratch, consent=consent)
    if json:
        print_json({"folder": str(out / config.name), "done": len(result.done), "set_aside": result.set_aside})
    else:
        typer.echo(f"{len(result.done)} units were finished; the results are in {out / config.name}")
    if result.set_aside:
        raise DensingError(
            f"{len(result.set_aside)} units were set aside, the rest is finished; `densing sweep status {name}` says "
            "why, and the same command tries them again"
        )


@app.command("status")
def status(name: Sweep, out: Out = OUT, json: JsonFlag = False) -> None:
    r"""Say how far a sweep is: units, rate, time left, failures. Nothing but its files is read.

    \b
    Example:
      densing sweep status my_sweep.yaml
    """
    from densing.cluster.status import sweep_status
    from densing.cluster.sweep import load_sweep

    config = load_sweep(name)
    found = sweep_status(config, out / config.name)
    if json:
        print_json(found.to_dict())
        return
    rate = "" if found.per_hour is None else f", {found.per_hour:.4g} an hour"
    typer.echo(f"{config.name}: {found.done} of {found.units} units done{rate}, {found.loads} loads")
    if found.left and found.hours_left is not None:
        typer.echo(f"{found.left} left, {_duration(found.hours_left)} at this rate")
    for place, record in found.set_aside.items():
        typer.echo(f"set aside: {place}")
        for failure in record.failures:
            typer.echo(f"  {failure.worker}: {failure.reason}")


def _share(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
    if not found or int(found[1]) >= int(found[2]):
        raise InputError(f"--worker {text}: expected a share I of N, counted from 0, as in 0/3, 1/3, 2/3")
    return int(found[1]), int(found[2])


def _duration(hours: float) -> str:
    if hours >= 48:
        return f"{hours / 24:.1f} days"
    return f"{hours:.1f} hours" if hours >= 1 else f"{60 * hours:.1f} minutes"
