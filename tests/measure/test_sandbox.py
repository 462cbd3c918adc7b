"""pytest tests/measure/test_sandbox.py

What a model writes can do no harm, and only a right solution passes. Every sandbox that works here is tried.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

from densing.core.errors import InputError
from densing.measure import sandbox as sandboxes
from densing.measure.code_eval import SandboxedCodeEval, programs_in, tasks_given_the_sandbox
from densing.measure.sandbox import Sandbox, find_sandbox

pytestmark = pytest.mark.slow

SECONDS = 3.0
AT_WORK = 30.0
"""Far more than a program may take, and far less than what a test of an endless one would."""


def works(kind: str) -> bool:
    try:
        find_sandbox(kind)
    except InputError:
        return False
    return True


@pytest.fixture(scope="module", params=[kind for kind in ("bubblewrap", "subprocess") if works(kind)])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return find_sandbox(request.param)


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in the home folder."""
    home = Path.home()
    path = home / f".densing-test-{os.getpid()}"
    path.write_text("secret")
    yield path
    path.unlink()


SOLUTION = "def add(a, b):\n    return a + b\n"
TESTS = "assert add(2, 3) == 5"


def test_a_right_solution_passes_and_a_wrong_one_does_not(sandbox: Sandbox) -> None:
    assert sandbox.passes(f"{SOLUTION}\n{TESTS}")
    assert not sandbox.passes(f"{SOLUTION}\nassert add(2, 3) == 6")
    assert not sandbox.passes("def add(")


@pytest.mark.parametrize(
    "program",
    [
        "import math, collections, heapq, itertools, re, datetime, threading\nassert math.pi > 3",
        "import numpy\nassert numpy.ones(3).sum() == 3",
        "open('note', 'w').write('x')\nassert open('note').read() == 'x'",
        "print('much ' * 100_000)",
        "import threading\nthread = threading.Thread(target=int)\nthread.start()\nthread.join()",
    ],
    ids=["library", "numpy", "own folder", "output", "threads"],
)
def test_what_solutions_do_is_allowed(program: str, sandbox: Sandbox) -> None:
    assert sandbox.passes(program)


