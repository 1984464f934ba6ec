"""The pages in a real browser: what a user does on them, and sees."""

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
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: run scripts/chromium.sh"),
]
TIMEOUT_MS = 60_000
"""For a page on a busy machine; a test that passes waits much less."""

ZERO = [[(0.5 + 0.19 * math.sin(t / 12 * math.pi), 0.5 - 0.32 * math.cos(t / 12 * math.pi)) for t in range(25)]]
SEVEN = [[(0.28, 0.2), (0.72, 0.2), (0.6, 0.45), (0.5, 0.65), (0.42, 0.88)]]
THREE = [[(0.33, 0.22), (0.45, 0.15), (0.6, 0.2), (0.63, 0.32), (0.55, 0.43), (0.44, 0.48)]]
THREE[0] += [(0.58, 0.52), (0.67, 0.65), (0.6, 0.8), (0.45, 0.86), (0.3, 0.78)]


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as instance:
        chromium = instance.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser):
    with open_page(browser) as page:
        yield page


@contextlib.contextmanager
def open_page(browser, *, expected_problems=(), **options):
    """Open a page that logs no errors, throws nothing, and sends requests to this machine only."""
    problems = []
    context = browser.new_context(viewport={"width": 1100, "height": 850}, accept_downloads=True, **options)
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    page.on("console", lambda m: m.type in ("error", "warning") and problems.append(f"console: {m.text}"))
    page.on("pageerror", lambda error: problems.append(f"error: {error}"))
    page.on("dialog", lambda dialog: (problems.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    own_url = re.compile(r"(http://127\.0\.0\.1:\d+/|blob:http://127\.0\.0\.1:\d+/|data:)")
    page.on("request", lambda r: None if own_url.match(r.url) else problems.append(f"request: {r.url}"))
    yield page
    context.close()
    assert [text for text in problems if not any(expected in text for expected in expected_problems)] == []


@contextlib.contextmanager
def run_command(*words):
    """Run a yisheng command in another process, and end it as Ctrl-C does."""
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
def serve_run(folder, port=0):
    """Yield the address of a service."""
    with run_command("serve", folder, f"port={port}", "--json") as child:
        yield json.loads(child.stdout.readline())["address"]


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory):
    out = tmp_path_factory.mktemp("digits")
    return yisheng.train(data="digits", model="mlp", hidden=[64], epochs=20, out=out, quiet=True).path


@pytest.fixture(scope="module")
def service(digits_run):
    with serve_run(digits_run) as address:
        yield address


@pytest.fixture
def drawing_page(page, service):
    page.goto(service)
    page.wait_for_selector("#drawing:not([hidden])")
    return page


def draw(page, strokes):
    box = page.locator("#canvas").bounding_box()

    def to_page(point):
        return box["x"] + point[0] * box["width"], box["y"] + point[1] * box["height"]

    for stroke in strokes:
        page.mouse.move(*to_page(stroke[0]))
        page.mouse.down()
        for point in stroke[1:]:
            page.mouse.move(*to_page(point), steps=3)
        page.mouse.up()


def get_result(page):
    """Return the prediction that is shown in large letters."""
    return page.locator("p.result").evaluate("e => e.firstChild.textContent")


def predict(page, act):
    """Act on the page; return the response of the service."""
    with page.expect_response(lambda r: r.url.endswith("/predict")) as info:
        act()
    response = info.value.json()
    page.wait_for_selector("#result:not(.waiting)", state="attached")
    return response


def make_photo(strokes, side=200):
    """Return a PNG of a dark drawing on light paper."""
    image = Image.new("L", (side, side), 235)
    for stroke in strokes:
        ImageDraw.Draw(image).line([(x * side, y * side) for x, y in stroke], fill=25, width=side // 9, joint="curve")
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def test_a_digit_drawn_with_the_mouse_is_predicted(drawing_page):
    (prediction,) = predict(drawing_page, lambda: draw(drawing_page, ZERO))["predictions"]
    assert get_result(drawing_page) == "0" == prediction["prediction"]
    percentages = drawing_page.locator("#bars .value").all_inner_texts()
    assert len(percentages) == 10
    probability = max(prediction["probabilities"].values())
    assert percentages[0] == f"{probability * 100:.1f}%" or probability > 0.999
    assert drawing_page.locator("#bars dt").first.inner_text() == "0"
    occlusion_map = drawing_page.locator("#occlusion-map")
    occlusion_map.wait_for()
    assert occlusion_map.evaluate("e => e.decode().then(() => [e.naturalWidth, e.naturalHeight])") == [8, 8]


def test_an_out_of_distribution_input_has_a_warning(drawing_page):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 2, (8, 8)).astype(np.uint8) * 255)
    file = io.BytesIO()
    noise.save(file, "PNG")
    noise_file = {"name": "noise.png", "mimeType": "image/png", "buffer": file.getvalue()}
    response = predict(drawing_page, lambda: drawing_page.locator("#file").set_input_files(noise_file))
    assert response["predictions"][0]["ood_score"] > 0.995
    assert "looks different from the training data" in drawing_page.locator("#ood-warning").inner_text()
    (prediction,) = predict(drawing_page, lambda: draw(drawing_page, ZERO))["predictions"]
    assert drawing_page.locator("#ood-warning").count() == (prediction["ood_score"] > 0.995)


