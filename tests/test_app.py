"""Journeys through the app in a real browser, on the starter models: what a person clicks, sees and gets."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install -e '.[dev]'")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip("needs Debian's chromium: apt-get install chromium", allow_module_level=True)

ROOT = Path(__file__).resolve().parent.parent
SHOTS = Path(os.environ["SIGHTLINE_SCREENSHOTS"]) if "SIGHTLINE_SCREENSHOTS" in os.environ else None
WAIT = 120_000  # milliseconds: a loaded machine is slow, and nothing here measures time


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Any, Path]]:
    """The app at a free port, its service, and the root folder of its Batch tab."""
    from sightline.web.page import build
    from sightline.web.service import Service, Settings
    from sightline.web.theme import css, head, theme

    base = tmp_path_factory.mktemp("app")
    root = base / "root" / "holiday"
    root.mkdir(parents=True)
    for name in ("scene.png", "coffee.jpg", "page.png"):
        shutil.copyfile(ROOT / "examples" / name, root / name)
    (root / "broken.png").write_bytes(b"no picture at all")
    settings = Settings(
        base / "shown",
        root=root.parent.resolve(),
        traces=base / "traces",
        cache=base / "cache",
        all_traces=False,
    )
    service = Service(settings)
    service.warm()
    blocks = build(service)
    _, address, _ = blocks.launch(
        server_name="127.0.0.1", quiet=True, prevent_thread_lock=True, allowed_paths=[str(settings.folder)],
        max_file_size="32mb", theme=theme(), css=css(), head=head(), footer_links=[],
    )  # fmt: skip
    yield address, service, base
    blocks.close()
    service.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


class Visit:
    """A visitor's page; what the console says is kept."""

    def __init__(
        self, browser: Any, address: str, width: int = 1280, height: int = 940, ratio: float = 1.0
    ) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, device_scale_factor=ratio, reduced_motion="reduce"
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(WAIT)
        self.errors: list[str] = []
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(address)
        self.page.wait_for_selector("#board .board-stage")

    def example(self, name: str) -> None:
        self.page.get_by_role("button", name=name).first.click()
        self.page.wait_for_selector('#board .board[data-empty="false"]')
        self.page.wait_for_function("document.querySelector('#board .board-picture').complete")
        self.page.wait_for_timeout(400)

    def upload(self, path: Path) -> None:
        with self.page.expect_file_chooser() as chooser:
            self.page.click("#upload")
        chooser.value.set_files(str(path))

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where a pixel of the picture is on the screen."""
        box = self.page.locator("#board .board-picture").bounding_box()
        size = self.page.evaluate(
            "[...document.querySelectorAll('#board .board-picture')].map(i => [i.width, i.getAttribute('width'), i.getAttribute('height')])[0]"
        )
        return box["x"] + x / float(size[1]) * box["width"], box["y"] + y / float(size[2]) * box["height"]

    def click(self, x: float, y: float) -> None:
        self.page.mouse.click(*self.place(x, y))

    def ask(self, question: str) -> str:
        self.page.fill("#question textarea", question)
        self.page.click("#ask")
        self.page.wait_for_function(
            "q => { const s = document.querySelector('#story .story'); return s && s.ariaBusy === 'false'"
            " && s.querySelector('.story-question')?.textContent === q }",
            arg=question,
        )
        return str(self.page.inner_text("#story"))

    def shot(self, name: str) -> None:
        """A picture for the documentation, where it was asked for."""
        if SHOTS is not None:
            SHOTS.mkdir(parents=True, exist_ok=True)
            self.page.wait_for_timeout(600)
            self.page.screenshot(path=SHOTS / f"{name}.png", full_page=True)

    def close(self) -> None:
        self.context.close()
        assert not self.errors, self.errors


@pytest.fixture
def visit(browser: Any, served: tuple[str, Any, Path]) -> Iterator[Visit]:
    found = Visit(browser, served[0])
    yield found
    found.close()


def until(page: Any, holds: Any, seconds: float = 90.0) -> None:
    """Wait until something holds on the server; the page goes on meanwhile."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        page.wait_for_timeout(100)


def seats(service: Any) -> list[Any]:
    return list(service.desk._seats.values())


# -- Ask ------------------------------------------------------------------------------------------------------------


