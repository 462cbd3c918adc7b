"""pytest tests/cli/test_trust.py

Nothing that a file, a checkpoint or a killed run leaves behind runs code, deletes, leads astray or is believed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCORE = ("score", "--params", "6.979e9", "--score", "mmlu=66.6", "--frame", "densing-law-2025")
EVIL = """
from pathlib import Path
Path({marker!r}).touch()
from transformers import PretrainedConfig, PreTrainedModel
class EvilConfig(PretrainedConfig):
    model_type = "evil"
class EvilModel(PreTrainedModel):
    config_class = EvilConfig
"""


@pytest.fixture
def cached(densing, tmp_path, monkeypatch):
    """Standard output of a command, and the file of draws that it keeps."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    code, out, err = densing(*SCORE)
    assert code == 0, err
    (path,) = (tmp_path / "cache" / "densing" / "draws").iterdir()
    return out, path


@pytest.mark.parametrize("damage", [lambda whole: whole[:1000], lambda whole: whole[:700] + b"\0" + whole[701:]])
def test_a_damaged_cache_of_draws_is_made_again_with_a_note(densing, cached, damage):
    out, path = cached
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    code, again, err = densing(*SCORE)
    assert (code, again) == (0, out)
    assert f"note: {path}: the draws cannot be used" in err
    assert path.read_bytes() == whole


def test_draws_of_other_shape_or_other_numbers_are_not_believed(densing, cached):
    import numpy as np

    out, path = cached
    for change in (lambda array: array[:5], lambda array: array * 1.5):
        np.savez(path, **{name: change(array) for name, array in np.load(path).items() if array.ndim == 2})
        assert densing(*SCORE)[:2] == (0, out)


def evil_checkpoint(folder: Path, marker: Path) -> None:
    """A checkpoint of an unknown kind whose own code leaves a mark."""
    folder.mkdir(parents=True)
    (folder / "evil.py").write_text(EVIL.format(marker=str(marker)))
    auto_map = {"AutoConfig": "evil.EvilConfig", "AutoModelForCausalLM": "evil.EvilModel"}
    (folder / "config.json").write_text(json.dumps({"model_type": "evil", "auto_map": auto_map}))
    (folder / "model.safetensors").write_bytes(b"")


@pytest.mark.parametrize(
    "command",
    [
        ("ladder", "load", "ck", "--tokens", "per-parameter:20"),
        ("measure", "ck/a", "--suite", "jsonl", "--documents", "items.jsonl"),
        ("score", "ck/a", "--suite", "jsonl", "--documents", "items.jsonl"),
    ],
)
def test_no_yes_on_the_terminal_runs_the_code_of_a_checkpoint(densing, tmp_path, command):
    marker = tmp_path / "ran"
    evil_checkpoint(tmp_path / "ck" / "a", marker)
    (tmp_path / "items.jsonl").write_text('{"instruction": "a", "answer": " b"}\n')
    code, _, err = densing(*command, stdin="y\nyes\n" * 20)
    assert not marker.exists()
    assert code == 2
    assert "code" in err or "name a frame" in err  # whichever it finds first
    assert "Traceback" not in err


@pytest.mark.parametrize("name", ["../../../../victim/data", "/tmp/x", "..", ".hidden", "a/b", "a\nb", "x\x1b[31m", ""])
def test_names_that_lead_elsewhere_are_refused(densing, tmp_path, name):
    suite = {
        "suite": name,
        "description": "d",
        "documents": "items",
        "benchmarks": {"q": {"loss": "densing_jsonl_loss"}},
    }
    (tmp_path / "s.yaml").write_text(json.dumps(suite))
    (tmp_path / "p.csv").write_text("benchmark,params,tokens,conditional_loss\n")
    for command in (
        ("suites", "check", "s.yaml"),
        ("frames", "build", "p.csv", "--scores", "p.csv", "--tokens", "1e9", "--name", name),
    ):
        code, _, err = densing(*command)
        assert code == 2
        assert "cannot be the name of a file" in err
        assert "\x1b" not in err
    assert not (tmp_path / "results").exists()