def test_undo_and_clear_remove_strokes(drawing_page):
    predict(drawing_page, lambda: draw(drawing_page, ZERO))
    result = get_result(drawing_page)
    predict(drawing_page, lambda: draw(drawing_page, [[(0.1, 0.1), (0.9, 0.9)]]))
    predict(drawing_page, lambda: drawing_page.keyboard.press("Control+z"))
    assert get_result(drawing_page) == result
    drawing_page.get_by_role("button", name="Clear").click()
    drawing_page.wait_for_selector("text=No prediction yet.")
    assert drawing_page.get_by_role("button", name="Undo").is_disabled()


def test_a_finger_can_draw(browser, service):
    with open_page(browser, has_touch=True) as page:
        page.goto(service)
        page.wait_for_selector("#drawing:not([hidden])")
        box = page.locator("#canvas").bounding_box()
        predict(page, lambda: page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2))
        assert get_result(page) in set("0123456789")


def test_an_image_can_be_uploaded_and_dropped(drawing_page):
    file = {"name": "zero.png", "mimeType": "image/png", "buffer": make_photo(ZERO)}
    uploaded = predict(drawing_page, lambda: drawing_page.locator("#file").set_input_files(file))
    assert get_result(drawing_page) == "0"
    assert "inverted" in drawing_page.locator(".notes").inner_text()
    assert drawing_page.locator(".images img").first.evaluate("e => e.complete && e.naturalWidth") == 200
    transfer = drawing_page.evaluate_handle(
        "([bytes]) => { const transfer = new DataTransfer();"
        "transfer.items.add(new File([new Uint8Array(bytes)], 'again.png', {type: 'image/png'})); return transfer; }",
        [list(make_photo(ZERO))],
    )
    dropped = predict(drawing_page, lambda: drawing_page.dispatch_event("#drop", "drop", {"dataTransfer": transfer}))
    assert dropped["predictions"][0]["probabilities"] == uploaded["predictions"][0]["probabilities"]


def test_the_original_image_is_next_to_what_the_network_receives(drawing_page):
    file = {"name": "zero.png", "mimeType": "image/png", "buffer": make_photo(ZERO)}
    predict(drawing_page, lambda: drawing_page.locator("#file").set_input_files(file))
    drawing_page.wait_for_selector("#occlusion-map")
    sent, received = (drawing_page.locator(f"#images figure:has({id})") for id in ("#sent-image", "#occlusion-map"))
    assert "your image, 200 × 200 pixels" in sent.inner_text()
    assert "as the network receives it, 8 × 8 pixels" in received.inner_text()
    tops = [figure.bounding_box()["y"] for figure in (sent, received)]
    assert tops[0] == tops[1]
    rendering = "e => getComputedStyle(e).imageRendering"
    assert drawing_page.locator("#sent-image").evaluate(rendering) == "auto"  # a photograph is smooth
    file = io.BytesIO()
    Image.open(io.BytesIO(make_photo(ZERO))).save(file, "TIFF")
    unknown = {"name": "a.tif", "mimeType": "image/tiff", "buffer": file.getvalue()}
    predict(drawing_page, lambda: drawing_page.locator("#file").set_input_files(unknown))
    drawing_page.wait_for_selector("figcaption:text('this browser cannot show your image')")


def test_names_that_begin_a_formula_are_text_in_the_download(drawing_page):
    files = [{"name": name, "mimeType": "image/png", "buffer": make_photo(ZERO)} for name in ("=1+1.png", "-5")]
    predict(drawing_page, lambda: drawing_page.locator("#file").set_input_files(files))
    with drawing_page.expect_download() as info:
        drawing_page.get_by_role("button", name="Download as CSV").click()
    assert [line.split(",")[0] for line in info.value.path().read_text().splitlines()[1:]] == ["'=1+1.png", "-5"]


