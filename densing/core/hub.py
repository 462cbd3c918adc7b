"""Repositories on the Hugging Face hub, and the one kind of weights that is loaded: safetensors."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from densing.core.errors import DensingError, InputError

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
"""What a repository is called: organisation/name."""
WEIGHTS = "*.safetensors"
TOKENIZER = ("tokenizer*", "vocab.*", "merges.txt", "*.model", "special_tokens_map.json", "added_tokens.json")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


def download(
    name: str, kind: str, patterns: Iterable[str], *, revision: str | None = None, to: Path | None = None
) -> Path:
    """Local folder of a hub repository; only what is missing is fetched.

    Parameters
    ----------
    name : str
    kind : str
        "model" or "dataset".
    patterns : iterable of str
        Files to fetch.
    revision : str, optional
    to : Path, optional
        Where to put the files, in place of the hub's own cache.

    Raises
    ------
    DensingError
        Says whether the repository is gated, absent, or out of reach, and what to do.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        return Path(
            snapshot_download(name, repo_type=kind, revision=revision, allow_patterns=list(patterns), local_dir=to)
        )
    except GatedRepoError as error:
        raise _gated(name, kind) from error
    except RepositoryNotFoundError as error:
        raise _absent(name, kind) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise _out_of_reach(name, error) from error


def revisions(name: str) -> list[str]:
    """Branches and tags of a model's repository; without network, those in the local cache.

    Raises
    ------
    DensingError
        As `download`.
    """
    from huggingface_hub import HfApi, constants, scan_cache_dir
    from huggingface_hub.errors import CacheNotFound, GatedRepoError, RepositoryNotFoundError

    try:
        refs = HfApi().list_repo_refs(name)
        return [ref.name for ref in (*refs.branches, *refs.tags)]
    except GatedRepoError as error:
        raise _gated(name, "model") from error
    except RepositoryNotFoundError as error:
        raise _absent(name, "model") from error
    except Exception as error:  # without network each version of the client raises errors of another library
        try:
            repositories = scan_cache_dir(constants.HF_HUB_CACHE).repos
        except CacheNotFound:
            repositories = frozenset()
        for repository in repositories:
            if repository.repo_id == name and repository.repo_type == "model":
                return list(repository.refs)
        raise _out_of_reach(name, error) from error


def refuse_without_safetensors(folder: Path, source: str) -> None:
    """Refuse a folder whose weights are missing or pickled.

    Parameters
    ----------
    folder : Path
    source : str
        What was asked for, for the message.

    Raises
    ------
    InputError
    """
    if any(folder.glob(WEIGHTS)):
        return
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    if pickles:
        raise InputError(
            f"{source}: only pickled weights ({', '.join(pickles[:3])}), which can run code "
            "when loaded. Convert them where you trust their source: AutoModelForCausalLM.from_pretrained(FOLDER)"
            ".save_pretrained(NEW_FOLDER) in transformers writes safetensors"
        )
    raise InputError(f"{source}: a checkpoint folder without weights (no {WEIGHTS} file)")


def _gated(name: str, kind: str) -> DensingError:
    return DensingError(
        f"{name}: this {kind} is gated; accept its terms on its page on the hub, and set HF_TOKEN to your token"
    )


def _absent(name: str, kind: str) -> InputError:
    return InputError(f"{name}: no such {kind} on the hub, or it is private (set HF_TOKEN)")


def _out_of_reach(name: str, error: Exception) -> DensingError:
    return DensingError(
        f"{name}: not on this machine, and the hub cannot be reached ({type(error).__name__}); "
        "connect, or give a local folder"
    )
