"""BERT from pretrained weights: made checkpoints in every form in which real ones come, and their word pieces."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import platformdirs
import pytest
import torch
from made_bert import PIECES, SETTINGS, plain, random_tensors, write_checkpoint, write_tensors, write_texts
from scripted import case, run_of

from bench.architectures import ARCHITECTURES
from bench.architectures.bert import BertClassifier, Hyperparameters, build, parameter_count
from bench.cli import fetching
from bench.cli.report import html
from bench.contracts import check
from bench.errors import ModelError
from bench.jobs import Job, JobKind
from bench.observations import Fit
from bench.plan import resolve
from bench.records import FitSettings, Measure, Outcome, Plan, Variant
from bench.spec import InputKind, OutputKind, Spec
from bench.suite_check import read
from bench.tasks.data import checkpoints, needed
from bench.tasks.data.cache import file_sha256
from bench.tasks.data.checkpoints import open_checkpoint
from bench.tasks.data.providers import find
from bench.tasks.data.sources import MINILM, Package
from bench.tasks.imdb import Imdb
from bench.tasks.imdb import Options as ImdbOptions
from bench.tasks.wordpieces import word_pieces
from bench.worker import perform

SPEC = Spec(
    inputs=InputKind.TOKENS, outputs=OutputKind.CLASSES, sequence_length=16, vocabulary_size=60, padding_id=0, classes=2
)
ROWS = torch.tensor([[2, 5, 9, 11, 3], [2, 7, 3, 4, 4]])
LENGTHS = torch.tensor([5, 3])


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / "cache" / name)
    monkeypatch.delenv("BENCH_DATA", raising=False)


@pytest.fixture
def safetensors() -> None:
    pytest.importorskip("safetensors.torch", reason="safetensors is an extra")


@pytest.fixture
def tokenizers() -> None:
    pytest.importorskip("tokenizers", reason="tokenizers is an extra")


def loaded(folder: Path | str) -> BertClassifier:
    model = build(SPEC, Hyperparameters(weights=str(folder))).eval()
    assert isinstance(model, BertClassifier)
    return model


def difference(one: torch.Tensor, other: torch.Tensor) -> float:
    return (one - other).abs().max().item()


# ── weights ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("safetensors")
@torch.no_grad()
def test_a_checkpoint_computes_what_plain_loops_over_its_tensors_do(tmp_path: Path) -> None:
    model = loaded(write_checkpoint(tmp_path)).double()
    tensors = {name: values.double() for name, values in random_tensors().items()}
    states = model.encode(ROWS, LENGTHS)
    logits = model(ROWS, LENGTHS)
    for place, length in enumerate(LENGTHS.tolist()):
        expected, pooled = plain(tensors, ROWS[place, :length].tolist(), heads=3)
        assert difference(states[place, :length], expected) <= 1e-10
        assert difference(logits[place], model.classifier(pooled)) <= 1e-10


@pytest.mark.usefixtures("safetensors")
@torch.no_grad()
def test_older_names_other_heads_and_half_precision_are_read(tmp_path: Path) -> None:
    def older(name: str) -> str:
        return f"bert.{name}".replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")

    halved = {name: values.half() for name, values in random_tensors().items()}
    others = {"cls.predictions.bias": torch.zeros(60), "classifier.weight": torch.zeros(9, 12)}
    others |= {"bert.embeddings.position_ids": torch.zeros(1, 40)}
    plain_names = loaded(write_checkpoint(tmp_path / "new", {name: half.float() for name, half in halved.items()}))
    older_names = loaded(
        write_checkpoint(tmp_path / "old", {older(name): half for name, half in halved.items()} | others)
    )
    assert torch.equal(older_names.encode(ROWS, LENGTHS), plain_names.encode(ROWS, LENGTHS))
    assert older_names.words.weight.dtype is torch.float32


@pytest.mark.usefixtures("safetensors")
def test_its_classifier_is_fresh_and_everything_trains(tmp_path: Path) -> None:
    folder = str(write_checkpoint(tmp_path))
    torch.manual_seed(0)
    first, second = loaded(folder), loaded(folder)
    assert not torch.equal(first.classifier.weight, second.classifier.weight)
    assert torch.equal(first.pooler.weight, second.pooler.weight)
    architecture, task = ARCHITECTURES.get("bert"), Imdb(ImdbOptions(vocabulary_size=60))
    assert check(architecture, task, task.spec(32), Hyperparameters(weights=folder)) == {}


def test_on_meta_nothing_but_its_settings_is_read(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path)
    (folder / "model.safetensors").unlink()
    with torch.device("meta"):
        model = build(SPEC, Hyperparameters(weights=str(folder)))
    found = sum(parameter.numel() for parameter in model.parameters())
    assert found == parameter_count(SPEC, Hyperparameters(weights=str(folder)))
    assert found == sum(values.numel() for values in random_tensors().values()) + (12 + 1) * 2


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("head", ["BertModel", "BertForSequenceClassification"])
@torch.no_grad()
def test_it_equals_transformers(tmp_path: Path, head: str) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is an extra")
    config = transformers.BertConfig(
        vocab_size=60,
        hidden_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=96,
        max_position_embeddings=40,
    )
    torch.manual_seed(0)
    saved = getattr(transformers, head)(config)
    for parameter in saved.parameters():
        parameter.normal_(std=0.2)
    saved.save_pretrained(tmp_path)
    (tmp_path / "vocab.txt").write_text("".join(f"{piece}\n" for piece in PIECES))
    model, reference = loaded(tmp_path), transformers.BertModel.from_pretrained(tmp_path).eval()
    mask_BL = torch.arange(5) < LENGTHS[:, None]
    theirs = reference(input_ids=ROWS, attention_mask=mask_BL.long())
    ours = model.encode(ROWS, LENGTHS)
    assert difference(ours[mask_BL], theirs.last_hidden_state[mask_BL]) <= 1e-5
    assert difference(torch.tanh(model.pooler(ours[:, 0])), theirs.pooler_output) <= 1e-5
    assert difference(model.encode(ROWS, None), reference(input_ids=ROWS).last_hidden_state) <= 1e-5


# ── wrong checkpoints ──────────────────────────────────────────────────────────────────────────────────────────────

Change = Callable[[Path], object]


def settings(**changed: Any) -> Change:
    def change(folder: Path) -> None:
        (folder / "config.json").write_text(json.dumps({**SETTINGS, **changed}))

    return change


def tensors(without: str = "", **added: torch.Tensor) -> Change:
    def change(folder: Path) -> None:
        kept = {name: values for name, values in random_tensors().items() if not without or without not in name}
        write_tensors(
            folder / "model.safetensors", {**kept, **{name.replace("__", "."): t for name, t in added.items()}}
        )

    return change


def text(file: str, content: str | bytes) -> Change:
    return lambda folder: (folder / file).write_bytes(content.encode() if isinstance(content, str) else content)


WRONG_SETTINGS: list[tuple[Change, str]] = [
    (settings(model_type="roberta"), r"config\.json: model_type is 'roberta', expected 'bert'"),
    (settings(hidden_act="relu"), r"config\.json: hidden_act is 'relu', expected 'gelu'"),
    (settings(position_embedding_type="relative_key"), r"position_embedding_type is 'relative_key'"),
    (settings(is_decoder=True), r"is_decoder is True, expected False"),
    (settings(hidden_size=None), r"hidden_size is None, expected a whole number from 1 on"),
    (settings(num_hidden_layers=True), r"num_hidden_layers is True, expected a whole number"),
    (settings(num_attention_heads=5), r"hidden_size 12 is no multiple of num_attention_heads 5"),
    (settings(vocab_size=13), r"vocab\.txt has 14 word pieces, more than vocab_size 13"),
    (settings(vocab_size=50), r"knows 50 word pieces, but made inputs have 60 ids; give the task vocabulary_size = 50"),
    (settings(max_position_embeddings=15), r"has 15 positions, the sequence length is 16; take a shorter one"),
    (text("config.json", "{"), r"config\.json is no JSON"),
    (text("config.json", "[1]"), r"config\.json is a JSON list, expected an object"),
    (text("vocab.txt", b"caf\xe9"), r"vocab\.txt is not UTF-8"),
    (
        lambda folder: (folder / "config.json").unlink(),
        r"holds no config\.json, expected model\.safetensors, config\.json",
    ),
    (lambda folder: (folder / "vocab.txt").unlink(), r"holds no vocab\.txt"),
]
WRONG_WEIGHTS: list[tuple[Change, str]] = [
    (tensors(without="pooler"), r"model\.safetensors lacks pooler\.dense\.weight and 1 more; expected a BERT encoder"),
    (tensors(without="1.attention.self.key.bias"), r"lacks encoder\.layer\.1\.attention\.self\.key\.bias; expected"),
    (settings(num_hidden_layers=3), r"lacks encoder\.layer\.2\.attention\.self\.query\.weight and 15 more"),
    (settings(num_hidden_layers=1), r"also holds encoder\.layer\.1\.\S+ and 15 more; expected a BERT encoder"),
    (settings(intermediate_size=21), r"intermediate\.dense\.weight is \(20, 12\), expected \(21, 12\) and 5 more"),
    (tensors(encoder__layer__0__attention__self__value__weight=torch.zeros(12)), r"value\.weight is \(12,\), expected"),
    (tensors(encoder__albert__weight=torch.zeros(2)), r"also holds encoder\.albert\.weight; expected a BERT encoder"),
    (text("model.safetensors", b"no tensors"), r"model\.safetensors cannot be read"),
    (lambda folder: (folder / "model.safetensors").unlink(), r"holds no model\.safetensors"),
]


@pytest.mark.parametrize(("change", "says"), WRONG_SETTINGS, ids=[says for _, says in WRONG_SETTINGS])
def test_wrong_settings_are_one_sentence(tmp_path: Path, change: Change, says: str) -> None:
    change(write_checkpoint(tmp_path))
    with pytest.raises(ModelError, match=says) as error, torch.device("meta"):
        loaded(tmp_path)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"pretrained weights '{tmp_path}': ")


@pytest.mark.usefixtures("safetensors")
@pytest.mark.parametrize(("change", "says"), WRONG_WEIGHTS, ids=[says for _, says in WRONG_WEIGHTS])
def test_wrong_weights_are_one_sentence(tmp_path: Path, change: Change, says: str) -> None:
    change(write_checkpoint(tmp_path))
    with pytest.raises(ModelError, match=says) as error:
        loaded(tmp_path)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"pretrained weights '{tmp_path}': ")


def test_what_is_no_folder_is_told() -> None:
    with pytest.raises(
        ModelError, match=r"'minilmm': is no folder; expected 'minilm', 'hub:ID' or a folder with model"
    ):
        loaded("minilmm")


@pytest.mark.parametrize(
    ("package", "use"),
    [
        ("safetensors", loaded),
        ("tokenizers", lambda folder: word_pieces(open_checkpoint(str(folder))).encode(["a"])),
        ("transformers", lambda _: loaded("hub:maker/small")),
    ],
)
def test_without_the_extra_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, use: Callable[[Path], object]
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    for part in ("safetensors.torch", "transformers.utils"):
        monkeypatch.delitem(sys.modules, part, raising=False)
    with pytest.raises(ModelError, match=rf'need {package}, .*; run: pip install "bench\[bert\]"$'):
        use(write_checkpoint(tmp_path))


# ── where weights come from ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("safetensors")
def test_a_package_is_read_out_of_its_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, data = write_checkpoint(tmp_path / "made"), tmp_path / "data"
    data.mkdir()
    with zipfile.ZipFile(data / "made.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
        for file in folder.iterdir():
            wheel.write(file, f"made/model/{file.name}")
    package = Package(requirement="made==1", file="made.whl", sha256=file_sha256(data / "made.whl"), size_bytes=1)
    source = dataclasses.replace(MINILM, providers=(package,))
    monkeypatch.setitem(checkpoints.PACKAGED, "made", (source, "made/model"))  # type: ignore[arg-type]
    monkeypatch.setenv("BENCH_DATA", str(data))
    assert torch.equal(loaded("made").encode(ROWS, LENGTHS), loaded(folder).encode(ROWS, LENGTHS))
    assert word_pieces(open_checkpoint("made")) == word_pieces(open_checkpoint(str(folder)))


@pytest.mark.slow
@torch.no_grad()
def test_a_hub_is_asked_through_transformers(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="transformers is an extra")
    model = tmp_path / "hub" / "models--maker--small"
    write_checkpoint(model / "snapshots" / "abc")
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text("abc")
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from bench.errors import ModelError
from test_bert_pretrained import LENGTHS, ROWS, loaded
print(float(loaded("hub:maker/small").encode(ROWS, LENGTHS).detach().sum()))
try:
    loaded("hub:maker/none")
except ModelError as error:
    print(str(error).splitlines()[0])
"""
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-W", "ignore", "-c", code]
    said = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.splitlines()
    expected = loaded(model / "snapshots" / "abc").encode(ROWS, LENGTHS)
    assert float(said[0]) == pytest.approx(float(expected.sum()), abs=1e-5)
    assert said[1].startswith("pretrained weights 'hub:maker/none': config.json cannot be fetched")


