"""Suites: which lm-eval tasks give the loss and the score of each benchmark, with shots and seeds.

A suite is a YAML file under `configs/suites/`; the tasks are lm-eval's own YAML, from lm-eval or from
`densing/measure/tasks/`.
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from densing.core import config
from densing.core.artifacts import sha256_of_data
from densing.core.errors import DensingError, InputError, unknown
from densing.core.hub import HUB_NAME, download
from densing.measure.code_eval import tasks_given_the_sandbox
from densing.measure.data_sets import data_sets_from, folder_of, how_to_fetch, items_hash

TASKS = Path(__file__).parent / "tasks"


class BenchmarkConfig(config.Config):
    """One benchmark of a suite.

    Attributes
    ----------
    loss : str, optional
        lm-eval task whose answers' log-likelihoods are the conditional loss.
    score : str, optional
        lm-eval task or group that gives the score.
    metric : str, optional
        The score among lm-eval's results, "metric,filter".
    shots : int, optional
        Worked examples before each question of the score; the task's own number if not given.
    chance : float, optional
        Score of guessing, percent.
    """

    loss: str | None = None
    score: str | None = None
    metric: str | None = None
    shots: int | None = Field(None, ge=0, le=1000)
    chance: float | None = Field(None, ge=0, le=100)

    @model_validator(mode="after")
    def _measures_something(self) -> BenchmarkConfig:
        if not self.loss and not self.score:
            raise ValueError("a benchmark needs a task for its loss, one for its score, or both")
        if self.score and (self.metric is None or "," not in self.metric):
            raise ValueError("a score needs its metric, as lm-eval names it: 'metric,filter'")
        return self


class SuiteConfig(config.Config):
    """A suite file.

    Attributes
    ----------
    suite : str
        The suite's name, in results too.
    description : str
        What it measures, in one sentence.
    documents : str, optional
        What the suite needs besides the model, in words; None if it needs nothing.
    default_documents : str, optional
        The documents that are used if the user names none.
    benchmarks : dict of str to BenchmarkConfig
        The benchmarks by their names.
    fewshot_seed : int
        Seed of the tasks that draw their worked examples.
    revisions : dict of str to str
        Commits of the data sets on the hub, by name; the newest of those that are not named.
    """

    suite: config.FileName
    description: str
    documents: str | None = None
    default_documents: str | None = None
    benchmarks: dict[config.FileName, BenchmarkConfig]
    fewshot_seed: int = Field(1234, ge=0, lt=1 << 32)
    revisions: dict[str, str] = {}


@dataclass(frozen=True)
class Suite:
    """A suite with its documents; loads the tasks when they are first needed, and once.

    Attributes
    ----------
    config : SuiteConfig
        What its file says.
    documents : str or None
        The file, folder or hub name that it is made from.
    data_root : Path or None
        A folder that holds data sets as the hub does, in place of the hub.
    """

    config: SuiteConfig
    documents: str | None = None
    data_root: Path | None = None

    @property
    def name(self) -> str:
        """The suite's name, in results too."""
        return self.config.suite

    @property
    def benchmarks(self) -> dict[str, BenchmarkConfig]:
        """The benchmarks by their names."""
        return self.config.benchmarks

    @cached_property
    def tasks(self) -> dict[str, Any]:
        """What lm-eval's `TaskManager.load` returns: `tasks`, `groups` and `group_map`.

        Raises
        ------
        InputError
            If a task is unknown to lm-eval, has a wrong key, or its documents cannot be used.
        """
        import datasets

        datasets.disable_progress_bars()
        manager, names = self._manager, self._task_names
        if self.documents:
            manager.metadata["documents"] = self._documents_folder()
        try:
            with data_sets_from(self.data_root, self.config.revisions, self.name), tasks_given_the_sandbox():
                loaded = dict(manager.load(names))
        except DensingError:
            raise
        except ImportError as error:
            raise InputError(
                f"suite {self.name!r}: lm-eval cannot load its tasks: {error}; pip install 'densing[models]' "
                "installs what they need"
            ) from error
        except Exception as error:
            raise InputError(f"suite {self.name!r}: lm-eval cannot load its tasks: {error}") from error
        self._set_shots(loaded)
        self._refuse_unknown_metrics(loaded)
        return loaded

    @property
    def _task_names(self) -> list[str]:
        return [name for b in self.benchmarks.values() for name in (b.loss, b.score) if name]

    @cached_property
    def _manager(self) -> Any:
        """lm-eval's index of tasks, from their files as they are written: nothing of a task has run."""
        from lm_eval import tasks
        from lm_eval.tasks import TaskManager

        logging.getLogger("lm_eval").setLevel(logging.ERROR)
        metadata = {"documents": self.documents} if self.documents else {}

        def manager_of(folders: list[str], *, everything: bool = False) -> Any:
            return TaskManager(include_path=folders, include_defaults=everything, metadata=metadata)

        # lm-eval's own thousands of tasks take seconds to list, so first those of the folders with these names.
        theirs = Path(tasks.__file__).parent
        words = [name.split("_") for name in self._task_names]
        starts = ["_".join(parts[:count]) for parts in words for count in range(1, len(parts) + 1)]
        starts.append("benchmarks")  # where lm-eval keeps groups of several folders
        inside = [start for start in dict.fromkeys(starts) if re.fullmatch(r"\w[\w.-]*", start)]
        folders = [str(theirs / start) for start in inside if (theirs / start).is_dir()]
        manager = manager_of([*folders, str(TASKS)])
        lost = {name.encode(errors="replace") for name in self._task_names if name not in manager.task_index}
        for file in theirs.rglob("*.yaml") if lost else ():  # reading them is ten times as fast as listing them
            content = file.read_bytes()
            lost = {name for name in lost if name not in content or not name[:1].isalnum()}
        if not lost and not all(name in manager.task_index for name in self._task_files(manager)):
            manager = manager_of([str(TASKS)], everything=True)
        for name in self._task_names:
            if name not in manager.all_tasks:
                raise unknown("task of lm-eval", name, [t for t in manager.all_tasks if t[:4] == name[:4]])
        return manager

    def _task_files(self, manager: Any) -> dict[str, dict[str, Any]]:
        """What the files of the suite's tasks and groups say, by name; empty for those that the index lacks."""
        from lm_eval.tasks._yaml_loader import load_yaml

        found: dict[str, dict[str, Any]] = {}
        waiting = list(self._task_names)
        while waiting:
            name = waiting.pop(0)
            if name in found:
                continue
            entry = manager.task_index.get(name)
            file = entry.yaml_path if entry else None
            found[name] = load_yaml(file, resolve_func=False) if file else {}
            members = found[name].get("task") if "group" in found[name] else None
            for member in members if isinstance(members, list) else []:
                waiting.append(member if isinstance(member, str) else str(member.get("task") or member.get("group")))
            if entry and not file:  # a tag, whose members are named by the index alone
                waiting += entry.tags
        return found

    @property
    def unsafe_tasks(self) -> list[str]:
        """Tasks that run what the model writes, told without running anything of a task."""
        if "tasks" in vars(self):
            return [name for name, task in self.tasks["tasks"].items() if getattr(task, "UNSAFE_CODE", False)]
        return [name for name, file in self._task_files(self._manager).items() if file.get("unsafe_code")]

    @property
    def data_sets(self) -> list[str]:
        """Names on the hub of the data sets that the suite is made from."""
        named = [str(file.get("dataset_path")) for file in self._task_files(self._manager).values()]
        found = [self.documents or "", *named]
        return sorted({name for name in found if HUB_NAME.fullmatch(name) and not Path(name).exists()})

    def _documents_folder(self) -> str:
        """The documents, or where on this machine they are if they have a name of the hub."""
        name = str(self.documents)
        if Path(name).exists() or not HUB_NAME.fullmatch(name):
            return name
        if self.data_root is not None:
            return str(folder_of(name, self.data_root, self.name))
        try:
            return str(download(name, "dataset", ["*.json", "*.jsonl", "*.parquet"], revision=self.revision(name)))
        except DensingError as error:
            raise type(error)(f"{error}; or run {how_to_fetch(self.name)}") from error

    def revision(self, data_set: str) -> str | None:
        """The commit at which a data set is read from the hub; None for the newest."""
        return self.config.revisions.get(data_set)

    def _set_shots(self, loaded: dict[str, Any]) -> None:
        shots = {
            task: benchmark.shots
            for benchmark in self.benchmarks.values()
            if benchmark.score and benchmark.shots is not None
            for task in leaves(loaded, benchmark.score)
        }
        for name, task in loaded["tasks"].items():
            task.set_config("num_fewshot", shots.get(name, task.get_config("num_fewshot") or 0))

    def _refuse_unknown_metrics(self, loaded: dict[str, Any]) -> None:
        """Now, rather than when everything is computed; a text's metrics may have names that only results tell."""
        for benchmark in self.benchmarks.values():
            for name in leaves(loaded, benchmark.score) if benchmark.score else []:
                task = loaded["tasks"][name]
                if task.OUTPUT_TYPE == "generate_until" or task.config.process_results:
                    continue
                known = [f"{metric},{one.name}" for metric in task.aggregation() for one in task._filters]
                if benchmark.metric not in known:
                    raise unknown(f"metric of {name}", str(benchmark.metric), known)

    @cached_property
    def digest(self) -> str:
        """Hash of everything that decides what is asked: the suite, the tasks, their documents."""
        tasks = {name: task.dump_config() for name, task in self.tasks["tasks"].items()}
        for described in tasks.values():
            described.pop("metadata", None)  # names paths of this machine
        # Functions inside a task's configuration are known by name, since their address says nothing.
        described_tasks = json.dumps(tasks, sort_keys=True, default=lambda value: getattr(value, "__qualname__", "?"))
        return sha256_of_data([self.config.model_dump(exclude={"revisions"}), described_tasks, self.items_hashes])

    @cached_property
    def items_hashes(self) -> dict[str, str]:
        """Hash of the items of each task: a data set that changed makes another suite."""
        return {name: items_hash(task) for name, task in self.tasks["tasks"].items()}


