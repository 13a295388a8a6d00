from __future__ import annotations

import csv
import io
import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_run import golden, made_quick_run, made_run, matched

from bench import frames
from bench.errors import UsageError
from bench.observations import Pass
from bench.records import Outcome, PassKind
from bench.report import FORMATS

# fmt: off
DESIGN = [
    "run", "machine", "commit", "case", "task", "architecture", "label", "variant_id", "workload", "sequence_length",
    "batch_size", "precision", "device", "compile", "threads", "length_distribution", "new_tokens", "seed_count", "metric",
    "value", "low", "high", "interval", "unit", "better", "trials", "samples", "outcome", "reason", "flags",
]
# fmt: on
SMALL = ("rnn", "BiLSTM x2", "transformer", "<script>alert(1)</script>")


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_columns_are_those_of_the_plan_in_their_order() -> None:
    assert list(frames.COLUMNS) == DESIGN
    for run, results in (made_run(SMALL), made_quick_run()):
        assert all(list(row) == DESIGN for row in frames.rows(run, results))


def test_csv_is_the_golden_one() -> None:
    made = frames.to_csv([made_run(SMALL, lengths=(512,))])
    stored, found = _rows(golden("tidy.csv", made)), _rows(made)
    assert len(found) == len(stored)
    for one, other in zip(found, stored, strict=True):
        for name in DESIGN:
            if name in ("value", "low", "high") and other[name]:  # another libm may round another last digit
                assert float(one[name]) == pytest.approx(float(other[name]), rel=1e-9)
            else:
                assert one[name] == other[name]


def test_every_case_has_a_row_of_its_headline_metric_whatever_became_of_it() -> None:
    run, results = made_run()
    rows = frames.rows(run, results)
    heads = {row["case"]: row for row in rows if row["metric"] in ("throughput_items_per_s", "accuracy")}
    assert list(heads) == [case.id for case in run.plan.cases]
    without = {str(row["outcome"]): row for row in heads.values() if row["value"] is None}
    assert set(without) == {"out_of_memory", "skipped", "failed"}
    assert without["skipped"]["reason"] == "made to be skipped"
    assert without["out_of_memory"]["reason"] == "asked for 12.5 GiB"
    assert without["out_of_memory"]["interval"] == "none"
    pending = [row for row in frames.rows(*made_quick_run()) if row["outcome"] is None]
    assert {row["reason"] for row in pending} == {"not measured yet"}


def test_accuracy_tells_both_intervals_and_one_seed_only_that_of_the_items() -> None:
    run, results = made_run(("lstm",))
    rows = [row for row in frames.rows(run, results) if row["metric"] == "accuracy"]
    assert [row["interval"] for row in rows] == ["t95_seeds", "wilson95"]
    assert {row["seed_count"] for row in rows} == {3}
    (result,) = [result for result in results if result.fits]
    alone = replace(result, fits=result.fits[:1])
    (row,) = [row for row in frames.rows(run, [alone]) if row["metric"] == "accuracy"]
    assert row["interval"] == "wilson95"
    assert row["low"] < row["value"] < row["high"]  # type: ignore[operator]


def test_doubts_are_told_in_full() -> None:
    rows = frames.rows(*made_run(("<script>alert(1)</script>",)))
    assert {row["flags"] for row in rows if row["workload"] == "fit"} == {"contract_red: padding"}
    quick = frames.rows(*made_quick_run())
    assert {"few_trials: 3"} <= {str(row["flags"]).partition(";")[0] for row in quick}


def test_matched_sizes_are_a_metric_and_their_lack_a_flag() -> None:
    found = _rows(frames.to_csv([matched(*made_run())]))
    sizes = {row["label"]: row["value"] for row in found if row["metric"] == "matched_parameters"}
    assert sizes["lstm"] == "99300"
    assert set(sizes) == {row["label"] for row in found} - {"BiLSTM x2"}
    assert {row["label"] for row in found if "not_matched" in row["flags"].split(";")} == {"BiLSTM x2"}
    assert "matched" not in frames.to_csv([made_run()])


