"""`bench run --save-models` and `bench predict`: from a suite to answers, and everything that may be amiss on the way."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import platformdirs
import pytest
import torch
from made_bert import write_checkpoint
from made_models import SUITE, InProcess, write_texts
from PIL import Image
from sklearn.datasets import load_breast_cancer, load_digits

from bench import store
from bench.cli import main
from bench.errors import ExitCode
from bench.jobs import Job
from bench.observations import Fit
from bench.saved import FORMAT_VERSION, read, write
from bench.store import RunFolder

HERE = Path(__file__).parent
GOLDEN = HERE / "golden" / "predict.txt"
ASKED = ("a lovely film", "such a poor and horrible film it is", "great, great, great!")
SIDES = ["positive", "negative", "positive"]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, a cache of its own, and fits that are trained in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / "cache" / name)
    monkeypatch.setattr("bench.executors.local.Server", InProcess())
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the run of `SUITE`, once for all tests of this file."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(platformdirs, "user_cache_path", lambda name: folder / "cache" / name)
        patch.setattr("bench.executors.local.Server", InProcess())
        assert leave("run", str(write_texts(folder)), "--save-models") == ExitCode.OK
        # nothing of the data is needed from here on
        shutil.rmtree(folder / "cache")
        (folder / "mine.csv").unlink()
        yield folder


@pytest.fixture
def run(place: Path, trained: Path) -> RunFolder:
    """A copy of that run, in the working folder."""
    shutil.copytree(trained / "results", place / "results")
    (folder,) = store.run_folders(place / "results")
    return store.open_run(folder)


def leave(*arguments: str) -> int:
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    return int(exit_info.value.code or 0)


Said = Callable[..., str]


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str]) -> Said:
    """What `bench predict` prints; with a code, the one sentence with which it fails."""

    def answer(*arguments: str, code: ExitCode = ExitCode.OK) -> str:
        capfd.readouterr()
        found = leave("predict", *arguments)
        out, err = capfd.readouterr()
        assert found == code, err
        if code is ExitCode.OK:
            assert err == ""
            return out
        assert (out, err.count("\n"), err[:7]) == ("", 1, "error: "), err
        return err[7:-1]

    return answer


def model_files(folder: Path) -> list[Path]:
    return sorted((folder / "models").iterdir())


def model_file(folder: RunFolder, label: str, seed: int) -> Path:
    (found,) = [path for path in model_files(folder.path) if f"-{label}-" in path.name and f"-seed{seed}." in path.name]
    return found


# ── answers ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_table_for_people(run: RunFolder, said: Said) -> None:
    printed = said("latest", "gru", *ASKED)
    # the digits of a probability, and how wide they are, are torch's business
    shown = re.sub(r"\d+(\.\d+)? %", "N %", printed).replace(run.run.run_id, "RUN")
    shown = re.sub(r" *\n", "\n", re.sub(r"( |─)\1+", r"\1", shown))
    assert shown == GOLDEN.read_text()


@pytest.mark.parametrize("case", ["gru", "bag", "text-classification-file=mine.csv/gru/fit/L12", "*/bag/*"])
def test_answers_for_programs_are_the_same_in_both_forms(run: RunFolder, said: Said, case: str) -> None:
    rows = json.loads(said("latest", case, *ASKED, "--format", "json"))
    assert [row["input"] for row in rows] == list(ASKED)
    assert [row["answer"] for row in rows] == SIDES
    for row in rows:
        assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-6)
        assert row["answer"] == max(row["probabilities"], key=row["probabilities"].__getitem__)
    table = list(csv.DictReader(io.StringIO(said("latest", case, *ASKED, "--format", "csv"))))
    assert [row["answer"] for row in table] == SIDES
    assert [float(row["p(positive)"]) for row in table] == [row["probabilities"]["positive"] for row in rows]


def shares(said: Said, *arguments: str) -> list[float]:
    rows = json.loads(said("latest", *arguments, "--format", "json"))
    return [row["probabilities"]["positive"] for row in rows]


@pytest.mark.parametrize("case", ["gru", "bag"])
def test_a_batch_answers_as_one_by_one(run: RunFolder, said: Said, case: str) -> None:
    together = shares(said, case, *ASKED)
    alone = [shares(said, case, text)[0] for text in ASKED]
    assert together == pytest.approx(alone, abs=1e-5)
    assert len(set(together)) == len(ASKED)


def test_what_is_kept_is_what_was_tested(place: Path, said: Said) -> None:
    suite = write_texts(place)
    assert leave("run", str(suite), "--save-models", "--filter", "gru") == ExitCode.OK
    (folder,) = store.run_folders(place / "results")
    fit = next(one for one in store.open_run(folder).observations if isinstance(one, Fit) and one.seed == 5)
    # the test split in its order, from the file: of each class the last fifth by SHA-256 of its texts
    from bench.tasks.text_classification import Options, TextClassification

    task = TextClassification(Options(file=str(place / "mine.csv")))
    data = task.load(task.spec(12))
    batch = data.test.batch(range(len(data.test)))
    texts = [" ".join(data.words[one] or "?unknown" for one in row if one) for row in batch.inputs.tolist()]
    rows = json.loads(said("latest", "gru", *texts, "--seed", "5", "--format", "json"))
    assert [fit.classes.index(row["answer"]) for row in rows] == list(fit.predictions)


def test_seeds_are_told_apart_and_the_first_is_the_default(run: RunFolder, said: Said) -> None:
    first, third, fifth = (shares(said, "gru", *ASKED, *more) for more in ([], ["--seed", "3"], ["--seed", "5"]))
    assert first == third
    assert first != fifth
    assert "seed 5" in said("latest", "gru", "a film", "--seed", "5")
    model_file(run, "gru", 3).unlink()
    assert shares(said, "gru", *ASKED) == fifth, "the first that is there"


def test_files_and_standard_input_hold_a_text_a_line(
    place: Path, run: RunFolder, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = shares(said, "gru", *ASKED)
    (place / "my texts.TXT").write_text("\n".join(["", *ASKED, "  "]), encoding="utf-8-sig")
    assert shares(said, "gru", "my texts.TXT") == expected
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\r\n".join(ASKED[1:]).encode())))
    assert shares(said, "gru", ASKED[0], "-") == expected
    # blanks and no such file: it is a text
    assert len(shares(said, "gru", f"a lovely film called {'x' * 300} in notes.txt")) == 1


def test_words_after_the_length_are_not_read(run: RunFolder, said: Said) -> None:
    long = " ".join(["lovely"] * 12)
    assert shares(said, "gru", long) == shares(said, "gru", f"{long} horrible horrible")


def test_a_picture_is_read_as_those_that_were_trained_on(place: Path, said: Said) -> None:
    suite = '[[architecture]]\nname = "cnn"\n[accuracy]\nepochs = 4\nfolds = 1\nlearning_rates = [0.01]\nseeds = [0]\n'
    for task in ("images", "pixels"):
        text = suite if task == "images" else suite.replace("cnn", "mlp").replace("epochs = 4", "epochs = 1")
        (place / f"{task}.toml").write_text(f'name = "{task}"\ntask = "{task}"\n{text}')
    assert leave("run", "images.toml", "--save-models", "--set", "measure.passes=[]") == ExitCode.OK
    digits = load_digits()
    for number in range(20):
        grey = (digits.images[number] / 16 * 255).round().astype(np.uint8)
        Image.fromarray(grey).save(f"{number}.png")
        Image.fromarray(255 - grey).resize((40, 24), Image.Resampling.NEAREST).convert("RGB").save(f"dark-{number}.png")
    names = [f"{number}.png" for number in range(20)]
    rows = json.loads(said("latest", "images/cnn", *names, "--format", "json"))
    right = [row["answer"] == str(target) for row, target in zip(rows, digits.target, strict=False)]
    assert sum(right) >= 17
    turned = json.loads(said("latest", "cnn", *(f"dark-{name}" for name in names), "--invert", "--format", "json"))
    right = [row["answer"] == str(target) for row, target in zip(turned, digits.target, strict=False)]
    assert sum(right) >= 15
    (place / "bad.png").write_bytes(b"no picture")
    assert said("latest", "cnn", "bad.png", code=ExitCode.USAGE) == (
        "bad.png: is no picture; expected a PNG, JPEG or PGM file"
    )
    assert "No such file" in said("latest", "cnn", "0.png", "none.png", code=ExitCode.USAGE)
    assert "trained with seeds 0 and folds 0" in said("latest", "cnn", "0.png", "--fold", "1", code=ExitCode.USAGE)


def test_rows_of_numbers_are_standardised_as_in_training(place: Path, said: Said) -> None:
    (place / "t.toml").write_text(
        'name = "t"\ntask = "tabular"\n[[architecture]]\nname = "mlp"\n'
        "[accuracy]\nepochs = 5\nfolds = 2\nseeds = [0]\nlearning_rates = [0.01]\n"
    )
    assert leave("run", "t.toml", "--save-models") == ExitCode.OK
    table = load_breast_cancer()
    lines = [",".join(map(str, row)) for row in table.data[:40]]
    (place / "rows.csv").write_text("\n".join(lines))
    rows = json.loads(said("latest", "mlp", "rows.csv", "--fold", "1", "--format", "json"))
    named = [str(table.target_names[target]) for target in table.target[:40]]
    assert sum(row["answer"] == name for row, name in zip(rows, named, strict=True)) >= 36
    assert rows[0]["input"] == lines[0]
    for row, sentence in (
        ("1,2", "'1,2': found 2 values, expected 30 numbers with commas between them"),
        (lines[0].replace("17.99", "many"), "found 'many', expected a number"),
        (lines[0].replace("17.99", "nan"), "found 'nan', expected a number"),
    ):
        assert sentence in said("latest", "mlp", row, code=ExitCode.USAGE)
    assert "--invert: task 'tabular' takes numbers" in said("latest", "mlp", lines[0], "--invert", code=ExitCode.USAGE)


# ── what is amiss ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nothing", "gru", "a film"], "holds no run 'nothing'"),
        (
            ["latest", "grru", "a film"],
            "no trained case fits 'grru'; did you mean 'text-classification-file=mine.csv/gru/fit/L12'?",
        ),
        (["latest", "xyz", "a film"], "expected one of: text-classification-file=mine.csv/bag/fit/L12, text-"),
        (["latest", "fit", "a film"], "'fit' fits several: text-classification-file=mine.csv/gru/fit/L12, text-"),
        (["latest", "gru", "a film", "--seed", "4"], "'gru' was trained with seeds 3, 5 and no folds"),
        (["latest", "gru", "a film", "--fold", "0"], "'gru' was trained with seeds 3, 5 and no folds"),
        (["latest", "gru", "a film", "--invert"], "--invert: task 'text-classification' takes a text"),
        (["latest", "gru", ""], "found the text '', expected one with a word in it"),
        (["latest", "gru", "a film", "?!"], "found the text '?!', expected one with a word in it"),
        (["latest", "gru", "nowhere.txt"], "nowhere.txt: cannot be read (No such file or directory)"),
        (["latest", "gru", "empty.txt"], "found no input, expected a text, or a file with one a line"),
        (["latest", "gru", "latin.txt"], "latin.txt: is not UTF-8"),
        (["latest", "gru", "caf\udce9"], "an input: is not UTF-8"),
    ],
)
def test_wrong_arguments_are_one_clear_sentence(
    place: Path, run: RunFolder, said: Said, arguments: Sequence[str], sentence: str
) -> None:
    (place / "empty.txt").write_text("\n \n")
    (place / "latin.txt").write_bytes("café".encode("latin-1"))
    assert sentence in said(*arguments, code=ExitCode.USAGE)


def test_a_damaged_and_a_foreign_file_are_told(run: RunFolder, said: Said) -> None:
    mine, ask = model_file(run, "gru", 3), ("latest", "gru", "a film")
    whole = mine.read_bytes()
    mine.write_bytes(whole[:-1])
    assert "is no whole safetensors file" in said(*ask, code=ExitCode.USAGE)
    mine.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "is damaged (its content does not have its checksum)" in said(*ask, code=ExitCode.USAGE)
    torch.save({"weight": torch.ones(2)}, mine)
    assert "is no whole safetensors file" in said(*ask, code=ExitCode.USAGE)
    mine.write_bytes(struct.pack("<Q", 2) + b"{}")
    assert "but no model that `bench run` kept" in said(*ask, code=ExitCode.USAGE)


@pytest.mark.parametrize(
    ("label", "seed", "what"), [("gru", 5, "seed: found 5"), ("bag", 3, "architecture: found nbow")]
)
def test_a_file_of_another_fit_is_told(run: RunFolder, said: Said, label: str, seed: int, what: str) -> None:
    shutil.copy(model_file(run, label, seed), model_file(run, "gru", 3))
    sentence = said("latest", "gru", "a film", code=ExitCode.USAGE)
    assert f"is the model of another fit ({what}" in sentence


def test_a_file_is_never_a_reason_to_import_what_it_names(run: RunFolder, said: Said, place: Path) -> None:
    (place / "evil.py").write_text("from pathlib import Path\nPath('ran').touch()\nclass Net: pass\n")
    mine = model_file(run, "gru", 3)
    about, weights = read(mine)
    write(mine, replace(about, architecture="evil.py:Net", imports=("evil.py",)), weights)
    assert "architecture: found evil.py:Net, expected gru" in said("latest", "gru", "a film", code=ExitCode.USAGE)
    write(mine, replace(about, imports=("evil.py",)), weights)
    said("latest", "gru", "a film")
    assert not (place / "ran").exists()


def test_weights_of_another_size_are_told(run: RunFolder, said: Said) -> None:
    mine = model_file(run, "gru", 3)
    about, weights = read(mine)
    first = next(iter(weights))
    write(mine, about, {name: value[:1] if name == first else value for name, value in weights.items()})
    assert f"its weights do not fit 'gru': {first} is" in said("latest", "gru", "a film", code=ExitCode.USAGE)


def test_a_model_of_a_newer_version_is_not_comparable(run: RunFolder, said: Said) -> None:
    mine = model_file(run, "gru", 3)
    about, weights = read(mine)
    write(mine, replace(about, bench_model=FORMAT_VERSION + 1), weights)
    assert "install a newer version" in said("latest", "gru", "a film", code=ExitCode.NOT_COMPARABLE)


def test_a_run_without_the_option_keeps_nothing_and_predict_names_it(place: Path, said: Said) -> None:
    assert leave("run", str(write_texts(place)), "--filter", "bag") == ExitCode.OK
    (folder,) = store.run_folders(place / "results")
    assert not (folder / "models").exists()
    sentence = said("latest", "bag", "a film", code=ExitCode.USAGE)
    assert "seed 3 was not kept; measure again with `bench run --save-models`" in sentence


def test_where_nothing_is_trained_there_is_nothing_to_keep(
    place: Path, said: Said, capfd: pytest.CaptureFixture[str]
) -> None:
    (place / "t.toml").write_text(
        'name = "t"\ntask = "tabular"\n[[architecture]]\nname = "mlp"\n[speed]\nworkloads = ["inference"]\nbatch_sizes = [8]\n'
    )
    assert leave("run", "t.toml", "--save-models") == ExitCode.USAGE
    assert "--save-models: suite 't' trains nothing here" in capfd.readouterr().err
    assert leave("run", "--resume", "--save-models") == ExitCode.USAGE
    assert "--save-models: a run goes on as it was planned" in capfd.readouterr().err
    assert not list((place / "results").iterdir())
    assert leave("run", "t.toml", "--set", "measure.passes=[]") == ExitCode.OK
    assert "has no accuracy cases" in said("latest", "mlp", "1,2", code=ExitCode.USAGE)


def test_what_could_not_be_kept_is_told_and_the_fit_is_not_lost(
    place: Path, said: Said, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def in_the_way(number: int, job: Job) -> None:
        if number == 0:
            Path(job.model).parent.write_text("a file where the folder should be")
        else:
            Path(job.model).parent.unlink(missing_ok=True)

    monkeypatch.setattr("bench.executors.local.Server", InProcess(before=in_the_way))
    assert leave("run", str(write_texts(place)), "--save-models", "--filter", "bag") == ExitCode.OK
    assert "its model was not kept: " in capfd.readouterr().out
    (folder,) = store.run_folders(place / "results")
    fits = [one for one in store.open_run(folder).observations if isinstance(one, Fit)]
    assert ["cannot be written" in fit.reason for fit in fits] == [True, False]
    assert all(fit.metrics for fit in fits)
    assert "was not kept: " in said("latest", "bag", "a film", "--seed", "3", code=ExitCode.USAGE)
    assert "seed 5" in said("latest", "bag", "a film")


@pytest.mark.parametrize("moment", ["before", "after"])
def test_models_are_kept_over_an_interruption(
    place: Path, said: Said, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    def killed(number: int, job: Job) -> None:
        if number == 1:
            raise KeyboardInterrupt

    suite = write_texts(place)
    monkeypatch.setattr("bench.executors.local.Server", InProcess(**{moment: killed}))
    assert leave("run", str(suite), "--save-models", "--filter", "bag") == ExitCode.INTERRUPTED
    (folder,) = store.run_folders(place / "results")
    assert len(model_files(folder)) == (1 if moment == "before" else 2)
    if moment == "before":
        sentence = said("latest", "bag", "a film", "--seed", "5", code=ExitCode.USAGE)
        assert f"is not trained yet; go on with `bench run --resume {folder.name}`" in sentence
    monkeypatch.setattr("bench.executors.local.Server", InProcess())
    assert leave("run", "--resume") == ExitCode.OK
    assert [path.name[-18:] for path in model_files(folder)] == ["-seed3.safetensors", "-seed5.safetensors"]
    resumed = read(model_files(folder)[1])[1]
    # the same weights as of a run that nobody interrupted
    monkeypatch.setattr("bench.executors.local.Server", InProcess())
    assert leave("run", str(suite), "--save-models", "--filter", "bag") == ExitCode.OK
    (other,) = [one for one in store.run_folders(place / "results") if one != folder]
    whole = read(model_files(other)[1])[1]
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())


def test_a_fit_that_diverged_has_no_model(place: Path, said: Said) -> None:
    settings = ["--set", "accuracy.learning_rates=[1e30]", "--set", 'accuracy.optimizer="sgd"']
    settings += ["--set", "accuracy.clip_norm=1e30", "--filter", "gru"]
    assert leave("run", str(write_texts(place)), "--save-models", *settings) == ExitCode.OK
    assert "its fit ended as diverged (" in said("latest", "gru", "a film", code=ExitCode.USAGE)


OWN = """
from torch import nn

