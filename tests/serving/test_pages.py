"""The pages in a real browser: what a person does on them, and what they see."""

import contextlib
import io
import json
import math
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageDraw

import yisheng

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: see scripts/chromium.sh"),
]
WAIT = 60_000
"""Milliseconds: a page on a busy machine; no test waits so long when all is well."""

ZERO = [[(0.5 + 0.19 * math.sin(t / 12 * math.pi), 0.5 - 0.32 * math.cos(t / 12 * math.pi)) for t in range(25)]]
SEVEN = [[(0.28, 0.2), (0.72, 0.2), (0.6, 0.45), (0.5, 0.65), (0.42, 0.88)]]
THREE = [[(0.33, 0.22), (0.45, 0.15), (0.6, 0.2), (0.63, 0.32), (0.55, 0.43), (0.44, 0.48)]]
THREE[0] += [(0.58, 0.52), (0.67, 0.65), (0.6, 0.8), (0.45, 0.86), (0.3, 0.78)]


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def page(browser):
    """A page that says nothing on its console, throws nothing, and asks nobody but this machine."""
    with opened(browser) as page:
        yield page


@contextlib.contextmanager
def opened(browser, *, troubles=(), **context):
    wrong = []
    inside = browser.new_context(viewport={"width": 1100, "height": 850}, accept_downloads=True, **context)
    page = inside.new_page()
    page.set_default_timeout(WAIT)
    page.on("console", lambda m: m.type in ("error", "warning") and wrong.append(f"console: {m.text}"))
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on("dialog", lambda dialog: (wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    own = re.compile(r"(http://127\.0\.0\.1:\d+/|blob:http://127\.0\.0\.1:\d+/|data:)")
    page.on("request", lambda r: None if own.match(r.url) else wrong.append(f"request: {r.url}"))
    yield page
    inside.close()
    assert [one for one in wrong if not any(word in one for word in troubles)] == []


@contextlib.contextmanager
def command(*words):
    """A command of ours in another process, ended as by Ctrl-C."""
    child = subprocess.Popen(
        [sys.executable, "-m", "yisheng", *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield child
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGINT)
        try:
            child.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()


@contextlib.contextmanager
def served(folder, port=0):
    """The address of a service."""
    with command("serve", folder, f"port={port}", "--json") as child:
        yield json.loads(child.stdout.readline())["address"]


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    out = tmp_path_factory.mktemp("digits")
    return yisheng.train(data="digits", model="mlp", hidden=[64], epochs=20, out=out, quiet=True).path


@pytest.fixture(scope="module")
def service(digits):
    with served(digits) as address:
        yield address


@pytest.fixture
def drawing(page, service):
    page.goto(service)
    page.wait_for_selector("#drawing:not([hidden])")
    return page


def draw(page, strokes):
    box = page.locator("#canvas").bounding_box()

    def place(point):
        return box["x"] + point[0] * box["width"], box["y"] + point[1] * box["height"]

    for stroke in strokes:
        page.mouse.move(*place(stroke[0]))
        page.mouse.down()
        for point in stroke[1:]:
            page.mouse.move(*place(point), steps=3)
        page.mouse.up()


def answer(page):
    """The word in large letters."""
    return page.locator(".says").evaluate("e => e.firstChild.textContent")


def asked(page, do):
    """What the service answers to what is done."""
    with page.expect_response(lambda r: r.url.endswith("/predict")) as info:
        do()
    told = info.value.json()
    page.wait_for_selector("#said:not(.waiting)", state="attached")
    return told


def photo(strokes, side=200):
    """A drawing as dark ink on light paper, a PNG."""
    image = Image.new("L", (side, side), 235)
    for stroke in strokes:
        ImageDraw.Draw(image).line([(x * side, y * side) for x, y in stroke], fill=25, width=side // 9, joint="curve")
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def test_a_digit_drawn_with_the_mouse_is_read(drawing):
    told = asked(drawing, lambda: draw(drawing, ZERO))
    assert answer(drawing) == "0" == told["answers"][0]["prediction"]
    shown = drawing.locator("#bars .value").all_inner_texts()
    assert len(shown) == 10
    shares = sorted(told["answers"][0]["probabilities"].values(), reverse=True)
    assert shown[0] == f"{shares[0] * 100:.1f}%" or shares[0] > 0.999
    assert drawing.locator("#bars dt").first.inner_text() == "0"
    looked_at = drawing.locator("#looked-at")
    looked_at.wait_for()
    assert looked_at.evaluate("e => e.decode().then(() => [e.naturalWidth, e.naturalHeight])") == [8, 8]


def test_what_is_unlike_the_training_data_is_warned_of(drawing):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 2, (8, 8)).astype(np.uint8) * 255)
    file = io.BytesIO()
    noise.save(file, "PNG")
    sent = {"name": "noise.png", "mimeType": "image/png", "buffer": file.getvalue()}
    told = asked(drawing, lambda: drawing.locator("#file").set_input_files(sent))["answers"][0]
    assert told["unlike"] > 0.995
    assert "unlike the training data" in drawing.locator("#unlike").inner_text()
    told = asked(drawing, lambda: draw(drawing, ZERO))["answers"][0]
    assert drawing.locator("#unlike").count() == (told["unlike"] > 0.995)


def test_undo_and_clear_take_back(drawing):
    asked(drawing, lambda: draw(drawing, ZERO))
    before = answer(drawing)
    asked(drawing, lambda: draw(drawing, [[(0.1, 0.1), (0.9, 0.9)]]))
    asked(drawing, lambda: drawing.keyboard.press("Control+z"))
    assert answer(drawing) == before
    drawing.get_by_role("button", name="Clear").click()
    drawing.wait_for_selector("text=Nothing was asked yet.")
    assert drawing.get_by_role("button", name="Undo").is_disabled()


def test_a_finger_draws_too(browser, service):
    with opened(browser, has_touch=True) as page:
        page.goto(service)
        page.wait_for_selector("#drawing:not([hidden])")
        box = page.locator("#canvas").bounding_box()
        asked(page, lambda: page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2))
        assert answer(page) in set("0123456789")


def test_an_image_is_uploaded_and_dropped(drawing):
    file = {"name": "zero.png", "mimeType": "image/png", "buffer": photo(ZERO)}
    told = asked(drawing, lambda: drawing.locator("#file").set_input_files(file))
    assert answer(drawing) == "0"
    assert "inverted" in drawing.locator(".notes").inner_text()
    assert drawing.locator(".seen img").first.evaluate("e => e.complete && e.naturalWidth") == 200
    dropped = drawing.evaluate_handle(
        "([bytes]) => { const all = new DataTransfer();"
        "all.items.add(new File([new Uint8Array(bytes)], 'again.png', {type: 'image/png'})); return all; }",
        [list(photo(ZERO))],
    )
    again = asked(drawing, lambda: drawing.dispatch_event("#drop", "drop", {"dataTransfer": dropped}))
    assert again["answers"][0]["probabilities"] == told["answers"][0]["probabilities"]


def test_several_images_make_a_table_that_can_be_kept(drawing):
    some = [{"name": f"{n}.png", "mimeType": "image/png", "buffer": photo(ZERO)} for n in range(3)]
    asked(drawing, lambda: drawing.locator("#file").set_input_files(some))
    assert drawing.locator("tbody tr").count() == 3
    with drawing.expect_download() as info:
        drawing.get_by_role("button", name="Download as CSV").click()
    lines = info.value.path().read_text().splitlines()
    assert lines[0].startswith("input,prediction,P(0),")
    assert lines[1].startswith("0.png,0,")
    assert len(lines) == 4


def test_a_broken_file_is_said_in_words_and_the_page_goes_on(digits, browser, service):
    with opened(browser, troubles=["422", "400", "413", "415"]) as page:
        page.goto(service)
        page.wait_for_selector("#drawing:not([hidden])")
        for name, content in (("photo.png", photo(ZERO)[:80]), ("x.png", b"<script>alert(1)</script>"), ("e.png", b"")):
            file = {"name": name, "mimeType": "image/png", "buffer": content}
            asked(page, lambda file=file: page.locator("#file").set_input_files(file))
            problem, remedy = page.get_by_role("alert").inner_text().split("\n", 1)
            assert name in problem
            assert len(remedy.strip()) > 5
            assert page.locator(".says").count() == 0
        asked(page, lambda: draw(page, ZERO))
        assert answer(page) == "0"
        assert page.get_by_role("alert").is_hidden()


def test_what_is_wrong_is_kept_with_the_right_answer(drawing, digits):
    asked(drawing, lambda: draw(drawing, SEVEN))
    drawing.locator("#correct").get_by_role("button", name="7", exact=True).click()
    drawing.wait_for_selector("#correct .notice.good")
    said = drawing.locator("#correct [role=status]").inner_text()
    (kept,) = (digits / "corrections" / "7").glob("*.png")
    assert "Thank you" in said
    assert kept.name in said
    assert np.asarray(Image.open(kept)).max() > 200


def test_a_server_that_went_away_is_said_and_found_again(browser, digits):
    with opened(browser, troubles=["ERR_CONNECTION_REFUSED", "net::ERR"]) as page:
        with served(digits) as address:
            page.goto(address)
            page.wait_for_selector("#drawing:not([hidden])")
        draw(page, ZERO)
        page.wait_for_selector("#error:not([hidden])")
        assert "the server does not answer" in page.get_by_role("alert").inner_text()
        assert page.locator("#connection").inner_text() == "no server"
        with served(digits, port=int(address.rstrip("/").rpartition(":")[2])):
            page.wait_for_selector("#connection.good")
            asked(page, lambda: draw(page, [[(0.5, 0.5), (0.52, 0.52)]]))
            assert answer(page)


def test_a_row_is_filled_in_and_a_table_dropped(browser, tmp_path):
    run = yisheng.train(data="iris", model="linear", epochs=5, out=tmp_path, quiet=True)
    with served(run.path) as address, opened(browser, troubles=["422"]) as page:
        page.goto(address)
        inputs = page.locator("#fields input")
        inputs.first.wait_for()
        assert page.locator("#drawing").is_hidden()
        asked(page, lambda: page.get_by_role("button", name="Predict").click())
        assert page.get_by_role("alert").is_visible()  # nothing was filled in
        for field, value in zip(inputs.all(), (5.1, 3.5, 1.4, 0.2), strict=True):
            field.fill(str(value))
        told = asked(page, lambda: inputs.last.press("Enter"))
        wanted = run.predict(np.array([[5.1, 3.5, 1.4, 0.2]]))[0]
        assert answer(page) == wanted.prediction
        assert told["answers"][0]["probabilities"] == pytest.approx(wanted.probabilities)
        page.locator("#correct").get_by_role("button", name="virginica").click()
        page.wait_for_selector("#correct .notice.good")
        assert (run.path / "corrections" / "rows.csv").read_text().splitlines()[-1].endswith("virginica")
        header = ",".join(column.name for column in run.run.spec.columns)
        table = f"{header}\n5.1,3.5,1.4,0.2\n6.5,3,5.5,1.8\n".encode()
        file = {"name": "flowers.csv", "mimeType": "text/csv", "buffer": table}
        asked(page, lambda: page.locator("#file").set_input_files(file))
        assert page.locator("tbody tr").count() == 2
        asked(page, lambda: page.locator("#file").set_input_files({**file, "buffer": b"a,b\n1,2\n"}))
        assert len(page.get_by_role("alert").inner_text()) > 20


def test_a_form_has_a_list_for_a_category_and_names_go_in_as_text(browser, tmp_path):
    rng, hostile = np.random.default_rng(0), "<img src=x onerror=alert(1)>"
    lines = [
        f"{rng.normal():.3f},{word},{label}"
        for word in ("red", "blue")
        for label in ("yes", hostile)
        for _ in range(30)
    ]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["size,colour,<b>kind</b>", *lines]))
    run = yisheng.train(data=str(path), target="last", model="linear", epochs=2, out=tmp_path / "runs", quiet=True)
    with served(run.path) as address, opened(browser) as page:
        page.goto(address)
        page.locator("#fields select").wait_for()
        assert page.locator("#fields select option").all_inner_texts()[1:] == ["blue", "red"]
        page.locator("#fields input").fill("0.3")
        page.locator("#fields select").select_option("red")
        asked(page, lambda: page.get_by_role("button", name="Predict").click())
        assert hostile in page.locator("#bars dt").all_inner_texts()
        assert page.locator("main img, #answer img").count() == 0


