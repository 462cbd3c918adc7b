"""Measuring: one model on one suite, through lm-eval's evaluator, resumable at any point."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from densing.core.artifacts import ArtifactError, sha256_of_data
from densing.core.errors import DensingError, InputError, is_failure, unknown
from densing.core.files import refuse_special_files
from densing.measure.cache import RequestCache
from densing.measure.checkpoint import Checkpoint, find_checkpoint, refuse_without_tokeniser
from densing.measure.code_eval import programs_in
from densing.measure.data_sets import source_of
from densing.measure.engines.answer_scope import MODELS_BESIDE, answer_scope, named_files, with_local_folders
from densing.measure.engines.base import Engine
from densing.measure.engines.settings import EngineSettings
from densing.measure.engines.table import DEFAULT, ENGINES
from densing.measure.measurement import ITEM_COLUMNS, Measurement, TaskResult
from densing.measure.plugins import Plugin
from densing.measure.sandbox import Sandbox, find_sandbox
from densing.measure.suites import BenchmarkConfig, Suite, leaves
from densing.measure.weights import adapter_rank, remedy

if TYPE_CHECKING:
    import pandas as pd

CACHE = "requests.sqlite"
ADAPTERS = ("peft", "lora_local_path")
"""Options that name an adapter."""
MOST_SHOWN = 400
"""Characters of a library's error that are shown."""


def measure(
    model: str | Path,
    suite: Suite,
    *,
    engine: str = DEFAULT,
    out: Path,
    name: str | None = None,
    limit: int | None = None,
    fresh: bool = False,
    settings: EngineSettings | None = None,
    **changes: Any,
) -> Measurement:
    """Measure a model, or read its measurement if it exists already.

    Parameters
    ----------
    model : str or Path
        Local folder, hub name, or a ladder's rung.
    suite : Suite
    engine : str
        The name of one of `ENGINES`.
    out : Path
        Folder of all measurements; the cache of requests is kept there too.
    name : str, optional
        The model's name in results, where that of its folder would not tell it from others.
    limit : int, optional
        Ask only so many items of each task, the first ones.
    fresh : bool
        Measure again whatever exists.
    settings : EngineSettings, optional
        How the engine computes.
    **changes
        Settings, or options of the engine, that differ from `settings`: dtype, device, run_unsafe_code,
        batch_tokens, ...

    Raises
    ------
    InputError
        If the model, the suite, an option or an item cannot be used.
    DensingError
        If the run fails; what was computed is kept, and the same command goes on from there.
    """
    run = prepare(
        model, suite, engine=engine, out=out, name=name, limit=limit, settings=(settings or EngineSettings()), **changes
    )
    if not fresh and (existing := run.existing()):
        return existing
    with loaded_engine(engine, run.checkpoint, run.options) as lm:
        return run.compute(lm, out / CACHE, fresh=fresh)


