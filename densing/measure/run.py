"""A measurement run: one model, one suite, through lm-eval's evaluator, resumable at any point."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from densing.core.artifacts import ArtifactError
from densing.core.errors import DensingError, InputError, unknown
from densing.measure.cache import RequestCache
from densing.measure.checkpoint import Checkpoint, find_checkpoint
from densing.measure.engines.answer_scope import answer_scope, named_files, with_local_folders
from densing.measure.engines.base import Engine
from densing.measure.measurement import ITEM_COLUMNS, Measurement, TaskResult
from densing.measure.suites import BenchmarkConfig, Suite, leaves

if TYPE_CHECKING:
    import pandas as pd

ENGINES = {
    "torch": "densing.measure.engines.torch_engine:TorchEngine",
    "vllm": "densing.measure.engines.vllm_engine:VllmEngine",
}
CACHE = "requests.sqlite"


def measure(
    model: str | Path,
    suite: Suite,
    *,
    engine: str = "torch",
    out: Path,
    name: str | None = None,
    limit: int | None = None,
    fresh: bool = False,
    run_unsafe_code: bool = False,
    **engine_options: Any,
) -> Measurement:
    """Measure a model, or read its measurement if it exists already.

    Parameters
    ----------
    model : str or Path
        Local folder, hub name, or a ladder's rung.
    suite : Suite
    engine : str
        "torch" or "vllm".
    out : Path
        Root of all measurements; also keeps the cache of requests.
    name : str, optional
        Of the model in results, where the folder's own would not tell it from others.
    limit : int, optional
        First items of each task only.
    fresh : bool
        Measure again whatever exists.
    run_unsafe_code : bool
        Consent to running code that the model wrote, which HumanEval and MBPP need.
    **engine_options
        dtype, device, revision, trust_remote_code, allow_truncated, add_bos_token, batch_tokens and whatever else
        the engine takes.

    Raises
    ------
    InputError
        If the model, the suite, an option or an item cannot be used.
    DensingError
        If the run fails; what was computed is kept, and the same command goes on from there.
    """
    if engine not in ENGINES:
        raise unknown("engine", engine, ENGINES)
    checkpoint = find_checkpoint(
        model,
        revision=engine_options.get("revision"),
        trust_remote_code=bool(engine_options.get("trust_remote_code")),
    )
    if name:
        checkpoint = replace(checkpoint, name=name)
    _ask_for_consent(suite, run_unsafe_code)
    used_options = with_local_folders(engine_options)
    files = named_files(used_options, checkpoint)
    made_from = {
        "weights": checkpoint.weights,
        "tokenizer": checkpoint.tokenizer,
        "suite": suite.digest,
        **{f"option {name}": contents for name, contents in files.items()},
    }
    asked = {"engine": engine, "options": {k: str(v) for k, v in sorted(engine_options.items())}, "limit": limit}
    folder = out / checkpoint.name / suite.name
    if not fresh and (existing := _existing(folder, checkpoint, suite, made_from, asked)):
        return existing
    with loaded_engine(engine, checkpoint, used_options) as lm:
        lm.cache = RequestCache(out / CACHE, answer_scope(lm, made_from, used_options, files), fresh=fresh)
        try:
            results = _evaluate(lm, suite, limit, run_unsafe_code)
        finally:
            lm.cache.close()
        settings = {
            "source": checkpoint.source,
            "asked": asked,
            **lm.fingerprint(),
            "chat_template": False,
            "fewshot_seed": suite.config.fewshot_seed,
            "lm_eval": version("lm_eval"),
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
    measurement = Measurement(checkpoint.name, suite.name, engine, settings, tasks, made_from=made_from)
    return measurement.write(out, items)


@contextmanager
def loaded_engine(name: str, checkpoint: Checkpoint, options: dict[str, Any]) -> Iterator[Engine]:
    """An engine with the model in it; its memory is free when the block ends."""
    module, _, attribute = ENGINES[name].partition(":")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")  # standard output carries results
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    try:
        engine_class: Callable[..., Engine] = getattr(__import__(module, fromlist=[attribute]), attribute)
    except ImportError as error:
        raise DensingError(
            f"the {name} engine needs {error.name}; install densing[{'models' if name == 'torch' else 'vllm'}]"
        ) from error
    from safetensors import SafetensorError

    options = {key: value for key, value in options.items() if key != "revision"}
    try:
        engine = engine_class(str(checkpoint.folder), **options)
    except DensingError:
        raise
    except (TypeError, ValueError, OSError, RuntimeError, AssertionError, ImportError, SafetensorError) as error:
        raise DensingError(f"{checkpoint.source}: the {name} engine cannot load it: {error}") from error
    try:
        yield engine
    finally:
        engine.close()


def _evaluate(lm: Engine, suite: Suite, limit: int | None, run_unsafe_code: bool) -> dict[str, Any]:
    """lm-eval's results, without its collecting of facts about the machine, which takes a second."""
    from lm_eval.api import task as lm_eval_task
    from lm_eval.evaluator import evaluate

    for task in suite.tasks["tasks"].values():
        task.set_fewshot_seed(suite.config.fewshot_seed)
    bars = lm_eval_task.tqdm
    lm_eval_task.tqdm = lambda items, **_: items  # a bar per task for building requests, which takes no time
    try:
        results: dict[str, Any] = evaluate(
            lm, suite.tasks, limit=limit, bootstrap_iters=0, confirm_run_unsafe_code=run_unsafe_code
        )
    finally:
        lm_eval_task.tqdm = bars
    return results


def _ask_for_consent(suite: Suite, run_unsafe_code: bool) -> None:
    unsafe = [name for name, task in suite.tasks["tasks"].items() if getattr(task, "UNSAFE_CODE", False)]
    if unsafe and not run_unsafe_code:
        raise InputError(
            f"suite {suite.name!r} runs code that the model wrote ({', '.join(unsafe)}); "
            "consent with --run-unsafe-code, inside a container"
        )


def _existing(
    folder: Path, checkpoint: Checkpoint, suite: Suite, made_from: dict[str, str], asked: dict[str, Any]
) -> Measurement | None:
    """The measurement in a folder, if it is of this model under these settings."""
    try:
        found = Measurement.read(folder)
    except ArtifactError:
        return None  # none, or parts of two: measured again
    if found.made_from == made_from and found.settings["asked"] == asked:
        return found if found.tasks.keys() == suite.benchmarks.keys() else None  # killed while it was written
    if found.settings["source"] != checkpoint.source and found.made_from["weights"] != made_from["weights"]:
        raise InputError(
            f"{folder} holds the measurement of another model of that name, {found.settings['source']}; "
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
    }