class Mine(nn.Module):
    def __init__(self, vocab_size, num_classes):
        super().__init__()
        self.table = nn.Embedding(vocab_size, 4, padding_idx=0)
        self.head = nn.Linear(4, num_classes)

    def forward(self, x):
        return self.head(self.table(x).sum(1))
"""


def test_a_class_of_ones_own_is_imported_as_the_run_names_it(place: Path, said: Said) -> None:
    write_texts(place)
    (place / "models.py").write_text(OWN)
    text = SUITE.partition("[[architecture]]")[0] + '[[architecture]]\nname = "models.py:Mine"\nlabel = "mine"\n'
    (place / "made.toml").write_text(text + SUITE[SUITE.index("[accuracy]") :])
    assert leave("run", "made.toml", "--save-models") == ExitCode.OK
    rows = json.loads(said("latest", "mine", *ASKED, "--format", "json"))
    assert [row["answer"] for row in rows] == SIDES
    (place / "models.py").write_text("")
    for name in [name for name in sys.modules if name.startswith("bench_user_models_")]:
        del sys.modules[name]
    assert "the module has no 'Mine'" in said("latest", "mine", "a film", code=ExitCode.USAGE)


def test_a_fit_from_pretrained_weights_answers_as_it_was_trained_and_says_what_it_lacks(
    place: Path, said: Said
) -> None:
    pytest.importorskip("tokenizers", reason="tokenizers is an extra")
    weights = write_checkpoint(place / "weights")
    write_texts(place)
    entry = f'vocabulary_size = 60\n[[architecture]]\nname = "bert"\nweights = "{weights}"\n'
    text = SUITE.partition("[[architecture]]")[0] + entry + SUITE[SUITE.index("[accuracy]") :]
    (place / "made.toml").write_text(text)
    assert leave("run", "made.toml", "--save-models", "--set", "accuracy.epochs=1") == ExitCode.OK
    texts = ("the film", "good films, good films", "a b")
    together = shares(said, "bert", *texts)
    assert together == pytest.approx([shares(said, "bert", one)[0] for one in texts], abs=1e-5)
    assert len(set(together)) == len(texts)
    shutil.rmtree(weights)
    assert "weights': is no folder" in said("latest", "bert", "the film", code=ExitCode.USAGE)


def test_a_model_that_minds_its_neighbours_is_asked_one_by_one(run: RunFolder, said: Said) -> None:
    path = run.path / "cases.jsonl"
    path.write_text(path.read_text().replace('"red":[]', '"red":["padding"]'))
    asked: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.saved.ask", lambda *rest, at_once, **more: asked.append(at_once) or [])
        patch.setattr("bench.cli.predict._print_table", lambda *_: None)
        said("latest", "gru", *ASKED)
    assert asked == [1]


def test_a_made_task_takes_no_input(place: Path, said: Said) -> None:
    (place / "p.toml").write_text(
        'name = "p"\ntask = "parity"\n[[architecture]]\nname = "rnn"\nhidden_dim = 4\nembedding_dim = 4\n'
        "[accuracy]\nsequence_lengths = [4]\nepochs = 1\ntrain_items = 64\nseeds = [0]\n"
    )
    assert leave("run", "p.toml", "--save-models") == ExitCode.OK
    assert "task 'parity' takes no inputs of one's own" in said("latest", "rnn", "1", code=ExitCode.USAGE)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="children are forked on Linux only")
def test_from_the_shell_with_real_workers(place: Path) -> None:
    def bench(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "bench", *arguments], capture_output=True, text=True, **more)

    done = bench("run", str(write_texts(place)), "--save-models", "--set", "accuracy.seeds=[1]")
    assert done.returncode == ExitCode.OK, done.stderr
    asked = bench("predict", "latest", "gru", "-", "--format", "csv", input="\n".join(ASKED))
    assert [line.split(",")[-3] for line in asked.stdout.splitlines()[1:]] == SIDES, asked.stderr
    (folder,) = store.run_folders(place / "results")
    for path in model_files(folder):
        path.write_bytes(path.read_bytes()[:100])
    broken = bench("predict", "latest", "gru", "a film")
    assert (broken.returncode, broken.stdout, broken.stderr.count("\n")) == (ExitCode.USAGE, "", 1)
