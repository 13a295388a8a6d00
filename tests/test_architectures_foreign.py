"""A user's own classes: found by reference, filled by name, and every mistake answered with one sentence."""

from __future__ import annotations

import dataclasses
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.architectures.foreign import FROM_SPEC, fitting, import_module, lookup
from bench.codec import dumps
from bench.errors import ModelError, UsageError
from bench.options import fill
from bench.spec import InputKind, OutputKind, Spec

TEXT = Spec(
    inputs=InputKind.TOKENS, outputs=OutputKind.CLASSES, sequence_length=16, vocabulary_size=30, padding_id=0, classes=3
)
IMAGE = Spec(inputs=InputKind.IMAGE, outputs=OutputKind.CLASSES, image_shape=(2, 4, 5), classes=7)
FEATURES = Spec(inputs=InputKind.FEATURES, outputs=OutputKind.CLASSES, input_size=11, classes=2)

MODELS = '''
"""Written as a tutorial would write them."""
import beside
import torch
from torch import nn


class TutorialLSTM(nn.Module):
    """Reads the last column.

    And more.
    """
    def __init__(self, vocab_size, embedding_dim, hidden_dim, num_layers, dropout, num_classes):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embedding_dim)
        self.lstm = nn.LSTM(embedding_dim, hidden_dim, num_layers, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(hidden_dim, num_classes)

    def forward(self, text):
        output, _ = self.lstm(self.embedding(text))
        return self.fc(self.dropout(output[:, -1, :]))


class Remembers(nn.Module):
    """Keeps its arguments."""
    def __init__(self, **arguments):
        super().__init__()
        self.arguments = arguments
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return self.weight * x


class Names(Remembers):
    def __init__(self, vocab_size=None, num_classes=None, input_dim=None, in_channels=None, max_length=None,
                 padding_id=None, output_dim=None, input_size=None, output_size=5):
        super().__init__(**{key: value for key, value in locals().items() if key not in ("self", "__class__")})


class Defaults(Remembers):
    def __init__(self, num_classes, sizes=[3, 4], pair=(1, 2), activation=nn.ReLU(), rate=0.5, flag=True, word=None):
        super().__init__(sizes=sizes, pair=pair, activation=activation, rate=rate, flag=flag, word=word)


class Base(Remembers):
    def __init__(self, vocab_size, width=8, **kwargs):
        super().__init__(vocab_size=vocab_size, width=width, **kwargs)


class Derived(Base):
    def __init__(self, depth=2, **kwargs):
        super().__init__(depth=depth, **kwargs)


class NeedsVocabulary(nn.Module):
    def __init__(self, vocab_size):
        super().__init__()


class Raises(nn.Module):
    def __init__(self, size=1):
        raise ValueError("size must be even")


class Asks(nn.Module):
    def __init__(self):
        super().__init__()
        self.seen = {}

    def forward(self, x, mask=None, lengths=None):
        self.seen = {"mask": mask, "lengths": lengths}
        return x


class AsksNothing(nn.Module):
    def forward(self, x):
        return x


class NoModel:
    pass


def function():
    return 1


CONSTANT = 3
'''

REGISTERED = """
from dataclasses import dataclass
from torch import nn
from bench.architectures import Architecture, architecture
from bench.options import option
from bench.spec import InputKind, OutputKind


@dataclass(frozen=True, kw_only=True)
class Options:
    size: int = option(4, "a size")


@architecture("fake-registered", summary="s", source="p", inputs=[InputKind.TOKENS], outputs=[OutputKind.CLASSES],
              hyperparameters=Options, width="size")
def build(spec, hyperparameters):
    return nn.Linear(hyperparameters.size, 1)


BY_HAND = Architecture(name="by-hand", summary="h", source="p", inputs=frozenset(), outputs=frozenset(),
                       hyperparameters=Options, build=build)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A user's folder; what it brings into this process is taken out again."""
    path, modules = list(sys.path), set(sys.modules)
    (tmp_path / "beside.py").write_text("VALUE = 1\n")
    (tmp_path / "models.py").write_text(MODELS)
    package = tmp_path / "user_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "models.py").write_text("from torch import nn\n\n\nclass Net(nn.Module):\n    pass\n")
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def build(folder: Path, name: str, spec: Spec, **given: Any) -> nn.Module:
    architecture = lookup(f"models.py:{name}", folder)
    hyperparameters, problems = fill(architecture.hyperparameters, given)
    assert not problems
    return architecture.build(spec, hyperparameters)


def arguments(model: nn.Module) -> dict[str, Any]:
    return dict(model.model.arguments)  # type: ignore[arg-type, union-attr]