def test_several_images_make_a_table_that_can_be_downloaded(drawing_page):
    files = [{"name": f"{n}.png", "mimeType": "image/png", "buffer": make_photo(ZERO)} for n in range(3)]
    predict(drawing_page, lambda: drawing_page.locator("#file").set_input_files(files))
    assert drawing_page.locator("tbody tr").count() == 3
    with drawing_page.expect_download() as info:
        drawing_page.get_by_role("button", name="Download as CSV").click()
    lines = info.value.path().read_text().splitlines()
    assert lines[0].startswith("input,prediction,P(0),")
    assert lines[1].startswith("0.png,0,")
    assert len(lines) == 4


def test_a_damaged_file_is_reported_and_the_page_still_works(browser, service):
    with open_page(browser, expected_problems=["422", "400", "413", "415"]) as page:
        page.goto(service)
        page.wait_for_selector("#drawing:not([hidden])")
        for name, content in (
            ("photo.png", make_photo(ZERO)[:80]),
            ("x.png", b"<script>alert(1)</script>"),
            ("e.png", b""),
        ):
            file = {"name": name, "mimeType": "image/png", "buffer": content}
            predict(page, lambda file=file: page.locator("#file").set_input_files(file))
            problem, remedy = page.get_by_role("alert").inner_text().split("\n", 1)
            assert name in problem
            assert len(remedy.strip()) > 5
            assert page.locator("p.result").count() == 0
        predict(page, lambda: draw(page, ZERO))
        assert get_result(page) == "0"
        assert page.get_by_role("alert").is_hidden()


def test_a_wrong_prediction_is_kept_with_the_right_label(drawing_page, digits_run):
    predict(drawing_page, lambda: draw(drawing_page, SEVEN))
    drawing_page.locator("#correction").get_by_role("button", name="7", exact=True).click()
    drawing_page.wait_for_selector("#correction .notice.good")
    message = drawing_page.locator("#correction [role=status]").inner_text()
    (path,) = (digits_run / "corrections" / "7").glob("*.png")
    assert "Thank you" in message
    assert path.name in message
    assert np.asarray(Image.open(path)).max() > 200


def test_a_stopped_server_is_reported_and_found_when_it_returns(browser, digits_run):
    with open_page(browser, expected_problems=["ERR_CONNECTION_REFUSED", "net::ERR"]) as page:
        with serve_run(digits_run) as address:
            page.goto(address)
            page.wait_for_selector("#drawing:not([hidden])")
        draw(page, ZERO)
        page.wait_for_selector("#error:not([hidden])")
        assert "the server does not respond" in page.get_by_role("alert").inner_text()
        assert page.locator("#connection").inner_text() == "no server"
        with serve_run(digits_run, port=int(address.rstrip("/").rpartition(":")[2])):
            page.wait_for_selector("#connection.good")
            predict(page, lambda: draw(page, [[(0.5, 0.5), (0.52, 0.52)]]))
            assert get_result(page)


def test_a_row_can_be_filled_in_and_a_table_uploaded(browser, tmp_path):
    run = yisheng.train(data="iris", model="linear", epochs=5, out=tmp_path, quiet=True)
    with serve_run(run.path) as address, open_page(browser, expected_problems=["422"]) as page:
        page.goto(address)
        inputs = page.locator("#fields input")
        inputs.first.wait_for()
        assert page.locator("#drawing").is_hidden()
        predict(page, lambda: page.get_by_role("button", name="Predict").click())
        assert page.get_by_role("alert").is_visible()  # all fields are empty
        for field, value in zip(inputs.all(), (5.1, 3.5, 1.4, 0.2), strict=True):
            field.fill(str(value))
        response = predict(page, lambda: inputs.last.press("Enter"))
        expected = run.predict(np.array([[5.1, 3.5, 1.4, 0.2]]))[0]
        assert get_result(page) == expected.prediction
        assert response["predictions"][0]["probabilities"] == pytest.approx(expected.probabilities)
        page.locator("#correction").get_by_role("button", name="virginica").click()
        page.wait_for_selector("#correction .notice.good")
        assert (run.path / "corrections" / "rows.csv").read_text().splitlines()[-1].endswith("virginica")
        header = ",".join(column.name for column in run.run.spec.columns)
        table = f"{header}\n5.1,3.5,1.4,0.2\n6.5,3,5.5,1.8\n".encode()
        file = {"name": "flowers.csv", "mimeType": "text/csv", "buffer": table}
        predict(page, lambda: page.locator("#file").set_input_files(file))
        assert page.locator("tbody tr").count() == 2
        predict(page, lambda: page.locator("#file").set_input_files({**file, "buffer": b"a,b\n1,2\n"}))
        assert len(page.get_by_role("alert").inner_text()) > 20


