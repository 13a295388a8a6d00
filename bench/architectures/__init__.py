"""What is compared. One file per family; a decorator on its `build` function registers it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn
from torch.optim import Optimizer

from bench.batch import Batch
from bench.registry import Registry
from bench.spec import InputKind, OutputKind, Spec

Loss = Callable[[nn.Module, Batch], Tensor]
"""A scalar from a model and a batch; runs the forward itself."""

State = tuple[Tensor, ...]
"""All that a model remembers of what it has read."""


@runtime_checkable
class Streaming(Protocol):
    """A model that can read its input one token at a time and answer after each of them.

    What it says after a token is what `forward` says of everything up to there. A state is never changed in place.
    """

    def init_state(self, prefix: Tensor) -> State:
        """The state after a prefix, (B, n) tokens or (B, n, D) vectors; n may be 0."""

    def step(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """The output after one more token (B,) or vector (B, D), and the state from there on."""


@runtime_checkable
class Decoder(Protocol):
    """A model that writes target tokens one after the other; see `bench.architectures.decoding`.

    What `next` says after the same tokens is what `forward` says under teacher forcing. Every tensor of a state has its
    items along dimension 0 (rows are repeated and chosen there), and none is ever changed in place.
    """

    def start(self, inputs: Tensor, lengths: Tensor | None = None) -> State:
        """The state before the first target token; arguments as those of `forward`, without targets."""

    def next(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits (B, V) of what comes after these tokens (B,), `START_ID` being the first; and the state from there on."""