# ── filled by name ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_tutorial_class_runs_unchanged(folder: Path) -> None:
    given = {"embedding_dim": 6, "hidden_dim": 5, "num_layers": 2, "dropout": 0.1}
    model = build(folder, "TutorialLSTM", TEXT, **given)
    assert model(torch.ones(4, 16, dtype=torch.int64), None).shape == (4, 3)
    assert model.get_parameter("model.embedding.weight").shape == (30, 6)
    architecture = lookup("models.py:TutorialLSTM", folder)
    assert (architecture.name, architecture.summary) == ("models.py:TutorialLSTM", "Reads the last column.")
    assert architecture.supports(TEXT)
    assert architecture.supports(IMAGE)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            TEXT,
            {"vocab_size": 30, "num_classes": 3, "input_dim": 30, "max_length": 16, "padding_id": 0, "output_size": 3},
        ),
        (IMAGE, {"vocab_size": None, "input_dim": 40, "input_size": 40, "in_channels": 2, "num_classes": 7}),
        (FEATURES, {"input_dim": 11, "input_size": 11, "in_channels": None, "output_dim": 2, "max_length": None}),
    ],
    ids=["text", "image", "features"],
)
def test_the_task_fills_what_it_knows(folder: Path, spec: Spec, expected: dict[str, Any]) -> None:
    found = arguments(build(folder, "Names", spec))
    assert set(found) == set(FROM_SPEC)
    assert {name: found[name] for name in expected} == expected


def test_the_table_wins_over_the_task_and_defaults_stay(folder: Path) -> None:
    assert arguments(build(folder, "Names", TEXT, num_classes=9))["num_classes"] == 9
    found = arguments(build(folder, "Defaults", TEXT, rate=0.25, flag=False))
    assert isinstance(found.pop("activation"), nn.ReLU)
    assert found == {"sizes": [3, 4], "pair": (1, 2), "rate": 0.25, "flag": False, "word": None}
    assert arguments(build(folder, "Defaults", TEXT, sizes=[5], pair=[6, 7]))["sizes"] == [5]
    assert arguments(build(folder, "Defaults", TEXT, sizes=[5], pair=[6, 7]))["pair"] == (6, 7)


def test_hyperparameters_survive_the_way_to_a_child(folder: Path) -> None:
    architecture = lookup("models.py:Defaults", folder)
    assert architecture.defaults()["rate"] == 0.5
    record, _ = fill(architecture.hyperparameters, {"sizes": [1, 2]})
    given = dataclasses.asdict(record)  # type: ignore[call-overload]
    assert '"sizes":[1,2]' in dumps(given)
    assert fill(lookup("models.py:Defaults", folder).hyperparameters, given)[1] == []


def test_keyword_arguments_reach_base_classes_and_beyond(folder: Path) -> None:
    assert arguments(build(folder, "Derived", TEXT, width=3)) == {"vocab_size": 30, "width": 3, "depth": 2}
    assert arguments(build(folder, "Derived", TEXT, other=1))["other"] == 1
    architecture = lookup("models.py:Derived", folder)
    once, _ = fill(architecture.hyperparameters, {"other": 1})
    twice, _ = fill(architecture.hyperparameters, dataclasses.asdict(once))  # type: ignore[call-overload]
    assert dataclasses.asdict(twice) == dataclasses.asdict(once)  # type: ignore[call-overload]


# ── forward ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_forward_gets_lengths_and_mask_where_it_names_them(folder: Path) -> None:
    model, batch = build(folder, "Asks", TEXT), torch.ones(2, 3, dtype=torch.int64)
    model(batch, torch.tensor([3, 1]))
    seen: dict[str, Tensor] = model.model.seen  # type: ignore[assignment, union-attr]
    assert seen["mask"].tolist() == [[True, True, True], [True, False, False]]
    assert seen["lengths"].tolist() == [3, 1]
    model(batch)
    seen = model.model.seen  # type: ignore[assignment, union-attr]
    assert seen["mask"].all()
    assert seen["lengths"].tolist() == [3, 3]
    assert torch.equal(build(folder, "AsksNothing", TEXT)(batch, torch.tensor([3, 1])), batch)


# ── found by reference ─────────────────────────────────────────────────────────────────────────────────────────────


def test_registered_names_and_dotted_modules(folder: Path) -> None:
    assert lookup("lstm", folder).name == "lstm"
    assert lookup("user_package.models:Net", folder).name == "user_package.models:Net"


