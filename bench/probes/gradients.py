"""How much of the loss's gradient comes back to the first step of a sequence."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from bench.batch import forward
from bench.errors import NotMeasuredError
from bench.spec import InputKind, Spec
from bench.tasks import Task

ITEMS = 4


def gradient_ratio(model: nn.Module, task: Task, spec: Spec) -> float:
    """Norm of the gradient of the task's loss at the first step, over that at the last, for made items as long as `spec` says.

    The gradients are those of what the first `nn.Embedding` makes of tokens, or of vectors themselves; without dropout, and in
    double precision: in fp32 what vanishes is exactly 0 after a hundred steps or two. The model is left as it is.

    Source: Bengio et al. 1994, Learning Long-Term Dependencies with Gradient Descent Is Difficult.

    Raises:
        NotMeasuredError: items have no steps, no embedding reads them, or no gradient comes to the last one.
    """
    if not spec.inputs.is_sequence:
        raise NotMeasuredError(f"task '{task.name}': its items are {spec.inputs}, which have no first and last step")
    twin = copy.deepcopy(model).double().eval()
    batch = task.random_batch(spec, ITEMS, seed=0).to(next(twin.parameters()).device, torch.float64)
    steps: list[Tensor] = []
    if spec.inputs is InputKind.TOKENS:
        _catch(twin, batch.inputs.shape, steps)
    else:
        steps.append(batch.inputs.requires_grad_())
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):  # cuDNN goes back through no RNN in eval()
        loss = task.loss(forward(twin, batch, spec), batch)
        if not steps:
            raise NotMeasuredError("no nn.Embedding reads the tokens of this model, so that steps have no gradient")
        (found,) = torch.autograd.grad(loss, steps, materialize_grads=True)
    # (B, L, D), or (B, L, F, D) where a position has several ids
    norm_L = torch.linalg.vector_norm(found.flatten(2), dim=(0, 2))
    if not norm_L[-1]:
        raise NotMeasuredError(
            "no gradient comes to the last step of this model, which the first could be held against"
        )
    return float(norm_L[0] / norm_L[-1])


def _catch(model: nn.Module, shape: torch.Size, steps: list[Tensor]) -> None:
    """Put into `steps` what the first embedding of tokens of this shape gives, as a leaf that the model goes on from."""

    def keep(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        if steps or inputs[0].shape != shape:
            return None
        steps.append(output.detach().requires_grad_())
        return steps[0]

    for module in model.modules():
        if isinstance(module, nn.Embedding):
            module.register_forward_hook(keep)
