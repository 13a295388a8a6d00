"""The one tidy table: a row per case and metric, and its exports. pandas is imported only where a frame is made."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bench import estimates
from bench.codec import Json, to_json
from bench.errors import UsageError
from bench.observations import CaseResult, Pass
from bench.quantity import METRICS
from bench.records import Case, Outcome, PassKind, Run
from bench.stats import Estimate, IntervalKind
from bench.trust import used_trials

if TYPE_CHECKING:
    import pandas as pd

Runs = Sequence[tuple[Run, Sequence[CaseResult]]]
"""What every report is made from: runs with their results in the order of the plan."""

COLUMNS = (
    *("run", "machine", "commit", "case", "task", "architecture", "label", "variant_id", "workload"),
    *(
        "sequence_length",
        "batch_size",
        "precision",
        "device",
        "compile",
        "threads",
        "length_distribution",
        "new_tokens",
    ),
    *("seed_count", "metric", "value", "low", "high", "interval", "unit", "better", "trials", "samples"),
    *("outcome", "reason", "flags"),
)
"""The columns and their order: stable from the first release on."""

_WHOLE = frozenset({"sequence_length", "batch_size", "threads", "new_tokens", "seed_count", "trials", "samples"})
_HEADLINES = {
    PassKind.COST: "flops_per_item",
    PassKind.SPLIT: "forward_s",
    PassKind.TAILS: "latency_p90_s",
    PassKind.COMPILE: "compile_s",
    PassKind.ENERGY: "energy_j_per_item",
}
_REAL = frozenset({"value", "low", "high"})


def headline(run: Run, results: Sequence[CaseResult], case: Case) -> str:
    """The metric that stands for a case in tables: throughput; of a fit the task's own.

    Of runs from before plans named it, what fits have: `accuracy`, else their first.
    """
    if case.fit is None:
        return "throughput_items_per_s"
    if case.task_key in run.plan.headlines:
        return run.plan.headlines[case.task_key]
    fits = (fit for result in results if result.case.task_key == case.task_key for fit in estimates.good_fits(result))
    names = next((list(fit.metrics) for fit in fits if fit.metrics), ["accuracy"])
    return "accuracy" if "accuracy" in names else names[0]


def memory_metric(case: Case) -> str:
    """The metric of peak memory on the device of a case."""
    return "peak_rss_bytes" if case.device == "cpu" else "peak_allocated_bytes"


def failed_pass(result: CaseResult, kind: PassKind) -> Pass | None:
    """The last pass of a kind over a case, if none of them ended well."""
    attempts = result.attempts(kind)
    if any(one.outcome is Outcome.OK for one in attempts):
        return None
    return attempts[-1] if attempts else None


def rows(run: Run, results: Sequence[CaseResult]) -> list[dict[str, Json]]:
    """The rows of a run, with exactly `COLUMNS`; unknown values are None.

    A case without a value still has a row, of its headline metric, with its outcome and reason. Accuracy over several seeds
    has two intervals and so two rows: `t95_seeds`, and `wilson95` over the test items; with one seed it has the latter alone.
    """
    return [row for result in results for row in _rows(run, results, result)]


def _rows(run: Run, results: Sequence[CaseResult], result: CaseResult) -> Iterator[dict[str, Json]]:
    outcome, reason = result.verdict
    start = _start(run, result)
    end = _end(run, result)
    found = estimates.estimates(result)
    expected = headline(run, results, result.case)
    for name in estimates.metric_order([*found, *({expected} - set(found))]):
        for estimate in _intervals(result, name, found.get(name, Estimate(value=None))):
            why = reason or ("" if estimate.low is not None else estimate.reason)
            yield start | _told(name, estimate) | end | {"outcome": to_json(outcome), "reason": why}
    for kind in PassKind:
        failed = failed_pass(result, kind)
        if failed is not None:
            told = _told(_headline_of_pass(kind, result.case), Estimate(value=None))
            yield start | told | end | {"outcome": failed.outcome.value, "reason": failed.reason}


def _headline_of_pass(kind: PassKind, case: Case) -> str:
    """The metric that stands for a pass which found nothing."""
    if kind is PassKind.SPLIT and case.workload == "decode":
        return "first_token_s"
    return memory_metric(case) if kind is PassKind.MEMORY else _HEADLINES[kind]


def _intervals(result: CaseResult, name: str, estimate: Estimate) -> list[Estimate]:
    items = estimates.item_interval(result) if name == "accuracy" else None
    if items is None:
        return [estimate]
    return [items] if estimate.interval is IntervalKind.NONE else [estimate, items]


def _start(run: Run, result: CaseResult) -> dict[str, Json]:
    case, fits = result.case, estimates.good_fits(result)
    return {
        "run": run.run_id,
        "machine": run.machine.name,
        "commit": run.commit,
        "case": case.id,
        "task": case.task_key,
        "architecture": case.variant.architecture,
        "label": case.variant.label,
        "variant_id": case.variant.variant_id,
        "workload": case.workload,
        "sequence_length": case.sequence_length,
        "batch_size": case.batch_size,
        "precision": case.precision,
        "device": case.device,
        "compile": case.compile,
        "threads": case.threads,
        "length_distribution": case.length_distribution.value,
        "new_tokens": case.new_tokens,
        "seed_count": len({fit.seed for fit in fits}) if case.fit is not None else None,
    }


def _told(name: str, estimate: Estimate) -> dict[str, Json]:
    metric = METRICS.get(name)  # None: a metric of a task that nobody here has imported
    return {
        "metric": name,
        "value": to_json(estimate.value),
        "low": to_json(estimate.low),
        "high": to_json(estimate.high),
        "interval": estimate.interval.value,
        "unit": metric.unit.value if metric else None,
        "better": metric.better.value if metric else None,
    }


def _end(run: Run, result: CaseResult) -> dict[str, Json]:
    trials = used_trials(result)
    timed = result.case.fit is None
    return {
        "trials": len(trials) if timed else None,
        "samples": sum(len(trial.samples_s) for trial in trials) if timed else None,
        "outcome": None,
        "reason": None,
        "flags": ";".join(estimates.flags(result, run.plan.measure)),
    }


def to_frame(runs: Runs) -> pd.DataFrame:
    """The tidy table as a frame: text, whole numbers that may be missing (`Int64`), and float64."""
    import pandas as pd

    every = _all(runs)
    kinds = {name: "Int64" if name in _WHOLE else "float64" if name in _REAL else "string" for name in COLUMNS}
    return pd.DataFrame({name: pd.Series([row[name] for row in every], dtype=kinds[name]) for name in COLUMNS})


def to_csv(runs: Runs) -> str:
    """The tidy table as CSV; unknown is an empty field."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_all(runs))
    return text.getvalue()


def to_json_text(runs: Runs) -> str:
    """The tidy table as a JSON array of objects, one a line; unknown is null, never NaN."""
    lines = (json.dumps(row, allow_nan=False, ensure_ascii=False) for row in _all(runs))
    return "[\n" + ",\n".join(lines) + "\n]\n"


def to_parquet(runs: Runs) -> bytes:
    """The tidy table as a Parquet file.

    Raises:
        UsageError: pyarrow is not installed.
    """
    try:
        import pyarrow  # type: ignore[import-not-found, unused-ignore] # noqa: F401
    except ImportError as error:
        message = "format 'parquet' needs pyarrow, which is not installed; run: python -m pip install 'bench[parquet]'"
        raise UsageError(message) from error
    file = io.BytesIO()
    to_frame(runs).to_parquet(file, engine="pyarrow", index=False)
    return file.getvalue()


def _all(runs: Runs) -> list[dict[str, Json]]:
    return [row for run, results in runs for row in rows(run, results)]
