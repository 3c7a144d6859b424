"""The back ends that need no download: RapidOCR, faces, GrabCut, filling in; and EasyOCR through its real loader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
import pytest

from sightline import Image, Mask, Models, Region
from sightline.errors import InputError, ModelFileError, ToolError
from sightline.tools.backends.reading import line_region, reading_order
from sightline.tools.roles import Prompt

cv2 = pytest.importorskip("cv2")


def written(*lines: tuple[tuple[int, int], str], size: tuple[int, int] = (420, 160)) -> Image:
    canvas = PIL.Image.new("RGB", size, "white")
    pen = PIL.ImageDraw.Draw(canvas)
    for place, text in lines:
        pen.text(place, text, fill="black", font=PIL.ImageFont.load_default(36))
    return Image.from_array(np.asarray(canvas))


@pytest.fixture(scope="module")
def starter() -> Models:
    return Models.from_pack("starter")


@pytest.fixture(scope="module")
def grabcut() -> Any:
    return Models.from_pack(overrides={"segmenter": {"backend": "grabcut"}}).get("segmenter", "SEGMENT")


def test_rapidocr_reads_lines_in_order_and_in_the_originals_pixels(starter: Models) -> None:
    pytest.importorskip("rapidocr")
    image = written(((20, 20), "EXIT 101"), ((20, 95), "Hollywood"), ((250, 96), "North"))
    blank = Image.from_array(np.full((60, 80, 3), 255, np.uint8))
    found, nothing, crop = starter.get("ocr", "OCR").read([image, blank, image.crop((0, 80, 420, 160))])
    assert [r.text for r in found] == ["EXIT 101", "Hollywood", "North"]
    assert len(nothing) == 0
    assert [r.text for r in crop] == ["Hollywood", "North"]
    assert all(r.box[1] >= 80 for r in crop)
    assert all(0.5 <= r.score <= 1 and r.label == "text" and r.picture == image.hash for r in found)


def test_lines_of_a_row_go_from_left_to_right_and_slanted_ones_carry_their_shape() -> None:
    image = written()
    texts = [((200, 12, 300, 42), "b"), ((10, 10, 150, 40), "a"), ((10, 60, 150, 90), "c")]
    lines = [Region(box=tuple(map(float, box)), text=text) for box, text in texts]
    assert [r.text for r in reading_order(lines)] == ["a", "b", "c"]
    crop = image.crop((20, 10, 400, 150))
    slanted = line_region(np.array([[10, 40], [90, 0], [100, 20], [20, 60]]), "x", 0.9, crop, "t", "w")
    straight = line_region(np.array([[10, 10], [90, 10], [90, 30], [10, 30]]), "x", 0.9, crop, "t", "w")
    assert slanted is not None
    assert slanted.mask is not None
    assert slanted.mask.area < 0.8 * slanted.width * slanted.height
    assert slanted.box == (30.0, 10.0, 120.0, 70.0)
    assert straight is not None
    assert straight.mask is None


def test_faces_are_found_where_they_are(starter: Models) -> None:
    data = pytest.importorskip("skimage.data")
    face = Image.from_array(data.astronaut())
    (found,) = starter.get("face_detector", "FACEDET").detect_faces([face])
    best = found[0]
    assert best.label == "face"
    assert best.box[0] < 225 < best.box[2]
    assert best.box[1] < 115 < best.box[3]
    (part,) = starter.get("face_detector").detect_faces([face.crop((100, 0, 400, 300))])
    assert abs(part[0].center[0] - best.center[0]) < 15
    noise = Image.from_array(np.full((50, 50, 3), 90, np.uint8))
    assert len(starter.get("face_detector").detect_faces([noise])[0]) == 0


@pytest.fixture
def disc() -> tuple[Image, np.ndarray]:
    """A bright disc on a dark, slightly noisy ground, and its mask."""
    y, x = np.mgrid[:180, :240]
    mask = (x - 130) ** 2 + (y - 80) ** 2 < 45**2
    pixels = np.where(mask[..., None], (220, 180, 40), (40, 60, 90)) + np.random.default_rng(0).normal(
        0, 4, (180, 240, 3)
    )
    return Image.from_array(np.clip(pixels, 0, 255).astype(np.uint8)), mask


def _overlap(region: Region, image: Image, truth: np.ndarray) -> float:
    assert region.mask is not None
    mask = region.mask.on(image)
    return float((mask & truth).sum() / (mask | truth).sum())


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt(points=((130.0, 80.0, True),)),
        Prompt(points=((110.0, 70.0, True), (30.0, 30.0, False))),
        Prompt(box=(82.0, 32.0, 178.0, 128.0)),
        Prompt(mask=Mask.from_array(np.ones((60, 60), bool), (100, 50))),
    ],
)
def test_grabcut_finds_a_plain_thing(grabcut: Any, disc: tuple[Image, np.ndarray], prompt: Prompt) -> None:
    image, truth = disc
    (found,) = grabcut.segment([image], [prompt])
    assert _overlap(found[0], image, truth) > 0.85
    assert [r.score for r in found] == sorted((r.score for r in found), reverse=True)
    assert grabcut.segment([image], [prompt])[0] == found  # the same every time
    crop = image.crop((60, 20, 200, 150))
    (part,) = grabcut.segment([crop], [prompt])
    assert _overlap(part[0], image, truth) > 0.8


def test_grabcut_takes_extreme_prompts(grabcut: Any, disc: tuple[Image, np.ndarray]) -> None:
    image, _ = disc
    with pytest.raises(ToolError, match="needs a point"):
        grabcut.segment([image], [Prompt()])
    prompts = [
        Prompt(points=((0.0, 0.0, True),)),
        Prompt(points=((5000.0, -20.0, True),)),
        Prompt(points=((10.0, 10.0, False),)),
        Prompt(box=(0.0, 0.0, 240.0, 180.0)),
        Prompt(box=(100.0, 100.0, 100.5, 100.5)),
        Prompt(mask=Mask.from_array(np.zeros((4, 4), bool))),
    ]
    for found in grabcut.segment([image] * len(prompts), prompts):
        for region in found:
            assert 0 <= region.box[0] < region.box[2] <= 240
    tiny = Image.from_array(np.zeros((1, 1, 3), np.uint8))
    assert len(grabcut.segment([tiny], [Prompt(points=((0.0, 0.0, True),))])[0]) <= 1


def test_grabcut_beats_the_filled_box_on_photographs(data: Path, grabcut: Any) -> None:
    mask_utils = pytest.importorskip("pycocotools.mask")
    folder = data / "photos" / "coco_val128"
    content = json.loads((folder / "instances.json").read_text())
    images = {entry["id"]: entry for entry in content["images"]}
    cut, box_only = [], []
    for note in content["annotations"]:
        entry = images[note["image_id"]]
        size = (entry["height"], entry["width"])
        if (
            note.get("iscrowd")
            or not isinstance(note.get("segmentation"), list)
            or note["area"] < 0.02 * np.prod(size)
        ):
            continue
        truth = mask_utils.decode(
            mask_utils.merge(mask_utils.frPyObjects(note["segmentation"], *size))
        ).astype(bool)
        image = Image.open(folder / entry["file_name"])
        x, y, width, height = note["bbox"]
        box = (x, y, x + width, y + height)
        (found,) = grabcut.segment([image], [Prompt(box=box)])
        cut.append(_overlap(found[0], image, truth) if len(found) else 0.0)
        full = Region(box=box).mask_on(image)
        box_only.append(float((full & truth).sum() / (full | truth).sum()))
        if len(cut) == 40:
            break
    print(f"GrabCut {np.mean(cut):.3f}, filled boxes {np.mean(box_only):.3f}")
    assert np.mean(cut) > np.mean(box_only) + 0.03


def test_filling_in_removes_and_paints_nothing(starter: Models, disc: tuple[Image, np.ndarray]) -> None:
    image, truth = disc
    inpainter = starter.get("inpainter", "REPLACE")
    (filled,) = inpainter.inpaint([image], [truth], ["background"])
    assert np.abs(filled.pixels[80, 130].astype(int) - (40, 60, 90)).max() < 25
    assert (filled.pixels[:25] == image.pixels[:25]).all()
    assert inpainter.inpaint([image], [np.zeros_like(truth)], [""])[0].hash == image.hash
    with pytest.raises(ToolError, match="cannot paint 'a red car'"):
        inpainter.inpaint([image], [truth], ["a red car"])


# --- EasyOCR ---------------------------------------------------------------------------------------------------------

_NETWORK = "easyocr.model.vgg_model"


@pytest.fixture
def easyocr_folder(tmp_path: Path) -> Path:
    """Fine-tuned weights for EasyOCR's own recognition network, tiny, in the files and key names that it reads."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("easyocr")
    from easyocr.model.vgg_model import Model

    characters = "0123456789ABCDEF"
    shape = {"input_channel": 1, "output_channel": 16, "hidden_size": 8}
    torch.manual_seed(0)
    network = Model(num_class=len(characters) + 1, **shape)
    state = {f"module.{name}": value for name, value in network.state_dict().items()}
    torch.save(state, tmp_path / f"{_NETWORK}.pth")
    description = {"network_params": shape, "imgH": 64, "lang_list": ["en"], "character_list": characters}
    (tmp_path / f"{_NETWORK}.yaml").write_text(json.dumps(description))
    return tmp_path


