"""The app's named endpoints by gradio_client: answers, refusals in a line, hostile requests, and a small crowd."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import PIL.Image
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

ROOT = Path(__file__).resolve().parent.parent
SCENE = str(ROOT / "examples" / "scene.png")
BUS = [[218, 52]]
COUNT_DOGS = "BOX0=LOC(image=IMAGE,object='dog')\nANSWER0=COUNT(box=BOX0)\nFINAL_RESULT=RESULT(var=ANSWER0)"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Any]]:
    """The app at a free port, and what runs it."""
    from sightline.web.launch import Running
    from sightline.web.service import Settings

    base = tmp_path_factory.mktemp("calls")
    (base / "root" / "inside").mkdir(parents=True)
    shutil.copyfile(SCENE, base / "root" / "inside" / "scene.png")
    (base / "outside").mkdir()
    shutil.copyfile(SCENE, base / "outside" / "secret.png")
    (base / "root" / "link").symlink_to(base / "outside")
    (base / "root" / "inside" / "link.png").symlink_to(base / "outside" / "secret.png")
    settings = Settings(
        base / "shown", root=(base / "root").resolve(), traces=base / "traces", cache=base / "cache"
    )
    running = Running(settings, warm=True)
    yield running.address.rstrip("/"), running
    running.close()


@pytest.fixture(scope="module")
def client(served: tuple[str, Any]) -> Client:
    return patient(served[0])


def patient(address: str) -> Client:
    """A client that a loaded machine may keep waiting."""
    return Client(address, verbose=False, httpx_kwargs={"timeout": 120})


def refused(client: Client, *arguments: Any, api_name: str) -> str:
    with pytest.raises(AppError) as caught:
        client.predict(*arguments, api_name=api_name)
    said = str(caught.value)
    assert said and "\n" not in said and "Traceback" not in said and len(said) < 400, said
    return said


def test_the_named_endpoints_and_no_others_are_public(client: Client) -> None:
    assert set(client.view_api(return_format="dict")["named_endpoints"]) == {
        "/ask",
        "/segment",
        "/verify",
        "/run",
    }


def test_ask_segment_verify_and_run_take_points_and_boxes(client: Client) -> None:
    assert "2" in client.predict(handle_file(SCENE), "How many dogs are there?", api_name="/ask")["answer"]
    asked = client.predict(handle_file(SCENE), "What color is this?", BUS, None, "scenes", api_name="/ask")
    assert "red" in asked["answer"]
    boxed = client.predict(
        handle_file(SCENE), "What is this?", None, [150, 20, 240, 90], "scenes", api_name="/ask"
    )
    assert "bus" in boxed["answer"]
    (mask, *_) = client.predict(handle_file(SCENE), [[218, 52, True]], None, api_name="/segment")
    assert mask["box"][0] < 218 < mask["box"][2] and mask["mask"]["counts"]
    (mask, *_) = client.predict(handle_file(SCENE), None, [150, 20, 240, 90], api_name="/segment")
    assert mask["box"][0] < 218 < mask["box"][2]
    assert (
        "two dogs" in client.predict(handle_file(SCENE), "There are three dogs.", api_name="/verify")["text"]
    )
    ran = client.predict([handle_file(SCENE)], COUNT_DOGS, api_name="/run")
    assert ran["value"] == 2 and [step["name"] for step in ran["steps"]] == [
        "BOX0",
        "ANSWER0",
        "FINAL_RESULT",
    ]
    colour = "A=COLOR(image=IMAGE,object=MARK)\nFINAL_RESULT=RESULT(var=A)"
    assert client.predict([handle_file(SCENE)], colour, BUS, api_name="/run")["value"] == "red"
    assert (
        client.predict([handle_file(SCENE)], colour, None, [155, 35, 232, 75], api_name="/run")["value"]
        == "red"
    )


def test_what_is_wrong_with_a_call_is_one_line(client: Client, tmp_path: Path) -> None:
    scene = handle_file(SCENE)
    assert "outside the picture" in refused(client, scene, [[9999, 1]], api_name="/segment")
    assert "mark" in refused(client, scene, ["x"], api_name="/segment")
    assert "four numbers" in refused(client, scene, None, [1, 2, 3], api_name="/segment")
    assert "mark something" in refused(client, scene, api_name="/segment")
    assert "not offered" in refused(client, scene, BUS, None, "../../etc", api_name="/segment")
    assert "E003" in refused(client, [scene], "import os", api_name="/run")
    assert "1 to 8 pictures" in refused(client, [], COUNT_DOGS, api_name="/run")
    assert "mode" in refused(client, scene, "Is there a dog?", None, None, "", "guess", api_name="/ask")
    (tmp_path / "evil<b>.png").write_bytes(b"<script>alert(1)</script>")
    assert "is not a JPEG" in refused(client, handle_file(tmp_path / "evil<b>.png"), "?", api_name="/ask")
    PIL.Image.new("1", (15_000, 10_000)).save(tmp_path / "huge.png")  # 150 megapixels in a few kilobytes
    said = refused(client, handle_file(tmp_path / "huge.png"), "How many?", api_name="/ask")
    assert "huge.png: 15000 x 10000 is over the limit of 40 megapixels" in said


def raw(address: str, endpoint: str, data: list[Any]) -> str:
    """What the server says to a call that no client library touched."""
    begun = httpx.post(f"{address}/gradio_api/call/{endpoint}", json={"data": data}, timeout=120)
    if begun.status_code != 200:
        return begun.text
    told = httpx.get(f"{address}/gradio_api/call/{endpoint}/{begun.json()['event_id']}", timeout=120)
    return told.text


@pytest.mark.parametrize(
    "path",
    [
        SCENE, "/etc/passwd", "../../../../etc/passwd", "http://127.0.0.1:1/secret.png", "http://169.254.169.254/latest/meta-data",
        "https://example.org/a.png", "file:///etc/passwd", "//127.0.0.1/a.png", "data:image/png;base64,AAAA", "a\0b.png",
    ],
)  # fmt: skip
def test_paths_and_addresses_from_outside_are_refused_in_a_line(served: tuple[str, Any], path: str) -> None:
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    for endpoint, data in (
        ("ask", [file, "How many dogs?", None, None, "scenes", "auto", True]),
        ("segment", [file, BUS, None, "scenes"]),
        ("run", [[file], COUNT_DOGS, None, None, "scenes"]),
    ):
        said = raw(served[0], endpoint, data)
        assert "event: error" in said and "event: complete" not in said
        assert "are not fetched" in said or "only uploaded files are read" in said, said


def test_a_link_among_the_uploads_leads_nowhere(served: tuple[str, Any]) -> None:
    uploads = served[1].service.settings.folder / "uploads"
    uploads.mkdir(exist_ok=True)
    (uploads / "link.png").symlink_to(SCENE)
    file = {"path": str(uploads / "link.png"), "meta": {"_type": "gradio.FileData"}}
    assert "only uploaded files are read" in raw(served[0], "segment", [file, BUS, None, "scenes"])


def test_an_upload_or_a_request_over_the_limit_is_refused(served: tuple[str, Any], tmp_path: Path) -> None:
    big = tmp_path / "big.png"
    with big.open("wb") as file:
        file.truncate(200 * 2**20)
    with big.open("rb") as file:
        said = httpx.post(f"{served[0]}/gradio_api/upload", files={"files": file}, timeout=300)
    assert said.status_code == 413, said.text
    paint = json.dumps({"data": ["x" * (33 * 2**20)]}).encode()
    said = httpx.post(f"{served[0]}/gradio_api/call/ask", content=paint, timeout=300)
    assert said.status_code == 413 and "larger than 32 MB" in said.text


def test_only_the_artefact_folder_is_served(served: tuple[str, Any]) -> None:
    for path in (SCENE, "/etc/passwd", str(served[1].service.settings.root / "inside" / "scene.png")):
        assert httpx.get(f"{served[0]}/gradio_api/file={path}", timeout=60).status_code in (403, 404)


def test_a_batch_stays_below_its_root(served: tuple[str, Any]) -> None:
    from sightline.errors import InputError
    from sightline.programs.batch import list_pictures
    from sightline.web.batch_page import BatchPage

    page = BatchPage(served[1].service)
    assert page._folders() == [".", "inside"]  # the link is not offered
    for name in ("..", "../outside", "/etc", "link", "inside/../../outside", "\0"):
        with pytest.raises(InputError, match="not below"):
            page._chosen_folder(name)
    assert list_pictures(page._chosen_folder("inside")) == ["scene.png"]  # and a linked picture is no picture


def test_a_crowd_gets_its_own_answers_each(served: tuple[str, Any]) -> None:
    from benchmarks.crowd import QUESTION, number_of, picture

    folder = served[1].service.settings.folder / "made"
    folder.mkdir()
    numbers = [number_of(n, 0) for n in range(8)]
    assert len({number_of(n, r) for n in range(20) for r in range(3)}) == 60
    answers: dict[str, str] = {}

    def one(number: str) -> None:
        said = patient(served[0]).predict(
            handle_file(picture(number, folder)), QUESTION, None, None, "starter", api_name="/ask"
        )
        answers[number] = said["answer"] or said["error"]

    threads = [threading.Thread(target=one, args=(number,)) for number in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert sorted(answers) == sorted(numbers)
    for number, said in answers.items():
        assert number in said and not any(other in said for other in numbers if other != number), answers
    assert len(served[1].service.line) == 0


def test_a_visitors_seat_goes_with_everything_on_it(served: tuple[str, Any], tmp_path: Path) -> None:
    from sightline.web.desk import Desk

    gone: list[str] = []
    desk = Desk(tmp_path, most=2, gone=lambda seat: gone.append(seat.key))
    first = desk.seat("a")
    desk.take(first, SCENE)
    assert first.picture.image.pixels.base is not None  # read from its file as needed, not held
    keys = [first.key, desk.seat("b").key, desk.seat("c").key]
    assert gone == keys[:1] and not first.folder.exists() and len(desk) == 2
    desk.lifetime = 0.0
    desk.tidy()
    assert len(desk) == 0 and sorted(gone) == sorted(keys)
    assert list(tmp_path.iterdir()) == []
