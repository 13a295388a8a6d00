"""The search for the largest size that fits: with scripted limits, through the runner, and with memory that really runs out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from scripted import ScriptedServer, case, run_of, usual

from bench import worker
from bench.bisection import LARGEST, MOST_TRIES, Search, limit, next_size, searches
from bench.errors import SuiteError
from bench.estimates import estimates
from bench.executors.local import Server
from bench.jobs import Job, JobKind, bytes_asked
from bench.observations import End, Observation, Pass, Preflight, Probe, Stopped, Trial, gather
from bench.progress import Progress, remaining_s, steps
from bench.records import Case, FitSettings, LengthDistribution, Measure, Outcome, PassKind, Run
from bench.runner import measure
from bench.suite import load
from bench.workloads import Measured

Answer = Callable[[int], Outcome]
METRIC = "max_batch_size"
REASONS = {
    Outcome.OK: "",
    Outcome.OUT_OF_MEMORY: "RuntimeError: you tried to allocate 2254857830 bytes",
    Outcome.TIMED_OUT: "no answer within 120 s",
    Outcome.FAILED: "the worker died of SIGSEGV",
}


def probe(size: int, outcome: Outcome = Outcome.OK, metric: str = METRIC) -> Probe:
    reason = REASONS[outcome]
    return Probe(
        case_id="",
        metric=metric,
        size=size,
        outcome=outcome,
        reason=reason,
        bytes_asked=bytes_asked(reason),
        wall_s=0.1,
    )


def search_from(start: int, metric: str = METRIC) -> Search:
    return Search(metric=metric, case=case(batch_size=start, sequence_length=start))


def fits_up_to(most: int) -> Answer:
    return lambda size: Outcome.OK if size <= most else Outcome.OUT_OF_MEMORY


def searched(answer: Answer, start: int, probes: tuple[Probe, ...] = (), metric: str = METRIC) -> list[Probe]:
    """Every try of a search, those before an interruption included."""
    found, search = list(probes), search_from(start, metric)
    while (size := next_size(search, found)) is not None:
        found.append(probe(size, answer(size), metric))
        assert len(found) <= MOST_TRIES
    return found


def answered(probes: list[Probe], start: int = 1, metric: str = METRIC) -> tuple[float | None, str]:
    found = limit(search_from(start, metric), probes)
    return found.value, found.reason


# ── scripted limits ──


@pytest.mark.parametrize("start", [1, 2, 32, 5000])
@pytest.mark.parametrize("most", [1, 2, 3, 7, 49, 50])
def test_small_limits_are_exact(most: int, start: int) -> None:
    probes = searched(fits_up_to(most), start)
    value, reason = answered(probes)
    assert value == most
    assert reason == f"{most + 1} does not fit: 2.10 GiB asked for at once"


@pytest.mark.parametrize("start", [1, 32, 100_000])
@pytest.mark.parametrize("most", [1000, 1025, 65_000, 900_001])
def test_large_limits_are_found_within_two_percent(most: int, start: int) -> None:
    probes = searched(fits_up_to(most), start)
    value, _ = answered(probes)
    assert value is not None
    assert most / 1.02 <= value <= most
    assert len(probes) <= 28


def test_sizes_double_and_then_halve_the_gap() -> None:
    assert [one.size for one in searched(fits_up_to(100), 32)] == [32, 64, 128, 96, 112, 104, 100, 102]
    assert [one.size for one in searched(fits_up_to(5), 32)] == [32, 16, 8, 4, 6, 5]


def test_what_never_fits_has_no_limit() -> None:
    probes = searched(fits_up_to(0), 8)
    assert [one.size for one in probes] == [8, 4, 2, 1]
    assert answered(probes) == (None, "1 does not fit: 2.10 GiB asked for at once")


@pytest.mark.parametrize("metric", LARGEST)
def test_what_always_fits_ends_at_the_cap(metric: str) -> None:
    probes = searched(fits_up_to(2**40), 1000, metric=metric)
    assert max(one.size for one in probes) == LARGEST[metric]
    assert answered(probes, metric=metric) == (LARGEST[metric], f"all sizes up to {LARGEST[metric]:,} fit")
    assert searched(fits_up_to(2**40), 2**21, metric=metric)[0].size == LARGEST[metric]


def test_a_time_out_ends_the_search_and_is_not_called_out_of_memory() -> None:
    probes = searched(lambda size: Outcome.OK if size < 256 else Outcome.TIMED_OUT, 32)
    assert [one.size for one in probes] == [32, 64, 128, 256]
    assert answered(probes) == (128, "too slow beyond 128: 256 gave no answer within 120 s")


def test_a_time_out_between_the_bounds_ends_the_search() -> None:
    def answer(size: int) -> Outcome:
        return Outcome.OUT_OF_MEMORY if size > 120 else Outcome.TIMED_OUT if size > 90 else Outcome.OK

    probes = searched(answer, 64)
    assert [one.size for one in probes] == [64, 128, 96]
    assert answered(probes) == (64, "too slow beyond 64: 96 gave no answer within 120 s")


def test_a_crash_ends_the_search_with_its_reason() -> None:
    probes = searched(lambda size: Outcome.OK if size < 64 else Outcome.FAILED, 64)
    assert answered(probes) == (None, "64 failed: the worker died of SIGSEGV")


@pytest.mark.parametrize("kept", range(9))
def test_an_interrupted_search_goes_on_where_it_was(kept: int) -> None:
    whole = searched(fits_up_to(100), 32)
    assert searched(fits_up_to(100), 32, tuple(whole[:kept])) == whole
    unfinished = 0 < kept < len(whole)
    assert answered(whole[:kept] or whole)[1].endswith(f"the search is not finished ({kept} tries)") == unfinished


@pytest.mark.parametrize(
    "answer",
    [
        lambda size: Outcome.OK if size % 2 else Outcome.OUT_OF_MEMORY,
        lambda size: Outcome.OUT_OF_MEMORY if size % 2 else Outcome.OK,
        lambda size: Outcome.OK if size % 3 else Outcome.OUT_OF_MEMORY,
    ],
)
@pytest.mark.parametrize("start", [1, 7, 64, 999])
def test_answers_that_contradict_each_other_do_not_loop(answer: Answer, start: int) -> None:
    probes = searched(answer, start)
    assert len({one.size for one in probes}) == len(probes)


def test_contradicting_tries_from_before_do_not_loop() -> None:
    # what failed below a size that fitted tells nothing
    probes = searched(fits_up_to(300), 32, (probe(64, Outcome.OUT_OF_MEMORY), probe(128)))
    assert answered(probes)[0] == 300
    many = tuple(probe(32) for _ in range(MOST_TRIES))
    assert next_size(search_from(32), many) is None
    assert answered(list(many))[1].endswith(f"the search is not finished ({MOST_TRIES} tries)")


# ── what is searched for ──


def test_a_search_is_told_of_the_largest_case_of_its_group() -> None:
    def sized(length: int | None, batch: int, **more: object) -> Case:
        made_id = f"L{length}-B{batch}-{len(more)}"
        return case(id=made_id, definition_hash=made_id, sequence_length=length, batch_size=batch, **more)

    cases = [sized(64, 32), sized(64, 1), sized(256, 1), sized(256, 32)]
    found = {(one.metric, one.case.id) for one in searches(cases)}
    assert found == {
        ("max_batch_size", "L64-B32-0"),
        ("max_batch_size", "L256-B32-0"),
        ("max_sequence_length", "L256-B1-0"),
        ("max_sequence_length", "L256-B32-0"),
    }
    other = sized(64, 32, length_distribution=LengthDistribution.DATA)
    assert len(searches([sized(64, 32), other])) == 4
    assert len(searches([sized(64, 32), sized(64, 16, threads=2)])) == 4
    assert len(searches([sized(64, 32), sized(64, 16, compile="default")])) == 4


def test_lengths_are_searched_only_where_they_are_free() -> None:
    fitted = case(workload="fit", fit=FitSettings(epochs=1, batch_size=8))
    cases = [case("mlp", sequence_length=None), fitted, case("skipped", skip="not here")]
    assert [(one.metric, one.case.variant.label) for one in searches(cases)] == [("max_batch_size", "mlp")]


# ── through the runner ──

LIMITS = Measure(min_rounds=3, max_rounds=3, passes=(), limits=True)


def observe(run: Run, server: ScriptedServer, folder: Path, before: tuple[Observation, ...] = ()) -> list[Observation]:
    events = measure(run, before, folder, start_server=server)
    return [event for event in events if not isinstance(event, Progress)]


def answers(job: Job) -> list[Observation | str] | None:
    if job.kind is not JobKind.PROBE:
        return None
    tokens = job.case.batch_size * (job.case.sequence_length or 1)
    outcome = Outcome.OK if tokens <= 6400 else Outcome.OUT_OF_MEMORY
    return [job.ended(outcome, REASONS[outcome], 0.5)]


def test_searches_come_after_the_rounds_each_in_its_server(tmp_path: Path) -> None:
    run, server = run_of(case("a"), case("b"), measure=LIMITS), ScriptedServer(answers)
    observed = observe(run, server, tmp_path)
    kinds = [type(one) for one in observed]
    assert kinds.index(Probe) > max(place for place, kind in enumerate(kinds) if kind in (Trial, Stopped))
    assert kinds[-1] is End
    # one to get ready, three rounds, and two searches a case
    assert server.started == 8
    assert server.running == 0
    for result in gather(run.plan, observed):
        found = estimates(result)
        assert found["max_batch_size"].value == 100
        assert found["max_batch_size"].reason == "102 does not fit: 2.10 GiB asked for at once"
        assert found["max_sequence_length"].value == 800
    jobs = [job for job in server.jobs if job.kind is JobKind.PROBE]
    assert {job.case.id for job in jobs} == {one.id for one in run.plan.cases}
    assert {(job.case.batch_size == 8, job.case.sequence_length == 64) for job in jobs} >= {
        (True, False),
        (False, True),
    }
    assert all(one.case_id and one.metric for one in observed if isinstance(one, Probe))


def test_no_search_unless_asked_for_and_none_of_what_cannot_be_checked(tmp_path: Path) -> None:
    server = ScriptedServer(answers)
    observe(run_of(case(), measure=replace(LIMITS, limits=False)), server, tmp_path)
    assert all(job.kind is not JobKind.PROBE for job in server.jobs)

    def broken(job: Job) -> list[Observation | str] | None:
        return [job.ended(Outcome.FAILED, "no such layer")] if job.kind is JobKind.PREFLIGHT else answers(job)

    server = ScriptedServer(broken)
    observed = observe(run_of(case(), measure=LIMITS), server, tmp_path)
    assert {type(one) for one in observed} == {Preflight, Stopped, End}


def test_a_case_that_does_not_fit_is_searched_for_smaller_sizes(tmp_path: Path) -> None:
    def answer(job: Job) -> list[Observation | str] | None:
        if job.kind is JobKind.PILOT:
            return [job.ended(Outcome.OUT_OF_MEMORY, "too large")]
        return answers(job)

    run = run_of(case(batch_size=128), measure=LIMITS)
    (result,) = gather(run.plan, observe(run, ScriptedServer(answer), tmp_path))
    assert result.verdict == (Outcome.OUT_OF_MEMORY, "too large")
    assert estimates(result)["max_batch_size"].value == 100


def test_no_budget_ends_a_search(tmp_path: Path) -> None:
    seconds = iter(range(0, 1_000_000, 50))
    run = run_of(case(), measure=replace(LIMITS, budget_s=1))
    events = measure(run, [], tmp_path, ScriptedServer(answers), now=lambda: float(next(seconds)))
    (result,) = gather(run.plan, [event for event in events if not isinstance(event, Progress)])
    assert result.criterion.startswith("budget")
    assert estimates(result)["max_batch_size"].value == 100


@pytest.mark.parametrize("kept", [1, 4, 9, 13])
def test_an_interrupted_run_goes_on_with_the_search(tmp_path: Path, kept: int) -> None:
    run = run_of(case(), measure=LIMITS)
    whole = observe(run, ScriptedServer(answers), tmp_path)
    first = next(place for place, one in enumerate(whole) if isinstance(one, Probe))
    before = tuple(whole[: first + kept])
    server = ScriptedServer(answers)
    rest = observe(run, server, tmp_path, before)
    assert [*before, *rest][:-1] == whole[:-1]
    assert all(job.kind is JobKind.PROBE for job in server.jobs)


def test_closing_the_run_stops_the_search_at_once(tmp_path: Path) -> None:
    server = ScriptedServer(answers)
    events = measure(run_of(case(), measure=LIMITS), [], tmp_path, start_server=server)
    next(event for event in events if isinstance(event, Probe))
    events.close()
    assert server.running == 0
    assert Counter(job.kind for job in server.jobs)[JobKind.PROBE] == 1


def test_progress_tells_the_size_and_ends_at_all_steps(tmp_path: Path) -> None:
    run = run_of(case(), measure=LIMITS)
    told, observed = [], []
    for event in measure(run, [], tmp_path, start_server=ScriptedServer(answers)):
        if isinstance(event, Progress):
            told.append(event)
        else:
            observed.append(event)
    assert all(one.done < one.total for one in told)
    trying = [one.done for one in told if one.phase == "searching for limits"]
    assert trying == list(range(trying[0], trying[0] + len(trying)))
    details = [one.detail for one in told if one.phase == "searching for limits"]
    assert details[:3] == ["max_batch_size 8", "max_batch_size 16", "max_batch_size 32"]
    assert "max_sequence_length 1,024" in details
    # nobody knows how long a search takes
    assert {one.remaining_s for one in told} == {None}
    results = {result.case.id: result for result in gather(run.plan, observed)}
    done, total = steps(run.plan, results)
    assert done == total
    assert remaining_s(run.plan, observed, results, 1.0) == 0.0


# ── suites and sentences ──

SUITE = """
name = "made"
task = "imdb"
[[architecture]]
name = "gru"
[speed]
workloads = ["inference"]
sequence_lengths = [64]
batch_sizes = [8]
[measure]
limits = true
"""


@pytest.mark.parametrize(
    ("text", "size"),
    [("4096", 4096), ('"2GiB"', 2**31), ('"1.5 GiB"', 3 * 2**29), ('"512MiB"', 2**29), ('"64KiB"', 2**16)],
)
def test_memory_may_be_written_with_its_unit(tmp_path: Path, text: str, size: int) -> None:
    (tmp_path / "made.toml").write_text(f"{SUITE}limit_bytes = {text}")
    content = load(tmp_path / "made.toml").content
    assert content is not None
    assert content.measure.record().limit_bytes == size


@pytest.mark.parametrize("text", ['"2 apples"', '"much"', "0", "-1", '"0GiB"', "1.5", "true"])
def test_wrong_memory_is_told(tmp_path: Path, text: str) -> None:
    from bench.plan import resolve

    (tmp_path / "made.toml").write_text(f"{SUITE}limit_bytes = {text}")
    with pytest.raises(SuiteError) as caught:
        resolve(load(tmp_path / "made.toml"), device="cpu", threads=1)
    (sentence,) = caught.value.problems
    assert "'measure.limit_bytes'" in sentence
    if text.startswith('"') and "0" not in text:
        assert '"2GiB"' in sentence


@pytest.mark.parametrize(
    ("sentence", "size"),
    [
        ("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of 139.80 GiB", 2684354560),
        ("CUDA out of memory. Tried to allocate 20.00 MiB (GPU 0; 7.79 GiB total capacity)", 20 * 2**20),
        ("CUDA out of memory. Tried to allocate 512 bytes.", 512),
        ("the kernel killed the worker for memory", None),
    ],
)
def test_the_bytes_asked_for_are_read_from_sentences(sentence: str, size: int | None) -> None:
    assert bytes_asked(sentence) == size


# ── memory that really runs out ──


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        yield made


def a_try(size: int, limit_bytes: int) -> Job:
    made = case("lstm", workload="training", batch_size=size, task_options={"vocabulary_size": 1000})
    return Job(kind=JobKind.PROBE, case=made, measure=Measure(limit_bytes=limit_bytes), probing=METRIC)


def tried(server: Server, job: Job) -> Probe:
    (found,) = server.run(job)
    assert isinstance(found, Probe)
    return found


@pytest.mark.slow
def test_a_try_may_use_as_much_memory_as_the_suite_says(server: Server) -> None:
    # 1,024 rows of 64 words: the embedded words alone take 32 MiB, and an LSTM keeps several times that
    little, much = tried(server, a_try(1024, 128 * 2**20)), tried(server, a_try(1024, 4 * 2**30))
    assert (little.outcome, much.outcome) == (Outcome.OUT_OF_MEMORY, Outcome.OK), (little.reason, much.reason)
    assert (little.size, little.metric, much.bytes_asked) == (1024, METRIC, None)
    # torch's own sentence, with the very figure
    stated = re.search(r"(\d+) bytes", little.reason)
    assert stated is not None
    assert little.bytes_asked == int(stated[1])
    assert little.bytes_asked > 2**20


@pytest.mark.parametrize(("rotation", "calls"), [(1, 2), (4, 5)])
def test_a_try_goes_over_every_batch_beside_the_optimizers_state(
    monkeypatch: pytest.MonkeyPatch, rotation: int, calls: int
) -> None:
    taken: list[int] = []
    step = Measured(call=lambda: taken.append(1), items=8, rotation=rotation)
    monkeypatch.setattr(worker, "measured", lambda _: (SimpleNamespace(device=torch.device("cpu")), step))
    found = worker._probe(a_try(8, 2**30))
    assert isinstance(found, Probe)
    assert (found.outcome, found.size, len(taken)) == (Outcome.OK, 8, calls)


@pytest.mark.slow
def test_other_jobs_are_not_limited(server: Server) -> None:
    (found,) = server.run(replace(a_try(1024, 128 * 2**20), kind=JobKind.PASS, passing=PassKind.SPLIT))
    assert isinstance(found, Pass)
    assert found.outcome is Outcome.OK, found.reason


@pytest.mark.long  # beside other work its tries run out of time
def test_a_search_ends_between_a_size_that_fits_and_one_that_does_not(server: Server, tmp_path: Path) -> None:
    class Mixed(ScriptedServer):
        """Real tries; all else is answered at once."""

        def run(self, job: Job) -> Iterator[Observation | str]:
            yield from server.run(job) if job.kind is JobKind.PROBE else usual(job)

    run = run_of(a_try(64, 0).case, measure=replace(LIMITS, limit_bytes=256 * 2**20))
    (result,) = gather(run.plan, observe(run, Mixed(), tmp_path))
    found = estimates(result)
    for name in ("max_batch_size", "max_sequence_length"):
        value, reason = found[name].value, found[name].reason
        assert value is not None, reason
        assert value > 64
        assert re.fullmatch(r"[\d,]+ does not fit: [\d.]+ [MK]iB asked for at once", reason)
