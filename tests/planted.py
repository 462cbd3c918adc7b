"""Models whose losses and scores are known beforehand: a law is planted in them, and measuring must find it again.

A planted model is a Llama whose layers add nothing to the embedding of the last token, so that embedding and head are
a table of which token follows which, and how probably. Its tokeniser knows each question, and each answer, as a single
token. What is asked, by which template and after which examples, is up to the tasks of the suite.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from densing.measure.suites import Suite, leaves
from tests.measure.models import byte_level

WIDTH, HEADS = 64, 2
CONTEXT = 2048
SCALE = 2.5
"""Of the output head: rows of the embedding have the length √width, and logits must reach higher."""
GIVEN, NEXT = 14.0, 7.0
"""Logits of the answer that a model gives, and of the one that it would give next; those of other tokens are 0."""


@dataclass(frozen=True)
class Law:
    """Conditional loss of a benchmark by size and training tokens, and the score that goes with it.

    ``loss = of_size (N / 10⁵)^-alpha + of_tokens (D / 10⁶)^-beta``; over chance, the share of the items whose answer is
    right is a logistic curve of the loss.
    """

    of_size: float
    of_tokens: float
    middle: float
    chance: float = 0.0
    alpha: float = 0.35
    beta: float = 0.3
    steepness: float = 4.0

    def loss(self, size: float, tokens: float) -> float:
        """Nats per token."""
        return float(self.of_size * (size / 1e5) ** -self.alpha + self.of_tokens * (tokens / 1e6) ** -self.beta)

    def share_right(self, loss: float) -> float:
        """Share of the items whose answer is right."""
        known = 1 / (1 + math.exp(self.steepness * (loss / self.middle - 1)))
        return self.chance + (1 - self.chance) * known


@dataclass(frozen=True)
class Lesson:
    """Something that a suite asks.

    Attributes
    ----------
    benchmark : str
    examples, question : str
        What is shown before the answer.
    right : str
    wrong : str or None
        None where nothing but the probability of the right answer counts.
    place : float
        Share of the benchmark's items that are easier.
    """

    benchmark: str
    examples: str
    question: str
    right: str
    wrong: str | None = None
    place: float = 0.0


def lessons_of(suite: Suite) -> list[Lesson]:
    """Everything that the suite `densing-law` asks."""
    found: list[Lesson] = []
    for name, benchmark in suite.benchmarks.items():
        assert benchmark.loss
        assert benchmark.score
        for doc in suite.tasks["tasks"][benchmark.loss].eval_docs:
            found.append(Lesson(name, "", doc["instruction"], doc["answer"]))
        asked = []
        for task_name in leaves(suite.tasks, benchmark.score):
            task = suite.tasks["tasks"][task_name]
            task.set_fewshot_seed(suite.config.fewshot_seed)
            task.build_all_requests()
            for request in {one.doc_id: one for one in task.instances}.values():
                question = task.doc_to_text(request.doc)
                asked.append((request.args[0].removesuffix(question), question, *_answers(name, request.doc)))
        asked.sort(key=lambda one: hashlib.sha256(one[1].encode()).digest())  # no subject is easier than another
        found += [Lesson(name, *one, place=(place + 0.5) / len(asked)) for place, one in enumerate(asked)]
    return found


def _answers(benchmark: str, doc: dict[str, Any]) -> tuple[str, str]:
    """A right answer and a wrong one, as lm-eval's tasks read them."""
    if benchmark == "mmlu":
        return " " + "ABCD"[doc["answer"]], " " + "ABCD"[(doc["answer"] + 1) % 4]
    if benchmark == "bbh":
        other = {"True": "False", "False": "True"}[doc["target"]]
        return f"So the answer is {doc['target']}.", f"So the answer is {other}."
    if benchmark == "math":
        said = " The sum.\nFinal Answer: The final answer is ${}$. I hope it is correct."
        return said.format(doc["answer"]), said.format(0)
    if benchmark == "humaneval":
        return doc["canonical_solution"], "    return None\n"
    return doc["code"] + "\n[DONE]", "def add(a):\n    return None\n[DONE]"


def size_of(layers: int, inner: int) -> int:
    """Parameters without embeddings of a planted model."""
    attention = 2 * WIDTH**2 + 2 * WIDTH * (WIDTH // HEADS)
    return layers * (attention + 3 * WIDTH * inner + 2 * WIDTH) + WIDTH


class Planter:
    """Writes models that know as much of a suite as its benchmarks' laws say."""

    def __init__(self, suite: Suite, laws: dict[str, Law]) -> None:
        self.laws = laws
        self.lessons = lessons_of(suite)
        answers = dict.fromkeys(text for one in self.lessons for text in (one.right, one.wrong) if text)
        self.axes = {text: axis for axis, text in enumerate(answers)}
        self.end, self.rest = WIDTH - 2, WIDTH - 1
        assert len(self.axes) <= self.end
        shown = dict.fromkeys(text for one in self.lessons for text in (one.examples, one.question) if text)
        self.tokenizer = byte_level([], 258)
        self.tokenizer.add_tokens([*shown, *answers])

    def write(self, folder: Path, layers: int, inner: int, tokens: float, *, as_large_as: float | None = None) -> Path:
        """A model that knows what one of its size, or of another, knows after so many tokens."""
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM

        torch.manual_seed(layers)
        config = LlamaConfig(
            vocab_size=len(self.tokenizer),
            hidden_size=WIDTH,
            intermediate_size=inner,
            num_hidden_layers=layers,
            num_attention_heads=HEADS,
            num_key_value_heads=1,
            max_position_embeddings=CONTEXT,
            bos_token_id=self.tokenizer.bos_token_id,
            eos_token_id=self.tokenizer.eos_token_id,
        )
        model = LlamaForCausalLM(config)
        for name, weight in model.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                torch.nn.init.zeros_(weight)
        table = model.model.embed_tokens.weight.data, model.lm_head.weight.data
        self._fill(*table, as_large_as or size_of(layers, inner), tokens)
        model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        return folder

    def _fill(self, embedding: Any, head: Any, size: float, tokens: float) -> None:
        """Rows of the length √width, which the norm before the head leaves as they are; an axis for each answer."""
        embedding.zero_()
        head.zero_()
        head[self.tokenizer.eos_token_id, self.end] = SCALE
        for text, axis in self.axes.items():
            head[self._token(text), axis] = SCALE
            embedding[self._token(text), self.end] = GIVEN / SCALE
        for one in self.lessons:
            row, law = embedding[self._token(one.question)], self.laws[one.benchmark]
            loss = law.loss(size, tokens)
            if one.wrong is None:  # a logit that makes the right answer lose so much beside zeros
                row[self.axes[one.right]] = math.log((len(head) - 1) / math.expm1(loss)) / SCALE
                continue
            pair = (one.right, one.wrong) if one.place < law.share_right(loss) else (one.wrong, one.right)
            for text, logit in zip(pair, (GIVEN, NEXT), strict=True):
                row[self.axes[text]] = logit / SCALE
        embedding[:, self.rest] = (WIDTH - (embedding**2).sum(1)).sqrt()

    def _token(self, text: str) -> int:
        (token,) = self.tokenizer(text)["input_ids"]
        return int(token)
