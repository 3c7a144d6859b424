"""Every program of the library: well-formed, described, and right on pictures whose answers are known."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import library_scenes as scenes
import numpy as np
import pytest

from sightline.errors import InputError
from sightline.programs.cache import ResultCache
from sightline.programs.checker import check
from sightline.programs.engine import Engine
from sightline.programs.inputs import bind
from sightline.programs.library import find, library
from sightline.programs.results import ProgramResult
from sightline.programs.syntax import Program
from sightline.tools.models import Models
from sightline.tools.registry import default_registry
from sightline.tools.values import Image

PROGRAMS = {item.name: item for item in library()}
ROOT = Path(__file__).resolve().parent.parent


class Desk:
    """Runs library programs in the starter pack, with a detector that knows the test pictures."""

    def __init__(self, cache: Path) -> None:
        models = Models.from_pack("starter")
        self.detector = scenes.KnownDetector()
        models.bind("detector", self.detector, weights="known")
        self.engine = Engine(models, cache=ResultCache(cache))

    def run(self, name: str, *pictures: Image, **settings: Any) -> ProgramResult:
        program = self.engine.check(
            PROGRAMS[name].program({key: str(value) for key, value in settings.items()})
        )
        (inputs,) = bind(program, pictures)
        (result,) = self.engine.run(program, inputs).results
        assert result.status == "done", [error.message for error in result.errors]
        return result

    def value(self, name: str, *pictures: Image, **settings: Any) -> Any:
        return self.run(name, *pictures, **settings).value

    def read(self, image: Image) -> str:
        return str(self.value("read_text", image))


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    yield Desk(tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="module")
def street(desk: Desk) -> Image:
    image = scenes.street()
    desk.detector.know(image, [(label, box) for label, box, _ in scenes.STREET])
    return image


@pytest.fixture(scope="module")
def car(desk: Desk) -> Image:
    image = scenes.parked_car()
    desk.detector.know(image, [("car", (100.0, 120.0, 400.0, 300.0))])
    return image


@pytest.fixture(scope="module")
def astronaut(desk: Desk) -> Image:
    image = scenes.photo("astronaut.jpg")
    desk.detector.know(image, [("person", (7.0, 18.0, 365.0, 511.0))])
    return image


def step(result: ProgramResult, name: str) -> Any:
    return next(item.value for item in result.steps if item.name == name)


def same(a: Image, b: Image, box: tuple[int, int, int, int]) -> bool:
    x1, y1, x2, y2 = box
    return bool(np.array_equal(a.pixels[y1:y2, x1:x2], b.pixels[y1:y2, x1:x2]))


def gray(image: Image, box: tuple[int, int, int, int]) -> bool:
    x1, y1, x2, y2 = box
    part = image.pixels[y1:y2, x1:x2].astype(int)
    return bool((np.ptp(part, axis=2) == 0).all())


# -- form ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_described_and_checks(name: str) -> None:
    item = PROGRAMS[name]
    assert item.description.endswith(".") and "\n" not in item.description
    program = item.program()
    assert check(program, default_registry()) == []
    assert Program.parse(program.text) == program
    unused = [
        s.name for s in item.settings if not re.search(rf"\b{s.name}\b", item.text.split("Example:")[1])
    ]
    assert unused == [], "a setting that the program does not read"


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_example_call_is_one_that_can_be_made(name: str) -> None:
    item = PROGRAMS[name]
    words = shlex.split(item.example)
    assert words[0] == "sightline" and words[1] in ("run", "batch") and words[2] == name
    given = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
    program = item.program(dict(text.split("=", 1) for text in given))
    shown = [word for word in words[3:] if word.startswith("examples")]
    assert all((ROOT / word).exists() for word in shown)
    if words[1] == "run" and shown:
        assert len(bind(program, shown)) == 1
    needs_detector = any(s.op == "SEG" or (s.op == "LOC" and name != "read_half") for s in program.steps)
    assert needs_detector == ("--pack standard" in item.example) == ("Needs a detector" in item.description)


def test_the_library_is_wide_and_half_of_it_runs_in_the_starter_pack() -> None:
    starter = [item for item in PROGRAMS.values() if "--pack standard" not in item.example]
    assert len(PROGRAMS) >= 40 and len(starter) >= len(PROGRAMS) / 2


def test_every_program_is_tested_here() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in PROGRAMS if f'"{name}"' not in source] == []


def test_a_setting_is_a_value_and_never_program_text() -> None:
    program = find("find_word").program({"WORD": "x' if True else RESULT(var=IMAGE) {ANSWER0} \" #"})
    assert [s.op for s in program.steps] == [
        "IF",
        *(s.op for s in Program.parse(PROGRAMS["find_word"].text).steps),
    ]
    with pytest.raises(InputError, match="has no setting WORDS; it has WORD"):
        find("find_word").program({"WORDS": "a"})
    with pytest.raises(InputError, match="setting LEAST is a number, not 'much'"):
        find("near_duplicates").program({"LEAST": "much"})
    with pytest.raises(InputError, match="did you mean count"):
        find("cuont")


# -- text (RapidOCR) -------------------------------------------------------------------------------------------


def test_reading(desk: Desk) -> None:
    page = scenes.photo("page.png")
    text = desk.value("read_text", page)
    assert text.splitlines()[0] == "Region-based segmentation" and "histogram of grey values:" in text
    assert desk.value("biggest_text", page) == "Region-based segmentation"
    assert desk.value("find_word", page, WORD="Region-Based SEGMENTATION let us") == "yes"  # over two lines
    assert desk.value("find_word", page, WORD="zebra") == "no"
    assert "segmentation" in desk.value("read_half", page, HALF="TOP")
    assert "segmentation" not in desk.value("read_half", page, HALF="BOTTOM")
    lines = desk.value("crop_text", page)
    assert lines[0].offset[1] < 15 and 270 < lines[0].width < 310 and len(lines) >= 6


def test_highlighting_and_tagging_text(desk: Desk) -> None:
    page = scenes.photo("page.png")
    found = desk.value("highlight_word", page, WORD="Histogram")
    assert same(found, page, (10, 120, 165, 134)) and not same(found, page, (10, 12, 290, 34))
    assert (found.pixels[12:34, 10:290] < 100).all(), "the rest is dark"
    tagged = desk.run("tag_text", page)
    boxes = [region.box for region in step(tagged, "TEXT0")]
    left, top = int(boxes[0][0]), int(boxes[0][1])
    assert np.ptp(tagged.value.pixels[top, left].astype(int)) > 30, "a coloured box on a gray page"


def test_redacting_text(desk: Desk) -> None:
    page = scenes.photo("page.png")
    hidden = desk.value("redact_text", page)
    assert "segmentation" not in desk.read(hidden) and same(hidden, page, (100, 143, 380, 162))
    note = scenes.written([("Dear friend", (20, 20)), ("call 555 123 456", (20, 100)), ("at 9", (20, 180))])
    hidden = desk.value("redact_numbers", note, DIGITS=4)
    assert desk.read(hidden).splitlines() == ["Dear friend", "at 9"]
    assert same(hidden, note, (0, 0, 420, 80))


def test_receipts(desk: Desk) -> None:
    assert desk.value("receipt_total", scenes.receipt()) == 11.5
    assert desk.value("receipt_total", scenes.written([("Total: 7,25", (20, 50))])) == 7.25
    assert (
        desk.value("receipt_total", scenes.written([("TOTAL ITEMS: 4", (20, 50)), ("12.00", (20, 150))]))
        == -1
    )
    french = scenes.written(
        [("Montant", (20, 50)), ("31.40", (300, 50)), ("Total", (20, 150)), ("9.99", (300, 150))]
    )
    assert desk.value("receipt_total", french, WORD="montant") == 31.4


# -- faces (OpenCV) --------------------------------------------------------------------------------------------


def test_counting_and_cutting_faces(desk: Desk, astronaut: Image) -> None:
    assert desk.value("count_faces", astronaut) == 1
    assert desk.value("count_faces", scenes.photo("zidane.jpg")) == 2
    assert desk.value("count_faces", scenes.photo("chelsea.jpg")) == 0
    (face,) = desk.value("crop_faces", astronaut)
    x, y = face.offset[0] + face.width / 2, face.offset[1] + face.height / 2
    assert abs(x - 224) < 12 and abs(y - 114) < 12
    assert desk.value("people_and_faces", astronaut) == "people: 1, faces: 1"


def test_hiding_faces(desk: Desk, astronaut: Image) -> None:
    assert desk.value("count_faces", desk.value("redact_faces", astronaut)) == 0
    for name in ("redact_faces", "emoji_faces"):  # an emoji may look like a face to the detector, and may
        hidden = desk.value(name, astronaut)
        assert same(hidden, astronaut, (0, 200, 512, 512)), name
        assert (hidden.pixels[90:140, 200:250] != astronaut.pixels[90:140, 200:250]).any(
            axis=2
        ).mean() > 0.95, name
    other = desk.value("emoji_faces", astronaut, EMOJI="winking_face")
    assert not np.array_equal(other.pixels, desk.value("emoji_faces", astronaut).pixels)


def test_hiding_faces_and_text(desk: Desk, astronaut: Image) -> None:
    letter = scenes.on_page(astronaut, "SECRET 1234")
    assert "SECRET" in desk.read(letter)
    hidden = desk.value("redact_faces_and_text", letter)
    assert "SECRET" not in desk.read(hidden) and desk.value("count_faces", hidden) == 0
    assert same(hidden, letter, (0, 240, 60, 500))


def test_a_crowd_is_hidden_and_a_single_person_is_not(desk: Desk, astronaut: Image) -> None:
    hidden = desk.value("crowd_check", astronaut, CROWD=1)
    assert desk.value("count_faces", hidden) == 0
    result = desk.run("crowd_check", astronaut, CROWD=2)
    assert np.array_equal(result.value.pixels, astronaut.pixels)


# -- clicks and boxes (GrabCut) --------------------------------------------------------------------------------


def test_clicking_on_a_thing(desk: Desk) -> None:
    ball = scenes.ball()
    region = desk.value("cut_out_click", ball, X=150, Y=100)
    assert region.mask is not None and abs(region.mask.area / (np.pi * 60**2) - 1) < 0.05
    popped = desk.value("colorpop_click", ball, X=150, Y=100)
    assert same(popped, ball, (110, 60, 190, 140)) and gray(popped, (0, 0, 300, 30))
    assert desk.value("color_click", ball, X=150, Y=100) == "red"


def test_clicking_on_a_photograph(desk: Desk) -> None:
    coffee = scenes.photo("coffee.jpg")
    popped = desk.value("colorpop_click", coffee)
    assert same(popped, coffee, (280, 100, 300, 120)) and gray(popped, (0, 300, 150, 400))
    sharp = desk.value("blur_background_box", coffee)
    assert same(sharp, coffee, (280, 100, 300, 120)) and not same(sharp, coffee, (20, 320, 120, 390))


# -- two pictures ----------------------------------------------------------------------------------------------


def test_comparing_pictures(desk: Desk, street: Image) -> None:
    coffee, cat = scenes.photo("coffee.jpg"), scenes.photo("chelsea.jpg")
    assert desk.value("compare", street, coffee) == "left: 2 and 0"
    assert desk.value("compare", coffee, street, OBJECT="bus") == "right: 0 and 1"
    assert desk.value("compare", coffee, cat) == "equal: 0 and 0"
    assert desk.value("in_both", street, coffee) == "no" and desk.value("in_both", street, street) == "yes"
    assert desk.value("near_duplicates", coffee, scenes.brightened(coffee)) == "yes"
    assert desk.value("near_duplicates", coffee, cat) == "no"
    assert desk.value("near_duplicates", coffee, scenes.brightened(coffee), LEAST=1.0) == "no"


# -- things (a detector that knows the street) -----------------------------------------------------------------


def test_counting_things(desk: Desk, street: Image) -> None:
    assert desk.value("count", street) == 2 and desk.value("count", street, OBJECT="red car") == 1
    assert desk.value("is_there", street, OBJECT="bus") == "yes"
    assert desk.value("is_there", street, OBJECT="dog") == "no"
    assert desk.value("count", street, OBJECT="vehicle") == 3  # a kind: two cars and a bus
    assert desk.value("inventory", street) == "2 person, 2 car, 1 bus"
    assert desk.value("inventory", scenes.ball()) == ""
    halves = [
        desk.value("count_in_half", street, OBJECT="car", HALF=half)
        for half in ("LEFT", "right", "top", "bottom")
    ]
    assert halves == [1, 1, 0, 2]


def test_places_of_things(desk: Desk, street: Image) -> None:
    assert desk.value("relation", street, REFERENCE="car") == "yes"
    assert desk.value("relation", street, OBJECT="bus", REFERENCE="car") == "no"
    assert desk.value("relation", street, OBJECT="bus", RELATION="right", REFERENCE="car") == "yes"
    assert desk.value("nearest", street, REFERENCE="bus") == "car"
    assert desk.value("nearest", street, REFERENCE="dog") == "nothing"


def test_colours_of_things(desk: Desk, street: Image) -> None:
    assert desk.value("colors_of", street, OBJECT="car") == "1 red, 1 blue"
    assert desk.value("colors_of", street, OBJECT="dog") == ""
    result = desk.run("of_color", street, COLOR="blue")
    assert [r.box[0] for r in step(result, "OBJ1")] == [170]
    assert not same(result.value, street, (170, 104, 220, 140)) and same(
        result.value, street, (232, 40, 312, 80)
    )


def test_cutting_and_tagging_things(desk: Desk, street: Image) -> None:
    people = desk.value("crop_objects", street)
    assert [(p.width, p.height, p.offset) for p in people] == [(20, 80, (10, 60)), (16, 70, (50, 70))]
    tagged = desk.run("tag_objects", street, OTHER="car")
    assert [r.label for r in step(tagged, "OBJ0")] == ["person", "person", "car", "car"]
    assert not same(tagged.value, street, (10, 60, 30, 140)) and same(
        tagged.value, street, (240, 50, 312, 140)
    )
    largest = desk.run("largest", street, OBJECT="car")
    assert [r.box for r in step(largest, "OBJ1")] == [(90, 100, 150, 140)]


def test_text_on_things(desk: Desk, car: Image) -> None:
    named = desk.run("name_by_text", car, OBJECT="car")
    assert [r.label for r in step(named, "OBJ1")] == ["AB12 CDE"]
    hidden = desk.value("redact_plates", car)
    assert desk.read(hidden) == "SHOP 1234" and same(hidden, car, (0, 0, 480, 230))


def test_editing_things(desk: Desk, street: Image) -> None:
    bus, cars = (232, 40, 312, 140), (90, 100, 220, 140)
    popped = desk.value("colorpop", street, OBJECT="bus")
    assert same(popped, street, bus) and gray(popped, cars)
    none = desk.value("colorpop", street, OBJECT="dog")
    assert gray(none, (0, 0, 320, 160))
    sharp = desk.value("blur_background", street, OBJECT="bus")
    assert same(sharp, street, bus) and not same(sharp, street, cars)
    shown = desk.value("highlight", street, OBJECT="bus")
    assert same(shown, street, bus) and (shown.pixels[105:135, 95:145] < 90).all()


# -- real weights ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    folder = tmp_path_factory.mktemp("real")
    pack = folder / "dev.yaml"
    detector = "{backend: ultralytics, weights: yolov8n-seg_from_int8.pt, license: AGPL-3.0}"
    pack.write_text(f"name: dev\nextends: starter\nroles:\n  detector: {detector}\n", encoding="utf-8")
    desk = Desk(folder / "cache")
    desk.engine = Engine(Models.from_pack(pack, data / "weights"), cache=ResultCache(folder / "cache"))
    return desk


def test_real_detector_on_example_photographs(real: Desk) -> None:
    bus, men = scenes.photo("bus.jpg"), scenes.photo("zidane.jpg")
    assert real.value("inventory", bus) == "4 person, 1 bus"
    assert real.value("compare", bus, men) == "left: 4 and 2"
    assert real.value("people_and_faces", men) == "people: 2, faces: 2"
    assert real.value("relation", men, RELATION="right", REFERENCE="tie") == "yes"
    assert real.value("nearest", men, REFERENCE="tie") == "person"
    assert real.value("is_there", scenes.photo("chelsea.jpg"), OBJECT="animal") == "yes"
    assert real.value("is_there", scenes.photo("rocket.jpg"), OBJECT="person") == "no"
    popped = real.value("colorpop", bus)
    assert same(popped, bus, (240, 330, 300, 380)) and gray(popped, (0, 0, 480, 120))


def test_real_plates_and_receipts(real: Desk, data: Path) -> None:
    car = Image.open(data / "photos" / "ocr_plates" / "eu_test_006.jpg")
    plate = step(real.run("redact_plates", car), "TEXT1")
    assert [r.text for r in plate] == ["RK-099AN"]
    till = Image.open(data / "photos" / "ocr_receipts" / "310.jpg")
    assert real.value("receipt_total", till) == 7.2  # GRAND TOTAL; the sub-total says 15.60
