"""What stands behind a page, to take along: the tidy table, every sample, every trust record; packed into the page itself."""

from __future__ import annotations

import csv
import gzip
import io
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.codec import dumps
from bench.frames import Runs, to_csv
from bench.observations import CaseResult, Trial
from bench.quantity import Unit, format_value
from bench.records import Outcome
from bench.trust import disturbance, used_trials
from bench.trust_record import trust_record

MOST_SAMPLES = 2_000_000
"""More would make a page that no browser likes to open."""

_SAMPLE_COLUMNS = ("run", "case", "round", "used", "left_out_for", "iterations", "samples_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A file inside the page.

    Attributes:
        content: gzipped, in base64; empty where it is left out, and `says` then tells where to find it.
    """

    name: str
    says: str
    content: str = ""


def downloads(runs: Runs, stem: str) -> list[Download]:
    """The files that a page of these runs offers; their names begin with `stem`."""
    taken = sum(len(trial.samples_s) for _, results in runs for result in results for trial in result.trials)
    return [
        _packed(f"{stem}-results.csv", "every figure, a row for each case and metric", lambda: to_csv(runs)),
        _packed(f"{stem}-samples.csv", "every sample, a row for each trial", lambda: samples_csv(runs))
        if taken <= MOST_SAMPLES
        else _left_out(runs, f"{stem}-samples.csv", taken),
        _packed(f"{stem}-trust.json", "the trust record of every case", lambda: trust_json(runs)),
    ]


def _packed(name: str, says: str, made: Callable[[], str]) -> Download:
    text = made().encode()
    # no time in the header: the same runs give the same page
    content = b64encode(gzip.compress(text, compresslevel=6, mtime=0)).decode()
    return Download(name=name, says=f"{says}; {format_value(len(text), Unit.BYTES)}", content=content)


def _left_out(runs: Runs, name: str, taken: int) -> Download:
    places = ", ".join(f"{run.run_id}/cases.jsonl" for run, _ in runs)
    count = format_value(taken, Unit.COUNT)
    return Download(name=name, says=f"left out of this page, for there are {count} samples; they stand in {places}")


def trust_json(runs: Runs) -> str:
    """A JSON array with the trust record of every case, one a line."""
    records = (dumps(trust_record(run, result)) for run, results in runs for result in results)
    return "[\n" + ",\n".join(records) + "\n]\n"


def samples_csv(runs: Runs) -> str:
    """One row a trial: whether it is used, or why not, and the seconds a call of each of its samples."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_SAMPLE_COLUMNS)
    writer.writerows(_sample_rows(runs))
    return file.getvalue()


def _sample_rows(runs: Runs) -> Iterator[tuple[object, ...]]:
    for run, results in runs:
        for result in results:
            used = {id(trial) for trial in used_trials(result)}
            for trial in result.trials:
                samples = " ".join(f"{sample:.6g}" for sample in trial.samples_s)
                why = "" if id(trial) in used else _why_left_out(trial, result)
                yield run.run_id, result.case.id, trial.round, "no" if why else "yes", why, trial.iterations, samples


def _why_left_out(trial: Trial, result: CaseResult) -> str:
    if trial.outcome is not Outcome.OK:
        return f"{trial.outcome.value}: {trial.reason}"
    rule = disturbance(trial, result.case)
    return rule.value if rule else "no samples"
