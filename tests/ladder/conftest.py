"""A ladder small enough to train in seconds, on a few modules of the standard library."""

from __future__ import annotations

import json
import sysconfig
from pathlib import Path

import pytest

from densing.ladder.config import LadderConfig
from densing.ladder.manifest import Ladder
from densing.ladder.training.run import train_ladder


def tiny_config(documents: Path, /, **changes: object) -> LadderConfig:
    """Two sizes, two budgets."""
    settings: dict[str, object] = {
        "name": "tiny",
        "sizes": [
            {
                "name": "t1",
                "layers": 1,
                "width": 16,
                "ffn_width": 24,
                "heads": 2,
                "kv_heads": 1,
                "head_dim": 8,
                "batch": 2,
            },
            {
                "name": "t2",
                "layers": 2,
                "width": 16,
                "ffn_width": 32,
                "heads": 2,
                "kv_heads": 1,
                "head_dim": 8,
                "batch": 4,
            },
        ],
        "budgets": [5, 10],
        "corpus": {"source": "jsonl", "path": str(documents), "held_out": 0.1},
        "tokenizer": {"vocabulary": 300},
        "context": 32,
        "learning_rate": 0.02,
    }
    return LadderConfig.model_validate(settings | changes)


@pytest.fixture(scope="session")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """JSON lines, one module of the standard library each."""
    path = tmp_path_factory.mktemp("documents") / "modules.jsonl"
    modules = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("[a-e]*.py"))
    with path.open("w", encoding="utf-8") as file:
        for module in modules:
            file.write(json.dumps({"text": module.read_text(encoding="utf-8")[:4000]}) + "\n")
    return path


@pytest.fixture(scope="session")
def config(documents: Path) -> LadderConfig:
    return tiny_config(documents)


@pytest.fixture(scope="session")
def trained(config: LadderConfig, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ladder]:
    """The folder of the tiny ladder, and the ladder; tests must not change it."""
    folder = tmp_path_factory.mktemp("ladder") / "tiny"
    return folder, train_ladder(config, folder)
