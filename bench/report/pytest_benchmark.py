"""A run as the JSON file of pytest-benchmark, so that its `compare`, and what reads its files, show our samples."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from statistics import fmean, median, stdev

from bench.codec import Json, to_json
from bench.estimates import flags
from bench.observations import CaseResult
from bench.records import Case, Run
from bench.report.view import place_words
from bench.trust import used_trials


def render(run: Run, results: Sequence[CaseResult]) -> str:
    """One benchmark a timed case, grouped by what may be compared: seconds per call over the samples of its trials.

    Its statistics take samples for independent, which those of one process are not: for a verdict use `bench compare`.
    """
    content = {
        "machine_info": {"machine": run.machine.name, **run.machine.hard, **run.machine.soft},
        "commit_info": {"id": run.commit, "dirty": run.dirty},
        "benchmarks": [
            _benchmark(run, result) for result in results if result.case.fit is None and used_trials(result)
        ],
        "datetime": run.created,
        "version": f"bench {run.bench_version}",
    }
    return json.dumps(to_json(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def group(case: Case) -> str:
    """What cases are put side by side in: alike but for the model."""
    place = place_words(case.sequence_length, case.batch_size, case.new_tokens)
    return f"{case.task_key}, {case.workload}, {place}, {case.precision}"


def _benchmark(run: Run, result: CaseResult) -> dict[str, Json]:
    case, trials = result.case, used_trials(result)
    samples = [sample for trial in trials for sample in trial.samples_s]
    params: dict[str, Json] = {
        "task": case.task_key,
        "label": case.variant.label,
        "workload": case.workload,
        "sequence_length": case.sequence_length,
        "batch_size": case.batch_size,
        "precision": case.precision,
        "device": case.device,
        "compile": case.compile,
        "threads": case.threads,
    }
    return {
        "group": group(case),
        "name": case.id,
        "fullname": f"{run.plan.suite}::{case.id}",
        "params": params,
        "param": case.variant.label,
        "extra_info": {"trials": len(trials), "flags": list(flags(result, run.plan.measure))},
        "options": {"disable_gc": True, "warmup": True},
        "stats": statistics(samples) | {"data": samples, "iterations": trials[0].iterations or 1},
    }


def statistics(samples: Sequence[float]) -> dict[str, Json]:
    """The statistics of pytest-benchmark 5.3, by its definitions."""
    data = sorted(samples)
    count, mean = len(data), fmean(data)
    spread = stdev(data) if count > 1 else 0.0
    q1, q3 = _quartile(data), _quartile(data[::-1])
    low, high = q1 - 1.5 * (q3 - q1), q3 + 1.5 * (q3 - q1)
    beyond = sum(not mean - spread <= value <= mean + spread for value in data)
    outside = sum(not low <= value <= high for value in data)
    return {
        "min": data[0],
        "max": data[-1],
        "mean": mean,
        "stddev": spread,
        "rounds": count,
        "median": median(data),
        "iqr": q3 - q1,
        "q1": q1,
        "q3": q3,
        "iqr_outliers": outside,
        "stddev_outliers": beyond,
        "outliers": f"{beyond};{outside}",
        "ld15iqr": next(value for value in data if value >= low),
        "hd15iqr": next(value for value in data[::-1] if value <= high),
        "ops": count / math.fsum(data),
        "total": math.fsum(data),
    }


def _quartile(data: Sequence[float]) -> float:
    """The quartile at the beginning: of an even count the median of that half, of an odd one between two values."""
    count = len(data)
    if count == 1:
        return data[0]
    place, rest = divmod(count, 4)
    if count % 2 == 0:
        return median(data[: count // 2])
    if rest == 1:
        return 0.25 * data[place - 1] + 0.75 * data[place]
    return 0.75 * data[place] + 0.25 * data[place + 1]
