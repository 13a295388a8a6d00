"""What a right model does: checked in the tests over every architecture and task, and before every variant of a run.

Each contract is a function that returns what is wrong, in a sentence, or an empty string. They are asked on a small batch:
texts short enough to be quick, of several lengths, so that padding and neighbours can be seen to matter or not.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from bench.architectures import Architecture, Decoder
from bench.batch import Batch, asked, forward
from bench.errors import BenchError, ModelError
from bench.spec import START_ID, OutputKind, Spec
from bench.tasks import Task

ITEMS = 4
SHORT_LENGTH = 32
GRADIENT_BATCHES = 3
STEP_SIZE = 0.01
TOLERANCE = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A model under examination, with a full batch of its task."""

    architecture: Architecture
    task: Task
    spec: Spec
    hyperparameters: Any
    model: nn.Module
    batch: Batch

    def build(self) -> nn.Module:
        """Another model of the same kind, freshly initialised."""
        return self.architecture.build(self.spec, self.hyperparameters)

    @torch.no_grad()  # not inference mode: a table that a model keeps from its first call must still serve in training
    def answer(self, batch: Batch, model: nn.Module | None = None) -> Tensor:
        """What the model (or another one) says in `eval()`."""
        return forward((model or self.model).eval(), batch, self.spec)


def check(architecture: Architecture, task: Task, spec: Spec, hyperparameters: Any) -> dict[str, str]:
    """Hold a variant against every contract.

    Leaves the global random state as it was, and never touches an accelerator.

    Returns:
        The names of the red contracts, each with what is wrong; empty where all is well.

    Raises:
        ModelError: the model cannot be built, or does not run forward on this task.
    """
    with torch.random.fork_rng(devices=[]):
        seed(0)
        examined = _subject(architecture, task, spec, hyperparameters)
        red: dict[str, str] = {}
        for name, contract in CONTRACTS.items():
            if not_asked(name, architecture, spec, red):
                continue
            try:
                problem = contract(examined)
            except Exception as error:
                problem = f"raised {_said(error)}"
            if problem:
                red[name] = problem
    return red


def not_asked(name: str, architecture: Architecture, spec: Spec, red: Container[str]) -> str:
    """Why a contract says nothing of an architecture on a task, with what is red before it; empty where it is asked."""
    if name in COMPARING and "determinism" in red:
        return "what is random cannot be compared"
    if name == "padding" and not spec.inputs.is_sequence:
        return "items have no length"
    if name in ("causality", "decoding") and spec.outputs is not OutputKind.TOKENS:
        return "no tokens are written"
    if name == "parameter_count" and architecture.parameter_count is None:
        return "no closed form is known"
    return ""


def subject(architecture: Architecture, task: Task, spec: Spec, hyperparameters: Any) -> Checked:
    """A fresh model that has answered a small batch; leaves the global random state as it was.

    Raises:
        ModelError: the model cannot be built, or does not run forward on this task.
    """
    with torch.random.fork_rng(devices=[]):
        seed(0)
        return _subject(architecture, task, spec, hyperparameters)


def seed(value: int) -> None:
    """Seed the CPU's generator alone: `torch.manual_seed` would also reseed accelerators, which cannot be undone here."""
    torch.default_generator.manual_seed(value)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".strip().rstrip(":")


def _subject(architecture: Architecture, task: Task, spec: Spec, hyperparameters: Any) -> Checked:
    if spec.sequence_length is not None and spec.sequence_length > SHORT_LENGTH:
        short = replace(spec, sequence_length=SHORT_LENGTH)
        try:
            return _running(architecture, task, short, hyperparameters)
        except ModelError:  # a model may be right for one length only: then it is asked at that length
            return _running(architecture, task, spec, hyperparameters)
    return _running(architecture, task, spec, hyperparameters)


def _running(architecture: Architecture, task: Task, spec: Spec, hyperparameters: Any) -> Checked:
    batch = task.random_batch(spec, ITEMS, seed=0)
    try:
        model = architecture.build(spec, hyperparameters)
        subject = Checked(
            architecture=architecture,
            task=task,
            spec=spec,
            hyperparameters=hyperparameters,
            model=model,
            batch=batch,
        )
        outputs: object = subject.answer(batch)
    except BenchError:
        raise
    except Exception as error:
        raise ModelError(
            f"{architecture.name}: building or running it on a small batch raised {_said(error)}"
        ) from error
    expected = _answers(spec)
    if expected and not (isinstance(outputs, Tensor) and outputs.shape == expected[0]):
        found = tuple(outputs.shape) if isinstance(outputs, Tensor) else f"a {type(outputs).__name__}"
        raise ModelError(
            f"{architecture.name}: forward returned {found} for {ITEMS} items; expected {expected[1]} {expected[0]}, "
            f"{expected[2]}"
        )
    return subject


