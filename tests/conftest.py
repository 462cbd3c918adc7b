"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

VALIDATION = Path(__file__).resolve().parents[2] / "shared" / "data" / "validation"


@pytest.fixture(scope="session")
def validation() -> Path:
    """Folder of other people's data that the tests check against; it is not part of the repository."""
    if not VALIDATION.is_dir():
        pytest.skip(f"the validation data is not at {VALIDATION}")
    return VALIDATION