@dataclass(frozen=True)
class Run:
    """A model on a suite, known to be usable; the model is not loaded yet.

    Attributes
    ----------
    checkpoint : Checkpoint
    suite : Suite
    row : Plugin
        The engine's.
    settings : EngineSettings
    options : dict
        What the engine is made with; adapters are folders of this machine.
    files : dict of str to str
        Hash of the contents of what an option names, by option.
    limit : int or None
    out : Path
        Folder of all measurements.
    sandbox : Sandbox or None
        Where programs run that the model writes; None where the suite has none.
    """

    checkpoint: Checkpoint
    suite: Suite
    row: Plugin
    settings: EngineSettings
    options: dict[str, Any]
    files: dict[str, str]
    limit: int | None
    out: Path
    sandbox: Sandbox | None = None

    @cached_property
    def made_from(self) -> dict[str, str]:
        """Hashes of everything that is measured, and measured with."""
        return {
            "weights": self.checkpoint.weights,
            "tokenizer": self.checkpoint.tokenizer,
            "suite": self.suite.digest,
            **{f"option {name}": contents for name, contents in self.files.items()},
        }

    @property
    def asked(self) -> dict[str, Any]:
        """The settings that were asked for, as they stand in the measurement."""
        return asked_settings(self.row, self.settings, self.limit)

    @property
    def folder(self) -> Path:
        """Where the measurement is."""
        return self.out / self.checkpoint.name / self.suite.name

    def existing(self) -> Measurement | None:
        """The measurement, if it was made already.

        Raises
        ------
        InputError
            If another model's is in its place.
        """
        return _existing(self.folder, self.checkpoint, self.suite, self.made_from, self.asked)

    def compute(self, lm: Engine, cache: Path, *, fresh: bool = False) -> Measurement:
        """Measure with an engine that has the model in it, and write the measurement.

        Parameters
        ----------
        lm : Engine
            As `loaded_engine` gives it; it may have measured other suites before.
        cache : Path
            File of the answers that are kept.
        fresh : bool
            Take no answers from it.
        """
        suite = self.suite
        results = self._results(lm, cache, fresh=fresh)
        used = {
            "source": self.checkpoint.source,
            "asked": self.asked,
            **lm.fingerprint(),
            "engine": self.row.title,
            "chat_template": False,
            "thinks": "<think>" in str(getattr(lm.boundary.tokenizer, "chat_template", None) or ""),
            "fewshot_seed": suite.config.fewshot_seed,
            "lm_eval": version("lm_eval"),
            **({"sandbox": self.sandbox.kind} if self.sandbox else {}),
        }
        truncated = frozenset(lm.truncated)
        scores = {name: _score(benchmark, results) for name, benchmark in suite.benchmarks.items()}
        items = {name: _items(suite, benchmark, results) for name, benchmark in suite.benchmarks.items()}
        tasks = {
            name: TaskResult.of_items(
                name,
                items[name],
                score=scores[name],
                chance=benchmark.chance,
                settings=_task_settings(suite, benchmark, results, truncated),
            )
            for name, benchmark in suite.benchmarks.items()
        }
        made = Measurement(self.checkpoint.name, suite.name, self.row.name, used, tasks, made_from=self.made_from)
        return made.write(self.out, items)

    def compute_part(self, lm: Engine, cache: Path, part: tuple[int, int]) -> None:
        """Compute a part of the requests into a cache, from which `compute` takes them; nothing is measured yet.

        Parameters
        ----------
        lm, cache
            As for `compute`.
        part : (int, int)
            Which part, counted from 0, of how many.
        """
        lm.part = part
        try:
            self._results(lm, cache)
        finally:
            lm.part = None

    def _results(self, lm: Engine, cache: Path, *, fresh: bool = False) -> dict[str, Any]:
        """lm-eval's results, by way of a cache."""
        lm.start_anew()
        # The row tells an engine from the one that it extends, whose fingerprint it may have inherited.
        scope = answer_scope(lm, self.made_from, self.options, self.files) | {"engine": self.row.title}
        lm.cache = RequestCache(cache, scope, fresh=fresh)
        try:
            return _evaluate(lm, self.suite, self.limit, self.sandbox)
        finally:
            lm.cache.close()


def prepare(
    model: str | Path,
    suite: Suite,
    *,
    engine: str = DEFAULT,
    out: Path,
    name: str | None = None,
    limit: int | None = None,
    settings: EngineSettings,
    **changes: Any,
) -> Run:
    """Find a model and check that it can be measured; see `measure`.

    Raises
    ------
    InputError
        If the model, the suite or an option cannot be used.
    DensingError
        If the hub is needed and cannot be reached.
    """
    processes = os.environ.get("WORLD_SIZE", "")
    if processes.isdecimal() and int(processes) > 1:
        raise InputError(
            f"a measurement is made by one process, and this is one of {processes} (accelerate launch or torchrun); "
            "start the command by itself, or share several checkpoints out with `densing sweep`"
        )
    row = ENGINES.find(engine)
    settings = settings.replaced(**changes)
    checkpoint = find_checkpoint(model, revision=settings.revision, trust_remote_code=settings.trust_remote_code)
    if name:
        checkpoint = replace(checkpoint, name=name)
    ask_for_consent(suite, settings.run_unsafe_code)
    options = with_local_folders(settings.arguments)
    for name in MODELS_BESIDE:  # refused before the model is loaded
        if isinstance(options.get(name), str) and Path(options[name]).is_dir():
            refuse_special_files(Path(options[name]))
            if name in ADAPTERS:
                adapter_rank(Path(options[name]))
    # Found before the model is loaded, so that one that does not work here is named at once.
    sandbox = find_sandbox(settings.sandbox) if suite.unsafe_tasks else None
    return Run(checkpoint, suite, row, settings, options, named_files(options, checkpoint), limit, out, sandbox)


