"""The starter pack's detector: which network looks at a picture, what it has names for there, and what that is worth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sightline.errors import InputError, ModelFileError, RoleError
from sightline.programs.cache import ResultCache
from sightline.programs.engine import Engine
from sightline.tools.backends.looks import fused
from sightline.tools.backends.merging import Candidates
from sightline.tools.detection.scenes import KINDS, draw
from sightline.tools.models import Models
from sightline.tools.pack import load_pack
from sightline.tools.roles import sort_of, vocabularies_of, vocabulary_for
from sightline.tools.values import Image, Region, Regions

ROOT = Path(__file__).resolve().parent.parent
WEIGHTS = ROOT / "mllm" / "weights"


@pytest.fixture(scope="module")
def models() -> Models:
    return Models.from_pack("starter")


@pytest.fixture(scope="module")
def bus() -> Image:
    return Image.open(ROOT / "examples" / "bus.jpg")


@pytest.fixture(scope="module")
def scene() -> Image:
    return Image.from_array(draw("test", 5, 3).image)


def test_photographs_and_drawings_are_told_apart(models: Models, bus: Image, scene: Image) -> None:
    detector = models.get("detector")
    photos = [
        Image.open(ROOT / "examples" / f"{name}.jpg") for name in ("zidane", "chelsea", "coffee", "astronaut")
    ]
    assert [detector.sort(image) for image in [bus, *photos]] == ["photograph"] * 5
    drawn = [Image.from_array(draw("test", 6, i).image) for i in range(12)]
    drawn.append(Image.open(ROOT / "examples" / "scene.png"))
    assert [detector.sort(image) for image in drawn] == ["drawing"] * 13
    # a crop is what its original is, however plain it looks by itself
    assert detector.sort(bus.crop((0, 0, 60, 60))) == "photograph"
    assert detector.sort(scene.crop((0, 0, 20, 20))) == "drawing"
    assert bus.crop((0, 0, 600, 600)).crop((10, 10, 90, 90)).original is bus and bus.original is bus


def test_each_picture_is_looked_at_with_what_was_made_for_it(
    models: Models, bus: Image, scene: Image
) -> None:
    detector = models.get("detector")
    together = detector.detect([bus, scene, bus])
    assert together == [*detector.detect([bus]), *detector.detect([scene]), *detector.detect([bus])]
    assert "person" in {r.label for r in together[0]} and together[1]
    assert all(r.label in vocabulary_for(detector, bus) and r.tool == "by-picture" for r in together[0])
    big = [r.box for r in together[0] if r.label in ("bus", "truck", "ambulance")]  # it is not sure which
    assert any(
        x2 - x1 > 0.7 * bus.width and 0.1 < y1 / bus.height < 0.5 < y2 / bus.height for x1, y1, x2, y2 in big
    )
    assert {r.label for r in together[1]} <= set(KINDS)
    faint = detector.glimpse([bus])[0]
    assert all(r.score < min(o.score for o in together[0]) for r in faint)


def test_it_has_names_for_a_picture_and_not_for_another(models: Models, bus: Image, scene: Image) -> None:
    detector = models.get("detector")
    assert sort_of(detector, bus) == "photograph" and len(vocabulary_for(detector, bus)) == 40
    assert vocabulary_for(detector, scene) == KINDS and "zebra" not in vocabulary_for(detector, bus)
    assert set(detector.vocabulary) == {name for names in vocabularies_of(detector) for name in names}


def asked(engine: Engine, image: Image, name: str) -> Regions:
    program = f"A=LOC(image=IMAGE,object={name!r})\nR=RESULT(var=A)"
    (result,) = engine.run(program, {"IMAGE": image}).results
    if not result.ok:
        raise RoleError(result.errors[0].message)
    assert isinstance(result.value, Regions)
    return result.value


def test_names_go_through_the_hierarchy_and_unknown_ones_say_which_pack(
    models: Models, bus: Image, scene: Image, tmp_path: Path
) -> None:
    for engine in (
        Engine(models),
        Engine(models, cache=ResultCache(tmp_path)),
        Engine(models, cache=ResultCache(tmp_path)),
    ):
        assert {r.label for r in asked(engine, bus, "vehicle")} & {"bus", "truck", "ambulance"}
        assert {r.label for r in asked(engine, bus, "people")} == {"person"}
        with pytest.raises(RoleError, match=r"does not know 'zebra'.*40 everyday classes.*--pack standard"):
            asked(engine, bus, "zebra")  # scenes have zebras: in a photograph nobody looked for one
        with pytest.raises(RoleError, match=r"does not know 'bottle'"):
            asked(engine, scene, "bottle")
        assert isinstance(asked(engine, scene, "zebra"), Regions)


def test_many_names_that_both_know_are_one_pass(models: Models) -> None:
    engine = Engine(models)
    program = engine.check(
        "A=LOC(image=IMAGE,object='dog')\nB=LOC(image=IMAGE,object='bird')\nC=LOC(image=IMAGE,object='zebra')\n"
        "N=COUNT(box=A)\nM=COUNT(box=B)\nO=COUNT(box=C)\nR=RESULT(var=[N,M,O])"
    )
    ops = [node.op for node in engine.plan([program]).plan.nodes]
    assert ops.count("DETECT") == 1 and ops.count("PICK") == 2 and ops.count("LOC") == 1


def test_what_scores_are_worth_depends_on_the_picture(models: Models, bus: Image, scene: Image) -> None:
    photo, drawn = models.calibration("detector", bus), models.calibration("detector", scene)
    assert photo is not None and drawn is not None and photo != drawn
    assert set(photo.classes) == set(vocabulary_for(models.get("detector"), bus))
    told = photo.recall("person"), drawn.recall("dog")
    assert told[0] is not None and told[1] is not None and 0 < told[0] < 0.9 < told[1]
    assert photo.recall("zebra") is None and models.calibration("detector") is None


def test_a_photograph_without_a_thing_does_not_prove_that_it_is_absent(models: Models, bus: Image) -> None:
    from sightline.agent.verification.verify import verify

    told = {
        v.claim: v
        for v in verify(
            bus, "There is a dog. There is a zebra. There is a person.", engine=Engine(models)
        ).verdicts
    }
    assert [told[c].label for c in sorted(told)] == ["unverifiable", "unverifiable", "supported"]


def test_looks_agree_or_are_halved() -> None:
    one = Candidates.of([((0, 0, 10, 10), 0, 0.8), ((50, 50, 60, 60), 1, 0.6)])
    two = Candidates.of([((1, 0, 11, 10), 0, 0.4), ((0, 0, 10, 10), 1, 0.2)])
    found = fused([one, two])
    assert found.kinds.tolist() == [0, 1, 1] and found.scores.tolist() == pytest.approx([0.6, 0.3, 0.1])
    assert found.boxes[0].tolist() == pytest.approx([1 / 3, 0, 31 / 3, 10])
    assert len(fused([Candidates.of([])]).kinds) == 0


def test_a_mirrored_look_gives_boxes_of_the_picture(bus: Image) -> None:
    from sightline.tools.backends.looks import Look, Looks

    mirrored = Image.from_array(np.ascontiguousarray(bus.pixels[:, ::-1]))
    (a,) = Looks(WEIGHTS / "photos" / "weights.safetensors", [Look(256)]).see([mirrored], "t", "w")
    (b,) = Looks(WEIGHTS / "photos" / "weights.safetensors", [Look(256, mirrored=True)]).see([bus], "t", "w")
    assert len(a) == len(b) > 3
    for r, s in zip(a[:5], b[:5], strict=True):
        x1, y1, x2, y2 = s.box
        assert r.label == s.label and r.score == pytest.approx(s.score, abs=1e-3)
        assert r.box == pytest.approx((bus.width - x2, y1, bus.width - x1, y2), abs=0.5)


def test_a_probe_over_other_weights_is_refused(tmp_path: Path) -> None:
    from sightline.tools.backends.drawn import read_probe

    probe = WEIGHTS / "photos" / "drawn.safetensors"
    (tmp_path / "w").write_bytes(b"other")
    with pytest.raises(ModelFileError, match=r"fitted over other weights.*routing"):
        read_probe(probe, tmp_path / "w")
    with pytest.raises(ModelFileError, match="no probe"):
        read_probe(tmp_path / "w", tmp_path / "w")
    with pytest.raises(ModelFileError, match="cannot be read"):
        read_probe(probe, tmp_path / "none")


def test_the_probe_is_fitted_by_its_command(tmp_path: Path) -> None:
    from sightline.tools.detection.routing import fit, varied

    rng = np.random.default_rng(3)
    rows = rng.normal(5, 2, (400, 6))
    real = rows @ np.array([1, -1, 0.5, 0, 0, 0]) > 2.5
    weights, bias = fit(rows, real.astype(float))
    assert ((rows @ weights + bias > 0) == real).mean() > 0.95
    from random import Random

    shown = draw("train", 9, 1).image
    assert np.array_equal(varied(shown, Random(2)), varied(shown, Random(2)))


def test_a_pack_names_a_calibration_for_each_sort_of_picture(tmp_path: Path) -> None:
    pack = tmp_path / "mine.yaml"
    pack.write_text(
        "roles: {detector: {backend: by-picture, weights: w, calibration: {photograph: a.json, drawing: b.json}}}"
    )
    spec = load_pack(pack).roles["detector"]
    assert dict(spec.calibrations) == {"photograph": "a.json", "drawing": "b.json"} and spec.calibration == ""
    pack.write_text("roles: {detector: {backend: by-picture, weights: w, calibration: {photograph: 3}}}")
    with pytest.raises(InputError, match="calibration photograph: a text"):
        load_pack(pack)


def test_the_core_mllm_is_told_what_the_detector_found(bus: Image, scene: Image) -> None:
    told = Models.from_pack(
        overrides={"mllm": {"backend": "starter-mllm-photos", "weights": str(WEIGHTS)}}
    ).get("mllm")
    scenes = Models.from_pack("scenes").get("mllm")
    assert told.answer([bus], ["Is there a person in the picture?"])[0].lower().startswith("yes")
    assert told.answer([bus], ["Is there a giraffe in the picture?"])[0].lower().startswith("no")
    (caption,) = told.caption([bus])
    assert "person" in caption or "people" in caption
    spec = {"backend": "starter-mllm-photos", "weights": str(WEIGHTS), "options": {"confidence": 1.0}}
    untold = Models.from_pack(overrides={"mllm": spec}).get("mllm")
    assert untold.caption([bus]) == ["Nothing is recognised in the picture."]
    question = "How many things are there?"
    assert told.answer([scene], [question]) == scenes.answer([scene], [question])


def test_a_detectors_regions_are_in_the_originals_pixels(models: Models, bus: Image) -> None:
    detector = models.get("detector")
    crop = bus.crop((0, 380, 260, 920))
    (found,) = detector.detect([crop])
    people = [r for r in found if r.label == "person"]
    assert people and all(
        isinstance(r, Region) and r.box[1] >= 380 and r.picture == bus.picture for r in people
    )


@pytest.mark.parametrize(
    ("text", "label", "why"),
    [
        ("There is a person.", "supported", "person is seen"),
        ("There is a woman.", "unverifiable", "person is seen, which need not be woman"),
        ("There is no dog.", "unverifiable", "fewer than half of them are found"),
        ("There is no zebra.", "unverifiable", "nothing that looks at the picture knows"),
    ],
)
def test_what_a_small_detector_says_is_not_taken_for_more(
    models: Models, text: str, label: str, why: str
) -> None:
    from sightline.agent.verification.verify import verify

    men = Image.open(ROOT / "examples" / "zidane.jpg")
    (verdict,) = verify(men, text, engine=Engine(models)).verdicts
    assert verdict.label == label and why in verdict.why