def test_many_columns_scroll_below_a_filter(browser, tmp_path):
    rng = np.random.default_rng(0)
    names = [f"column {n}" for n in range(1, 101)]
    lines = [",".join(f"{value:.3f}" for value in rng.normal(size=101)) for _ in range(60)]
    (tmp_path / "t.csv").write_text("\n".join([",".join([*names, "target"]), *lines]))
    settings = {"target": "target", "model": "linear", "epochs": 1, "out": tmp_path / "runs", "quiet": True}
    run = yisheng.train(data=str(tmp_path / "t.csv"), **settings)
    with serve_run(run.path) as address, open_page(browser) as page:
        page.goto(address)
        page.locator("#filter").wait_for()
        assert page.locator("#fields label").all_inner_texts() == names  # in natural order
        assert page.evaluate("document.documentElement.scrollHeight") < 1500
        page.locator("#filter").fill("COLUMN 9")
        visible = [label.inner_text() for label in page.locator("#fields label").all() if label.is_visible()]
        assert visible == ["column 9", *(f"column {n}" for n in range(90, 100))]
        page.locator("#fields label:not([hidden]) input").first.fill("1.5")
        page.locator("#filter").fill("")
        response = predict(page, lambda: page.get_by_role("button", name="Predict").click())
        assert response["predictions"][0]["prediction"] is not None


def test_categories_are_a_list_and_names_are_inserted_as_text(browser, tmp_path):
    rng, hostile = np.random.default_rng(0), "<img src=x onerror=alert(1)>"
    lines = [
        f"{rng.normal():.3f},{word},{label}"
        for word in ("red", "blue")
        for label in ("yes", hostile)
        for _ in range(30)
    ]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["size,color,<b>kind</b>", *lines]))
    run = yisheng.train(data=str(path), target="last", model="linear", epochs=2, out=tmp_path / "runs", quiet=True)
    with serve_run(run.path) as address, open_page(browser) as page:
        page.goto(address)
        page.locator("#fields select").wait_for()
        assert page.locator("#fields select option").all_inner_texts()[1:] == ["blue", "red"]
        page.locator("#fields input").fill("0.3")
        page.locator("#fields select").select_option("red")
        predict(page, lambda: page.get_by_role("button", name="Predict").click())
        assert hostile in page.locator("#bars dt").all_inner_texts()
        assert page.locator("main img, #prediction img").count() == 0


def test_the_pages_fit_a_phone_in_dark_mode_and_work_by_keyboard(browser, service, tmp_path):
    with run_command("watch", tmp_path, "port=0", "--json") as child:
        live = json.loads(child.stdout.readline())["address"]
        for address in (service, live):
            with open_page(browser, color_scheme="dark") as page:
                page.set_viewport_size({"width": 340, "height": 700})
                page.goto(address)
                page.wait_for_selector("#connection.good")
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
                assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(16, 20, 24)"
                unlabeled_count = "[...document.querySelectorAll('input:not([hidden]), select, button')].filter(e => !"
                unlabeled_count += "(e.labels?.length || e.ariaLabel || e.textContent.trim())).length"
                assert page.evaluate(unlabeled_count) == 0
                page.keyboard.press("Tab")
                assert "Skip" in page.evaluate("document.activeElement.textContent")


def test_the_live_page_follows_a_run_to_its_end(page, tmp_path):
    words = ["data=digits", "model=mlp", "hidden=[32]", "epochs=400", "watch=true", f"out={tmp_path}"]
    with run_command("train", *words) as child:
        address = re.search(r"http://\S+", child.stderr.readline())[0]
        page.goto(address)
        page.wait_for_selector("#state:text('training')")
        assert page.locator("#progress").is_visible()
        path = page.locator(".chart", has_text="Loss").locator(".curve.line path").first
        path.wait_for(state="attached")
        initial_path = path.get_attribute("d")
        page.wait_for_function(
            "path => document.querySelector('.curve.line path').getAttribute('d') !== path", arg=initial_path
        )
        page.wait_for_selector("#state:text('scoring'), #state:text('writing the report'), #state:text('finished')")
        assert page.locator("#progress").is_hidden()  # a full bar would say that nothing is left to do
        page.wait_for_selector("#connection:text('the training has ended')")
        child.wait(60)
    page.wait_for_selector("#state:text('finished')")
    (folder,) = tmp_path.glob("0001-*")
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    epochs = [event for event in events if event["event"] == "epoch"]
    values = page.locator(".legend b").all_inner_texts()
    assert f"{epochs[-1]['loss']:.4g}" in {f"{float(text):.4g}" for text in values if re.fullmatch(r"[\d.]+", text)}
    assert "epoch 400 of 400" in page.locator("#status").inner_text()
    assert page.locator("#mistakes img").count() >= 1
    assert page.locator("#report").is_visible()


