"""Who remembers ten symbols over T steps: training on `copying`, beside the loss of who remembers nothing.

`python -m benchmarks.copying goru lstm gru [--wait 200] [--steps 1500]` trains each on made items, a fresh batch a step,
and prints its mean loss every 50 steps; 10 ln 8 / (T + 20) nats is what every model reaches that only knows when to speak.
"""

from __future__ import annotations

import argparse
import math

import torch
from torch import nn

from bench.architectures import ARCHITECTURES
from bench.batch import forward
from bench.options import fill
from bench.tasks import TASKS
from bench.tasks.copying import COPIED, SYMBOLS

SIZES = {"hidden_dim": 128, "embedding_dim": 32, "dropout": 0.0}
TOLD = 50


def main() -> None:
    """One after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--wait", type=int, default=200)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    length = asked.wait + 2 * COPIED
    print(f"T {asked.wait}: memoryless {COPIED * math.log(SYMBOLS) / length:.4f} nats a step", flush=True)
    for name in asked.names:
        train(name, length, asked)


def train(name: str, length: int, asked: argparse.Namespace) -> None:
    """AdamW at one rate, gradients clipped at norm 1, as `bench run` trains by default."""
    kind, architecture = TASKS.get("copying"), ARCHITECTURES.get(name)
    task = kind.make(kind.options())
    spec = task.spec(length)
    torch.manual_seed(0)
    sizes = {size: value for size, value in SIZES.items() if size in architecture.defaults()}
    model = architecture.build(spec, fill(architecture.hyperparameters, sizes)[0])
    optimizer = torch.optim.AdamW(model.parameters(), lr=asked.rate)
    losses: list[float] = []
    for step in range(1, asked.steps + 1):
        batch = task.random_batch(spec, asked.batch, seed=1_000 + step)
        optimizer.zero_grad()
        loss = task.loss(forward(model, batch, spec), batch)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        if step % TOLD == 0 or step == asked.steps:
            print(f"{name:16} step {step:5}: {sum(losses) / len(losses):.4f}", flush=True)
            losses = []


if __name__ == "__main__":
    main()
