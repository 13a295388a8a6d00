"""Rules about processors, memory and what stands around them, one function each."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from bench.doctor.readings import Finding, Level, Readings, finding
from bench.quantity import Unit, format_value
from bench.trust import MOST_STEAL, MOST_SWITCHES_PER_S, MOST_WAITING, SPARE_PROCESSORS

# seen on two cores beside a program that kept one of them busy: 1.39 to 1.78
NOTED_JITTER = 1.25
MOST_JITTER = 2.0
SLOW_TIMER_S = 1e-6
LEAST_MEMORY_BYTES = 2 * 2**30
LEAST_MEMORY_SHARE = 0.1
NOTED_SWAP_BYTES = 16 * 2**20
_REPEATED = "such trials are thrown away and repeated"


def _load(readings: Readings) -> Finding | None:
    used = readings.foreign_processors
    if used is None:
        return None
    # when less than one processor is left, even one thread has to share
    crowded = used > readings.processors - 1 + SPARE_PROCESSORS
    return finding(
        "load of others",
        Level.WARNING if crowded else _note_if(used > SPARE_PROCESSORS),
        f"other programs use {used:.2f} of {readings.processors} processors",
        f"{'every case gets' if crowded else 'cases that use all cores get'} slower and spread; {_REPEATED}",
        "see who it is: top -o %CPU; end it, or wait",
    )


def _steal(readings: Readings) -> Finding | None:
    if readings.steal_share is None:
        return None
    return finding(
        "steal",
        _warning_if(readings.steal_share > MOST_STEAL),
        f"the host gives {format_value(readings.steal_share, Unit.SHARE)} of a processor to others",
        f"times get longer by as much, at random; {_REPEATED}",
        "nothing inside this machine helps: measure at another hour, or on a host that is not shared",
    )


def _waiting(readings: Readings) -> Finding:
    return finding(
        "waiting",
        _warning_if(readings.waiting > MOST_WAITING),
        f"a thread that never rests gets {format_value(1 / readings.waiting, Unit.SHARE)} of a processor",
        f"times hold the waiting too; {_REPEATED}",
        "end what else runs (top -o %CPU), or give this machine more processors",
    )


def _switches(readings: Readings) -> Finding:
    return finding(
        "context switches",
        _warning_if(readings.switches_per_s > MOST_SWITCHES_PER_S),
        f"a busy thread was interrupted {readings.switches_per_s:.0f} times a second",
        f"caches are cold after each; {_REPEATED}",
        "end what else runs (top -o %CPU)",
    )


def _jitter(readings: Readings) -> Finding:
    return finding(
        "jitter",
        Level.WARNING if readings.jitter > MOST_JITTER else _note_if(readings.jitter > NOTED_JITTER),
        f"of equal short loops the slowest hundredth takes {readings.jitter:.2f} times the median",
        "p90 and p99 tell of the machine as much as of the model, and medians need more trials",
        "where nothing above explains it: more trials, --set measure.max_rounds=40",
    )


def _quota(readings: Readings) -> Finding:
    quota, stopped = readings.quota_processors, readings.throttled_periods
    limited = quota is not None and quota < readings.processors
    found = "no quota of processor time"
    if quota is not None:
        found = f"a quota of {quota:g} of {readings.processors} processors; stopped {stopped} times while watched"
    return finding(
        "quota",
        Level.WARNING if stopped or (quota is not None and quota < 1) else _note_if(limited),
        found,
        "whoever uses more stands still for the rest of each period: tails of up to 100 ms",
        f"raise it (docker: --cpus {readings.processors}), or keep below it: --set speed.threads=[1]",
    )


def _heat(readings: Readings) -> Finding | None:
    if readings.thermal_events is None:
        return None
    return finding(
        "heat",
        _warning_if(readings.thermal_events > 0),
        f"slowed for heat {readings.thermal_events} times in {readings.watched_s:.0f} s",
        "what is measured later is slower",
        "let it cool, or cool it better",
    )


def _memory(readings: Readings) -> Finding:
    free, total = readings.memory_available_bytes, readings.memory_bytes
    return finding(
        "memory",
        _warning_if(free < max(LEAST_MEMORY_BYTES, LEAST_MEMORY_SHARE * total)),
        f"{format_value(free, Unit.BYTES)} of {format_value(total, Unit.BYTES)} memory are available",
        "cases do not fit that would elsewhere, and the machine may begin to swap",
        "see who has it: top -o %MEM; end it",
    )


def _swap(readings: Readings) -> Finding:
    used = readings.swap_used_bytes
    fits = used < readings.memory_available_bytes
    return finding(
        "swap",
        _note_if(used > NOTED_SWAP_BYTES) if fits else Level.WARNING,
        f"{format_value(used, Unit.BYTES)} of swap are in use",
        "a page that comes back from disk costs milliseconds in the middle of a call",
        "sudo swapoff -a && sudo swapon -a" if fits else "see who has the memory: top -o %MEM; end it",
    )


def _priority(readings: Readings) -> Finding:
    raised = readings.raised_priority
    return finding(
        "priority",
        _note_if(not raised),
        "workers raise their priority" if raised else "workers may not raise their priority",
        "other programs interrupt what is timed, instead of waiting for it",
        "'* - nice -20' in /etc/security/limits.d/bench.conf and a new login (docker: --cap-add SYS_NICE)",
    )


def _governor(readings: Readings) -> Finding | None:
    if readings.governors is None:
        return None
    return finding(
        "governor",
        _note_if(readings.governors != ("performance",)),
        f"the frequency governor is {', '.join(readings.governors)}",
        "the clock rises only some time after work begins, and falls again in between",
        "sudo cpupower frequency-set --governor performance",
    )


def _turbo(readings: Readings) -> Finding | None:
    if readings.turbo is None:
        return None
    return finding(
        "turbo",
        _note_if(readings.turbo),
        f"turbo is {'on' if readings.turbo else 'off'}",
        "the clock depends on heat and on how many cores are busy, so that runs drift",
        readings.turbo_command,
    )


def _smt(readings: Readings) -> Finding | None:
    if readings.smt is None:
        return None
    return finding(
        "SMT",
        _note_if(readings.smt),
        "two processors share each core (SMT)" if readings.smt else "no two processors share a core",
        "what others run on the same core slows a thread that never waits",
        "echo off | sudo tee /sys/devices/system/cpu/smt/control",
    )


def _timer(readings: Readings) -> Finding:
    return finding(
        "timer",
        _note_if(readings.timer_s > SLOW_TIMER_S),
        f"the clock steps by {format_value(readings.timer_s, Unit.SECONDS)}",
        "samples of 2 ms stand far above it, single calls for p90 and p99 may not",
        "boot with clocksource=tsc, where the processor has a steady one",
    )


def _resident(readings: Readings) -> Finding:
    can = readings.weighs_memory
    return finding(
        "peak of memory",
        _note_if(not can),
        f"the peak of resident memory {'can' if can else 'cannot'} be reset (/proc/self/clear_refs)",
        "peak memory of CPU cases fails or stays unknown",
        "run outside of the sandbox, or on a kernel with CONFIG_PROC_PAGE_MONITOR",
    )


def _compiler(readings: Readings) -> Finding:
    lacks = readings.compile_lacks
    return finding(
        "compiler",
        _note_if(bool(lacks)),
        f"torch.compile does not find {' and '.join(lacks)}" if lacks else "torch.compile finds its C++ compiler",
        "compiled cases fail on the CPU; all others are measured",
        "sudo apt-get install g++ python3-dev, or name a compiler in CXX",
    )


# the first pattern that fits counts
_VARIABLES = (
    (
        "OMP_PROC_BIND|OMP_PLACES|GOMP_CPU_AFFINITY|KMP_AFFINITY",
        Level.WARNING,
        "threads keep to processors, busy or not",
    ),
    ("OMP_THREAD_LIMIT|OMP_DYNAMIC|MKL_DYNAMIC", Level.WARNING, "a case may get fewer threads than it records"),
    ("CUDA_LAUNCH_BLOCKING", Level.WARNING, "every kernel is waited for"),
    ("(OMP|MKL|OPENBLAS)_NUM_THREADS", Level.OK, "bench sets the threads of every case itself"),
    (r"PYTORCH\w*_ALLOC_CONF|PYTORCH_NO_CUDA_MEMORY_CACHING", Level.NOTE, "memory is had in other ways: other peaks"),
    (r"KMP_\w+|GOMP_\w+|OMP_WAIT_POLICY", Level.NOTE, "threads wait and wake differently"),
    (r"TORCH\w*_\w+", Level.NOTE, "torch may compute in other ways"),
)


def is_heard(name: str) -> bool:
    """Whether torch, OpenMP or CUDA listen to a variable of the environment in a way that may change numbers."""
    return any(re.fullmatch(pattern, name) for pattern, _, _ in _VARIABLES)


def _environment(readings: Readings) -> Finding:
    heard = [(name, *_meaning(name)) for name, value in readings.environment.items() if value not in ("", "0")]
    heard = [(name, level, effect) for name, level, effect in heard if level is not Level.OK]
    names = [name for name, _, _ in heard]
    return finding(
        "environment",
        Level.WARNING if any(level is Level.WARNING for _, level, _ in heard) else _note_if(bool(heard)),
        ", ".join(f"{name}={readings.environment[name]}" for name in names) or "no variable that changes numbers",
        "; ".join(dict.fromkeys(effect for _, _, effect in heard)),
        f"unset {' '.join(names)}",
    )


def _meaning(name: str) -> tuple[Level, str]:
    return next((level, effect) for pattern, level, effect in _VARIABLES if re.fullmatch(pattern, name))


def _note_if(so: bool) -> Level:
    return Level.NOTE if so else Level.OK


def _warning_if(so: bool) -> Level:
    return Level.WARNING if so else Level.OK


RULES: Sequence[Callable[[Readings], Finding | None]] = (
    _load,
    _steal,
    _waiting,
    _switches,
    _quota,
    _heat,
    _memory,
    _swap,
    _environment,
    _jitter,
    _priority,
    _governor,
    _turbo,
    _smt,
    _timer,
    _resident,
    _compiler,
)
