"""A made-up judgement with a row of every verdict, for tests of what is told of one."""

from __future__ import annotations

from dataclasses import replace

from bench.verdicts import TIME, Comparison, Control, Judgement, Reason, Verdict

LSTM = "imdb/lstm/inference/L256/B32"
GRU = "imdb/gru/training/L256/B32"
GONE = "imdb/rnn/inference/L256/B32"
NEW = "imdb/textcnn/inference/L256/B32"
FIT = "imdb/lstm/fit/L256"
OTHER = "imdb/transformer/inference/L512/B32"
NASTY = "imdb/a|b <i>`c`</i>/inference/L64/B1"
NASTY_WORDS = "imdb, a|b <i>`c`</i> \x1b[31m\x00 100 %: é\r\n::error::no, inference, length 64, batch 1"

SLOWER = Comparison(
    case_id=LSTM,
    metric=TIME,
    verdict=Verdict.REGRESSED,
    reason=Reason.CONFIRMED,
    base=0.00124,
    head=0.00131,
    change=0.052,
    low=0.041,
    high=0.063,
    smallest=0.045,
    threshold=0.03,
    p=1e-6,
    count=14,
)
LARGER = Comparison(
    case_id=LSTM,
    metric="parameters",
    verdict=Verdict.REGRESSED,
    reason=Reason.BEYOND_THRESHOLD,
    base=1_313_410,
    head=1_313_510,
    change=100 / 1_313_410,
    threshold=0.0,
)
WORSE = Comparison(
    case_id=FIT,
    metric="accuracy",
    verdict=Verdict.REGRESSED,
    reason=Reason.BEYOND_THRESHOLD,
    base=0.871,
    head=0.846,
    change=-0.025,
    low=-0.034,
    high=-0.016,
    smallest=0.019,
    threshold=0.01,
    count=5,
)
UNSURE = Comparison(
    case_id=GRU,
    metric=TIME,
    verdict=Verdict.INCONCLUSIVE,
    reason=Reason.WIDE_INTERVAL,
    base=0.0204,
    head=0.0208,
    change=0.021,
    low=-0.012,
    high=0.055,
    smallest=0.0412,
    threshold=0.03,
    count=30,
)
TORN = replace(
    UNSURE, case_id=NASTY, reason=Reason.MEDIAN_DISAGREES, change=0.043, low=0.02, high=0.066, p90=-0.08, smallest=None
)
LOST = Comparison(case_id=GONE, metric="", verdict=Verdict.MISSING, reason=Reason.NOT_IN_HEAD)
ALLOWED = Comparison(case_id=NEW, metric="", verdict=Verdict.MISSING, reason=Reason.NOT_IN_BASE, allowed=True)
BROKEN = Comparison(
    case_id=NASTY,
    metric="",
    verdict=Verdict.MISSING,
    reason=Reason.FAILED,
    detail="RuntimeError: a & b\x07\n]]> ```sh",
)
ANOTHER = Comparison(case_id=OTHER, metric="", verdict=Verdict.NOT_COMPARABLE, reason=Reason.OTHER_DEFINITION)
SMALLER = Comparison(
    case_id=GRU,
    metric="peak_rss_bytes",
    verdict=Verdict.IMPROVED,
    reason=Reason.BEYOND_THRESHOLD,
    base=159 * 2**20,
    head=120 * 2**20,
    change=120 / 159 - 1,
    threshold=0.03,
)
EQUAL = Comparison(
    case_id=GRU,
    metric="operator_count",
    verdict=Verdict.UNCHANGED,
    reason=Reason.EQUAL,
    base=120,
    head=120,
    change=0.0,
    threshold=0.0,
)
STEADY = replace(
    SLOWER,
    case_id=OTHER,
    verdict=Verdict.UNCHANGED,
    reason=Reason.WITHIN_THRESHOLD,
    head=0.00125,
    change=0.004,
    low=-0.004,
    high=0.012,
)
CALM = Control(case_id=LSTM, failed=False, change=0.001, low=-0.009, high=0.011)


def made_judgement() -> Judgement:
    """Something of everything, in the order of a suite."""
    comparisons = (SLOWER, LARGER, WORSE, UNSURE, TORN, LOST, ALLOWED, BROKEN, ANOTHER, SMALLER, EQUAL, STEADY)
    return Judgement(
        title="suite ci: main against HEAD",
        base="main",
        head="HEAD",
        comparisons=comparisons,
        cases={
            LSTM: "imdb, lstm, inference, length 256, batch 32",
            GRU: "imdb, gru, training, length 256, batch 32",
            GONE: "imdb, rnn, inference, length 256, batch 32",
            NEW: "imdb, textcnn, inference, length 256, batch 32",
            FIT: "imdb, lstm, fit, length 256",
            NASTY: NASTY_WORDS,
        },
        commands={
            one.case_id: f"python -m bench ab main HEAD suites/ci.toml --filter {one.case_id!r}"
            for one in comparisons
            if one is not LOST
        },
        controls=(CALM,),
        notes=("python differs: 3.11.8 and 3.11.9; thresholds of time are doubled",),
    )
