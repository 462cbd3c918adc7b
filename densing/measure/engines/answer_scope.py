"""What computes an answer: the weights, the tokeniser, the engine, and every option that it was given.

Whatever is not listed in `CANNOT_MATTER` is taken to matter, so that an option nobody thought of costs a second
computation and never a wrong number. An option that names a file or a folder stands for its contents: an adapter
that was trained on, under the same name, is another adapter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from densing.core.artifacts import sha256_of_data
from densing.core.errors import InputError
from densing.core.files import files_below
from densing.core.hub import HUB_NAME, WEIGHTS, download
from densing.measure.checkpoint import Checkpoint, content_hash

if TYPE_CHECKING:
    from densing.measure.engines.base import Engine

CANNOT_MATTER = {
    "allow_truncated": "what is left of a request is in its own key",
    "batch_size": "no engine reads it",
    "batch_tokens": "the engine states the number that it uses",
    "device": "the engine states the kind of device that it uses",
}
"""The options that are left out of the key, and why."""
MODELS_BESIDE = ("peft", "delta", "lora_local_path", "tokenizer")
"""Options that name a folder, or a repository on the hub, to be loaded beside the model."""


def with_local_folders(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options whose adapters are folders of this machine; those on the hub are fetched.

    Raises
    ------
    InputError
        If an adapter is neither a folder nor a hub name.
    DensingError
        If the hub cannot be reached.
    """
    local = dict(options)
    for name in MODELS_BESIDE:
        value = local.get(name)
        if not isinstance(value, str) or Path(value).exists():
            continue
        if not HUB_NAME.fullmatch(value):
            raise InputError(f"{name}={value}: there is no such folder, and this is no hub name (organisation/model)")
        local[name] = str(download(value, "model", [WEIGHTS, "*.json", "*.model", "*.txt"]))
    return local


def named_files(options: Mapping[str, Any], checkpoint: Checkpoint) -> dict[str, str]:
    """Hash of the contents of each file or folder that an option names, by option.

    Parameters
    ----------
    options : mapping
        The options as `with_local_folders` gives them.
    checkpoint : Checkpoint
        The model; a name may be relative to its folder, as `gguf_file` and `subfolder` are, or to the current one.
    """
    found = {}
    for name, value in options.items():
        if name in CANNOT_MATTER or name == "dtype":
            continue
        texts = [text for text in _texts(value) if text]
        paths = [path for text in texts for path in (Path(text), checkpoint.folder / text) if _exists(path)]
        if paths:
            found[name] = sha256_of_data([_contents(path) for path in paths])
    return found


def answer_scope(
    engine: Engine, made_from: Mapping[str, str], options: Mapping[str, Any], files: Mapping[str, str]
) -> dict[str, Any]:
    """Everything besides the request that an answer depends on; JSON-able.

    Parameters
    ----------
    engine : Engine
        The engine with the model in it.
    made_from : mapping
        Hashes of the weights and of the tokeniser.
    options : mapping
        Every option that the engine was given.
    files : mapping
        What `named_files` gives for these options.
    """
    return {
        **engine.fingerprint(),
        "weights": made_from["weights"],
        "tokenizer": made_from["tokenizer"],
        "options": {name: _plain(value) for name, value in options.items() if name not in CANNOT_MATTER},
        "files": dict(files),
    }


def _plain(value: Any) -> Any:
    """The value in JSON; one that cannot be told from others is like none that was there before."""
    if value is None or isinstance(value, str | int | float):
        return value
    if hasattr(value, "to_dict"):
        return _plain(value.to_dict())
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    text = repr(value)
    return uuid4().hex if " at 0x" in text else text


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str | Path):
        yield str(value)
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a text too long for a name, or with a null byte in it
        return False


def _contents(path: Path) -> dict[str, str]:
    files = [path] if path.is_file() else files_below(path, "*")
    return {str(file.relative_to(path)): content_hash(file) for file in files}