def test_click_box_brush_undo_and_another_mask(visit: Visit, served: tuple[str, Any, Path]) -> None:
    visit.example("A drawn scene")
    seat = seats(served[1])[-1]
    visit.click(218, 52)  # the bus
    until(visit.page, lambda: seat.picture.masks)
    assert len(seat.picture.mark.points) == 1
    visit.page.wait_for_function("document.querySelector('#board .board-count').textContent.length > 0")
    visit.shot("app-click")
    found = seat.notes["masks"][0].box
    assert found[0] < 218 < found[2] and found[1] < 52 < found[3]
    visit.page.click('#board [data-tool="box"]')
    visit.page.mouse.move(*visit.place(10, 85))
    visit.page.mouse.down()
    visit.page.mouse.move(*visit.place(70, 150), steps=4)
    visit.page.mouse.up()
    until(visit.page, lambda: seat.picture.mark and seat.picture.mark.box)
    assert seat.picture.mark.box == pytest.approx((10, 85, 70, 150), abs=1.5)
    visit.page.click('#board [data-act="undo"]')
    until(visit.page, lambda: seat.picture.mark and seat.picture.mark.box is None)
    assert len(seat.picture.mark.points) == 1
    visit.page.click('#board [data-act="clear"]')
    visit.page.click('#board [data-tool="brush"]')
    visit.page.mouse.move(*visit.place(195, 60))
    visit.page.mouse.down()
    visit.page.mouse.move(*visit.place(240, 60), steps=4)
    visit.page.mouse.up()
    until(visit.page, lambda: seat.picture.mark and seat.picture.mark.mask)
    assert seat.picture.mark.mask.area > 50


def test_typed_coordinates_and_nonsense(visit: Visit, served: tuple[str, Any, Path]) -> None:
    visit.example("A drawn scene")
    visit.page.fill('#board input[name="numbers"]', "218, 52")
    visit.page.press('#board input[name="numbers"]', "Enter")
    until(visit.page, lambda: seats(served[1])[-1].picture.mark)
    assert seats(served[1])[-1].picture.mark.points == ((218.0, 52.0, True),)
    visit.page.fill('#board input[name="numbers"]', "99999, 1")
    visit.page.press('#board input[name="numbers"]', "Enter")
    assert "two numbers" in visit.page.inner_text("#board .board-said")


def test_answers_stream_light_up_and_are_followed_up(visit: Visit) -> None:
    visit.example("A drawn scene")
    told = visit.ask("How many dogs are there?")
    assert "2" in told
    visit.page.wait_for_selector("#board svg.board-marks rect")
    visit.shot("app-answer")
    visit.page.click("#story .story-how > summary")
    line = visit.page.locator('#story .story-program [data-light]:not([data-light=""])').first
    line.click()
    visit.page.wait_for_timeout(800)
    assert line.get_attribute("aria-pressed") == "true"
    visit.shot("app-how")
    assert (
        visit.ask("Is there a bus?").lower().count("yes")
        or "bus" in visit.page.inner_text("#story .story-answer").lower()
    )


def test_chinese_is_answered_in_chinese(visit: Visit) -> None:
    visit.example("A drawn scene")
    told = visit.ask("图里有几只狗？")
    answer = told.split("\n", 1)[1]
    assert any("一" <= letter <= "鿿" for letter in answer) or "2" in answer


def test_stop_works_at_once(visit: Visit) -> None:
    visit.example("A drawn scene")
    visit.page.fill("#question textarea", "How many dogs are left of the bus?")
    visit.page.click("#ask")
    visit.page.wait_for_function("!document.querySelector('#stop').disabled")
    visit.page.click("#stop")
    visit.page.wait_for_function("document.querySelector('#story').innerText.includes('Stopped')")
    visit.page.wait_for_function("!document.querySelector('#ask').disabled")


def test_wrong_and_huge_files_are_refused_in_a_line(visit: Visit, tmp_path: Path) -> None:
    (tmp_path / "letter<b>.png").write_bytes(b"not a picture")
    visit.upload(tmp_path / "letter<b>.png")
    visit.page.wait_for_selector("#story .story-failed")
    assert visit.page.locator("#story .story-failed b").count() == 0
    PIL.Image.new("1", (9000, 9000)).save(tmp_path / "huge.png")  # a few kilobytes, 81 megapixels
    visit.upload(tmp_path / "huge.png")
    visit.page.wait_for_function(
        "document.querySelector('#story .story-failed')?.innerText.includes('pixels')"
    )


