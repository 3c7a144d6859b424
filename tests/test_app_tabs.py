"""Journeys through the app's other tabs in a real browser, and what holds of all: axe, phones, nobody sees another's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from app_browser import Visit


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
    visit.page.wait_for_selector("#verify-story .is-contradicted")
    visit.page.wait_for_function("!document.querySelector('#verify-run').disabled")
    visit.shot("app-verify")


def test_a_batch_over_a_folder_with_a_broken_file(visit: Visit) -> None:
    visit.page.get_by_role("tab", name="Batch").click()
    visit.page.fill("#batch-question textarea, #batch-question input", "How many dogs are there?")
    visit.page.locator("#batch-folder input").click()
    visit.page.get_by_role("option", name="holiday").click()
    visit.page.locator("#batch-pack").get_by_text("a drawn scene").click()
    visit.page.click("#batch-run")
    visit.page.wait_for_function("document.querySelector('#batch-said').innerText.includes('4 pictures')")
    shown = visit.page.inner_text("#batch-table")
    assert "scene.png" in shown and "broken.png" in shown and "failed" in shown
    assert "/holiday/" not in shown  # where the server keeps the files is nobody's business
    visit.shot("app-batch")
    with visit.page.expect_download() as download:
        visit.page.click("#batch-csv")
    assert "scene.png" in Path(download.value.path()).read_text("utf-8-sig")
    visit.page.fill("#batch-filter textarea, #batch-filter input", "broken failed")
    visit.page.wait_for_function("!document.querySelector('#batch-table').innerText.includes('scene.png')")
    assert "broken.png" in visit.page.inner_text("#batch-table")


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
    visit.page.wait_for_function("document.querySelector('#trace-table')?.innerText.includes('cats')")
    table.get_by_text("How many cats").locator("visible=true").first.click()  # a row opens
    visit.page.frame_locator("#trace-page iframe").locator("body").wait_for()
    visit.shot("app-trace")
    visit.page.wait_for_function("!document.querySelector('#trace-download').disabled")
    with visit.page.expect_download() as download:
        visit.page.click("#trace-download")
    assert "How many cats" in Path(download.value.path()).read_text("utf-8")
    table.get_by_text("How many dogs").locator(
        "visible=true"
    ).first.click()  # and a second one is compared with it
    visit.page.wait_for_selector("#trace-page .trace-comparison")
    assert "cat" in visit.page.inner_text("#trace-page del")
    visit.page.click("#trace-open")
    visit.page.wait_for_selector("#trace-page iframe")
    visit.page.click("#trace-compare")
    visit.page.wait_for_selector("#trace-page .trace-comparison")


def test_nobody_sees_anothers_pictures_or_traces(browser: Any, served: tuple[str, Any, Path]) -> None:
    first, second = Visit(browser, served[0]), Visit(browser, served[0])
    first.example("A drawn scene")
    first.ask("How many umbrellas are there?")
    assert second.page.locator('#board .board[data-empty="true"]').count() == 1
    second.page.get_by_role("tab", name="Traces").click()
    second.page.wait_for_function(
        "document.querySelector('#trace-none')?.innerText.includes('Nothing was asked yet')"
    )
    assert "umbrellas" not in second.page.inner_text("body")
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


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 390])
def test_axe_finds_nothing_serious(
    browser: Any, served: tuple[str, Any, Path], width: int, theme: str
) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="needs axe-playwright-python: pip install -e '.[dev]'"
    )
    visit = Visit(browser, f"{served[0]}?__theme={theme}", width, 900)
    wrong: list[str] = []

    def look(where: str) -> None:
        # colours on their way from one state to another are nobody's contrast
        visit.page.wait_for_function("document.getAnimations().every(a => a.playState !== 'running')")
        found = axe.Axe().run(visit.page, options={"resultTypes": ["violations"]}).response["violations"]
        wrong.extend(
            f"{where}: {v['id']}: {v['nodes'][0]['html'][:120]}"
            for v in found
            if v["impact"] in ("serious", "critical")
        )

    look("Ask, empty")
    visit.example("A drawn scene")
    visit.ask("Is there a dog?")
    visit.page.click("#story .story-how > summary")
    visit.page.click("#style button")
    look("Ask, answered")
    for name in ("Programs", "Verify", "Batch", "Traces"):
        visit.page.get_by_role("tab", name=name).click()
        visit.page.wait_for_timeout(800)
        if name == "Programs":
            visit.page.click("#program-run")
            visit.page.wait_for_selector("#program-values img")
        elif name == "Verify":
            visit.page.fill("#verify-text textarea", "There is a giraffe. The bus is red.")
            visit.page.click("#verify-run")
            visit.page.wait_for_selector("#verify-story .is-contradicted")
        elif name == "Traces":
            visit.page.locator("#trace-table").get_by_text("Is there a dog?").locator(
                "visible=true"
            ).first.click()
            visit.page.wait_for_selector("#trace-page iframe")
        look(name)
    assert not wrong, "\n".join(wrong)
    visit.close()
