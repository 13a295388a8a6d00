"""Installed environments of Python other than our own: what they are, and whether they can be measured in. No torch here."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import bench
from bench.codec import from_json
from bench.errors import NotComparableError, UsageError
from bench.records import METHOD_VERSION, Machine

_ASK = """
import json, sys
import bench
from bench.codec import to_json
from bench.probes.machine import snapshot
from bench.records import METHOD_VERSION
print(json.dumps({"version": bench.__version__, "method": METHOD_VERSION, "machine": to_json(snapshot(sys.argv[1]))}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """An environment with a bench of its own: its folder as it was given, its interpreter, and the machine as it sees it."""

    name: str
    python: str
    machine: Machine


def interpreter(folder: str) -> Path | None:
    """The interpreter of an environment; None where a folder is none."""
    python = Path(os.path.abspath(folder)) / "bin" / "python"  # noqa: PTH100  a link that is followed leads out of it
    return python if python.exists() else None


def environment(folder: str, device: str) -> Environment:
    """Look into an environment.

    Raises:
        UsageError: it has no bench that can be imported.
        NotComparableError: its bench is another version, which may measure otherwise.
    """
    python = interpreter(folder)
    if python is None:
        raise UsageError(f"environment '{folder}': has no bin/python; name the folder of an environment")
    done = subprocess.run([str(python), "-P", "-c", _ASK, device], capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise UsageError(f"environment '{folder}': bench cannot be imported there ({said}); install it in both")
    found = json.loads(done.stdout.splitlines()[-1])
    if (found["version"], found["method"]) != (bench.__version__, METHOD_VERSION):
        raise NotComparableError(
            f"environment '{folder}': has bench {found['version']} (method {found['method']}), expected "
            f"{bench.__version__} (method {METHOD_VERSION}) as here; install the same version in both"
        )
    return Environment(name=folder, python=str(python), machine=from_json(Machine, found["machine"]))
