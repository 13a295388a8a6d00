"""How long `bench list suites` takes beside an empty Typer app that prints one rich table: interleaved, median and minimum."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

EMPTY_APP = """
import typer
app = typer.Typer()

@app.command()
def show():
    from rich.console import Console
    from rich.table import Table
    table = Table("name", "description")
    table.add_row("smoke", "Does everything work on this machine?")
    Console().print(table)

@app.callback()
def options(): ...

app()
"""
ARMS = {
    "empty": [sys.executable, "-c", EMPTY_APP, "show"],
    "bench": [sys.executable, "-m", "bench", "list", "suites"],
}
PAIRS = 30


def _seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    """Measure both arms in turn, in alternating order, and print the ratio of their medians."""
    times: dict[str, list[float]] = {name: [] for name in ARMS}
    for command in ARMS.values():
        _seconds(command)  # byte code and file cache
    for pair in range(PAIRS):
        for name in sorted(ARMS, reverse=bool(pair % 2)):
            times[name].append(_seconds(ARMS[name]))
    for name, seconds in times.items():
        print(f"{name}: median {statistics.median(seconds) * 1e3:.0f} ms, least {min(seconds) * 1e3:.0f} ms")
    print(f"ratio of medians: {statistics.median(times['bench']) / statistics.median(times['empty']):.2f}")


if __name__ == "__main__":
    main()