def test_a_link_leads_no_output_out_of_its_folder(densing, tmp_path):
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "data.json").write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "A").symlink_to(tmp_path / "victim")
    (tmp_path / "scores.csv").write_text("model,benchmark,score\nA,mmlu,60\n")
    code, _, err = densing("import", "scores.csv", "--to", "measurement", "--out", "out")
    assert code == 2
    assert "a link leads out of" in err
    assert [path.name for path in (tmp_path / "victim").iterdir()] == ["data.json"]


def test_what_no_measurement_wrote_stays_beside_one(densing, tmp_path):
    (tmp_path / "scores.csv").write_text("model,benchmark,score\nA,mmlu,60\nA,bbh,50\n")
    assert densing("import", "scores.csv", "--to", "measurement", "--out", "out")[0] == 0
    folder = tmp_path / "out" / "A" / "imported-scores"
    (folder / "notes.json").write_text('{"mine": 1}')
    (folder / "own.parquet").write_bytes(b"mine")
    (tmp_path / "scores.csv").write_text("model,benchmark,score\nA,mmlu,60\n")
    assert densing("import", "scores.csv", "--to", "measurement", "--out", "out")[0] == 0
    assert sorted(path.name for path in folder.iterdir()) == ["mmlu.json", "notes.json", "own.parquet"]
    assert (folder / "notes.json").read_text() == '{"mine": 1}'


def test_a_failed_import_leaves_no_part_of_its_measurements(densing, tmp_path):
    (tmp_path / "scores.csv").write_text(f"model,benchmark,score\nA,mmlu,60\nB,{'b' * 300},50\n")
    code, _, err = densing("import", "scores.csv", "--to", "measurement", "--out", "out")
    assert code == 2
    assert "too long for the name of a file" in err
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_a_bad_frame_stops_no_list(densing, tmp_path):
    frames = tmp_path / "results" / "frames"
    frames.mkdir(parents=True)
    (frames / "bad.json").write_text("{")
    os.mkfifo(frames / "pipe.json")
    code, out, err = densing("frames", "list")
    assert code == 0
    assert "densing-law-2025" in out
    assert err.count("a frame is left out") == 2


READERS = [
    ("import", "x.json"),
    ("fit", "loss", "x.csv"),
    ("suites", "check", "x.yaml"),
    ("suites", "check", "x.jsonl"),
    ("models", "list", "--registry", "reg"),
]


@pytest.mark.parametrize("reader", READERS)
def test_only_regular_files_are_read(densing, tmp_path, reader):
    (tmp_path / "reg").mkdir()
    for name in ("x.json", "x.csv", "x.yaml", "x.jsonl", "reg/models.csv"):
        os.mkfifo(tmp_path / name)
    code, _, err = densing(*reader)
    assert code == 2
    assert "not a file" in err


def test_no_home_no_entry_of_the_user_and_nothing_to_write_to(densing):
    code, expected, _ = densing(*SCORE)
    assert code == 0
    start = "import pwd; pwd.getpwuid = {}.__getitem__; from densing.cli import main; main()"  # as for an unknown user
    environment = {key: value for key, value in os.environ.items() if key not in ("HOME", "XDG_CACHE_HOME")}
    command = [sys.executable, "-c", start, *SCORE]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/proc", env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, expected, "")


def test_a_pipe_that_is_closed_early_is_no_error(tmp_path):
    command = f"{sys.executable} -m densing models list | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["/bin/bash", "-c", command], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.splitlines()[0].startswith("model ")
    assert done.stdout.splitlines()[-1] == "0"
    assert "densing:" not in done.stderr
    assert "Broken" not in done.stderr


@pytest.mark.parametrize(
    ("number", "code", "said"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "stopped by SIGTERM")]
)
def test_a_signal_ends_in_one_line_and_leaves_nothing(tmp_path, number, code, said):
    """The command waits where its output is about to take its place."""
    (tmp_path / "scores.csv").write_text("model,benchmark,score\nA,mmlu,60\n")
    start = (
        "import sys, time; from densing.cli import main\n"
        "def wait(event, arguments):\n"
        "    if event == 'os.rename' and str(arguments[1]).endswith('imported-scores'):\n"
        "        print('here', flush=True); time.sleep(60)\n"
        "sys.addaudithook(wait); main()"
    )
    command = [sys.executable, "-c", start, "import", "scores.csv", "--to", "measurement", "--out", "out"]
    # A runner in the background ignores SIGINT, and so would what it starts.
    as_usual = lambda: signal.signal(number, signal.SIG_DFL)  # noqa: E731
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, cwd=tmp_path, text=True, preexec_fn=as_usual, **pipes)
    assert process.stdout.readline() == "here\n"
    process.send_signal(number)
    _, err = process.communicate()
    assert (process.returncode, err) == (code, f"densing: {said}\n")
    assert not list((tmp_path / "out" / "A").iterdir())


