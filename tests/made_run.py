"""Made-up runs for tests of what is told: real records, no clock, the same bytes every time."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from bench.codec import digest
from bench.observations import (
    CaseResult,
    Ceiling,
    Epoch,
    Fit,
    Observation,
    Pass,
    Pilot,
    Preflight,
    Probe,
    Stopped,
    Trial,
    gather,
)
from bench.records import (
    Case,
    FitSettings,
    Machine,
    MatchedSize,
    Measure,
    OperatingPoint,
    Outcome,
    PassKind,
    Plan,
    Run,
    Variant,
)

LABELS = ("nbow", "rnn", "lstm", "BiLSTM x2", "gru", "textcnn", "transformer", "<script>alert(1)</script>")
LENGTHS = (64, 128, 256, 512)
# seconds per token, seconds per call, growth with length, accuracy, parameters
_TRAITS = {
    "nbow": (2.0e-8, 3.0e-5, 1.00, 0.868, 1_280_130),
    "rnn": (3.1e-7, 1.2e-4, 1.00, 0.701, 1_288_450),
    "lstm": (1.15e-6, 2.1e-4, 1.00, 0.851, 1_313_410),
    "BiLSTM x2": (5.4e-6, 6.3e-4, 1.00, 0.848, 1_445_762),
    "gru": (9.3e-7, 1.9e-4, 1.00, 0.857, 1_305_090),
    "textcnn": (7.7e-7, 1.6e-4, 1.00, 0.862, 1_357_122),
    "transformer": (9.0e-7, 3.2e-4, 1.35, 0.843, 1_379_970),
    "<script>alert(1)</script>": (1.3e-6, 2.4e-4, 1.00, 0.642, 1_313_410),
}
SUITE_TEXT = 'name = "sentiment"\ntask = "imdb"  # <b>film</b> reviews\n'
MACHINE = Machine(
    name="Made Processor 3000, 2 cores",
    hard={
        "cpu_model": "Made Processor 3000",
        "cores": 2,
        "torch": "2.13.0+cpu",
        "os": "Linux",
        "flags": ["avx2", "fma"],
        "cudnn_benchmark": False,
        "deterministic": False,
        "sdpa": "torch's choice",
    },
    soft={"python": "3.11.9", "kernel": "6.1"},
    state={"load": 0.12, "governor": None},
)


def golden(name: str, made: str) -> str:
    """The stored text that `made` must equal; `BENCH_WRITE_GOLDEN=1 pytest` stores it anew, to be read before it is kept."""
    path = Path(__file__).parent / "golden" / name
    if os.environ.get("BENCH_WRITE_GOLDEN"):
        path.write_text(made, encoding="utf-8")
    return path.read_text(encoding="utf-8")


def made_run(labels: Sequence[str] = LABELS, lengths: Sequence[int] = LENGTHS) -> tuple[Run, list[CaseResult]]:
    """Film reviews: two workloads, four lengths, two batch sizes, three seeds, and something of every outcome."""
    variants = [
        Variant(architecture=label.split()[0].lower(), label=label, hyperparameters={"label": label})
        for label in labels
    ]
    cases = [
        _timed(variant, workload, length, batch)
        for workload in ("inference", "training")
        for length in lengths
        for batch in (1, 32)
        for variant in variants
    ] + [_fit_case("imdb", variant, 256, FitSettings(epochs=3, batch_size=64)) for variant in variants]
    plan = Plan(
        suite="sentiment",
        description="Which small text classifier should I use for film reviews?",
        cases=tuple(cases),
        seeds=(0, 1, 2),
        measure=Measure(budget_s=600.0),
        operating_point=OperatingPoint(sequence_length=256, batch_size=32),
    )
    return _run(plan, SUITE_TEXT), gather(plan, _observe(plan, trials=5))


def matched(run: Run, results: Sequence[CaseResult]) -> tuple[Run, list[CaseResult]]:
    """A made run as if its suite had matched the sizes of all but the BiLSTM."""

    def sized(result: CaseResult) -> CaseResult:
        variant = result.case.variant
        size = MatchedSize(target=100_000, parameters=None if variant.label == "BiLSTM x2" else 99_300)
        return replace(result, case=replace(result.case, variant=replace(variant, size=size)))

    found = [sized(result) for result in results]
    return replace(run, plan=replace(run.plan, cases=tuple(result.case for result in found))), found


def made_quick_run() -> tuple[Run, list[CaseResult]]:
    """Small images: no length axis, three trials, one seed over five folds, some cases not yet measured."""
    variants = [Variant(architecture=name, label=name, hyperparameters={}) for name in ("nbow", "textcnn")]
    cases = [
        _timed(variant, "inference", None, batch, task="images") for batch in (1, 32, 256) for variant in variants
    ] + [_fit_case("images", variant, None, FitSettings(epochs=2, batch_size=32)) for variant in variants]
    plan = Plan(
        suite="smoke",
        cases=tuple(cases),
        seeds=(0,),
        folds={"images": 5},
        measure=Measure(min_rounds=3, target=0.05, passes=()),
        operating_point=OperatingPoint(batch_size=32),
    )
    seen = [
        observation for observation in _observe(plan, trials=3) if getattr(observation, "case_id", "") != cases[5].id
    ]
    return _run(plan, ""), gather(plan, seen)


def _run(plan: Plan, text: str) -> Run:
    return Run(
        run_id=f"20250102T030405Z-{plan.suite}-ab12",
        created="2025-01-02T03:04:05Z",
        plan=plan,
        machine=MACHINE,
        seed=7,
        command=f"bench run {plan.suite}",
        commit="0123456789abcdef0123456789abcdef01234567",
        dirty=False,
        suite_text=text,
        bench_version="0.1.0",
    )


def _timed(variant: Variant, workload: str, length: int | None, batch: int, task: str = "imdb") -> Case:
    name = "/".join([task, variant.label, workload, *([f"L{length}"] if length else []), f"B{batch}"])
    skip = ""
    if variant.label == "rnn" and workload == "training" and length == 512 and batch == 1:
        skip = "made to be skipped"
    return Case(
        id=name,
        definition_hash=digest(name),
        task=task,
        variant=variant,
        workload=workload,
        sequence_length=length,
        batch_size=batch,
        precision="fp32",
        device="cpu",
        threads=2,
        skip=skip,
    )


def _fit_case(task: str, variant: Variant, length: int | None, fit: FitSettings) -> Case:
    name = "/".join([task, variant.label, "fit", *([f"L{length}"] if length else [])])
    return Case(
        id=name,
        definition_hash=digest(name),
        task=task,
        variant=variant,
        workload="fit",
        sequence_length=length,
        batch_size=fit.batch_size,
        precision="fp32",
        device="cpu",
        threads=2,
        fit=fit,
    )


def _observe(plan: Plan, trials: int) -> Iterator[Observation]:
    if plan.measure.passes:
        yield Ceiling(
            device="cpu", precision="fp32", threads=2, outcome=Outcome.OK, flops_per_s=1.5e11, bytes_per_s=1.1e10
        )
    met: set[tuple[str, str]] = set()
    for case in plan.cases:
        variant = case.variant
        if (case.task_key, variant.variant_id) not in met:
            met.add((case.task_key, variant.variant_id))
            parameters = _TRAITS[variant.label][4]
            yield Preflight(
                task_key=case.task_key,
                variant_id=variant.variant_id,
                outcome=Outcome.OK,
                red=("padding",) if variant.label.startswith("<") else (),
                parameters=parameters,
                weights_bytes=4 * parameters,
            )
        if case.skip:
            continue
        if case.fit is not None:
            yield from _fits(plan, case)
        else:
            yield from _timing(plan, case, trials)


def _timing(plan: Plan, case: Case, trials: int) -> Iterator[Observation]:
    label, length, batch = case.variant.label, case.sequence_length, case.batch_size
    yield Pilot(case_id=case.id, outcome=Outcome.OK, iterations=4)
    training = case.workload == "training"
    unhappy = _unhappy(case)
    if unhappy is not None:
        for attempt in range(2):
            yield Trial(case_id=case.id, round=attempt, outcome=unhappy[0], reason=unhappy[1])
        return
    latency = _latency(case)
    draw = random.Random(case.id)
    spread = 0.09 if label == "gru" and length == 128 else 0.006
    disturbed = any(_disturbance(case, number) for number in range(trials))
    for number in range(trials + disturbed):
        luck = math.exp(draw.gauss(0, spread))
        yield Trial(
            case_id=case.id,
            round=number,
            outcome=Outcome.OK,
            samples_s=tuple(latency * luck * math.exp(abs(draw.gauss(0, 0.02))) for _ in range(10)),
            iterations=4,
            items=batch,
            tokens=batch * length if length else None,
            real_tokens=batch * length if length else None,
            first_call_s=9 * latency,
            steady=not (label == "textcnn" and length == 64 and training),
            warmup_s=0.2 + latency,
            warmup_calls=24 + number,
            evidence=_evidence(case, number),
        )
    if plan.measure.passes:
        yield from _passes(case)
        yield from _probes(case)
    yield Stopped(case_id=case.id, criterion="precision of 2.0% reached")


def _disturbance(case: Case, number: int) -> dict[str, float]:
    """What was seen of one trial of two cases, which are tried once more."""
    place = (case.variant.label, case.workload, case.sequence_length, case.batch_size)
    disturbed = {
        (1, "gru", "inference", 512, 1): {"foreign_cpu_s": 0.4},
        (2, "lstm", "training", 512, 32): {"steal_s": 0.05},
    }
    return disturbed.get((number, *place), {})


def _evidence(case: Case, number: int) -> dict[str, float]:
    """A calm machine but for these; on the quick look nobody looked."""
    if case.task == "images":
        return {}
    calm = {"wall_s": 0.5, "cpu_s": 0.98, "foreign_cpu_s": 0.01, "steal_s": 0.0, "involuntary_switches": 3.0}
    return calm | {"nice": 0.0, "processors": 2.0} | _disturbance(case, number)


def _passes(case: Case) -> Iterator[Observation]:
    """What is observed beside the trials of a case; tails are too short for p99 where a call is slow."""
    label, length, batch = case.variant.label, case.sequence_length, case.batch_size
    training, latency = case.workload == "training", _latency(case)
    yield _memory(case)
    if training:
        shares = {"forward": 0.3, "backward": 0.5, "optimizer": 0.2}
        parts = {name: (latency * share,) * 3 for name, share in shares.items()}
        yield Pass(case_id=case.id, name=PassKind.SPLIT, outcome=Outcome.OK, samples_s=parts)
    if label == "BiLSTM x2" and (length, batch) == (64, 1):
        for attempt in range(2):
            yield Pass(
                case_id=case.id, name=PassKind.TAILS, outcome=Outcome.TIMED_OUT, reason="after 120 s", attempt=attempt
            )
    else:
        calls = 1000 if latency < 0.005 else 300
        draw = random.Random(f"{case.id} tails")
        single = tuple(latency * math.exp(abs(draw.gauss(0, 0.05))) for _ in range(calls))
        yield Pass(case_id=case.id, name=PassKind.TAILS, outcome=Outcome.OK, samples_s={"call": single})
    per_byte = (0.3 + 0.1 * list(_TRAITS).index(label)) * batch**0.6
    flops = round(latency * 4e9 * per_byte / batch)
    counted = None if label == "rnn" else flops
    why = {"flops_per_item": "no formula for made::op"} if counted is None else {}
    yield Pass(
        case_id=case.id,
        name=PassKind.COST,
        outcome=Outcome.OK,
        values={
            "flops_per_item": counted,
            "traffic_bytes_per_item": round(flops / per_byte),
            "operator_count": 40.0 * (3 if training else 1),
            "kernel_count": None,
            "peak_flops_per_s": None,
        },
        reasons=why | {"kernel_count": "no kernels on a CPU", "peak_flops_per_s": "no peak known for cpu fp32"},
    )


def _probes(case: Case) -> Iterator[Observation]:
    if (case.variant.label, case.workload, case.sequence_length, case.batch_size) != ("lstm", "training", 256, 32):
        return
    for size, outcome in ((32, Outcome.OK), (64, Outcome.OUT_OF_MEMORY), (63, Outcome.OK)):
        asked = 13 * 2**30 if outcome is Outcome.OUT_OF_MEMORY else None
        yield Probe(case_id=case.id, metric="max_batch_size", size=size, outcome=outcome, bytes_asked=asked)


def _memory(case: Case) -> Pass:
    label, length, batch = case.variant.label, case.sequence_length, case.batch_size
    training = case.workload == "training"
    wide = {"nbow": 0.2, "rnn": 0.5, "textcnn": 1.6, "BiLSTM x2": 3.1, "transformer": (length or 64) / 40}
    share = wide.get(label, 1 + _TRAITS[label][3] / 4)
    peak = round(2**20 * (4 + share * batch * (length or 1) / 64 * (3 if training else 1)))
    weights = 4 * _TRAITS[label][4]
    values: dict[str, float | None] = {"peak_rss_bytes": peak, "weights_bytes": weights, "workspace_bytes": peak}
    if training:
        kept = peak // 2
        values |= {"gradients_bytes": weights, "optimizer_bytes": 2 * weights, "activations_bytes": kept}
        values["workspace_bytes"] = peak - kept - weights if peak > kept + weights else None
    reasons = {} if values["workspace_bytes"] is not None else {"workspace_bytes": "their sum is above the peak"}
    return Pass(case_id=case.id, name=PassKind.MEMORY, outcome=Outcome.OK, values=values, reasons=reasons)


def _latency(case: Case) -> float:
    per_token, per_call, growth, *_ = _TRAITS[case.variant.label]
    once = per_call + per_token * (case.sequence_length or 64) ** growth * case.batch_size**0.9
    return once * (3.2 if case.workload == "training" else 1)


def _unhappy(case: Case) -> tuple[Outcome, str] | None:
    label = case.variant.label
    if label == "transformer" and case.workload == "training" and (case.sequence_length, case.batch_size) == (512, 32):
        return Outcome.OUT_OF_MEMORY, "asked for 12.5 GiB"
    if label == "BiLSTM x2" and case.workload == "training" and case.sequence_length == 512:
        return Outcome.FAILED, "RuntimeError: made to fail | on purpose"
    return None


def _fits(plan: Plan, case: Case) -> Iterator[Observation]:
    label = case.variant.label
    folds: Sequence[int | None] = range(plan.folds[case.task_key]) if case.task_key in plan.folds else (None,)
    total = 5_000 if None in folds else 360
    assert case.fit is not None
    for seed in plan.seeds:
        for fold in folds:
            draw = random.Random(f"{case.id} {seed} {fold}")
            correct = round(total * min(0.99, _TRAITS[label][3] + draw.gauss(0, 0.004)))
            diverged = label == "rnn" and seed == 2
            for epoch in range(1, case.fit.epochs + 1):
                yield Epoch(
                    case_id=case.id,
                    seed=seed,
                    fold=fold,
                    learning_rate=1e-3,
                    epoch=epoch,
                    train_loss=0.7 / epoch,
                    validation_loss=0.6 / epoch + 0.1,
                    validation_score=0.5 + (correct / total - 0.5) * (1 - 0.35**epoch),
                    seconds=3.0,
                    items=17_500,
                )
            if diverged:
                yield Fit(case_id=case.id, seed=seed, fold=fold, outcome=Outcome.DIVERGED, reason="the loss became NaN")
                continue
            share = correct / total
            yield Fit(
                case_id=case.id,
                seed=seed,
                fold=fold,
                outcome=Outcome.OK,
                metrics={"accuracy": share, "f1_macro": share - 0.002, "test_loss": 0.35},
                correct=correct,
                total=total,
                best_epoch=case.fit.epochs,
                learning_rate=1e-3,
                fit_s=9.0 + seed,
            )