def test_a_file_is_imported_once(folder: Path) -> None:
    first = import_module("models.py", folder)
    assert import_module("./user_package/../models.py", folder.parent / folder.name) is first
    assert sys.modules[first.__name__] is first
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "models.py").write_text("OTHER = 1\n")
    assert import_module("elsewhere/models.py", folder) is not first


def test_a_module_that_is_already_here_is_not_imported_again() -> None:
    import fakes

    assert import_module("fakes.py", Path(__file__).parent) is fakes


def test_an_architecture_in_the_file_is_used_as_it_is(folder: Path) -> None:
    (folder / "registered.py").write_text(REGISTERED)
    for attribute, summary in (("build", "s"), ("BY_HAND", "h")):
        architecture = lookup(f"registered.py:{attribute}", folder)
        assert (architecture.name, architecture.summary) == (f"registered.py:{attribute}", summary)
        assert architecture.defaults() == {"size": 4}
    assert lookup("fake-registered", folder).width == "size"


def test_an_entry_point_may_name_a_plain_class(folder: Path) -> None:
    metadata = folder / "user_package-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: user-package\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[bench.architectures]\nuser-net = user_package.models:Net\n")
    sys.path.append(str(folder))
    architecture = lookup("user-net", folder)
    assert architecture.name == "user-net"
    assert isinstance(architecture.build(TEXT, architecture.hyperparameters()), nn.Module)
    assert "user-net" in fitting(TEXT)


# ── mistakes ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        ("nothing.py:Net", "'nothing.py': there is no such file; paths start at the suite's folder"),
        ("no_such_package.models:Net", "'no_such_package.models': importing it raised ModuleNotFoundError: No module"),
        ("models.py:TutorialLSTN", "'models.py:TutorialLSTN': the module has no 'TutorialLSTN'; did you mean 'Tuto"),
        ("models.py:NoModel", "'models.py:NoModel' is the class NoModel; expected a subclass of torch.nn.Module"),
        ("models.py:function", "'models.py:function' is a function; expected a subclass of torch.nn.Module"),
        ("models.py:CONSTANT", "'models.py:CONSTANT' is a int; expected a subclass of torch.nn.Module"),
        ("broken.py:Net", "'broken.py': importing it raised ZeroDivisionError: division by zero"),
        ("exits.py:Net", "'exits.py': importing it raised SystemExit: 3"),
        ("torn.py:Net", "'torn.py': importing it raised SyntaxError: '(' was never closed"),
    ],
)
def test_a_reference_that_leads_nowhere(folder: Path, reference: str, sentence: str) -> None:
    (folder / "broken.py").write_text("1 / 0\n")
    (folder / "exits.py").write_text("raise SystemExit(3)\n")
    (folder / "torn.py").write_text("print(\n")
    for _ in range(2):  # a failed import leaves nothing behind that would be taken for a module
        with pytest.raises(ModelError) as caught:
            lookup(reference, folder)
        assert str(caught.value).startswith(sentence)


def test_an_unknown_name_is_a_usage_error(folder: Path) -> None:
    with pytest.raises(UsageError, match="architecture 'lstn' is unknown; did you mean 'lstm'"):
        lookup("lstn", folder)


def test_missing_and_unknown_arguments(folder: Path) -> None:
    record = lookup("models.py:TutorialLSTM", folder).hyperparameters
    given = {"hidden_din": 5, "embedding_dim": 6, "num_layers": 1, "dropout": 0.1}
    assert fill(record, given) == (
        None,
        [
            "'hidden_din' is unknown; did you mean 'hidden_dim'?",
            "'hidden_dim' is missing; the constructor of models.py:TutorialLSTM requires it: "
            "write 'hidden_dim = ...' in its table",
        ],
    )


@pytest.mark.parametrize(
    ("name", "spec", "sentence"),
    [
        (
            "NeedsVocabulary",
            IMAGE,
            r"the task gives no 'vocab_size' \(image in, classes out\); write 'vocab_size = ...'",
        ),
        ("Raises", TEXT, r"'models.py:Raises': Raises\(size=1\) raised ValueError: size must be even"),
    ],
)
def test_what_cannot_be_built_says_why(folder: Path, name: str, spec: Spec, sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        build(folder, name, spec)


def test_positional_only_arguments_cannot_be_filled(folder: Path) -> None:
    (folder / "slash.py").write_text(
        textwrap.dedent("""
        from torch import nn
        class Net(nn.Module):
            def __init__(self, size, /): super().__init__()
        """)
    )
    with pytest.raises(ModelError, match="argument 'size' cannot be given by name"):
        lookup("slash.py:Net", folder)
