"""Checkouts of git revisions that stand side by side for a while, under paths of equal length."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.errors import UsageError

WORKING_TREE = "."
PREFIX = "bench-ab-"
LOCK = "lock"
# git sets these for its hooks, where they would point to another repository than the folder that is asked about
_OF_HOOKS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY")
# of the commit that holds the working tree for a while: nobody's name, and the same tree is the same commit
_NOBODY = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "bench"), ("EMAIL", "bench@localhost"), ("DATE", "2000-01-01T00:00:00+0000"))
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """What a name stood for when it was looked up: `main`, and the commit; `dirty` is HEAD with uncommitted changes."""

    name: str
    commit: str
    dirty: bool = False

    def __str__(self) -> str:
        """`main (1a2b3c4d)`, `working tree (1a2b3c4d)`."""
        return f"{'working tree' if self.name == WORKING_TREE else self.name} ({self.commit[:8]})"


def repository(folder: Path = Path()) -> Path:
    """The top folder of the repository that a folder lies in.

    Raises:
        UsageError: there is none, or no git.
    """
    try:
        done = _run(folder, "rev-parse", "--show-toplevel")
    except FileNotFoundError:
        raise UsageError("git is not installed; `bench ab` needs it to compare two revisions") from None
    if done.returncode:
        said = _last_line(done.stderr)
        raise UsageError(f"{folder.resolve()}: is in no git repository ({said}); `bench ab` compares revisions of one")
    return Path(done.stdout.strip())


def revision(name: str, top: Path) -> Revision:
    """Look a name up in a repository; `.` is the working tree with what is not committed, new files included.

    Raises:
        UsageError: there is no such revision.
    """
    if name == WORKING_TREE:
        return _working_tree(top)
    commit = _git(top, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    if commit is None:
        known = (_git(top, "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags") or "").split()
        shown = ", ".join(known[:8]) or "none"
        raise UsageError(
            f"revision '{name}' is unknown here; expected a commit, a tag or a branch ({shown}), or . for the working "
            "tree; in CI, fetch with full history"
        )
    return Revision(name=name, commit=commit)


def _working_tree(top: Path) -> Revision:
    """A commit of the files as they stand, on no branch; git forgets it some weeks later."""
    head = _git(top, "rev-parse", "--verify", "--quiet", "HEAD")
    index = _git(top, "rev-parse", "--path-format=absolute", "--git-path", "index")
    if head is None or index is None:
        raise UsageError("revision '.': the repository has no commit yet; commit once before comparing")
    with tempfile.TemporaryDirectory(prefix=PREFIX) as place:
        ours = Path(place) / "index"
        if Path(index).exists():
            shutil.copy2(index, ours)  # what git knows of unchanged files spares reading them again
        environment = {"GIT_INDEX_FILE": str(ours), **_NOBODY}
        added = _run(top, "add", "--all", **environment)
        tree = _git(top, "write-tree", **environment)
        if tree == _git(top, "rev-parse", "HEAD^{tree}"):
            return Revision(name=WORKING_TREE, commit=head)
        commit = tree and _git(top, "commit-tree", tree, "-p", head, "-m", "working tree", **environment)
    if added.returncode or not commit:
        raise UsageError(
            f"revision '.': git cannot read the working tree ({_last_line(added.stderr)}); commit it first"
        )
    return Revision(name=WORKING_TREE, commit=commit, dirty=True)


@contextmanager
def checkouts(revisions: Mapping[str, Revision], top: Path) -> Iterator[dict[str, Path]]:
    """A worktree for each key, below one folder for the time being; keys are padded to one length.

    Raises:
        UsageError: git cannot make one.
    """
    _remove_leftovers(top)
    longest = max(map(len, revisions))
    with tempfile.TemporaryDirectory(prefix=PREFIX) as place, (Path(place) / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = {key: Path(place).resolve() / key.ljust(longest, "_") for key in revisions}
        try:
            for key, found in revisions.items():
                _add(top, made[key], found)
            yield made
        finally:
            _remove(top, made.values())


def _add(top: Path, path: Path, found: Revision) -> None:
    # a repository's hooks are for people who work in it
    done = _run(top, "-c", "core.hooksPath=/dev/null", "worktree", "add", "--detach", str(path), found.commit)
    if done.returncode:
        raise UsageError(f"revision '{found.name}': git cannot check it out ({_last_line(done.stderr)})")


def _remove(top: Path, paths: Iterable[Path]) -> None:
    for path in paths:
        _git(top, "worktree", "remove", "--force", "--force", str(path))
    _git(top, "worktree", "prune")


def _remove_leftovers(top: Path) -> None:
    """Remove worktrees of a session that was killed: nobody holds its lock any more."""
    listed = (_git(top, "worktree", "list", "--porcelain") or "").splitlines()
    paths = [Path(line.removeprefix("worktree ")) for line in listed if line.startswith("worktree ")]
    for folder in {path.parent for path in paths if path.parent.name.startswith(PREFIX)}:
        with contextlib.suppress(OSError), (folder / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(top, [path for path in paths if path.parent == folder])
            shutil.rmtree(folder)


def _git(folder: Path, *words: str, **environment: str) -> str | None:
    """What git prints; None where it fails or prints nothing."""
    done = _run(folder, *words, **environment)
    return done.stdout.strip() or None if done.returncode == 0 else None


def _run(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    ours = {name: value for name, value in os.environ.items() if name not in _OF_HOOKS}
    return subprocess.run(
        ["git", "-C", str(folder), *words], capture_output=True, text=True, check=False, env={**ours, **environment}
    )


def _last_line(said: str) -> str:
    return (said.strip().splitlines() or ["no reason given"])[-1]