@pytest.mark.parametrize(("weights", "fetched"), [("minilm", ["imdb", "minilm"]), ("", ["imdb"])])
def test_weights_are_brought_before_anything_is_measured(
    monkeypatch: pytest.MonkeyPatch, weights: str, fetched: list[str]
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(fetching, "fetch", lambda source: seen.append(source.name))
    fetching.bring_data(plan_of("bert", f'weights = "{weights}"'))
    assert seen == fetched
    assert needed("minilm") is MINILM


def test_whose_weights_are_needed_is_said_by_the_architecture_and_of_nothing_that_is_skipped(tmp_path: Path) -> None:
    assert plan_of("bert", 'weights = "minilm"').pretrained == ("minilm",)
    skipped = plan_of("bert", 'weights = "minilm"', table=NOT_ON_CPU)
    assert {bool(case.skip) for case in skipped.cases} == {True}
    assert skipped.pretrained == ()
    (tmp_path / "heavy.py").write_text(WEIGHTED)
    # an option of another architecture that is called weights is its own affair
    assert plan_of("heavy.py:Weighted", 'weights = "minilm"', folder=tmp_path).pretrained == ()


WEIGHTED = """
from torch import nn

class Weighted(nn.Module):
    def __init__(self, vocab_size, num_classes, weights=""):
        super().__init__()
        self.table = nn.EmbeddingBag(vocab_size, num_classes)
    def forward(self, inputs):
        return self.table(inputs)
"""


FIT = "[accuracy]\nsequence_lengths = [16]\nepochs = 1\n"
NOT_ON_CPU = '[speed]\nworkloads = ["inference"]\nsequence_lengths = [16]\nbatch_sizes = [1]\nprecisions = ["fp16"]\n'


def plan_of(name: str, options: str, *, table: str = FIT, folder: Path | None = None) -> Plan:
    """The plan of a suite of one architecture on film reviews."""
    text = f'name = "s"\ntask = "imdb"\n[[architecture]]\nname = "{name}"\n{options}\n{table}'
    suite = read(tomllib.loads(text), path=Path("s.toml"), where="s.toml", text=text, options={})
    return resolve(suite, threads=1, device="cpu", folder=folder)


def test_the_page_tells_whose_weights_they_are() -> None:
    run = run_of(case("bert"))
    page = html([(dataclasses.replace(run, plan=dataclasses.replace(run.plan, pretrained=("minilm",))), {})]).decode()
    assert "all-MiniLM-L6-v2" in page
    assert "Licence: Apache-2.0" in page
    assert "all-MiniLM" not in html([(run, {})]).decode()


@pytest.mark.network
@pytest.mark.usefixtures("safetensors", "tokenizers")
@torch.no_grad()
def test_the_real_minilm_knows_what_is_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # where it lies on this machine
    if find(MINILM)[0] is None:
        pytest.skip("the package is not here; `bench data fetch minilm` brings it")
    model = build(dataclasses.replace(SPEC, vocabulary_size=20_000), Hyperparameters(weights="minilm")).eval()
    assert isinstance(model, BertClassifier)
    assert sum(parameter.numel() for parameter in model.parameters()) == 22_713_216 + (384 + 1) * 2
    pieces = word_pieces(open_checkpoint("minilm"))
    assert pieces.lower_case
    ids, offsets = pieces.encode(["A wonderful film.", "What a great movie!", "The train is late."])
    texts = [torch.tensor(ids[begin:end]).long()[None] for begin, end in itertools.pairwise(offsets)]
    assert texts[0].tolist() == [[101, 1037, 6919, 2143, 1012, 102]]
    means = [torch.nn.functional.normalize(model.encode(row, None)[0].mean(dim=0), dim=0) for row in texts]
    assert float(means[0] @ means[1]) > 0.6 > 0.3 > float(means[0] @ means[2])


@pytest.mark.usefixtures("safetensors", "tokenizers")
def test_a_worker_fits_it_on_word_pieces(tmp_path: Path) -> None:
    write_texts(tmp_path)
    weights = str(write_checkpoint(tmp_path / "weights"))
    fitted = case(
        "bert",
        workload="fit",
        task="text-classification",
        task_options={"file": "texts.csv", "vocabulary_size": 60},
        variant=Variant(architecture="bert", label="bert", hyperparameters={"weights": weights, "dropout": 0.0}),
        sequence_length=12,
        fit=FitSettings(epochs=20, batch_size=4, learning_rates=(3e-3,)),
    )
    found = perform(Job(kind=JobKind.FIT, case=fitted, measure=Measure(), folder=str(tmp_path)), lambda _: None, 0.0)
    assert isinstance(found, Fit)
    assert found.outcome is Outcome.OK
    assert found.metrics["accuracy"] == 1.0