def test_the_question_is_shown_as_text(visit: Visit) -> None:
    visit.example("A drawn scene")
    visit.ask("<img src=x onerror=alert(1)> how many dogs are there?")
    assert visit.page.locator("#story img").count() == 0


@pytest.mark.parametrize("ratio", [1.0, 2.0])
@pytest.mark.parametrize("shape", ["wide", "tall", "turned", "large"])
def test_clicks_land_where_the_person_clicked(
    browser: Any, served: tuple[str, Any, Path], tmp_path: Path, shape: str, ratio: float
) -> None:
    size = {"wide": (1600, 120), "tall": (110, 1500), "turned": (300, 500), "large": (2600, 1900)}[shape]
    picture = PIL.Image.fromarray(np.random.default_rng(1).integers(0, 255, (size[1], size[0], 3), np.uint8))
    path = tmp_path / f"{shape}.png"
    if shape == "turned":  # stored on its side; a person sees it upright
        path = tmp_path / "turned.jpg"
        exif = PIL.Image.Exif()
        exif[0x0112] = 6
        picture.transpose(PIL.Image.Transpose.ROTATE_90).save(path, exif=exif)
    else:
        picture.save(path)
    visit = Visit(browser, served[0], 1000, 900, ratio)
    visit.upload(path)
    visit.page.wait_for_selector('#board .board[data-empty="false"]')
    visit.page.wait_for_timeout(900)
    seat = seats(served[1])[-1]
    assert seat.picture.image.size == size
    x, y = round(size[0] * 0.63) + 0.5, round(size[1] * 0.31) + 0.5
    visit.click(x, y)
    until(visit.page, lambda: seat.picture.mark)
    (found,) = seat.picture.mark.points
    screen = (
        size[0] / visit.page.locator("#board .board-picture").bounding_box()["width"]
    )  # picture pixels a CSS pixel
    assert abs(found[0] - x) <= max(2.0, screen) and abs(found[1] - y) <= max(2.0, screen)
    visit.close()


def test_the_keyboard_alone_asks(visit: Visit, served: tuple[str, Any, Path]) -> None:
    visit.page.get_by_role("button", name="A drawn scene").first.focus()
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_selector('#board .board[data-empty="false"]')
    visit.page.wait_for_timeout(800)
    visit.page.locator("#board .board-stage").focus()
    visit.page.keyboard.press("ArrowLeft")
    visit.page.keyboard.press("Enter")
    until(visit.page, lambda: seats(served[1])[-1].picture.mark)
    visit.page.keyboard.press("Escape")
    visit.page.locator("#question textarea").focus()
    visit.page.keyboard.type("How many dogs are there?")
    visit.page.keyboard.press("Tab")
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_selector("#story .story-answer")


# -- the other tabs ---------------------------------------------------------------------------------------------------


def test_a_program_with_an_error_says_so_and_a_right_one_runs(visit: Visit) -> None:
    visit.example("A drawn scene")
    visit.page.get_by_role("tab", name="Programs").click()
    editor = visit.page.locator("#program-text .cm-content")
    editor.click()
    visit.page.keyboard.press("Control+a")
    visit.page.keyboard.insert_text("BOX0=LOCK(image=IMAGE,object='dog')\nFINAL_RESULT=RESULT(var=BOX0)")
    visit.page.wait_for_function("document.querySelector('#program-problems').innerText.includes('LOCK')")
    editor.click()
    visit.page.keyboard.press("Control+a")
    visit.page.keyboard.insert_text(
        "BOX0=LOC(image=IMAGE,object='dog')\nIMAGE0=TAG(image=IMAGE,object=BOX0)\nFINAL_RESULT=RESULT(var=IMAGE0)"
    )
    visit.page.wait_for_function(
        "document.querySelector('#program-problems').innerText.includes('No problems')"
    )
    visit.page.click("#program-run")
    visit.page.wait_for_selector("#program-story .story-answer")
    visit.page.wait_for_selector("#program-values img")
    assert visit.page.locator("#program-plan svg .node").count() >= 3
    visit.shot("app-programs")


