"""What the page says of what fits: as it happened, and within budgets."""

from __future__ import annotations

from dataclasses import replace

from made_run import made_run
from made_sweep import CROSSING, block, cells, power, starved, swept

from bench.observations import CaseResult, Probe
from bench.records import Outcome, PassKind
from bench.report.tables import CellKind
from bench.report.view import view


def test_what_fits_tells_limits_as_they_were_met() -> None:
    told = block(view(*made_run()), "What fits")
    assert any(line.startswith("inference") and "up to length 512, batch 32" in line for line in told.says)
    largest = next(table for table in told.tables if table.title == "imdb: training, largest sizes")
    rows = {row.label: row for row in largest.rows}
    heads = [f"{column.group}, {column.title}" for column in largest.columns]
    told_of = {label: dict(zip(heads, map(str, row.cells), strict=True)) for label, row in rows.items()}
    assert told_of["transformer"]["longest sequence, batch 32"] == "256 not 512"
    assert told_of["transformer"]["largest batch, length 512"] == "1 not 32"
    assert told_of["lstm"]["largest batch, length 256"] == "63 not 64"
    assert told_of["nbow"]["longest sequence, batch 32"] == "512"


def test_what_never_fits_and_what_was_searched_for() -> None:
    def searched(result: CaseResult) -> CaseResult:
        if result.case.variant.label == "gru":
            return starved("gru")(result)
        sizes = [(512, Outcome.OK), (1024, Outcome.OK), (2048, Outcome.OUT_OF_MEMORY), (1536, Outcome.TIMED_OUT)]
        probes = tuple(Probe(case_id="", metric="max_sequence_length", size=size, outcome=end) for size, end in sizes)
        return replace(result, probes=probes if result.case.sequence_length == 512 else ())

    told = block(swept(CROSSING, change=searched), "What fits")
    gru, textcnn, _ = cells(next(table for table in told.tables if table.title == "imdb: inference, largest sizes"))
    assert str(gru["longest sequence batch 1"]) == "not 64"
    assert gru["longest sequence batch 1"].kind is CellKind.OUTCOME
    assert str(textcnn["longest sequence batch 1"]) == "1024 not 2048"


def test_what_fits_in_a_budget_counts_weights_beside_a_cpus_peak() -> None:
    def sized(result: CaseResult) -> CaseResult:
        length = result.case.sequence_length or 0
        held = {"weights_bytes": 2.0**20, "optimizer_bytes": 2.0**21}
        passes = tuple(
            replace(one, values={"peak_rss_bytes": 2.0**20 * length / 64, **held})
            for one in result.passes
            if one.name is PassKind.MEMORY
        )
        preflight = replace(result.preflight, weights_bytes=2**20) if result.preflight else None
        return replace(result, passes=passes, preflight=preflight)

    told = block(swept({"gru": power(1e-3, 1), "textcnn": power(2e-3, 1)}, change=sized), "What fits")
    table = next(table for table in told.tables if table.title == "imdb: training, within a budget")
    row = cells(table)[0]
    # 1, 2, 4, 8 MiB of a step and 3 MiB beside them
    assert {head: row[head].text for head in list(row)[:3]} == {
        "batch 1 4 MiB": "64",
        "batch 1 8 MiB": "256",
        "batch 1 16 MiB": "512",
    }
    assert "All that ran fits: batch 1 in 16 MiB; batch 32 in 16 MiB." in table.note
    assert any("every size that was measured fits" in line for line in told.says)


def test_a_budget_below_the_shortest_holds_none() -> None:
    table = next(table for table in block(view(*made_run()), "What fits").tables if table.title.endswith("budget"))
    lstm = cells(table)[2]
    assert (lstm["batch 32 128 MiB"].text, lstm["batch 32 512 MiB"].text) == ("128", "512")
    training = block(view(*made_run()), "What fits").tables[-1]
    none = cells(training)[2]["batch 32 128 MiB"]
    assert (none.text, none.kind) == ("none", CellKind.OUTCOME)