def leaves(loaded: dict[str, Any], name: str) -> list[str]:
    """The tasks of a group, or the task itself."""
    group = loaded.get("groups", {}).get(name)
    return [task.task_name for task in group.get_all_tasks()] if group else [name]


def load_suite(
    name_or_path: str | Path, *, documents: str | Path | None = None, data_root: Path | None = None
) -> Suite:
    """Load a suite.

    Parameters
    ----------
    name_or_path : str or Path
        The name of a suite that comes with densing, or a YAML file of one.
    documents : str or Path, optional
        The file, folder or hub name that the suite is made from, if it needs one.
    data_root : Path, optional
        A folder that holds data sets as the hub does, `organisation/name`, in place of the hub.

    Raises
    ------
    InputError
        If the suite is unknown or its file wrong, or its documents are missing or not wanted.
    """
    if data_root is not None and not data_root.is_dir():
        raise InputError(f"--data-root {data_root}: there is no such folder")
    suite = config.load(config.find_config("suite", name_or_path), SuiteConfig)
    given = str(documents) if documents is not None else suite.default_documents
    if suite.documents is None and given is not None:
        raise InputError(f"suite {suite.suite!r} takes no documents, but {given} was given; leave --documents out")
    if suite.documents is not None and given is None:
        raise InputError(f"suite {suite.suite!r} needs {suite.documents} (--documents)")
    if documents is not None and isinstance(documents, Path) and not documents.exists():
        raise InputError(f"{documents}: no such file or folder; suite {suite.suite!r} needs {suite.documents}")
    if suite.suite == "jsonl":
        suite = _without_score_if_no_choices(suite, Path(str(given)))
    return Suite(suite, given, data_root)


def _without_score_if_no_choices(suite: SuiteConfig, documents: Path) -> SuiteConfig:
    """A file without choices has a loss, and nothing to choose from."""
    from densing.measure.tasks.items import read_items

    if any(item.choices for item in read_items(documents)):
        return suite
    benchmarks = {name: BenchmarkConfig(loss=benchmark.loss) for name, benchmark in suite.benchmarks.items()}
    return suite.model_copy(update={"benchmarks": benchmarks})
