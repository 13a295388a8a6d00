"""The page in a headless Chromium: nothing overflows, in narrow and wide windows, light and dark."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from made_run import made_quick_run, made_run

from bench.report import render
from bench.report.beside import Beside

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, and there is none on the path"),
]

# The page stands in a frame of the wanted width: windows themselves have a least width.
WRAPPER = """<!doctype html><meta name="color-scheme" content="light dark"><body style="margin:0"><pre id="found"></pre>
<iframe id="frame" style="width:{width}px;height:900px;border:0" srcdoc="{page}"></iframe>
<script>
document.getElementById("frame").addEventListener("load", () => {{
  const inner = document.getElementById("frame").contentDocument, root = inner.documentElement;
  inner.querySelectorAll("details").forEach((one) => one.open = true);
  const outside = [...inner.querySelectorAll(".panel svg text")].filter((text) => {{
    const box = text.getBoundingClientRect(), around = text.ownerSVGElement.getBoundingClientRect();
    return box.right > around.right + 2 || box.left < around.left - 2;
  }}).map((text) => text.textContent);
  document.getElementById("found").textContent = JSON.stringify({{
    scroll: root.scrollWidth, client: root.clientWidth, outside,
    ground: inner.defaultView.getComputedStyle(inner.body).backgroundColor,
    panels: inner.querySelectorAll(".panel svg").length,
    smallest: Math.min(...[...inner.querySelectorAll(".panel svg")].map((one) => one.getBoundingClientRect().width)),
  }});
}});
</script>"""


@cache
def _page() -> str:
    return render([made_run(), made_quick_run()], Beside(chance={"imdb": 0.5}))


def _look(folder: Path, width: int, dark: bool) -> dict[str, Any]:
    path = folder / "wrapper.html"
    path.write_text(WRAPPER.format(width=width, page=html.escape(_page())), encoding="utf-8")
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    command += ["--hide-scrollbars", f"--user-data-dir={folder / 'profile'}", "--window-size=1400,1000"]
    command += [f"--blink-settings=preferredColorScheme={0 if dark else 1}", "--virtual-time-budget=5000", "--dump-dom"]
    done = subprocess.run([*command, path.as_uri()], capture_output=True, text=True, timeout=90, check=True)
    match = re.search(r'<pre id="found">(.+?)</pre>', done.stdout)
    assert match, done.stderr[-500:]
    found: dict[str, Any] = json.loads(html.unescape(match[1]))
    return found


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_overflows(tmp_path: Path, width: int, dark: bool) -> None:
    found = _look(tmp_path, width, dark)
    assert found["client"] == width
    assert found["scroll"] <= found["client"]
    assert found["outside"] == []
    assert found["panels"] == 15
    assert found["smallest"] > 300
    assert found["ground"] == ("rgb(20, 24, 28)" if dark else "rgb(255, 255, 255)")
