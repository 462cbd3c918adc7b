"""pytest tests/ladder/test_load.py

Local copies with the layouts of what others released.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from densing.core.errors import DensingError, InputError
from densing.ladder.load import load_ladder
from densing.ladder.manifest import Ladder
from densing.models.size import count_params

PYTHIA_STEP = 2_097_152


def llama(folder: Path, width: int, tied: bool = False) -> Path:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=64,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        tie_word_embeddings=tied,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def neox(folder: Path) -> Path:
    """Pythia's architecture."""
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    config = GPTNeoXConfig(
        vocab_size=64, hidden_size=16, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2
    )
    GPTNeoXForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def openbmb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Subfolders s1 to s6, one model each, and nothing that says how long they were trained."""
    root = tmp_path_factory.mktemp("openbmb") / "DensingLaw-ScalingModels"
    for number in range(1, 7):
        llama(root / f"s{number}", 8 * number)
    (root / "README.md").write_text("six reference models")
    return root


@pytest.fixture(scope="module")
def pythia(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of the hub that holds three revisions of one repository."""
    cache = tmp_path_factory.mktemp("hub")
    repository = cache / "models--EleutherAI--pythia-tiny"
    for number, revision in enumerate(("step0", "step1000", "step16000", "main")):
        commit = f"{number:040x}"
        neox(repository / "snapshots" / commit)
        (repository / "refs").mkdir(exist_ok=True)
        (repository / "refs" / revision).write_text(commit)
    (repository / "blobs").mkdir()
    return cache


def test_subfolders_with_tokens_per_parameter(openbmb: Path) -> None:
    ladder = load_ladder(openbmb, "per-parameter:60")
    assert [checkpoint.name for checkpoint in ladder.checkpoints] == ["s1", "s2", "s3", "s4", "s5", "s6"]
    for number, checkpoint in enumerate(ladder.checkpoints, 1):
        width = 8 * number
        assert checkpoint.params_non_embedding == 3 * width**2 + 6 * width**2 + 3 * width
        assert checkpoint.params == checkpoint.params_non_embedding + 2 * 64 * width
        assert checkpoint.tokens == 60 * checkpoint.params_non_embedding
        assert checkpoint.path == openbmb / f"s{number}"
        assert checkpoint.held_out_loss is None
    assert ladder.name == "DensingLaw-ScalingModels"
    assert ladder.budgets == (60,)


