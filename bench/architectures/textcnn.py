"""Convolutions over words and their maximum over time: one group of filters for every window size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.architectures import State, architecture, streams
from bench.architectures.layers import Embedding, answer_size, embedding_count, linear_count, real_mask
from bench.options import option
from bench.spec import InputKind, OutputKind, Spec


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """Of `textcnn`."""

    embedding_dim: int = option(128, "size of a word's vector", at_least=1)
    num_filters: int = option(100, "filters of every window size", at_least=1)
    kernel_sizes: tuple[int, ...] = option((3, 4, 5), "window sizes, in words", at_least=1)
    dropout: float = option(0.5, "share of the pooled features that is dropped in training", at_least=0, below=1)


class TextCNN(nn.Module):
    """(B, L) tokens or (B, L, D) vectors to (B, C) logits.

    A text of n words has the windows that begin at its first max(1, n - K + 1) words; a text shorter than a window is
    filled up with zero vectors. Padding beyond that is never looked at.

    Where each step has a class, (B, L, C): of each size the window around a word, with zero vectors beyond both ends of the
    text, and no maximum. A window of an even size has one word more to its right.
    """

    def __init__(self, spec: Spec, hyperparameters: Hyperparameters) -> None:
        super().__init__()
        size, filters = hyperparameters.embedding_dim, hyperparameters.num_filters
        self.embedding = Embedding(spec, size)
        self.convolutions = nn.ModuleList(nn.Conv1d(size, filters, kernel) for kernel in hyperparameters.kernel_sizes)
        self.kernel_sizes = hyperparameters.kernel_sizes
        self.dropout = nn.Dropout(hyperparameters.dropout)
        self.each_step = spec.outputs is OutputKind.STEP_CLASSES
        self.classifier = nn.Linear(filters * len(self.kernel_sizes), answer_size(spec))

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits; `lengths` (B,) on the CPU, None where every row is full."""
        x_BLD = self.embedding(inputs)
        if lengths is not None:
            x_BLD = x_BLD * real_mask(lengths, inputs.shape[1], inputs.device)[:, :, None]
        x_BDL = x_BLD.transpose(1, 2)
        if self.each_step:
            return self._around(x_BDL)
        missing = max(self.kernel_sizes) - inputs.shape[1]
        if missing > 0:
            x_BDL = functional.pad(x_BDL, (0, missing))
        features = []
        for kernel, convolution in zip(self.kernel_sizes, self.convolutions, strict=True):
            windows_BFL = convolution(x_BDL)
            # a full row shorter than the largest window also has windows that begin in what was filled up
            if lengths is None:
                windows_BFL = windows_BFL[:, :, : max(1, inputs.shape[1] - kernel + 1)]
            else:
                real_BL = real_mask(lengths - kernel + 1, windows_BFL.shape[2], inputs.device)
                windows_BFL = windows_BFL.masked_fill(~real_BL[:, None, :], float("-inf"))
            features.append(windows_BFL.amax(dim=2).relu())
        return cast(Tensor, self.classifier(self.dropout(torch.cat(features, dim=1))))

    def _around(self, x_BDL: Tensor) -> Tensor:
        """Logits (B, L, C) from the windows around each position."""
        features = [
            convolution(functional.pad(x_BDL, ((kernel - 1) // 2, kernel // 2))).relu()
            for kernel, convolution in zip(self.kernel_sizes, self.convolutions, strict=True)
        ]
        return cast(Tensor, self.classifier(self.dropout(torch.cat(features, dim=1).transpose(1, 2))))

    def _newest(self, x_BDK: Tensor) -> Tensor:
        """Logits (B, C) from the windows around the last position, after which there is nothing yet."""
        features = []
        for kernel, convolution in zip(self.kernel_sizes, self.convolutions, strict=True):
            after = kernel // 2
            near_BDK = x_BDK[:, :, after - kernel :]
            window_BDK = functional.pad(near_BDK, (kernel - after - near_BDK.shape[2], after))
            features.append(convolution(window_BDK)[:, :, 0].relu())
        return cast(Tensor, self.classifier(self.dropout(torch.cat(features, dim=1))))

    def init_state(self, prefix: Tensor) -> State:
        """The last K - 1 embeddings, (B, D, at most K - 1) for the largest window K, and the maxima so far, each (B, F).

        Windows that have not been full yet have a maximum of minus infinity. Where each step has a class there are no maxima,
        and of the embeddings half as many.
        """
        x_BDL = self.embedding(prefix).transpose(1, 2)
        if self.each_step:
            return (self._kept(x_BDL).clone(),)
        maxima = []
        for kernel, convolution in zip(self.kernel_sizes, self.convolutions, strict=True):
            if x_BDL.shape[2] >= kernel:
                maxima.append(convolution(x_BDL).amax(dim=2))
            else:
                maxima.append(x_BDL.new_full((len(prefix), convolution.out_channels), float("-inf")))
        return self._kept(x_BDL).clone(), *maxima  # a view would keep all of them

    def step(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits after one more token (B,) or vector (B, D): one window of each size."""
        x_BDK = torch.cat([state[0], self.embedding(inputs)[:, :, None]], dim=2)
        if self.each_step:
            return self._newest(x_BDK), (self._kept(x_BDK),)
        features, maxima = [], []
        for kernel, convolution, before_BF in zip(self.kernel_sizes, self.convolutions, state[1:], strict=True):
            missing = kernel - x_BDK.shape[2]
            if missing > 0:  # what was filled up is no window once there are words enough
                feature_BF, after_BF = convolution(functional.pad(x_BDK, (0, missing)))[:, :, 0], before_BF
            else:
                after_BF = torch.maximum(before_BF, convolution(x_BDK[:, :, -kernel:])[:, :, 0])
                feature_BF = after_BF
            features.append(feature_BF.relu())
            maxima.append(after_BF)
        return cast(Tensor, self.classifier(self.dropout(torch.cat(features, dim=1)))), (self._kept(x_BDK), *maxima)

    def _kept(self, x_BDL: Tensor) -> Tensor:
        """What the largest window still needs of the embeddings so far."""
        reach = max(self.kernel_sizes) - 1
        needed = reach // 2 if self.each_step else reach
        return x_BDL[:, :, max(0, x_BDL.shape[2] - needed) :]


def parameter_count(spec: Spec, hyperparameters: Hyperparameters) -> int:
    """Embedding, one convolution per window size, classifier."""
    size, filters, kernels = hyperparameters.embedding_dim, hyperparameters.num_filters, hyperparameters.kernel_sizes
    convolutions = sum(linear_count(kernel * size, filters) for kernel in kernels)
    classifier = linear_count(filters * len(kernels), answer_size(spec))
    return embedding_count(spec, size) + convolutions + classifier


@architecture(
    "textcnn",
    summary="parallel n-gram convolutions and their maximum over time; for tags the windows around each word",
    source="Kim 2014, Convolutional Neural Networks for Sentence Classification; windows for tags: Collobert et al. 2011",
    inputs=[InputKind.TOKENS, InputKind.VECTORS],
    outputs=[OutputKind.CLASSES, OutputKind.STEP_CLASSES, OutputKind.VALUE],
    hyperparameters=Hyperparameters,
    width="num_filters",
    parameter_count=parameter_count,
    not_streaming=streams,
)
def build(spec: Spec, hyperparameters: Hyperparameters) -> nn.Module:
    """A convolutional text classifier."""
    return TextCNN(spec, hyperparameters)
