"""Revisions looked up and checked out side by side, in real repositories; nothing is left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.worktrees import PREFIX, Revision, checkouts, repository, revision
from tests.repositories import commit, git, new_repository, write


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As on a machine where nobody told git a name; leftovers go where they can be counted."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    monkeypatch.setenv("HOME", str(tmp_path))
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    monkeypatch.setenv("TMPDIR", str(place))


@pytest.fixture
def top(tmp_path: Path) -> Path:
    folder = new_repository(tmp_path / "project")
    commit(folder, {"net.py": "old\n", "sub/more.py": "more\n", ".gitignore": "*.log\n"})
    commit(folder, {"net.py": "new\n"})
    return folder


def leftovers(top: Path) -> list[str]:
    listed = git(top, "worktree", "list", "--porcelain").splitlines()
    worktrees = [line for line in listed if line.startswith("worktree ")][1:]
    return worktrees + [path.name for path in Path(tempfile.gettempdir()).iterdir() if path.name.startswith(PREFIX)]


def test_each_key_is_a_checkout_of_its_revision_under_a_path_as_long_as_the_others(top: Path) -> None:
    base, head = revision("HEAD~1", top), revision("main", top)
    with checkouts({"base": base, "head": head, "control": base}, top) as folders:
        contents = {key: (folder / "net.py").read_text() for key, folder in folders.items()}
        assert contents == {"base": "old\n", "head": "new\n", "control": "old\n"}
        assert len({len(str(folder)) for folder in folders.values()}) == 1
        assert git(folders["head"], "rev-parse", "HEAD") == head.commit
    assert leftovers(top) == []
    assert git(top, "status", "--porcelain") == ""


def test_a_repository_is_found_from_any_of_its_folders(top: Path) -> None:
    assert repository(top / "sub") == top.resolve()
    assert revision("HEAD", repository(top / "sub")).commit == git(top, "rev-parse", "HEAD")


def test_the_working_tree_is_what_stands_there_new_files_too_and_ignored_ones_not(top: Path) -> None:
    write(top, {"net.py": "newest\n", "fresh.py": "fresh\n", "noise.log": "noise\n"})
    git(top, "rm", "--quiet", "sub/more.py")
    before = git(top, "status", "--porcelain")
    found = revision(".", top)
    assert found.dirty
    assert found == revision(".", top), "the same tree is the same commit"
    with checkouts({"head": found}, top) as folders:
        assert (folders["head"] / "net.py").read_text() == "newest\n"
        assert (folders["head"] / "fresh.py").exists()
        assert not (folders["head"] / "noise.log").exists()
        assert not (folders["head"] / "sub/more.py").exists()
    assert git(top, "status", "--porcelain") == before, "index and files of the user stay as they are"
    assert git(top, "branch", "--list") == "* main"


def test_a_working_tree_without_changes_is_head(top: Path) -> None:
    assert revision(".", top) == Revision(name=".", commit=git(top, "rev-parse", "HEAD"), dirty=False)


def test_hooks_of_git_do_not_lead_it_elsewhere(top: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = new_repository(tmp_path / "other")
    commit = git(top, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    assert repository(top) == top.resolve()
    assert revision("HEAD", top).commit == commit


def test_hooks_of_the_repository_do_not_run(top: Path) -> None:
    hook = top / ".git/hooks/post-checkout"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    with checkouts({"base": revision("HEAD", top)}, top) as folders:
        assert (folders["base"] / "net.py").exists()


def test_an_unknown_revision_is_one_sentence_that_names_those_there_are(top: Path) -> None:
    git(top, "tag", "v1")
    with pytest.raises(UsageError, match=r"^revision 'mian' is unknown here; .*\(main, v1\)[^\n]*full history$"):
        revision("mian", top)


def test_a_folder_outside_of_any_repository_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is in no git repository \(.+\)[^\n]*$"):
        repository(tmp_path)


def test_a_repository_without_a_commit_is_one_sentence(tmp_path: Path) -> None:
    top = new_repository(tmp_path / "empty")
    with pytest.raises(UsageError, match="no commit yet"):
        revision(".", top)


def test_a_commit_that_cannot_be_checked_out_leaves_nothing(top: Path) -> None:
    missing = Revision(name="gone", commit="0" * 39 + "1")
    with (
        pytest.raises(UsageError, match="revision 'gone': git cannot check it out"),
        checkouts({"base": revision("HEAD", top), "head": missing}, top),
    ):
        raise AssertionError
    assert leftovers(top) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, SystemExit])
def test_worktrees_go_whatever_happens(top: Path, error: type[BaseException]) -> None:
    def work() -> None:
        with checkouts({"base": revision("HEAD", top)}, top) as folders:
            (folders["base"] / "made.py").write_text("made meanwhile")
            raise error

    with pytest.raises(error):
        work()
    assert leftovers(top) == []


HOLD = """
    import sys
    from pathlib import Path
    from bench.worktrees import checkouts, revision
    top = Path(sys.argv[1])
    with checkouts({"base": revision("HEAD", top)}, top):
        print("ready", flush=True)
        sys.stdin.read()
"""


def test_what_a_killed_session_left_goes_with_the_next_and_a_running_one_stays(top: Path) -> None:
    def hold() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(HOLD), str(top)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    with hold() as running:
        with hold() as killed:
            killed.send_signal(signal.SIGKILL)
        assert len(leftovers(top)) == 4
        with checkouts({"base": revision("HEAD", top)}, top):
            assert len(leftovers(top)) == 4, "one left by the running session, one of our own"
        assert len(leftovers(top)) == 2
        assert running.stdin is not None
        running.stdin.close()
    assert leftovers(top) == []
