"""pytest tests/test_project.py

What several files say of the project agrees.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import densing
from densing.core.config import find_config, load
from densing.core.devices import peak_rates
from densing.core.errors import InputError
from densing.density.weighing import load_hardware
from densing.ladder.config import LadderConfig
from densing.ladder.manifest import Ladder
from densing.ladder.shapes import params_non_embedding

ROOT = Path(__file__).resolve().parents[1]
KNOWN = ROOT / "reference_models"


def test_the_version_stands_in_the_citation() -> None:
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == densing.__version__


def test_every_known_ladder_has_a_card_with_licence_and_a_manifest_where_it_was_released() -> None:
    assert {card.parent.name for card in KNOWN.glob("*/README.md")} >= {"densing-law-2025", "olmo-ladder", "quickstart"}
    for name in ("densing-law-2025", "olmo-ladder"):
        card = (KNOWN / name / "README.md").read_text(encoding="utf-8")
        ladder = Ladder.read(KNOWN / name, weights=False)
        assert ladder.name == name
        assert "Apache-2.0" in card
        assert "Apache-2.0" in ladder.source["license"]


def test_the_published_ladder_has_the_shapes_of_its_configuration() -> None:
    config = load(find_config("ladder", "densing-law"), LadderConfig)
    ladder = Ladder.read(KNOWN / "densing-law-2025", weights=False)
    assert {c.rung: c.params_non_embedding for c in ladder.checkpoints} == {
        shape.name: params_non_embedding(shape) for shape in config.sizes
    }
    assert {round(c.tokens / c.params_non_embedding) for c in ladder.checkpoints} == set(config.budgets)


def test_weights_that_are_not_here_are_refused_with_the_command_that_fetches_them() -> None:
    with pytest.raises(InputError, match="fetch it: densing ladder load openbmb/DensingLaw-ScalingModels"):
        Ladder.read(KNOWN / "densing-law-2025")


def test_the_two_rates_of_an_rtx_4090_come_from_one_table() -> None:
    assert peak_rates()["rtx-4090"] == 165.2e12
    assert load_hardware("rtx-4090").flops == load_hardware("rtx-4090-article").flops == 82.58e12