@pytest.mark.parametrize(
    "program",
    [
        "import socket\nsocket.create_connection(('127.0.0.1', PORT), 1)",
        "import os\nwhile True:\n    os.fork()",
        "data = bytearray(10 << 30)",
        "while True:\n    pass",
        "import subprocess\nsubprocess.run(['sleep', '1000'])",
        "import os\nos.kill(os.getppid(), 9)",
        "import os\nos._exit(0)",
        "raise SystemExit(0)",
        "import ctypes\nctypes.CDLL(None).system(b'true')",
        "import os\nos.remove(SECRET)",
        "open(SECRET, 'a').write('x')",
        "import os\nassert os.listdir(HOME)",
        "assert open(SECRET).read() == 'secret'",
    ],
    ids=[
        *("socket", "forks", "10 GB", "endless", "process", "kill", "exit", "exit 2", "library call"),
        *("remove", "write", "list home", "read home"),
    ],
)
def test_what_harms_is_stopped_within_its_time_and_wrong(program: str, sandbox: Sandbox, secret: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        named = {"SECRET": repr(str(secret)), "HOME": repr(str(secret.parent)), "PORT": str(port)}
        for name, value in named.items():
            program = program.replace(name, value)
        since = time.monotonic()
        assert not sandbox.passes(f"{program}\n{SOLUTION}\n{TESTS}", seconds=SECONDS)
        assert time.monotonic() - since < AT_WORK
    assert secret.read_text() == "secret"


FORKS_PAST_THE_INTERPRETER = """
import _posixsubprocess, os
read, write = os.pipe()
started = 0
try:
    for _ in range(200):
        _posixsubprocess.fork_exec([b"sleep", b"MARK"], [b"/bin/sleep"], True, (), None, None,
                                   -1, -1, -1, -1, -1, -1, read, write, False, True, *REST)
        started += 1
except OSError:
    pass
assert 0 < started < 100
"""


@pytest.mark.skipif(not works("bubblewrap"), reason="bubblewrap does not work on this machine")
def test_bubblewrap_keeps_what_gets_past_the_interpreter(secret: Path) -> None:
    """Processes are counted by the system and end with the room; the guard inside is off."""
    room = find_sandbox("bubblewrap")
    mark = str(100_000 + os.getpid())
    rest = "-1, None, None, None, -1, None" + (", False" if sys.version_info >= (3, 11) else "")
    program = FORKS_PAST_THE_INTERPRETER.replace("MARK", mark).replace("*REST", rest)
    assert room.passes(program)
    listed = subprocess.run(["ps", "-A", "-o", "args"], capture_output=True, text=True).stdout
    assert f"sleep {mark}" not in listed


@pytest.mark.skipif(not works("bubblewrap"), reason="bubblewrap does not work on this machine")
def test_bubblewrap_shows_nothing_of_the_system_but_its_programs(
    secret: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the guard of the interpreter."""
    unguarded = tmp_path / "inside.py"
    unguarded.write_text(sandboxes.INSIDE.read_text().replace("sys.addaudithook(check)", "pass"))
    monkeypatch.setattr(sandboxes, "INSIDE", unguarded)
    room = find_sandbox("bubblewrap")
    assert room.passes(f"import os\nassert not os.path.exists({str(secret)!r})\nassert os.getuid() != 0")
    assert room.passes("import os\ntry:\n    open('/usr/x', 'w')\nexcept OSError:\n    pass\nelse:\n    os._exit(1)")
    assert room.passes(
        "import socket\ntry:\n    socket.create_connection(('1.1.1.1', 53), 1)\nexcept OSError:\n    pass\n"
        "else:\n    raise AssertionError"
    )
    assert not room.passes("import os\nwhile True:\n    os.fork()", seconds=1)


def test_an_environment_in_a_temporary_folder_that_nobody_else_may_read(sandbox: Sandbox, tmp_path: Path) -> None:
    home = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    tmp_path.chmod(0o700)
    (site,) = home.glob("lib/python*/site-packages")
    (site / "ours.pth").write_text(f"{sysconfig.get_path('purelib')}\n{Path(__file__).parents[2]}\n")
    tried = f"from densing.measure.sandbox import find_sandbox as find\nprint(find({sandbox.kind!r}).passes('x = 1'))"
    done = subprocess.run([home / "bin" / "python", "-I", "-c", tried], capture_output=True, text=True)
    assert done.stdout == "True\n", done.stderr


def test_without_a_sandbox_there_is_a_limit_of_time_alone(secret: Path) -> None:
    none = find_sandbox("none")
    assert none.passes(f"assert open({str(secret)!r}).read() == 'secret'")
    assert not none.passes("while True:\n    pass", seconds=0.5)


def test_the_choice_of_a_sandbox(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="--sandbox docker: there is no such sandbox; name one of auto, bubblewrap"):
        find_sandbox("docker")
    sandboxes._that_works.cache_clear()
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(InputError, match="bubblewrap does not work here; install it"):
        find_sandbox("bubblewrap")
    assert find_sandbox().kind == "subprocess"
    assert "install bubblewrap" in " ".join(capsys.readouterr().err.split())
    sandboxes._that_works.cache_clear()


def test_pass_at_k_is_that_of_the_metric_it_stands_for(sandbox: Sandbox) -> None:
    """1 − C(n−c, k) / C(n, k), over problems; the parts of a result as the package evaluate names them."""
    attempts = [[SOLUTION, "def add(a, b):\n    return a - b", SOLUTION], ["x", "y", "z"]]
    with tasks_given_the_sandbox():
        import evaluate

        metric = evaluate.load("code_eval")
    assert isinstance(metric, SandboxedCodeEval)
    with programs_in(sandbox):
        shares, found = metric.compute(references=[TESTS, TESTS], predictions=attempts, k=[1, 2, 5])
    assert shares == {"pass@1": pytest.approx(1 / 3), "pass@2": pytest.approx((1 - 0 / math.comb(3, 2)) / 2)}
    assert [one["passed"] for _, one in found[0]] == [True, False, True]
    assert {one["result"] for _, one in found[1]} == {"failed"}