def test_the_page_fits_a_phone_in_the_dark_and_works_by_keyboard(browser, service, tmp_path):
    with command("watch", tmp_path, "port=0", "--json") as child:
        live = json.loads(child.stdout.readline())["address"]
        for address in (service, live):
            with opened(browser, color_scheme="dark") as page:
                page.set_viewport_size({"width": 340, "height": 700})
                page.goto(address)
                page.wait_for_selector("#connection.good")
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
                assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(16, 20, 24)"
                unnamed = "[...document.querySelectorAll('input:not([hidden]), select, button')].filter(e => !"
                unnamed += "(e.labels?.length || e.ariaLabel || e.textContent.trim())).length"
                assert page.evaluate(unnamed) == 0
                page.keyboard.press("Tab")
                assert "Skip" in page.evaluate("document.activeElement.textContent")


def test_the_live_page_follows_a_run_to_its_end(page, tmp_path):
    words = ["data=digits", "model=mlp", "hidden=[32]", "epochs=400", "watch=true", f"out={tmp_path}"]
    with command("train", *words) as child:
        address = re.search(r"http://\S+", child.stderr.readline())[0]
        page.goto(address)
        page.wait_for_selector("#state:text('running')")
        path = page.locator(".chart", has_text="Loss").locator(".curve.line path").first
        path.wait_for(state="attached")
        early = path.get_attribute("d")
        page.wait_for_function(
            "early => document.querySelector('.curve.line path').getAttribute('d') !== early", arg=early
        )
        page.wait_for_selector("#connection:text('the training is over')")
        child.wait(60)
    page.wait_for_selector("#state:text('finished')")
    (folder,) = tmp_path.glob("0001-*")
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    epochs = [event for event in events if event["event"] == "epoch"]
    shown = page.locator(".legend b").all_inner_texts()
    assert f"{epochs[-1]['loss']:.4g}" in {f"{float(one):.4g}" for one in shown if re.fullmatch(r"[\d.]+", one)}
    assert "epoch 400 of 400" in page.locator("#standing").inner_text()
    assert page.locator("#mistakes img").count() >= 1
    assert page.locator("#report").is_visible()


