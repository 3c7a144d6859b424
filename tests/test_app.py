"""Journeys through the Ask tab in a real browser, on the starter models: what a person clicks, sees and gets."""

from __future__ import annotations

import base64
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
import pytest
from app_browser import ROOT, Visit, seats, until


def test_click_box_brush_undo_and_another_mask(visit: Visit, served: tuple[str, Any, Path]) -> None:
    visit.example("A drawn scene")
    seat = seats(served[1])[-1]
    visit.click(218, 52)  # the bus
    until(visit.page, lambda: seat.picture.masks)
    assert len(seat.picture.mark.points) == 1
    visit.page.wait_for_function("document.querySelector('#board .board-count').textContent.length > 0")
    visit.shot("app-click")
    found = seat.picture.found[0].box
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


EVIL = "<img src=x onerror=window.hit=1><script>window.hit=1</script>"


def test_markup_is_shown_as_text_wherever_it_comes_from(
    visit: Visit, served: tuple[str, Any, Path], tmp_path: Path
) -> None:
    page = visit.page
    # in a file's name
    name = "<img src=x onerror=window.hit=1>.png"
    shutil.copyfile(ROOT / "examples" / "scene.png", tmp_path / name)
    visit.upload(tmp_path / name)
    page.wait_for_selector('#board .board[data-empty="false"]')
    assert seats(served[1])[-1].picture.name.endswith(".png")
    # in a question
    visit.ask(f"{EVIL} how many dogs are there?")
    # in what the picture says, and in the answer that repeats it
    words = PIL.Image.new("RGB", (900, 90), "white")
    PIL.ImageDraw.Draw(words).text(
        (10, 20), "<script>window.hit=1</script>", "black", PIL.ImageFont.load_default(40)
    )
    words.save(tmp_path / "words.png")
    visit.upload(tmp_path / "words.png")
    page.wait_for_timeout(800)
    said = visit.ask("What does it say?")
    assert "script" in said
    # in a program
    page.get_by_role("tab", name="Programs").click()
    page.locator("#program-text .cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(f"A=EVAL(expr=\"'{EVIL}'\")\nFINAL_RESULT=RESULT(var=A)")
    page.wait_for_timeout(800)
    page.click("#program-run")
    page.wait_for_selector("#program-story .story-answer, #program-story .story-failed")
    # in a text that is verified
    page.get_by_role("tab", name="Verify").click()
    page.fill("#verify-text textarea", f"There is a dog. {EVIL}")
    page.click("#verify-run")
    page.wait_for_selector("#verify-story .story-answer")
    # in the traces of all that
    page.get_by_role("tab", name="Traces").click()
    page.locator("#trace-table").get_by_text("What does it say?").locator("visible=true").first.click()
    page.frame_locator("#trace-page iframe").locator("body").wait_for()
    assert page.evaluate("window.hit") is None
    assert page.locator("#story img[src=x], #verify-story img, #program-story img").count() == 0
    for frame in page.frames:
        assert frame.evaluate("window.hit") is None


def test_an_upload_of_200_megabytes_is_refused_and_the_page_stays(visit: Visit, tmp_path: Path) -> None:
    path = tmp_path / "huge.bmp"
    with path.open("wb") as file:
        file.truncate(200 * 2**20)
    visit.upload(path)
    visit.page.wait_for_function("/too large|larger|exceeds|size/i.test(document.body.innerText)")
    visit.errors.clear()  # the browser itself reports the refused request
    visit.example("A drawn scene")
    assert visit.ask("Is there a dog?")


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
    page = visit.page

    def tab_to(holds: str, most: int = 40) -> None:
        """Press Tab until what has the focus fits; nothing is clicked or focused by script."""
        for _ in range(most):
            page.keyboard.press("Tab")
            if page.evaluate(f"(() => {{ const e = document.activeElement; return {holds} }})()"):
                return
        raise AssertionError(f"no way by keyboard to {holds}")

    tab_to("e.innerText.includes('A drawn scene')")
    page.keyboard.press("Enter")
    page.wait_for_selector('#board .board[data-empty="false"]')
    page.wait_for_function("document.querySelector('#board .board-picture').complete")
    page.wait_for_timeout(800)
    page.keyboard.press("Shift+Tab")
    for _ in range(40):  # back up to the picture
        if page.evaluate("document.activeElement.classList.contains('board-stage')"):
            break
        page.keyboard.press("Shift+Tab")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    until(page, lambda: seats(served[1])[-1].picture.mark)
    page.keyboard.press("Escape")
    until(page, lambda: seats(served[1])[-1].picture.mark is None)
    tab_to("e.matches('#question textarea')")
    page.keyboard.type("How many dogs are there?")
    tab_to("e.id === 'ask'")
    page.keyboard.press("Enter")
    page.wait_for_selector("#story .story-answer")
    page.wait_for_function("document.querySelector('#story .story')?.ariaBusy === 'false'")
    tab_to("e.matches('#story summary')")
    page.keyboard.press("Enter")
    page.wait_for_selector("#story .story-how[open] .story-program")


def test_a_chosen_mask_is_what_the_question_is_about() -> None:
    from sightline.agent.records import Mark
    from sightline.tools.values import Mask, Region, Regions
    from sightline.web.desk import Picture

    area = np.zeros((20, 20), bool)
    area[2:5, 2:5] = True
    masks = [
        Region((0, 0, 20, 20), mask=Mask.from_array(~area)),
        Region((2, 2, 5, 5), mask=Mask.from_array(area)),
    ]
    picture = Picture(None, "", "", Mark(points=((3.0, 3.0, True),)), ["a", "b"], Regions(masks))  # type: ignore[arg-type]
    assert picture.asked == picture.mark
    picture.choice = 1
    assert picture.asked is not None and picture.asked.mask == masks[1].mask and picture.asked.points


def test_a_pasted_picture_and_an_edit_that_is_shown(visit: Visit, served: tuple[str, Any, Path]) -> None:
    visit.page.evaluate(
        """async url => {
          const blob = await (await fetch(url)).blob();
          const bag = new DataTransfer();
          bag.items.add(new File([blob], 'pasted.png', {type: 'image/png'}));
          document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: bag, bubbles: true}));
        }""",
        "data:image/png;base64," + base64.b64encode((ROOT / "examples" / "scene.png").read_bytes()).decode(),
    )
    visit.page.wait_for_selector('#board .board[data-empty="false"]')
    assert seats(served[1])[-1].picture.name == "pasted.png"
    visit.example("Two men")
    visit.ask("Blur the faces.")
    shown = visit.page.locator("#story .story-picture img")
    shown.wait_for()
    visit.page.wait_for_function("document.querySelector('#story .story-picture img').naturalWidth > 100")


def test_the_page_says_where_one_stands_in_the_line(
    browser: Any, served: tuple[str, Any, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from sightline.web.line import Line

    line = Line(1, 8)
    monkeypatch.setattr(served[1], "line", line)
    free = threading.Event()
    agent = served[1].agent("scenes")
    slow = agent.controller.plan
    monkeypatch.setattr(agent.controller, "plan", lambda *a, **k: free.wait(60) and slow(*a, **k))
    people = [Visit(browser, served[0]) for _ in range(3)]
    for person in people:
        person.example("A drawn scene")
        person.page.fill("#question textarea", "Is there a bus?")
    for person in people:
        person.page.click("#ask")
        person.page.wait_for_selector("#story .story-doing")
    people[1].page.wait_for_function("document.querySelector('#story').innerText.includes('You are next')")
    people[2].page.wait_for_function(
        "document.querySelector('#story').innerText.includes('1 question is ahead of yours')"
    )
    people[2].shot("app-line")
    people[1].page.click("#stop")  # who leaves the line makes way
    people[2].page.wait_for_function("document.querySelector('#story').innerText.includes('You are next')")
    free.set()
    for person in (people[0], people[2]):
        person.page.wait_for_function("document.querySelector('#story .story')?.ariaBusy === 'false'")
    assert len(line) == 0
    for person in people:
        person.close()
