"""A model to measure: found, checked for what cannot be used, named, and identified by its contents."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from densing.core.artifacts import sha256_of, sha256_of_data
from densing.core.errors import InputError
from densing.core.files import parse_mapping, refuse_special_files
from densing.core.hub import HUB_NAME, TOKENIZER, WEIGHTS, download, refuse_without_safetensors
from densing.models.size import read_config, refuse_giants

CONFIGURATION = ("config.json", "generation_config.json", "*.py")
"""What a model is built from besides its weights, and how it ends a text; code is run if it is trusted."""

MAPPINGS = ("generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
            "added_tokens.json", "vocab.json")  # fmt: skip
"""Files of JSON that transformers reads beside the configuration."""


@dataclass(frozen=True)
class Checkpoint:
    """A folder in Hugging Face layout.

    Attributes
    ----------
    name : str
        The model's name in results: the hub's; or ladder, rung and tokens; or the folder's.
    source : str
        What was asked for.
    folder : Path
    """

    name: str
    source: str
    folder: Path

    @cached_property
    def weights(self) -> str:
        """Hash of weights, configuration and code."""
        return _hash_of({path for pattern in (WEIGHTS, *CONFIGURATION) for path in self.folder.glob(pattern)})

    @cached_property
    def tokenizer(self) -> str:
        """Hash of the tokeniser's files."""
        return _hash_of({path for pattern in TOKENIZER for path in self.folder.glob(pattern)})


def find_checkpoint(model: str | Path, *, revision: str | None = None, trust_remote_code: bool = False) -> Checkpoint:
    """Find a model and refuse what cannot or should not be loaded.

    Parameters
    ----------
    model : str or Path
        A local folder (a ladder's rung is one) or a hub name, `organisation/model`.
    revision : str, optional
        Branch, tag or commit on the hub.
    trust_remote_code : bool
        Allow a model that brings its own code.

    Raises
    ------
    InputError
        If there is no such model, it has no weights or only pickled ones, or it needs code that is not trusted.
    DensingError
        If the hub cannot be reached or asks for a licence to be accepted.
    """
    folder = Path(model)
    if folder.is_dir():
        checkpoint = Checkpoint(result_name(model), str(model), Path(os.path.realpath(folder)))
    elif HUB_NAME.fullmatch(str(model)):
        patterns = [WEIGHTS, "*.json", *TOKENIZER, *(["*.py"] if trust_remote_code else [])]
        folder = download(str(model), "model", patterns, revision=revision)
        checkpoint = Checkpoint(result_name(model, revision), str(model), folder)
    else:
        raise InputError(f"{model}: no such folder, and not a hub name (organisation/model)")
    _refuse_unusable(checkpoint, trust_remote_code)
    return checkpoint


def refuse_without_tokeniser(checkpoint: Checkpoint) -> None:
    """Refuse a folder that brings no tokeniser, in files or in code of its own.

    Raises
    ------
    InputError
    """
    folder = checkpoint.folder
    if not any(path for pattern in (*TOKENIZER, "*.py") for path in folder.glob(pattern)):
        raise InputError(
            f"{checkpoint.source}: there is no tokeniser in it (tokenizer.json, tokenizer.model or vocab.*); copy the "
            "tokenizer files of the model that it was made from into the folder, or give --option tokenizer=FOLDER"
        )


def result_name(model: str | Path, revision: str | None = None) -> str:
    """What a model is called in results.

    The hub's name, with the revision that was asked for; ladder, rung and tokens for a ladder's checkpoint; else the
    folder's own name.
    """
    if not Path(model).is_dir() and HUB_NAME.fullmatch(str(model)):
        return str(model).replace("/", "--") + (f"@{revision}" if revision else "")
    folder = Path(os.path.realpath(model))
    ladder = folder.parent.parent
    if (ladder / "manifest.json").is_file():
        return "--".join((ladder.name, folder.parent.name, folder.name))
    return folder.name


def _refuse_unusable(checkpoint: Checkpoint, trust_remote_code: bool) -> None:
    folder = checkpoint.folder
    refuse_special_files(folder)
    if (packed := sorted(folder.glob("*.gguf"))) and not any(folder.glob(WEIGHTS)):
        raise InputError(
            f"{checkpoint.source}: its weights are in GGUF ({packed[0].name}), which no engine here reads as they are; "
            "AutoModelForCausalLM.from_pretrained(FOLDER, gguf_file=NAME).save_pretrained(NEW_FOLDER) in transformers "
            "writes a folder that can be measured; give its --weight-bits"
        )
    if not (folder / "config.json").is_file():
        raise InputError(
            f"{checkpoint.source}: there is no config.json in it, so it is no checkpoint in the Hugging Face layout"
        )
    config = read_config(folder / "config.json")
    refuse_giants(config, folder / "config.json")
    for name in MAPPINGS:
        if (folder / name).exists():
            parse_mapping(folder / name, f"the {name} of a model")
    refuse_without_safetensors(folder, checkpoint.source)
    if "auto_map" in config and not trust_remote_code:
        from transformers import CONFIG_MAPPING

        if str(config.get("model_type")) not in CONFIG_MAPPING:
            raise InputError(
                f"{checkpoint.source}: this model brings its own code ({config['auto_map']}), which is run only with "
                "your consent; read it, and then give --trust-remote-code"
            )


def _hash_of(files: Iterable[Path]) -> str:
    return sha256_of_data({path.name: content_hash(path) for path in sorted(files)})


def content_hash(path: Path) -> str:
    """SHA-256 of a file; the hub's cache names large files by it, so that they need not be read."""
    stored = Path(os.path.realpath(path))  # Path.resolve raises for a link that leads to itself
    if stored.parent.name == "blobs" and re.fullmatch(r"[0-9a-f]{64}", stored.name):
        return stored.name
    return sha256_of(path)