def test_runs_are_compared_and_values_read_and_a_new_run_appears(page, tmp_path):
    made = [yisheng.train(data="iris", model="linear", epochs=3, lr=lr, out=tmp_path, quiet=True) for lr in (0.1, 0.01)]
    with command("watch", tmp_path, "port=0", "--json") as child:
        page.goto(json.loads(child.stdout.readline())["address"])
        page.wait_for_selector("#runs li.shown")
        page.get_by_label(f"show {made[0].path.name}").check()
        loss = page.locator(".chart", has_text="Loss")
        loss.locator(f"text={made[0].path.name}: validation").wait_for()
        assert loss.locator(".curve").count() == 6  # each step, training and validation of both
        loss.locator("svg.curves").focus()
        page.keyboard.press("Home")
        assert loss.locator(".where").inner_text() == "epoch 1"
        loss.get_by_role("button", name="log").click()
        assert loss.get_by_role("button", name="log").get_attribute("aria-pressed") == "true"
        with page.expect_download() as info:
            page.locator("#report").click()
        assert "<html" in info.value.path().read_text()[:500]
        yisheng.train(data="iris", model="linear", epochs=1, out=tmp_path, quiet=True)
        page.locator("#runs li", has_text="0003-").wait_for()
        assert page.locator("#runs li.shown").count() == 2  # what a person chose stays


