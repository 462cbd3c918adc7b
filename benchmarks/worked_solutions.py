"""Conditional loss of real worked solutions on every checkpoint of a ladder, and the loss law through it.

python benchmarks/worked_solutions.py ITEMS reference_models/quickstart

ITEMS is a folder with gsm8k, humaneval, mbpp and bbh_cot_exemplars as JSON lines (question, and solution or
rationale, and answer). Writes the losses, the laws and their figure under results/worked_solutions/. What was
measured before is not measured again. An instruction longer than the ladder's context is cut on its left; items
whose solution alone is longer are left out; both are counted.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import pandas as pd

BENCHMARKS = ("gsm8k", "humaneval", "mbpp", "bbh")
OUT = Path("results") / "worked_solutions"
WORK = Path("runs") / "worked_solutions"


def worked(items):
    """The benchmarks' items in the layout of openbmb/DensingLaw-ScalingBench: instruction, reasoning, answer."""
    sources = {name: items / f"{name}.jsonl" for name in BENCHMARKS} | {"bbh": items / "bbh_cot_exemplars.jsonl"}
    rows = {
        name: [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for name, path in sources.items()
    }
    for row in rows["gsm8k"]:
        yield "gsm8k", row["id"], row["question"], row["solution_no_calc"], f"#### {row['answer']}"
    for row in rows["humaneval"]:
        yield "humaneval", row["id"], row["question"], None, row["solution"].rstrip("\n")
    for row in rows["mbpp"]:
        yield "mbpp", row["id"], row["question"], None, row["solution"].replace("\r\n", "\n").rstrip()
    for row in rows["bbh"]:
        yield "bbh", row["id"], f"{row['description']}\n\n{row['question']}", row["rationale"], row["answer"]


def write_worked(items, folder, fits=lambda solution: True):  # noqa: ARG005
    """One file per benchmark; returns how many items of each were left out because their solution does not fit."""
    folder.mkdir(parents=True, exist_ok=True)
    kept, left_out = {name: [] for name in BENCHMARKS}, dict.fromkeys(BENCHMARKS, 0)
    for name, identity, instruction, reasoning, answer in worked(items):
        if fits("\n".join(part for part in (reasoning, answer) if part)):
            kept[name].append({"id": identity, "instruction": instruction, "reasoning": reasoning, "answer": answer})
        else:
            left_out[name] += 1
    for name, rows in kept.items():
        (folder / f"{name}.json").write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")
    return left_out


def measure_ladder(ladder, items, engine):
    """A row per checkpoint and benchmark."""
    from transformers import AutoConfig, AutoTokenizer

    from densing.core.progress import track
    from densing.measure.run import measure
    from densing.measure.suites import load_suite

    first = ladder.checkpoints[0].path
    tokenizer = AutoTokenizer.from_pretrained(first)
    context = AutoConfig.from_pretrained(first).max_position_embeddings
    shutil.rmtree(WORK / "items", ignore_errors=True)
    # A token more for one that spans the end of the instruction.
    left_out = write_worked(items, WORK / "items", lambda text: len(tokenizer(text)["input_ids"]) + 1 < context)
    suite = load_suite("worked-solutions", documents=WORK / "items")
    rows = []
    for checkpoint in track(ladder.checkpoints, "measuring"):
        options = {"dtype": "float32", "allow_truncated": True}
        measurement = measure(checkpoint.path, suite, engine=engine, out=WORK / "measurements", **options)
        for name, task in measurement.tasks.items():
            rows.append(
                {
                    "benchmark": name,
                    "checkpoint": checkpoint.name,
                    "params": checkpoint.params_non_embedding,
                    "tokens": checkpoint.tokens,
                    "conditional_loss": task.conditional_loss,
                    "bits_per_byte": task.bits_per_byte,
                    "items": task.items,
                    "answer_tokens": task.tokens,
                    "cut": len(task.settings["truncated"]),
                    "left_out": left_out[name],
                }
            )
    return pd.DataFrame(rows)


def fit_and_draw(losses):
    """The law of each benchmark, in a figure of one panel each."""
    from densing.fit.hold_out import hold_out_largest
    from densing.fit.loss_law.fit import fit_loss_law
    from densing.report.figures.loss_law import law_text, plot_loss_law
    from densing.report.figures.style import DOUBLE, new_figure, save, style

    laws = {}
    with style():
        figure, panels = new_figure(DOUBLE, 5.2, 2, 2)
        for name, axes in zip(BENCHMARKS, panels.flat, strict=True):
            own = losses[losses["benchmark"] == name]
            fit = fit_loss_law(own["params"], own["tokens"], own["conditional_loss"], objective="log-least-squares")
            plot_loss_law(fit, axes)
            axes.set_yscale("linear")  # a fifth from end to end, too little for powers of ten
            axes.set_title(f"{name}: {law_text(fit.best)}, mean error {fit.mean_relative_error_pct():.2f}%")
            held_out = hold_out_largest(fit)
            laws[name] = {
                "status": str(fit.status),
                "optima": json.loads(fit.to_frame().to_json(orient="records")),
                "mean_error_pct": fit.mean_relative_error_pct(),
                "largest_size_predicted_from_the_others_error_pct": float(held_out["error_pct"].abs().mean()),
            }
            print(f"{name}\n{fit}\nmean relative error {fit.mean_relative_error_pct():.2f}%")
            print(f"largest size from the others {held_out['error_pct'].abs().mean():.2f}%\n")
        panels.flat[0].legend(title="N without embeddings")
        save(figure, OUT / "loss_law.svg")
        save(figure, OUT / "loss_law.png")
    return laws


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("items", type=Path)
    parser.add_argument("ladder", type=Path)
    parser.add_argument("--engine", default="torch")
    arguments = parser.parse_args()
    from densing.ladder.manifest import Ladder

    losses = measure_ladder(Ladder.read(arguments.ladder), arguments.items, arguments.engine)
    OUT.mkdir(parents=True, exist_ok=True)
    losses.to_csv(OUT / "losses.csv", index=False, float_format="%.6f")
    laws = fit_and_draw(losses)
    (OUT / "laws.json").write_text(json.dumps(laws, indent=1) + "\n")
    shown = losses.groupby("benchmark")[["items", "cut", "left_out"]].first()
    print(shown.to_string())


if __name__ == "__main__":
    main()
