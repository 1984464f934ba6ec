"""Take the screenshots of README.md, docs/pages.md, also in Chinese: ``python benchmarks/screenshots.py [zh]``.

Needs Chromium (scripts/chromium.sh), the extra ``dev``, and MNIST and Fashion-MNIST (from YISHENG_MIRROR or the
internet). A trained network predicts a drawn digit, the live page shows three trainings, and a report is shown; in
Chinese also what a terminal shows. Takes a few minutes on two cores for each language.
"""

from __future__ import annotations

import contextlib
import html
import io
import json
import os
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
FOLDERS = {"en": DOCS, "zh": DOCS / "zh"}
"""Language -> folder of its images."""
MAX_BYTES = 150_000
"""Larger images are stored with 256 colors."""
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
]
DIGIT_THREE = [
    (0.33, 0.22),
    (0.38, 0.17),
    (0.45, 0.14),
    (0.54, 0.14),
    (0.61, 0.18),
    (0.65, 0.26),
    (0.62, 0.36),
    (0.54, 0.43),
]
DIGIT_THREE += [
    (0.45, 0.47),
    (0.55, 0.5),
    (0.63, 0.56),
    (0.67, 0.65),
    (0.64, 0.76),
    (0.56, 0.84),
    (0.44, 0.86),
    (0.32, 0.8),
]
MLP = ["data=fashion-mnist", "model=mlp", "hidden=[128]"]


def main() -> None:
    """Train, open the pages, and write the images."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        sys.exit("Chromium is not installed; install it with scripts/chromium.sh")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        for language in sys.argv[1:] or FOLDERS:
            os.environ["YISHENG_LANG"] = language
            with tempfile.TemporaryDirectory() as folder:
                capture_report(browser, Path(folder) / "digits")
                capture_try_page(browser, Path(folder) / "mnist")
                if language == "zh":
                    capture_terminal(browser, Path(folder) / "terminal")
                capture_live_page(browser, Path(folder) / "runs")
        browser.close()


def capture_live_page(browser: Browser, out: Path) -> None:
    """Show two finished runs and a third one in training."""
    for settings in (["epochs=4", "optimizer=sgd", "optimizer.lr=0.5"], ["epochs=4", "optimizer=adam"]):
        subprocess.run([sys.executable, "-m", "yisheng", "train", *MLP, *settings, f"out={out}", "--quiet"], check=True)
    with (
        start_command("train", *MLP, "epochs=8", "watch=true", f"out={out}") as child,
        open_page(browser, 1240, 1180) as page,
    ):
        assert child.stderr is not None
        page.goto(re.search(r"http://\S+", child.stderr.readline())[0])  # type: ignore[index]  # the first line is the address
        page.wait_for_selector("#progress:not([hidden])", timeout=120_000)
        page.locator("#runs li", has_text="0002-").locator("input").check()
        page.wait_for_function("() => document.querySelector('#progress').value > 0.55", timeout=600_000)
        page.wait_for_selector("#mistakes img")
        page.wait_for_timeout(500)
        save_screenshot(page, "live.png")
        child.kill()


def capture_try_page(browser: Browser, out: Path) -> None:
    """Show the prediction for a digit drawn with the mouse."""
    words = ["data=mnist", "model=lenet", "epochs=1", f"out={out}", "--quiet"]
    subprocess.run([sys.executable, "-m", "yisheng", "train", *words], check=True)
    (run,) = out.glob("0001-*")
    with start_command("serve", run, "port=0", "--json") as child, open_page(browser, 1100, 900) as page:
        assert child.stdout is not None
        page.goto(json.loads(child.stdout.readline())["address"])
        page.wait_for_selector("#drawing:not([hidden])")
        draw(page, DIGIT_THREE)
        page.wait_for_selector("#occlusion-map")
        page.wait_for_timeout(500)
        save_screenshot(page, "try.png")


def capture_report(browser: Browser, out: Path) -> None:
    """Show the first sections of a run's report."""
    words = ["data=digits", "model=lenet", f"out={out}", "--quiet"]
    subprocess.run([sys.executable, "-m", "yisheng", "train", *words], check=True)
    (report,) = out.glob("0001-*/report.html")
    with open_page(browser, 1100, 1600) as page:
        page.goto(report.as_uri())
        save_screenshot(page, "report.png", full_page=False)


def capture_terminal(browser: Browser, folder: Path) -> None:
    """Show what a training and an error print, in a font whose Chinese characters are two columns wide."""
    text = ""
    folder.mkdir()
    for words in (["train", "data=iris", "epochs=20"], ["train", "data=iris", "epochs=many"]):
        command = [sys.executable, "-m", "yisheng", *words]
        outcome = subprocess.run(command, capture_output=True, encoding="utf-8", cwd=folder, check=False)
        text += f"$ yisheng {' '.join(words)}\n{outcome.stderr}{outcome.stdout}"
    style = "margin: 0; padding: 16px 20px; background: #10151b; color: #dde3ea; width: max-content"
    font = "font: 15px/1.4 'WenQuanYi Micro Hei Mono', 'Noto Sans Mono CJK SC', monospace"
    with open_page(browser, 1100, 700) as page:
        page.set_content(f'<body style="margin: 0"><pre style="{style}; {font}">{html.escape(text)}</pre>')
        content = page.locator("pre").screenshot()
    write_image("terminal.png", content)


def draw(page: Page, points: Sequence[tuple[float, float]]) -> None:
    """Draw one stroke."""
    box = page.locator("#canvas").bounding_box()
    assert box is not None
    positions = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*positions[0])
    page.mouse.down()
    for position in positions[1:]:
        page.mouse.move(*position, steps=2)
    page.mouse.up()
    page.mouse.move(5, 5)


def save_screenshot(page: Page, name: str, *, full_page: bool = True) -> None:
    """Write the page, or its visible part, as an image, with 256 colors if it would be too large otherwise."""
    write_image(name, page.screenshot(full_page=full_page))


def write_image(name: str, content: bytes) -> None:
    """Write an image into the folder of the current language."""
    if len(content) > MAX_BYTES:
        file = io.BytesIO()
        Image.open(io.BytesIO(content)).convert("RGB").quantize(256).save(file, "PNG", optimize=True)
        content = file.getvalue()
    (FOLDERS[os.environ["YISHENG_LANG"]] / name).write_bytes(content)
    print(f"{name}: {len(content):,} bytes")


@contextlib.contextmanager
def open_page(browser: Browser, width: int, height: int) -> Iterator[Page]:
    """Yield an empty page of a size in pixels."""
    page = browser.new_page(viewport={"width": width, "height": height})
    yield page
    page.close()


@contextlib.contextmanager
def start_command(*words: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a command of Yisheng in another process, and kill it at the end."""
    child = subprocess.Popen(
        [sys.executable, "-m", "yisheng", *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with child:
        yield child
        child.kill()


if __name__ == "__main__":
    main()