def test_a_live_page_whose_server_went_away_says_so_and_comes_back(browser, tmp_path):
    with opened(browser, troubles=["net::ERR"]) as page:
        with command("watch", tmp_path, "port=0", "--json") as child:
            address = json.loads(child.stdout.readline())["address"]
            page.goto(address)
            page.wait_for_selector("#connection.good")
        page.wait_for_selector("#connection.doubt")
        assert "connection lost" in page.locator("#connection").inner_text()
        with command("watch", tmp_path, f"port={address.rstrip('/').rpartition(':')[2]}"):
            page.wait_for_selector("#connection.good")


@pytest.mark.realdata
def test_digits_drawn_with_the_mouse_are_read_by_a_network_that_learned_from_mnist(page, tmp_path):
    run = yisheng.train(data="mnist", model="mlp", hidden=[128], epochs=2, out=tmp_path, quiet=True)
    with served(run.path) as address:
        page.goto(address)
        page.wait_for_selector("#drawing:not([hidden])")
        for digit, strokes in (("3", THREE), ("7", SEVEN), ("0", ZERO)):
            asked(page, lambda strokes=strokes: draw(page, strokes))
            assert answer(page) == digit
            page.get_by_role("button", name="Clear").click()


def test_a_page_that_was_closed_leaves_nothing_behind(browser, tmp_path):
    with command("watch", tmp_path, "port=0", "--json") as child:
        address = json.loads(child.stdout.readline())["address"]
        for _ in range(3):
            with opened(browser) as page:
                page.goto(address)
                page.wait_for_selector("#connection.good")
        child.send_signal(signal.SIGINT)
        assert child.wait(30) == 130