def test_a_memory_pass_that_failed_has_a_row() -> None:
    run, results = made_run(("lstm",))
    result = results[0]
    failed = Pass(case_id=result.case.id, name=PassKind.MEMORY, outcome=Outcome.OUT_OF_MEMORY, reason="too big")
    changed = replace(result, passes=(failed,))
    (row,) = [row for row in frames.rows(run, [changed]) if row["metric"] == "peak_rss_bytes"]
    assert (row["value"], row["outcome"], row["reason"]) == (None, "out_of_memory", "too big")


@pytest.mark.parametrize(
    ("kind", "metric"),
    [
        (PassKind.COST, "flops_per_item"),
        (PassKind.SPLIT, "forward_s"),
        (PassKind.TAILS, "latency_p90_s"),
        (PassKind.COMPILE, "compile_s"),
        (PassKind.ENERGY, "energy_j_per_item"),
    ],
)
def test_any_other_pass_that_failed_has_a_row(kind: PassKind, metric: str) -> None:
    run, results = made_run(("lstm",))
    failed = Pass(case_id=results[0].case.id, name=kind, outcome=Outcome.TIMED_OUT, reason="too long")
    found = frames.rows(run, [replace(results[0], passes=(failed,), ceiling=None)])
    (row,) = [row for row in found if row["outcome"] == "timed_out"]
    assert (row["metric"], row["value"], row["reason"]) == (metric, None, "too long")


def test_what_is_unknown_has_a_row_with_its_reason() -> None:
    run, results = made_run(("rnn",))
    found = {str(row["metric"]): row for row in frames.rows(run, results[:1])}
    for metric, reason in (("flops_per_item", "no formula for made::op"), ("kernel_count", "no kernels on a CPU")):
        row = found[metric]
        assert (row["value"], row["outcome"], row["reason"]) == (None, "ok", reason)


def test_json_is_strict_and_holds_the_same_rows() -> None:
    def refuse(found: str) -> Any:
        raise AssertionError(found)

    run, results = made_run(SMALL)
    assert json.loads(frames.to_json_text([(run, results)]), parse_constant=refuse) == frames.rows(run, results)


def test_frame_has_the_same_types_whatever_is_missing() -> None:
    whole = frames.to_frame([made_run(SMALL), made_quick_run()])
    assert list(whole.columns) == DESIGN
    assert whole.dtypes.to_dict() == frames.to_frame([made_quick_run()]).dtypes.to_dict()
    assert whole.dtypes.to_dict() == frames.to_frame([]).dtypes.to_dict()
    assert str(whole["sequence_length"].dtype) == "Int64"
    assert str(whole["value"].dtype) == "float64"
    accuracy = whole[(whole["metric"] == "accuracy") & (whole["interval"] == "t95_seeds") & (whole["task"] == "imdb")]
    assert len(accuracy) == len(SMALL)


def test_unknown_metrics_keep_their_name_and_claim_no_unit() -> None:
    run, results = made_run(("lstm",))
    (result,) = [result for result in results if result.fits]
    fits = [replace(fit, metrics={"a_metric_of_theirs": 0.5}, correct=None, fit_s=None) for fit in result.fits]
    changed = replace(result, fits=tuple(fits), preflight=None)
    (row,) = frames.rows(run, [changed])
    assert (row["metric"], row["unit"], row["better"], row["value"]) == ("a_metric_of_theirs", None, None, 0.5)


def test_parquet_without_pyarrow_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"needs pyarrow.*bench\[parquet\]"):
        FORMATS["parquet"]([made_quick_run()])


def test_parquet_reads_back(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is an extra")
    import pandas as pd

    path = tmp_path / "rows.parquet"
    path.write_bytes(frames.to_parquet([made_run(SMALL)]))
    back = pd.read_parquet(path)
    assert list(back.columns) == DESIGN
    values = [value for value in back["value"] if not math.isnan(value)]
    assert values == [row["value"] for row in frames.rows(*made_run(SMALL)) if row["value"] is not None]