@runtime_checkable
class Likelihood(Protocol):
    """A model that makes pictures from noise and knows a bound on how likely real ones are."""

    def negative_elbo(self, pictures: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Reconstruction (B,) and divergence (B,) of pictures (B, C, H, W) in nats; their sum bounds -log p from above.

        `noise` (B, D) is what a sample of what lies behind each picture is drawn with.
        """


@runtime_checkable
class Adversarial(Protocol):
    """A model that makes pictures from noise and a part of which tells them from real ones."""

    def generator_loss(self, noise: Tensor) -> Tensor:
        """How badly the pictures (B,) that it makes of noise (B, D) pass for real, in nats."""


def no_streaming(_: Any) -> str:
    """Why no variant of an architecture streams: nobody has written it."""
    return "it has no streaming form"


def streams(_: Any) -> str:
    """Every variant of an architecture streams."""
    return ""


def words(_: Any) -> str:
    """Every variant of an architecture reads the task's own encoding."""
    return "words"


def fresh(_: Any) -> str:
    """No variant of an architecture starts from pretrained weights."""
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One part of a training step: which parameters it moves, and by which loss.

    A classifier has one phase, the task's loss over all its parameters. A GAN has two, taken in turn.

    Attributes:
        optimizer: makes the optimizer over `parameters`; None takes the one that the suite asks for.
    """

    name: str
    parameters: Sequence[nn.Parameter]
    loss: Loss
    optimizer: Callable[[Iterable[nn.Parameter]], Optimizer] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A family under comparison.

    Attributes:
        summary: what it is, in one line.
        source: the paper it comes from.
        hyperparameters: a frozen dataclass made with `bench.options.option`; every field has a default and a help sentence.
        build: makes the model from a spec and hyperparameters; nothing in it depends on data, so it also builds on `meta`.
            Its `forward` takes `(inputs)`, or `(inputs, lengths)` for sequences, where `lengths` is a (B,) CPU tensor, or
            None when every row is full.
        width: the hyperparameter that scales its size; None where there is none.
        widened: hyperparameters at about another width, where others follow it; None changes the width alone.
        fine_width: a second hyperparameter that scales its size, for where steps of `width` are coarse.
        parameter_count: the closed form of its number of parameters, where one is known.
        phases: its own training step, from the model and the task's loss; None is one phase over everything.
        encoding: how texts become token ids for models of these hyperparameters; `words` is the task's own way.
        pretrained: which pretrained weights models of these hyperparameters start from, as `bench.tasks.data.checkpoints`
            names them: they are fetched before anything is measured; an empty text for none.
        not_streaming: why models of these hyperparameters are not `Streaming`; an empty text where they are.
    """

    name: str
    summary: str
    source: str
    inputs: frozenset[InputKind]
    outputs: frozenset[OutputKind]
    hyperparameters: type[Any]
    build: Callable[[Spec, Any], nn.Module]
    width: str | None = None
    widened: Callable[[Any, int], Any] | None = None
    fine_width: str | None = None
    parameter_count: Callable[[Spec, Any], int] | None = None
    phases: Callable[[nn.Module, Loss], Sequence[Phase]] | None = None
    encoding: Callable[[Any], str] = words
    pretrained: Callable[[Any], str] = fresh
    not_streaming: Callable[[Any], str] = no_streaming

    def supports(self, spec: Spec) -> bool:
        """Whether it takes these inputs and gives these outputs."""
        return spec.inputs in self.inputs and spec.outputs in self.outputs

    def training_phases(self, model: nn.Module, loss: Loss) -> Sequence[Phase]:
        """Its training step: its own phases, else one over all parameters by the task's loss."""
        if self.phases is not None:
            return self.phases(model, loss)
        return [Phase(name="model", parameters=list(model.parameters()), loss=loss)]

    def at_width(self, hyperparameters: Any, width: int) -> Any:
        """The hyperparameters at about another width; of an architecture that has one."""
        if self.widened is not None:
            return self.widened(hyperparameters, width)
        return dataclasses.replace(hyperparameters, **{str(self.width): width})

    def defaults(self) -> dict[str, Any]:
        """Every hyperparameter with its default."""
        return {entry.name: entry.default for entry in dataclasses.fields(self.hyperparameters)}


ARCHITECTURES: Registry[Architecture] = Registry(
    "architecture",
    {
        "nbow": "bench.architectures.nbow",
        "rnn": "bench.architectures.recurrent",
        "lstm": "bench.architectures.recurrent",
        "gru": "bench.architectures.recurrent",
        "attention-rnn": "bench.architectures.attention_rnn",
        "rnn-seq2seq": "bench.architectures.rnn_seq2seq",
        "textcnn": "bench.architectures.textcnn",
        "transformer": "bench.architectures.transformer",
        "transformer-seq2seq": "bench.architectures.transformer_seq2seq",
        "bert": "bench.architectures.bert",
        "mlp": "bench.architectures.mlp",
        "cnn": "bench.architectures.cnn",
        "cnn-rnn": "bench.architectures.captioning",
        "cnn-transformer": "bench.architectures.captioning",
        "vae": "bench.architectures.vae",
        "gan": "bench.architectures.gan",
        "mdlstm": "bench.architectures.mdlstm",
        "grid-lstm": "bench.architectures.grid_lstm",
        "goru": "bench.architectures.goru",
        "tcn": "bench.architectures.tcn",
        "mingru": "bench.architectures.minimal_rnn",
        "minlstm": "bench.architectures.minimal_rnn",
        "linear-attention": "bench.architectures.linear_attention",
        "s4d": "bench.architectures.s4d",
        "mamba": "bench.architectures.mamba",
    },
    group="bench.architectures",
)


def architecture(
    name: str,
    *,
    summary: str,
    source: str,
    inputs: Iterable[InputKind],
    outputs: Iterable[OutputKind],
    hyperparameters: type[Any],
    width: str | None = None,
    widened: Callable[[Any, int], Any] | None = None,
    fine_width: str | None = None,
    parameter_count: Callable[[Spec, Any], int] | None = None,
    phases: Callable[[nn.Module, Loss], Sequence[Phase]] | None = None,
    encoding: Callable[[Any], str] = words,
    pretrained: Callable[[Any], str] = fresh,
    not_streaming: Callable[[Any], str] = no_streaming,
) -> Callable[[Callable[[Spec, Any], nn.Module]], Callable[[Spec, Any], nn.Module]]:
    """Register the decorated `build(spec, hyperparameters) -> nn.Module` under a name; see `Architecture` for the rest."""

    def register(build: Callable[[Spec, Any], nn.Module]) -> Callable[[Spec, Any], nn.Module]:
        ARCHITECTURES.register(
            name,
            Architecture(
                name=name,
                summary=summary,
                source=source,
                inputs=frozenset(inputs),
                outputs=frozenset(outputs),
                hyperparameters=hyperparameters,
                build=build,
                width=width,
                widened=widened,
                fine_width=fine_width,
                parameter_count=parameter_count,
                phases=phases,
                encoding=encoding,
                pretrained=pretrained,
                not_streaming=not_streaming,
            ),
        )
        return build

    return register