def test_verify_shows_claims_and_corrects(visit: Visit) -> None:
    visit.example("A drawn scene")
    visit.page.get_by_role("tab", name="Verify").click()
    visit.page.fill("#verify-text textarea", "There are three dogs. There is a giraffe.")
    visit.page.click("#verify-run")
    visit.page.wait_for_selector("#verify-story .story-claim")
    assert visit.page.locator("#verify-story .is-contradicted").count() >= 1
    visit.shot("app-verify")


def test_a_batch_over_a_folder_with_a_broken_file(visit: Visit) -> None:
    visit.page.get_by_role("tab", name="Batch").click()
    visit.page.fill("#batch-question textarea, #batch-question input", "How many dogs are there?")
    visit.page.locator("#batch-folder input").click()
    visit.page.get_by_role("option", name="holiday").click()
    visit.page.click("#batch-run")
    visit.page.wait_for_function("document.querySelector('#batch-said').innerText.includes('4 pictures')")
    shown = visit.page.inner_text("#batch-table")
    assert "scene.png" in shown and "broken.png" in shown and "failed" in shown
    visit.shot("app-batch")
    with visit.page.expect_download() as download:
        visit.page.click("#batch-csv")
    assert "scene.png" in Path(download.value.path()).read_text("utf-8-sig")


def test_a_batch_is_cancelled(visit: Visit, tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    many = []
    for n in range(40):
        path = tmp_path / f"{n}.png"
        PIL.Image.fromarray(noise.integers(0, 255, (64, 64, 3), np.uint8)).save(path)
        many.append(str(path))
    visit.page.get_by_role("tab", name="Batch").click()
    visit.page.set_input_files("#batch-files input[type=file]", many)
    visit.page.wait_for_function("/39\\s*\\.png/.test(document.querySelector('#batch-files').innerText)")
    visit.page.fill("#batch-question textarea, #batch-question input", "How many dogs are there?")
    visit.page.click("#batch-run")
    visit.page.wait_for_function("!document.querySelector('#batch-stop').disabled")
    visit.page.click("#batch-stop")
    visit.page.wait_for_function(
        "/Cancelled|40 pictures/.test(document.querySelector('#batch-said').innerText)"
    )  # a quick machine may be done before the click


def test_traces_are_found_opened_and_compared(visit: Visit) -> None:
    visit.example("A drawn scene")
    visit.ask("How many dogs are there?")
    visit.ask("How many cats are there?")
    visit.page.get_by_role("tab", name="Traces").click()
    visit.page.click("#trace-look")
    table = visit.page.locator("#trace-table")
    visit.page.wait_for_function("document.querySelector('#trace-table').innerText.includes('cats')")
    table.get_by_text("How many cats").locator("visible=true").first.click()
    visit.page.wait_for_function(
        "document.querySelector('#trace-first textarea, #trace-first input').value.length > 10"
    )
    table.get_by_text("How many dogs").locator("visible=true").first.click()
    visit.page.wait_for_function(
        "document.querySelector('#trace-second textarea, #trace-second input').value.length > 10"
    )
    visit.page.click("#trace-open")
    frame = visit.page.frame_locator("#trace-page iframe")
    frame.locator("body").wait_for()
    visit.shot("app-trace")
    visit.page.click("#trace-compare")
    visit.page.wait_for_function("document.querySelector('#trace-page').innerText.length > 20")


def test_nobody_sees_anothers_pictures_or_traces(browser: Any, served: tuple[str, Any, Path]) -> None:
    first, second = Visit(browser, served[0]), Visit(browser, served[0])
    first.example("A drawn scene")
    first.ask("How many umbrellas are there?")
    assert second.page.locator('#board .board[data-empty="true"]').count() == 1
    second.page.get_by_role("tab", name="Traces").click()
    second.page.click("#trace-look")
    second.page.wait_for_timeout(1500)
    assert "umbrellas" not in second.page.inner_text("#trace-table")
    first.close()
    second.close()


def test_a_phone_and_the_dark(browser: Any, served: tuple[str, Any, Path]) -> None:
    phone = Visit(browser, f"{served[0]}?__theme=dark", 390, 844, 2.0)
    phone.example("A drawn scene")
    phone.ask("How many dogs are there?")
    wide = phone.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 392, f"the page is {wide} pixels wide on a phone of 390"
    phone.shot("app-phone")
    phone.close()