@pytest.mark.parametrize(
    ("arguments", "readings"),
    [
        (["--params", "1,5B", "--score", "mmlu=60"], ["1.5B", "1_500_000_000", "15B"]),
        (["--params", "8", "--score", "mmlu=60"], ["8B", "8e0"]),
        (["--total-params", "8B", "--active-params", "9B", "--score", "mmlu=60"], ["9B active", "8B"]),
        (["--total-params", "8B", "--params", "9B", "--score", "mmlu=60"], ["9B parameters without", "8B"]),
        (["--params", "8B", "--score", "mmlu=60", "--score", "MMLU=61"], ["60", "61", "twice"]),
        (["--params", "8B", "--score", "mmlu=60,5"], ["60.5"]),
        (["--active-params", "8B", "--score", "mmlu=60"], ["--total-params"]),
        (["Qwen2.5-7B", "--params", "3B"], ["6.53B", "3B"]),
    ],
)
def test_units_with_two_readings_are_refused_with_both(densing, arguments, readings):
    code, _, err = densing("score", *arguments)
    assert code == 2
    assert all(reading in err for reading in readings), err


CURVE = "loss,score\n" + "".join(f"{2.6 - 0.15 * n:.2f},{0.2 + 0.06 * n:.2f}\n" for n in range(10))
FRAME_SCORES = "benchmark,checkpoint,conditional_loss,score\n" + "".join(
    f"mmlu,c{n},{0.9 - 0.08 * n:.2f},{0.25 + 0.06 * n:.2f}\n" for n in range(10)
)
FRAME_LOSSES = "benchmark,params,tokens,conditional_loss\n" + "".join(
    f"mmlu,{1e7 * 4**n:g},{1e9 * 2**m:g},{3 * (1e7 * 4**n) ** -0.1 + 5 * (1e9 * 2**m) ** -0.12:.5f}\n"
    for n in range(4)
    for m in range(3)
)


@pytest.mark.parametrize(
    ("command", "readings"),
    [
        (("fit", "score", "curve.csv"), ["curve.csv, column score", "0.74%", "74%", "write 74"]),
        (
            ("frames", "build", "l.csv", "--scores", "s.csv", "--name", "x", "--tokens", "1e10"),
            ["s.csv, mmlu", "0.79%", "79%", "write 79"],
        ),
    ],
)
def test_scores_that_are_all_fractions_are_refused_with_both_readings(densing, tmp_path, command, readings):
    for name, text in (("curve.csv", CURVE), ("s.csv", FRAME_SCORES), ("l.csv", FRAME_LOSSES)):
        (tmp_path / name).write_text(text)
    code, _, err = densing(*command)
    assert code == 2
    assert all(reading in err for reading in readings), err


SWEEP = "name: {name}\ncheckpoints: [{{model: ck, name: {model}}}]\nsuites: [local]\nsettings: {{{settings}: {{}}}}\n"


@pytest.mark.parametrize("places", [("..", "m", "a"), ("s", "..", "a"), ("s", "m", "..")])
def test_a_sweep_stays_in_its_folder(densing, tmp_path, places):
    (tmp_path / "s.yaml").write_text(SWEEP.format(**dict(zip(("name", "model", "settings"), places, strict=True))))
    code, _, err = densing("sweep", "status", "s.yaml")
    assert code == 2
    assert "cannot be the name of a file" in err


def test_undo_without_a_change_writes_nothing(densing, tmp_path):
    code, _, err = densing("models", "undo", "--registry", "reg")
    assert code == 2
    assert "no change to undo" in err
    assert not (tmp_path / "reg").exists()