def test_tokens_are_never_guessed(openbmb: Path) -> None:
    with pytest.raises(InputError, match=r"how many tokens s1, s2, s3, s4, s5, s6 were trained on is not recorded"):
        load_ladder(openbmb)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("per-step:1000", "s1: no step number in the name"),
        ("in-name", "s1: no count of tokens in the name"),
        ("s1=1e9,s2=2e9", "no tokens for s3; it names s1, s2"),
        ("per-stp:1000", "no rule for training tokens; the forms are per-step:COUNT"),
        ("per-parameter:many", "'many' is not tokens per parameter"),
        ("absent.csv", "no such file"),
        ("per-parameter:1e-9", "s1, s2, s3, s4, s5, s6 were trained on no tokens"),
        ("s1=0.5e0", "a count is at least 1"),
    ],
)
def test_a_rule_that_says_nothing_about_a_checkpoint_is_refused(openbmb: Path, rule: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_ladder(openbmb, rule)


def test_tokens_from_names_and_files(openbmb: Path, tmp_path: Path) -> None:
    (tmp_path / "tokens.csv").write_text("name,tokens\n" + "".join(f"s{k},{k}e9\n" for k in range(1, 7)))
    expected = {f"s{k}": k * 10**9 for k in range(1, 7)}
    for rule in (str(tmp_path / "tokens.csv"), ",".join(f"s{k}={k}B" for k in range(1, 7))):
        assert {c.name: c.tokens for c in load_ladder(openbmb, rule).checkpoints} == expected
    for folder in ("stage1-step150-tokens1B", "stage1-step300-tokens2.5B", "12582912"):
        shutil.copytree(openbmb / "s1", tmp_path / "olmo" / folder)
    assert [c.tokens for c in load_ladder(tmp_path / "olmo", "in-name").checkpoints] == [
        12_582_912,
        10**9,
        25 * 10**8,
    ]


def test_revisions_that_name_steps_from_the_cache_of_the_hub(pythia: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(pythia))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    shown: list[Ladder] = []
    ladder = load_ladder("EleutherAI/pythia-tiny", f"per-step:{PYTHIA_STEP}", show=shown.append)
    assert [(c.revision, c.tokens) for c in ladder.checkpoints] == [
        ("step1000", 1000 * PYTHIA_STEP),
        ("step16000", 16000 * PYTHIA_STEP),
    ]
    assert [c.name for c in shown[0].checkpoints] == ["pythia-tiny/step1000", "pythia-tiny/step16000"]
    assert all((c.path / "model.safetensors").exists() for c in ladder.checkpoints)
    assert {c.rung for c in ladder.checkpoints} == {"pythia-tiny"}
    only = load_ladder("EleutherAI/pythia-tiny", f"per-step:{PYTHIA_STEP}", select=["step16*"])
    assert [c.revision for c in only.checkpoints] == ["step16000"]
    with pytest.raises(DensingError, match="not on this machine, and the hub cannot be reached"):
        load_ladder("EleutherAI/pythia-absent", f"per-step:{PYTHIA_STEP}")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")  # where nobody listens
    with pytest.raises(DensingError, match=r"the hub cannot be reached \(Connect"):
        load_ladder("EleutherAI/pythia-absent", f"per-step:{PYTHIA_STEP}")


def test_several_sources_make_one_ladder(tmp_path: Path) -> None:
    for name, width in (("pythia-a", 16), ("pythia-b", 32)):
        for step in (2, 10):
            llama(tmp_path / name / f"step{step}", width)
    ladder = load_ladder([tmp_path / "pythia-a", tmp_path / "pythia-b"], f"per-step:{PYTHIA_STEP}", name="pythia")
    assert [(c.rung, c.tokens) for c in ladder.checkpoints] == [
        ("pythia-a", 2 * PYTHIA_STEP),
        ("pythia-a", 10 * PYTHIA_STEP),
        ("pythia-b", 2 * PYTHIA_STEP),
        ("pythia-b", 10 * PYTHIA_STEP),
    ]
    ladder.write(tmp_path / "loaded")
    assert Ladder.read(tmp_path / "loaded") == ladder


def test_a_manifest_needs_no_rule(trained: tuple[Path, Ladder]) -> None:
    folder, ladder = trained
    assert load_ladder(folder) == load_ladder(folder / "manifest.json") == ladder


def test_a_configuration_without_layers_is_refused(tmp_path: Path) -> None:
    llama(tmp_path / "empty", 16)
    config = tmp_path / "empty" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"hidden_size": 0, "num_hidden_layers": 0}))
    with pytest.raises(InputError, match=r"config\.json: a model of this configuration has no parameters but"):
        load_ladder(tmp_path / "empty", "empty=1e9")


def test_tied_and_other_embeddings_are_not_counted(tmp_path: Path) -> None:
    total, without = count_params(llama(tmp_path / "tied", 16, tied=True))
    assert total - without == 64 * 16
    total, without = count_params(neox(tmp_path / "neox"))
    assert total - without == 2 * 64 * 16
    assert without == 2 * (12 * 16**2 + 9 * 16 + 4 * 16) + 2 * 16


def test_folders_without_usable_weights_are_named(openbmb: Path, tmp_path: Path) -> None:
    shutil.copytree(openbmb / "s1", tmp_path / "bare" / "s1")
    (tmp_path / "bare" / "s1" / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"s1 .*: a checkpoint folder without weights"):
        load_ladder(tmp_path / "bare", "s1=1e9")
    torch.save({}, tmp_path / "bare" / "s1" / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"only pickled weights .*Convert"):
        load_ladder(tmp_path / "bare", "s1=1e9")
    (tmp_path / "bare" / "s1" / "config.json").write_text(json.dumps({"model_type": "unheard-of"}))
    with pytest.raises(InputError, match=r"config.json: not readable as a causal language model"):
        load_ladder(tmp_path / "bare", "s1=1e9")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no checkpoints"):
        load_ladder(tmp_path / "empty", "s1=1e9")
    with pytest.raises(InputError, match=r"neither a folder nor the name of a hub repository"):
        load_ladder(tmp_path / "absent", "s1=1e9")


def test_a_manifest_whose_checkpoint_is_gone_is_refused(trained: tuple[Path, Ladder], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(trained[0], tmp_path / "tiny"))
    shutil.rmtree(folder / "t1")
    with pytest.raises(InputError, match=r"checkpoint 't1-\d+' is not at"):
        Ladder.read(folder)