def test_runs_can_be_compared_and_a_new_run_appears(page, tmp_path):
    runs = [yisheng.train(data="iris", model="linear", epochs=3, lr=lr, out=tmp_path, quiet=True) for lr in (0.1, 0.01)]
    with run_command("watch", tmp_path, "port=0", "--json") as child:
        page.goto(json.loads(child.stdout.readline())["address"])
        page.wait_for_selector("#runs li.selected")
        page.get_by_label(f"show {runs[0].path.name}").check()
        loss = page.locator(".chart", has_text="Loss")
        loss.locator(f"text={runs[0].path.name}: validation").wait_for()
        assert loss.locator(".curve").count() == 6  # each step, training and validation of both
        loss.locator("svg.curves").focus()
        page.keyboard.press("Home")
        assert loss.locator(".position").inner_text() == "epoch 1"
        loss.get_by_role("button", name="log").click()
        assert loss.get_by_role("button", name="log").get_attribute("aria-pressed") == "true"
        with page.expect_download() as info:
            page.locator("#report").click()
        assert "<html" in info.value.path().read_text()[:500]
        yisheng.train(data="iris", model="linear", epochs=1, out=tmp_path, quiet=True)
        page.locator("#runs li", has_text="0003-").wait_for()
        assert page.locator("#runs li.selected").count() == 2  # the user's selection stays


def test_a_live_page_reconnects_when_its_server_returns(browser, tmp_path):
    with open_page(browser, expected_problems=["net::ERR"]) as page:
        with run_command("watch", tmp_path, "port=0", "--json") as child:
            address = json.loads(child.stdout.readline())["address"]
            page.goto(address)
            page.wait_for_selector("#connection.good")
        page.wait_for_selector("#connection.warning")
        assert "connection lost" in page.locator("#connection").inner_text()
        with run_command("watch", tmp_path, f"port={address.rstrip('/').rpartition(':')[2]}"):
            page.wait_for_selector("#connection.good")


@pytest.mark.realdata
def test_drawn_digits_are_predicted_by_a_network_trained_on_mnist(page, tmp_path):
    run = yisheng.train(data="mnist", model="mlp", hidden=[128], epochs=2, out=tmp_path, quiet=True)
    with serve_run(run.path) as address:
        page.goto(address)
        page.wait_for_selector("#drawing:not([hidden])")
        for digit, strokes in (("3", THREE), ("7", SEVEN), ("0", ZERO)):
            predict(page, lambda strokes=strokes: draw(page, strokes))
            assert get_result(page) == digit
            page.get_by_role("button", name="Clear").click()


def test_the_server_stops_after_pages_were_closed(browser, tmp_path):
    with run_command("watch", tmp_path, "port=0", "--json") as child:
        address = json.loads(child.stdout.readline())["address"]
        for _ in range(3):
            with open_page(browser) as page:
                page.goto(address)
                page.wait_for_selector("#connection.good")
        child.send_signal(signal.SIGINT)
        assert child.wait(30) == 130


def test_an_image_with_several_numbers_is_predicted_and_corrected(browser, tmp_path):
    random = np.random.default_rng(0)
    with (tmp_path / "list.csv").open("w", encoding="utf-8") as file:
        file.write("file,light,dark\n")
        for number in range(60):
            value = random.integers(30, 220)
            Image.fromarray(np.full((48, 48, 3), value, np.uint8)).save(tmp_path / f"{number}.png")
            file.write(f"{number}.png,{value * 100},{255 - value}\n")
    run = yisheng.train(data=str(tmp_path / "list.csv"), model="linear", epochs=5, out=tmp_path / "runs", quiet=True)
    with serve_run(run.path) as address, open_page(browser) as page:
        page.goto(address)
        page.wait_for_selector("#file:enabled")
        predict(page, lambda: page.set_input_files("#file", str(tmp_path / "0.png")))
        assert re.fullmatch(r"light [\d.,−-]+, dark [\d.,−-]+", get_result(page))
        page.get_by_label("the right light").fill("12000")
        page.get_by_label("the right dark").fill("0.5")
        page.locator("#correction").get_by_role("button", name="Keep it").click()
        page.wait_for_selector("#correction .notice.good")
        lines = (run.path / "corrections" / "images.csv").read_text().splitlines()
        assert lines[0] == "file,light,dark"
        assert lines[1].endswith(",12000,0.5")