def asked_settings(row: Plugin, settings: EngineSettings, limit: int | None) -> dict[str, Any]:
    """The settings that were asked for, as they stand in a measurement."""
    options = settings.arguments | ({"revision": settings.revision} if settings.revision else {})
    return {
        "engine": row.title,
        "options": {name: str(value) for name, value in sorted(options.items())},
        "limit": limit,
    }


@contextmanager
def loaded_engine(name: str, checkpoint: Checkpoint, options: dict[str, Any]) -> Iterator[Engine]:
    """An engine with the model in it; its memory is free when the block ends."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")  # standard output carries results
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    row = ENGINES.find(name)
    engine_class = row.load()
    if not (isinstance(engine_class, type) and issubclass(engine_class, Engine)):
        raise DensingError(f"{row.home}, the engine {row.title}, is no subclass of densing.measure.engines.base.Engine")
    if "tokenizer" not in options:
        refuse_without_tokeniser(checkpoint)
    make: Callable[..., Engine] = engine_class
    try:
        engine = make(str(checkpoint.folder), **options)
        engine.fingerprint()  # also asks the tokeniser something
    except DensingError:
        raise
    except BaseException as error:  # whatever a library, or a model's own code, may raise
        if not is_failure(error):
            raise
        raise DensingError(
            f"{checkpoint.source}: the {name} engine cannot load it: {_first_lines(error)}{remedy(checkpoint, options)}"
        ) from error
    try:
        yield engine
    finally:
        engine.close()


def _first_lines(error: BaseException) -> str:
    """What an error says, without the long rest of some."""
    return " ".join(line.strip() for line in str(error).splitlines()[:2])[:MOST_SHOWN]


def _evaluate(lm: Engine, suite: Suite, limit: int | None, sandbox: Sandbox | None) -> dict[str, Any]:
    """lm-eval's results, without its collecting of facts about the machine, which takes a second.

    A sandbox is there where the user consented to run what the model writes.
    """
    from lm_eval.api import task as lm_eval_task
    from lm_eval.evaluator import evaluate

    for task in suite.tasks["tasks"].values():
        task.set_fewshot_seed(suite.config.fewshot_seed)
    bars = lm_eval_task.tqdm
    lm_eval_task.tqdm = lambda items, **_: items  # a bar per task for building requests, which takes no time
    if sandbox:
        os.environ["HF_ALLOW_CODE_EVAL"] = "1"  # what other metrics of the package evaluate ask for
    try:
        with programs_in(sandbox) if sandbox else nullcontext():
            results: dict[str, Any] = evaluate(
                lm, suite.tasks, limit=limit, bootstrap_iters=0, confirm_run_unsafe_code=sandbox is not None
            )
    finally:
        lm_eval_task.tqdm = bars
    return results


def ask_for_consent(suite: Suite, run_unsafe_code: bool) -> None:
    """Before anything of a task is loaded: lm-eval's tasks are code too."""
    if not run_unsafe_code and (unsafe := suite.unsafe_tasks):
        raise InputError(
            f"suite {suite.name!r} runs code that the model writes ({', '.join(unsafe)}); give --run-unsafe-code if "
            "you consent to that: it runs in a sandbox, which is the safer one where bubblewrap is installed"
        )


