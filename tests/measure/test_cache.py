"""pytest tests/measure/test_cache.py

An answer is found again by the same question alone, from any process, and never in the place of another.
"""

from __future__ import annotations

import math
import multiprocessing
from pathlib import Path

import pytest

from densing.core.errors import DensingError
from densing.measure.cache import RequestCache, request_key
from densing.measure.engines.torch_engine import TorchEngine
from tests.measure.cache_writer import write_answers
from tests.measure.models import byte_level, save_llama
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


def test_whatever_an_answer_depends_on_is_in_its_scope(checkpoint: Path, texts: list[str], tmp_path: Path) -> None:
    """Two models, precisions and BOS rules share a file; each gets its own answers, before and after."""
    asked = instances([("def main(", "self):"), ("import", " os")])
    tokenizer = byte_level(texts, 512)
    other = save_llama(tmp_path / "other", tokenizer, seed=1)
    settings = [
        (checkpoint, {}),
        (other, {}),
        (checkpoint, {"dtype": "bfloat16"}),
        (checkpoint, {"add_bos_token": True}),
    ]
    answers = []
    for cached in (False, True, True):
        answers.append([])
        for folder, options in settings:
            engine = TorchEngine(str(folder), device="cpu", **{"dtype": "float32", **options})
            if cached:
                engine.cache = RequestCache(tmp_path / "c.sqlite", {**engine.fingerprint(), "weights": folder.name})
            answers[-1].append([tuple(answer) for answer in engine.loglikelihood(asked)])
    assert answers[0] == answers[1] == answers[2]
    assert len({str(found) for found in answers[0]}) == len(settings)


def test_known_answers_are_not_computed_again(checkpoint: Path, texts: list[str], tmp_path: Path) -> None:
    engine = TorchEngine(str(checkpoint), device="cpu", dtype="float32", batch_tokens=64)
    engine.cache = RequestCache(tmp_path / "requests.sqlite", engine.fingerprint())
    asked = instances([(text[:40], " x") for text in texts[:40]])
    computed: list[int] = []
    score = engine.tree_model.score
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