def _answers(spec: Spec) -> tuple[tuple[int | None, ...], str, str] | None:
    """The shape of what a model answers to the small batch, what that is, and its dimensions; None where a task tells."""
    if spec.outputs is OutputKind.CLASSES:
        return (ITEMS, spec.classes), "logits", "items x classes"
    if spec.outputs is OutputKind.STEP_CLASSES:
        return (ITEMS, spec.sequence_length, spec.classes), "logits", "items x positions x classes"
    if spec.outputs is OutputKind.VALUE:
        return (ITEMS, spec.output_size), "values", "items x values"
    if spec.outputs is OutputKind.TOKENS:
        return (ITEMS, spec.target_length, spec.target_vocabulary_size), "logits", "items x targets x target ids"
    if spec.image_shape is not None:
        return (ITEMS, *spec.image_shape), "pictures", "items x channels x height x width"
    return None


# ── the contracts ──────────────────────────────────────────────────────────────────────────────────────────────────


def meta(subject: Checked) -> str:
    """It builds and runs without any values, on the device `meta`, where cost is counted."""
    with torch.device("meta"):
        model = subject.build()
    outputs = subject.answer(subject.batch.to(torch.device("meta")), model)
    return "" if outputs.is_meta else f"its output is on {outputs.device}; expected meta"


def gradients(subject: Checked) -> str:
    """Over a few small steps of training every parameter gets a gradient that is finite, and not zero every time."""
    model = subject.model.train()
    names = {parameter: name for name, parameter in model.named_parameters() if parameter.requires_grad}
    without = set(names)
    phases = subject.architecture.training_phases(
        model, lambda model, batch: subject.task.loss(forward(model, batch, subject.spec), batch)
    )
    for place in range(GRADIENT_BATCHES):
        batch = subject.task.random_batch(subject.spec, ITEMS, seed=1 + place)
        for phase in phases:
            parameters = [parameter for parameter in phase.parameters if parameter.requires_grad]
            found: Sequence[Tensor | None] = torch.autograd.grad(
                phase.loss(model, batch), parameters, allow_unused=True
            )
            known = {one: it for one, it in zip(parameters, found, strict=True) if it is not None}
            for parameter, gradient in known.items():
                if not gradient.to_dense().isfinite().all():
                    return f"the gradient of {names[parameter]} is not finite"
                if gradient.to_dense().any():
                    without.discard(parameter)
            # what starts at zero hides what lies below it, until it has moved; a step is bounded, as that of any right model
            # may explode (a deep IRNN's does)
            longest = max([1.0, *(gradient.norm().item() for gradient in known.values())])
            with torch.no_grad():
                for parameter, gradient in known.items():
                    parameter.sub_(gradient, alpha=STEP_SIZE / longest)
    lost = [name for parameter, name in names.items() if parameter in without]
    return f"no gradient reaches {', '.join(lost)}" if lost else ""


def determinism(subject: Checked) -> str:
    """In `eval()` the same batch gets the same answer twice."""
    first, second = subject.answer(subject.batch), subject.answer(subject.batch)
    return "" if torch.equal(first, second) else f"two answers in eval() differ {_by(first, second)}"


def padding(subject: Checked) -> str:
    """A text by itself gets the same answer however much padding stands to its right."""
    for place, length in enumerate(_lengths(subject.spec)):
        bare = subject.answer(_row(subject, place, length, None))
        for columns in {length, min(length + 1, max(_lengths(subject.spec))), subject.batch.inputs.shape[1]}:
            padded = subject.answer(_row(subject, place, columns, length))
            if not _close(_real(bare, subject.spec, length), _real(padded, subject.spec, length)):
                return f"a text of {length} padded to {columns} is answered differently {_by(bare, padded)}"
    return ""


def rows(subject: Checked) -> str:
    """An item gets the same answer alone as among others."""
    together = subject.answer(subject.batch)
    for place in range(ITEMS):
        alone = subject.answer(_row(subject, place, None, None))
        if not _close(alone, together[place : place + 1]):
            return f"item {place} is answered differently among others {_by(alone, together[place : place + 1])}"
    mixed = _mixed(subject)
    if mixed is None:
        return ""
    together, columns = subject.answer(mixed), subject.batch.inputs.shape[1]
    for place, length in enumerate(_lengths(subject.spec)):
        row = _row(subject, place, columns, length)
        alone, among = (
            _real(outputs, subject.spec, length) for outputs in (subject.answer(row), together[place, None])
        )
        if not _close(alone, among):
            return f"a text of {length} is answered differently among texts of other lengths {_by(alone, among)}"
    return ""


