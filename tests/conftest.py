"""Fixtures shared by all tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
VALIDATION = ROOT.parent / "shared" / "data" / "validation"


@pytest.fixture(scope="session")
def validation() -> Path:
    """Folder of other people's data that the tests check against; it is not part of the repository."""
    if not VALIDATION.is_dir():
        pytest.skip(f"the validation data is not at {VALIDATION}")
    return VALIDATION


def pip(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built with what the environment has, so that nothing is downloaded."""
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", ROOT, "--no-build-isolation", "--no-deps", "--wheel-dir", folder)
    (path,) = folder.glob("densing-*.whl")
    return path


@pytest.fixture(scope="session")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python with the wheel, and with the packages that the tests run with, but not the clone."""
    return installed(wheel, Path(sys.executable), tmp_path_factory.mktemp("environment"))


def installed(wheel: Path, interpreter: Path, home: Path) -> Path:
    """Python of a new environment, with the wheel and with what an interpreter's environment has."""
    subprocess.run([interpreter, "-m", "venv", "--without-pip", home], check=True)
    (site,) = home.glob("lib/python*/site-packages")
    pip("install", "--no-deps", "--target", site, wheel)
    tell = [interpreter, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    (site / "dependencies.pth").write_text(subprocess.run(tell, capture_output=True, text=True, check=True).stdout)
    return home / "bin" / "python"
