"""pytest tests/measure/test_cache.py

An answer is found again by the same question alone, from any process, and never in the place of another.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from densing.core.errors import DensingError, InputError
from densing.measure.cache import RequestCache, request_key
from densing.measure.checkpoint import Checkpoint, find_checkpoint
from densing.measure.engines.answer_scope import CANNOT_MATTER, answer_scope, named_files, with_local_folders
from densing.measure.engines.torch_engine import TorchEngine
from tests.measure.cache_writer import write_answers
from tests.measure.models import byte_level, save_adapter, save_llama
from tests.measure.requests import instances

SCOPE = {"weights": "w", "dtype": "float32", "bos": "rule"}


def keys(count: int, start: int = 0) -> list[bytes]:
    return [request_key("answer", (number,), (1,)) for number in range(start, start + count)]


def test_every_part_of_a_request_counts() -> None:
    requests = [
        ("answer", (1, 2), (3,)),
        ("answer", (1,), (2, 3)),
        ("answer", (1, 2, 3), ()),
        ("text", (1, 2), (3,)),
        ("text", (1, 2), {"until": ["\n"]}),
        ("text", (1, 2), {"until": ["\n"], "max_gen_toks": 3}),
        ("answer", (256,), (1,)),
        ("answer", (1, 0), (1,)),
    ]
    assert len({request_key(*request) for request in requests}) == len(requests)


def test_found_again_under_the_same_scope_alone(tmp_path: Path) -> None:
    path = tmp_path / "a" / "requests.sqlite"
    first = RequestCache(path, SCOPE)
    first.store((key, [float(n), True]) for n, key in enumerate(keys(2000)))
    first.close()
    again = RequestCache(path, dict(reversed(SCOPE.items())))
    assert again.find(keys(2001)) == {key: [float(n), True] for n, key in enumerate(keys(2000))}
    for part in SCOPE:
        assert RequestCache(path, SCOPE | {part: "other"}).find(keys(10)) == {}
    assert RequestCache(path, SCOPE | {"more": 1}).find(keys(10)) == {}
    fresh = RequestCache(path, SCOPE, fresh=True)
    assert fresh.find(keys(10)) == {}
    fresh.store([(keys(1)[0], [7.0, False])])
    assert again.find(keys(1)) == {keys(1)[0]: [7.0, False]}


def test_all_of_a_batch_or_nothing(tmp_path: Path) -> None:
    cache = RequestCache(tmp_path / "requests.sqlite", SCOPE)
    first, second = keys(2)
    with pytest.raises(ValueError, match="JSON compliant"):
        cache.store([(first, [1.0, True]), (second, [math.nan, True])])
    assert cache.find([first, second]) == {}


def test_two_processes_may_share_it(tmp_path: Path) -> None:
    path = tmp_path / "requests.sqlite"
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(2)
    writers = [context.Process(target=write_answers, args=(path, SCOPE, start, ready)) for start in (0, 200)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert len(RequestCache(path, SCOPE).find(keys(600))) == 500


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "requests.sqlite"
    path.write_bytes(b"no database at all, but long enough to be looked at " * 20)
    with pytest.raises(DensingError, match=r"requests\.sqlite: file is not a database; .*remove this one"):
        RequestCache(path, SCOPE)


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE answers RENAME COLUMN scope TO kind",
        "CREATE TABLE more (a)",
        "CREATE TRIGGER t AFTER INSERT ON answers BEGIN DELETE FROM answers; END",
    ],
)
def test_a_file_with_anything_but_answers_is_refused(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "requests.sqlite"
    cache = RequestCache(path, SCOPE)
    cache.store([(keys(1)[0], [-1.0, True])])
    cache.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"requests\.sqlite: this is no cache of requests; .* remove this file"):
        RequestCache(path, SCOPE)
    assert path.read_bytes() == before


@pytest.mark.parametrize("answer", ["text", [1e12, True], [None, True], [[1], True], "[" * 200])
def test_an_answer_of_another_form_is_computed_again(checkpoint: Path, tmp_path: Path, answer: Any) -> None:
    path = tmp_path / "requests.sqlite"
    engine = TorchEngine(str(checkpoint), device="cpu", dtype="float32")
    engine.cache = RequestCache(path, SCOPE)
    asked = instances([("import", " os")])
    expected = engine.loglikelihood(asked)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE answers SET answer = ?", [json.dumps(answer)])
    assert engine.loglikelihood(asked) == expected


def test_nothing_is_made_before_something_is_kept(tmp_path: Path) -> None:
    cache = RequestCache(tmp_path / "a" / "requests.sqlite", SCOPE)
    assert cache.find(keys(3)) == {}
    cache.close()
    assert list(tmp_path.iterdir()) == []


def test_whatever_an_answer_depends_on_is_in_its_scope(checkpoint: Path, texts: list[str], tmp_path: Path) -> None:
    """Two models, precisions and BOS rules share a file; each gets its own answers, before and after."""
    asked = instances([("def main(", "self):"), ("import", " os")])
    tokenizer = byte_level(texts, 512)
    other = save_llama(tmp_path / "other", tokenizer, seed=1)
    variants = [
        (checkpoint, {}),
        (other, {}),
        (checkpoint, {"dtype": "bfloat16"}),
        (checkpoint, {"add_bos_token": True}),
    ]
    answers = []
    for cached in (False, True, True):
        answers.append([])
        for folder, options in variants:
            engine = TorchEngine(str(folder), device="cpu", **{"dtype": "float32", **options})
            if cached:
                engine.cache = RequestCache(tmp_path / "c.sqlite", {**engine.fingerprint(), "weights": folder.name})
            answers[-1].append([tuple(answer) for answer in engine.loglikelihood(asked)])
    assert answers[0] == answers[1] == answers[2]
    assert len({str(found) for found in answers[0]}) == len(variants)


def test_known_answers_are_not_computed_again(checkpoint: Path, texts: list[str], tmp_path: Path) -> None:
    engine = TorchEngine(str(checkpoint), device="cpu", dtype="float32", batch_tokens=64)
    engine.cache = RequestCache(tmp_path / "requests.sqlite", engine.fingerprint())
    asked = instances([(text[:40], " x") for text in texts[:40]])
    computed: list[int] = []
    score = engine.tree_model.score
    engine.loglikelihood(instances([("a", " b"), (texts[0][:400], " x")]))  # what may be shared is tried here
    engine.tree_model.score = lambda batch, requests: computed.extend(batch.requests) or score(batch, requests)
    first = engine.loglikelihood(asked[:20])
    assert len(computed) == 20
    both = engine.loglikelihood(asked)
    assert both[:20] == first
    count = len(computed)
    assert engine.loglikelihood(asked) == both
    assert len(computed) == count
    twice = engine.loglikelihood([*asked, *asked])
    assert twice == [*both, *both]


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "num_hidden_layers": st.sampled_from([1, 2]),
        "rope_parameters": st.sampled_from([{"rope_type": "default", "rope_theta": theta} for theta in (10.0, 1e4)]),
        "hidden_act": st.sampled_from(["silu", "relu"]),
        "rms_norm_eps": st.sampled_from([1e-6, 0.5]),
        "dtype": st.sampled_from(["float32", "bfloat16"]),
        "attn_implementation": st.sampled_from(["eager", "sdpa"]),
        "softmax_dtype": st.just("float64"),
        "max_length": st.sampled_from([64, 512]),
        "add_bos_token": st.booleans(),
        "batch_tokens": st.sampled_from([1, 100]),
        "allow_truncated": st.booleans(),
        "device": st.just("cpu"),
    },
)


@given(options=OPTIONS)
@settings(max_examples=25, deadline=None, derandomize=True)
def test_any_options_have_their_own_answers_or_equal_ones(checkpoint: Path, options: dict[str, Any]) -> None:
    """Beside the model without any, in one scope or in two."""
    asked = instances([("def main(", "self):"), ("import", " os")])
    found = find_checkpoint(checkpoint)
    made_from = {"weights": found.weights, "tokenizer": found.tokenizer}
    scopes, answers = [], []
    for given_options in ({}, options):
        engine = TorchEngine(str(checkpoint), **{"device": "cpu", **given_options})
        scopes.append(answer_scope(engine, made_from, given_options, named_files(given_options, found)))
        answers.append(engine.loglikelihood(asked))
    assert scopes[0] != scopes[1] or answers[0] == answers[1]
    beside = [name for name in options if name not in CANNOT_MATTER]
    assert not beside or scopes[0] != scopes[1]


def test_an_option_stands_for_the_contents_that_it_names(checkpoint: Path, tmp_path: Path) -> None:
    """An adapter trained on under its own name, a file of the model's folder, a path inside other settings."""
    adapter = save_adapter(tmp_path / "adapter", checkpoint)
    own = Checkpoint("own", "own", tmp_path)
    (tmp_path / "small.gguf").write_bytes(b"weights")
    options = {
        "peft": str(adapter),
        "gguf_file": "small.gguf",
        "speculative_config": {"model": str(adapter), "tokens": 3},
        "dtype": "float32",
    }
    before = named_files(options, own)
    assert before.keys() == {"peft", "gguf_file", "speculative_config"}
    assert named_files(options, own) == before
    save_adapter(adapter, checkpoint, seed=1)
    after = named_files(options, own)
    assert [name for name in before if before[name] != after[name]] == ["peft", "speculative_config"]
    (tmp_path / "small.gguf").write_bytes(b"other weights")
    assert named_files(options, own)["gguf_file"] != before["gguf_file"]
    with pytest.raises(InputError, match="peft=nowhere: there is no such folder, and this is no hub name"):
        with_local_folders({"peft": "nowhere"})
