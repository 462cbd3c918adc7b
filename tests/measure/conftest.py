"""One small Llama, and held-out documents to ask it about."""

from __future__ import annotations

import json
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.measure.models import byte_level, save_llama


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> Iterator[None]:
    """Models this small are computed faster by one thread than by several that wait for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """Modules of the standard library."""
    modules = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("[a-h]*.py"))
    return [module.read_text(encoding="utf-8")[:12000] for module in modules]


@pytest.fixture(scope="session")
def held_out(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The modules as the file of held-out documents that a ladder keeps."""
    path = tmp_path_factory.mktemp("corpus") / "held_out.jsonl"
    lines = [json.dumps({"id": f"m{number}", "text": text}) for number, text in enumerate(texts)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def checkpoint(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of 100 thousand parameters with a context of 512 tokens."""
    return save_llama(tmp_path_factory.mktemp("models") / "llama", byte_level(texts, 512))