def easy(folder: Path, **options: Any) -> Any:
    settings = {"network": _NETWORK, "detector": "none", "confidence": 0.0, "device": "cpu", **options}
    spec = {"backend": "easyocr", "weights": str(folder), "options": settings}
    return Models.from_pack(overrides={"ocr": spec}).get("ocr", "OCR")


def test_easyocr_reads_through_its_real_loader(easyocr_folder: Path) -> None:
    reader = easy(easyocr_folder)
    image = written(((10, 10), "42"), size=(120, 64))
    results = reader.read([image, image.crop((0, 0, 60, 64))])
    assert len(results) == 2
    for regions, width in zip(results, (120, 60), strict=True):
        for region in regions:
            assert set(region.text or "") <= set("0123456789ABCDEF")
            assert region.box == (0.0, 0.0, float(width), 64.0)
            assert region.tool == "easyocr"


def test_easyocr_finds_text_with_craft(easyocr_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    import easyocr.config
    from easyocr.craft import CRAFT

    from sightline.tools.weightfiles import md5

    torch.manual_seed(0)
    file = easyocr_folder / "craft_mlt_25k.pth"
    torch.save(
        {f"module.{name}": value for name, value in CRAFT(pretrained=False).state_dict().items()}, file
    )
    with pytest.raises(ModelFileError, match="MD5 mismatch"):  # the library's own check of its official file
        easy(easyocr_folder, detector="craft")
    monkeypatch.setitem(easyocr.config.detection_models["craft"], "md5sum", md5(file))
    image = written(((10, 10), "42"), size=(120, 64))
    for region in easy(easyocr_folder, detector="craft").read([image])[0]:
        assert region.box[2] <= 120


def test_easyocr_runs_no_code_and_no_pickle_of_the_folder(easyocr_folder: Path) -> None:
    torch = pytest.importorskip("torch")
    (easyocr_folder / "mine.py").write_text("raise SystemExit('ran')")
    with pytest.raises(InputError, match="would run code"):
        easy(easyocr_folder, network="mine")
    with pytest.raises(ModelFileError, match=r"Missing .*downloads disabled"):
        easy(easyocr_folder, network="standard")
    mark = easyocr_folder / "ran"

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (mark,))

    torch.save({"a": Bomb()}, easyocr_folder / f"{_NETWORK}.pth")
    with pytest.raises(ModelFileError, match="tensors only"):
        easy(easyocr_folder)
    assert not mark.exists()
