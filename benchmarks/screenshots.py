"""The screenshots of docs/pages.md, taken from the pages as they are: ``python benchmarks/screenshots.py``.

Needs Chromium (scripts/chromium.sh), the extras of ``dev``, and MNIST and Fashion-MNIST (YISHENG_MIRROR, or the net).
A network that learns to read digits is tried on a drawing, and three trainings are watched. Takes a few minutes on two
cores; what a person would see, nothing is staged.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

DOCS = Path(__file__).parents[1] / "docs"
MAX_SECONDS = 150_000
"""Bytes of an image."""
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
THREE = [(0.33, 0.22), (0.38, 0.17), (0.45, 0.14), (0.54, 0.14), (0.61, 0.18), (0.65, 0.26), (0.62, 0.36), (0.54, 0.43)]
THREE += [(0.45, 0.47), (0.55, 0.5), (0.63, 0.56), (0.67, 0.65), (0.64, 0.76), (0.56, 0.84), (0.44, 0.86), (0.32, 0.8)]
MLP = ["data=fashion-mnist", "model=mlp", "hidden=[128]"]


def main() -> None:
    """Train, open the pages, and write the images."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        sys.exit("no Chromium here: see scripts/chromium.sh")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        live(browser, Path(folder) / "runs")
        tried(browser, Path(folder) / "mnist")
        browser.close()


def live(browser: Browser, out: Path) -> None:
    """Two finished runs, and a third while it is in training."""
    for settings in (["epochs=4", "optimizer=sgd", "optimizer.lr=0.5"], ["epochs=4", "optimizer=adam"]):
        subprocess.run([sys.executable, "-m", "yisheng", "train", *MLP, *settings, f"out={out}", "--quiet"], check=True)
    with command("train", *MLP, "epochs=8", "watch=true", f"out={out}") as child, opened(browser, 1240, 1180) as page:
        assert child.stderr is not None
        page.goto(re.search(r"http://\S+", child.stderr.readline())[0])  # type: ignore[index]  # it says so first
        page.wait_for_selector("#state:text('running')", timeout=120_000)
        page.get_by_label("show 0002", exact=False).check()
        page.wait_for_function("() => document.querySelector('#progress').value > 0.55", timeout=600_000)
        page.wait_for_selector("#mistakes img")
        page.wait_for_timeout(500)
        written(page, "live.png")
        child.kill()


def tried(browser: Browser, out: Path) -> None:
    """A digit drawn with the mouse."""
    words = ["data=mnist", "model=lenet", "epochs=1", f"out={out}", "--quiet"]
    subprocess.run([sys.executable, "-m", "yisheng", "train", *words], check=True)
    (run,) = out.glob("0001-*")
    with command("serve", run, "port=0", "--json") as child, opened(browser, 1100, 900) as page:
        assert child.stdout is not None
        page.goto(json.loads(child.stdout.readline())["address"])
        page.wait_for_selector("#drawing:not([hidden])")
        draw(page, THREE)
        page.wait_for_selector("#looked-at")
        page.wait_for_timeout(500)
        written(page, "try.png")


def draw(page: Page, points: Sequence[tuple[float, float]]) -> None:
    """One stroke on the pad."""
    box = page.locator("#canvas").bounding_box()
    assert box is not None
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=2)
    page.mouse.up()
    page.mouse.move(5, 5)


def written(page: Page, name: str) -> None:
    """Keep what is seen, in 256 colours where it would be too large otherwise."""
    content = page.screenshot(full_page=True)
    if len(content) > MAX_SECONDS:
        file = io.BytesIO()
        Image.open(io.BytesIO(content)).convert("RGB").quantize(256).save(file, "PNG", optimize=True)
        content = file.getvalue()
    (DOCS / name).write_bytes(content)
    print(f"{name}: {len(content):,} bytes")


@contextlib.contextmanager
def opened(browser: Browser, width: int, height: int) -> Iterator[Page]:
    """A page of this size."""
    page = browser.new_page(viewport={"width": width, "height": height})
    yield page
    page.close()


@contextlib.contextmanager
def command(*words: Any) -> Iterator[subprocess.Popen[str]]:
    """A command of ours in another process."""
    child = subprocess.Popen(
        [sys.executable, "-m", "yisheng", *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with child:
        yield child
        child.kill()


if __name__ == "__main__":
    main()