def causality(subject: Checked) -> str:
    """A target token changes nothing of what is said before it: under teacher forcing it would be read off otherwise."""
    targets = asked(subject.batch)
    before = subject.answer(subject.batch)
    for place in {0, targets.shape[1] // 2, targets.shape[1] - 1}:
        other = targets.clone()
        other[:, place:] = other[:, place:] % ((subject.spec.target_vocabulary_size or 2) - 1) + 1
        after = subject.answer(replace(subject.batch, targets=other))
        if not _close(before[:, : place + 1], after[:, : place + 1]):
            found = _by(before[:, : place + 1], after[:, : place + 1])
            return f"what is said before target token {place + 1} is known depends on it {found}"
    return ""


@torch.no_grad()
def decoding(subject: Checked) -> str:
    """Token by token, each from the state that those before it left, it says what it says of all of them at once."""
    model = subject.model.eval()
    if not isinstance(model, Decoder):
        return "it has no start and next, so nothing can be written with it"
    padded = _mixed(subject)
    for batch, which in ((subject.batch, ""), *([(padded, " of padded texts")] if padded else [])):
        targets, together = asked(batch), subject.answer(batch)
        state, tokens = model.start(batch.inputs, batch.lengths), torch.full_like(targets[:, 0], START_ID)
        for place in range(targets.shape[1]):
            said, state = model.next(tokens, state)
            if not _close(said, together[:, place]):
                return f"token {place + 1}{which} alone is answered differently {_by(said, together[:, place])}"
            tokens = targets[:, place]
    return ""


def state_dict(subject: Checked) -> str:
    """Another model that loads its state gives its answers."""
    seed(1)
    twin = subject.build()
    twin.load_state_dict(subject.model.state_dict())
    own, loaded = subject.answer(subject.batch), subject.answer(subject.batch, twin)
    return "" if _close(own, loaded) else f"after load_state_dict the answers differ {_by(own, loaded)}"


def parameter_count(subject: Checked) -> str:
    """It has as many parameters as its closed form says."""
    if subject.architecture.parameter_count is None:
        return ""
    expected = subject.architecture.parameter_count(subject.spec, subject.hyperparameters)
    found = sum(parameter.numel() for parameter in subject.model.parameters())
    return "" if found == expected else f"it has {found:,} parameters, its closed form says {expected:,}"


CONTRACTS: dict[str, Callable[[Checked], str]] = {
    "meta": meta,
    "gradients": gradients,
    "determinism": determinism,
    "padding": padding,
    "rows": rows,
    "causality": causality,
    "decoding": decoding,
    "state_dict": state_dict,
    "parameter_count": parameter_count,
}
COMPARING = ("padding", "rows", "causality", "decoding", "state_dict")


# ── rows, and how close their answers are ──────────────────────────────────────────────────────────────────────────


def _lengths(spec: Spec) -> list[int]:
    """One length per item, from a single position to a full row; none where items have no length."""
    if not spec.inputs.is_sequence or spec.sequence_length is None:
        return []
    return [max(1, spec.sequence_length * quarters // ITEMS) for quarters in (0, 1, 2, ITEMS)]


def _row(subject: Checked, place: int, columns: int | None, length: int | None) -> Batch:
    """One item as a batch: `columns` positions (None: all), padding from `length` on (None: none, and no lengths given)."""
    inputs = subject.batch.inputs[place : place + 1]
    if columns is not None:
        inputs = inputs[:, :columns].clone()
    if length is not None:
        inputs[:, length:] = 0 if inputs.is_floating_point() else subject.spec.padding_id
    targets = None if subject.batch.targets is None else subject.batch.targets[place : place + 1]
    lengths = None if length is None else torch.tensor([length])
    return replace(subject.batch, inputs=inputs, lengths=lengths, targets=targets, items=1)


def _mixed(subject: Checked) -> Batch | None:
    """All items as one batch, each of another length and padded; None where items have no length."""
    lengths, columns = _lengths(subject.spec), subject.batch.inputs.shape[1]
    if not lengths:
        return None
    rows = [_row(subject, place, columns, length).inputs for place, length in enumerate(lengths)]
    return replace(subject.batch, inputs=torch.cat(rows), lengths=torch.tensor(lengths))


def _real(outputs: Tensor, spec: Spec, length: int) -> Tensor:
    """What was said of real positions."""
    return outputs[:, :length] if spec.outputs is OutputKind.STEP_CLASSES else outputs


def _close(one: Tensor, other: Tensor) -> bool:
    scale = max(1.0, one.abs().max().item())
    return one.shape == other.shape and (one - other).abs().max().item() <= TOLERANCE * scale


def _by(one: Tensor, other: Tensor) -> str:
    if one.shape != other.shape:
        return f"(shapes {tuple(one.shape)} and {tuple(other.shape)})"
    return f"(by {(one - other).abs().max().item():.2g})"
