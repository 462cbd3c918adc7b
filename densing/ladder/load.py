"""Ladders that others released: a manifest, a folder or hub repository of checkpoints, or its revisions.

First everything is listed, with sizes from the configurations and tokens from a stated rule; weights are
fetched only then.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from densing.core.errors import InputError
from densing.core.files import files_below
from densing.core.hub import HUB_NAME, TOKENIZER, WEIGHTS, download, refuse_without_safetensors, revisions
from densing.ladder.manifest import MANIFEST, Checkpoint, Ladder
from densing.ladder.tokens_rule import FORMS, TokensRule, parse_tokens_rule
from densing.models.size import count_params

_STEP_REVISION = re.compile(r"step[-_]?\d+", re.IGNORECASE)
_FETCHED = ("*.json", "README.md", WEIGHTS, *TOKENIZER)


@dataclass(frozen=True)
class Found:
    """A checkpoint that was found, before its weights are fetched.

    Attributes
    ----------
    name : str
        Path below the source, or its revision after the source's name.
    rung : str
        What it shares with the other checkpoints of its size.
    revision : str or None
    config : Path
        Folder that holds its config.json.
    fetch : callable
        Returns the folder with weights and tokenizer.
    """

    name: str
    rung: str
    revision: str | None
    config: Path
    fetch: Callable[[], Path]


def load_ladder(
    source: str | Path | Sequence[str | Path],
    tokens: str | None = None,
    *,
    select: Sequence[str] = (),
    name: str | None = None,
    show: Callable[[Ladder], None] | None = None,
) -> Ladder:
    """A ladder from one or more sources.

    Parameters
    ----------
    source : str, Path, or sequence of them
        A folder with a manifest, a folder of checkpoints, or a hub repository whose subfolders or
        revisions are checkpoints. A family with a repository per size is several sources.
    tokens : str, optional
        The rule for training tokens, see `densing.ladder.tokens_rule`. A manifest needs none; anything
        else does.
    select : sequence of str
        Patterns; only checkpoints whose name or revision matches one of them.
    name : str, optional
        Of the ladder; by default the first source's.
    show : callable, optional
        Called with the ladder as it was understood, before any weights are fetched; paths are then those
        of the configurations.

    Returns
    -------
    Ladder

    Raises
    ------
    InputError
        If nothing is found, no rule for tokens is given or it does not cover a checkpoint, a size does not
        follow from a configuration, or weights are missing or in pickle files.
    """
    sources = [source] if isinstance(source, str | Path) else list(source)
    if len(sources) == 1 and (Path(sources[0]).name == MANIFEST or (Path(sources[0]) / MANIFEST).exists()):
        return Ladder.read(Path(sources[0]))
    found = [entry for each in sources for entry in _find(each) if _selected(entry, select)]
    if not found:
        chosen = f" that match {', '.join(select)}" if select else ""
        raise InputError(
            f"{', '.join(map(str, sources))}: no checkpoints{chosen} (folders or revisions with a config.json)"
        )
    if tokens is None:
        raise InputError(
            f"{', '.join(map(str, sources))}: how many tokens {_names(found)} were trained on is not recorded; "
            f"state a rule with tokens: {FORMS}"
        )
    rule = parse_tokens_rule(tokens)
    checkpoints = [_understand(entry, rule) for entry in found]
    trained = [(entry, checkpoint) for entry, checkpoint in zip(found, checkpoints, strict=True) if checkpoint.tokens]
    if not trained:
        raise InputError(f"{tokens}: by this rule {_names(found)} were trained on no tokens; state how many they were")
    trained.sort(key=lambda pair: (pair[1].params_non_embedding, pair[1].tokens, pair[1].name))
    understood = _ladder(name or Path(sources[0]).name, [checkpoint for _, checkpoint in trained])
    if show:
        show(understood)
    return replace(
        understood, checkpoints=tuple(replace(checkpoint, path=_fetched(entry)) for entry, checkpoint in trained)
    )


def _ladder(name: str, checkpoints: Sequence[Checkpoint]) -> Ladder:
    budgets = sorted({round(checkpoint.tokens / checkpoint.params_non_embedding, 1) for checkpoint in checkpoints})
    return Ladder(name, tuple(budgets), tuple(checkpoints))


def _selected(entry: Found, patterns: Sequence[str]) -> bool:
    names = [entry.name, entry.revision or entry.name]
    return not patterns or any(fnmatch.fnmatch(name, pattern) for name in names for pattern in patterns)


def _names(found: Sequence[Found]) -> str:
    shown = ", ".join(entry.name for entry in found[:6])
    return shown if len(found) <= 6 else f"{shown} and {len(found) - 6} more"


def _find(source: str | Path) -> Iterable[Found]:
    if Path(source).is_dir():
        return _in_folder(Path(source))
    if isinstance(source, str) and HUB_NAME.fullmatch(source):
        return _on_hub(source)
    raise InputError(f"{source}: neither a folder nor the name of a hub repository (owner/name)")


def _in_folder(root: Path) -> Iterable[Found]:
    for file in files_below(root, "config.json"):
        folder = file.parent
        name = folder.relative_to(root).as_posix() if folder != root else root.name
        stem, _, last = name.rpartition("/")
        step = _STEP_REVISION.fullmatch(last) or last.isdigit()
        rung = (stem or root.name) if step else name
        shown = f"{root.name}/{name}" if step and not stem else name
        yield Found(shown, rung, None, folder, partial(Path, folder))


def _on_hub(repository: str) -> Iterable[Found]:
    short = repository.rpartition("/")[2]
    steps = [revision for revision in revisions(repository) if _STEP_REVISION.search(revision)]
    for revision in sorted(steps, key=lambda text: [int(number) for number in re.findall(r"\d+", text)]):
        config = download(repository, "model", ("config.json",), revision=revision)
        fetch = partial(download, repository, "model", _FETCHED, revision=revision)
        yield Found(f"{short}/{revision}", short, revision, config, fetch)
    if steps:
        return
    root = download(repository, "model", ("config.json", "*/config.json"))
    for entry in _in_folder(root):
        inside = entry.config.relative_to(root)
        at_root = entry.config == root
        yield replace(
            entry,
            name=short if at_root else entry.name,
            rung=short if at_root else entry.rung,
            fetch=partial(_download_folder, repository, inside),
        )


def _download_folder(repository: str, inside: Path) -> Path:
    return download(repository, "model", [(inside / pattern).as_posix() for pattern in _FETCHED]) / inside


def _understand(entry: Found, rule: TokensRule) -> Checkpoint:
    everything, without = count_params(entry.config)
    if without < 1:
        raise InputError(
            f"{entry.config / 'config.json'}: a model of this configuration has no parameters but embeddings"
        )
    return Checkpoint(
        name=entry.name,
        rung=entry.rung,
        params=everything,
        params_non_embedding=without,
        tokens=rule(entry.name, entry.rung, without),
        path=entry.config,
        revision=entry.revision,
    )


def _fetched(entry: Found) -> Path:
    folder = entry.fetch()
    refuse_without_safetensors(folder, f"{entry.name} ({folder})")
    return folder.resolve()