def _existing(
    folder: Path, checkpoint: Checkpoint, suite: Suite, made_from: dict[str, str], asked: dict[str, Any]
) -> Measurement | None:
    """The measurement in a folder, if it is of this model under these settings."""
    try:
        found = Measurement.read(folder)
    except ArtifactError:
        return None  # none, or parts of two: measured again
    if found.made_from == made_from and found.settings.get("asked") == asked:
        return found if found.tasks.keys() == suite.benchmarks.keys() else None  # killed while it was written
    source = found.settings.get("source")
    if source != checkpoint.source and found.made_from.get("weights") != made_from["weights"]:
        raise InputError(
            f"{folder} holds the measurement of another model of that name, {source}; "
            "use another --out, rename the folder, or replace it with --fresh"
        )
    return None


def _items(suite: Suite, benchmark: BenchmarkConfig, results: dict[str, Any]) -> pd.DataFrame:
    """A row per item: the loss task's and the score task's side by side where they ask the same items."""
    import pandas as pd

    frames = []
    if benchmark.loss:
        frames.append(pd.DataFrame([_loss_row(sample) for sample in results["samples"][benchmark.loss]]))
    if benchmark.score:
        metric, _, filter_name = str(benchmark.metric).partition(",")
        rows = [
            _score_row(f"{task}/", sample, metric)
            for task in leaves(suite.tasks, benchmark.score)
            for sample in results["samples"][task]
            if sample["filter"] == filter_name
        ]
        frames.append(pd.DataFrame(rows))
    merged = frames[0] if len(frames) == 1 else frames[0].merge(frames[1], on="item", how="outer")
    return merged.reindex(columns=list(ITEM_COLUMNS)).sort_values("item", ignore_index=True)


def _loss_row(sample: dict[str, Any]) -> dict[str, Any]:
    answer = sample["resps"][0][0]
    return {
        "item": _item_name("", sample),
        "answer_logprob": answer[0],
        "tokens": answer.tokens,
        "bytes": answer.bytes,
        "greedy": answer[1],
    }


def _score_row(prefix: str, sample: dict[str, Any], metric: str) -> dict[str, Any]:
    responses = sample["filtered_resps"]
    if isinstance(responses[0], tuple):  # choices: the likeliest
        logprobs = [answer[0] for answer in responses]
        response = str(logprobs.index(max(logprobs)))
    else:
        response = str(responses[0])
    return {"item": _item_name(prefix, sample), "correct": float(sample[metric]), "response": response}


def _item_name(prefix: str, sample: dict[str, Any]) -> str:
    """The item's own name, or its place in its task."""
    doc = sample["doc"]
    return doc["id"] if isinstance(doc.get("id"), str) else f"{prefix}{sample['doc_id']}"


def _score(benchmark: BenchmarkConfig, results: dict[str, Any]) -> float | None:
    if not benchmark.score:
        return None
    found = results["results"][benchmark.score]
    if benchmark.metric not in found:
        known = [key for key in found if "," in key and "_stderr" not in key]
        raise unknown(f"metric of {benchmark.score}", str(benchmark.metric), known)
    return 100.0 * float(found[benchmark.metric])


def _task_settings(
    suite: Suite, benchmark: BenchmarkConfig, results: dict[str, Any], truncated: frozenset[str]
) -> dict[str, Any]:
    tasks = {task for name in (benchmark.loss, benchmark.score) if name for task in leaves(suite.tasks, name)}
    return {
        **benchmark.model_dump(exclude={"chance", "shots"}),
        "shots": {task: results["n-shot"][task] for task in sorted(tasks)},
        "versions": {task: results["versions"][task] for task in sorted(tasks)},
        "truncated": sorted(name for name in truncated if name.partition(" item ")[0] in tasks),
        "data": _data(suite, tasks),
    }


def _data(suite: Suite, tasks: set[str]) -> dict[str, dict[str, str | None]]:
    """The data sets of some tasks: the commit where it is known, and the hash of the items that were read."""
    read: dict[str, list[str]] = {}
    revisions: dict[str, str | None] = {}
    for task in sorted(tasks):
        name, revisions[name] = source_of(suite.tasks["tasks"][task], suite.data_root)
        read.setdefault(name, []).append(suite.items_hashes[task])
    return {name: {"revision": revisions[name], "items_sha256": sha256_of_data(read[name])} for name in read}
