"""The ultralytics and YOLOX adapters: official loaders, safe loading, frames, and measured quality."""

from __future__ import annotations

import importlib.util
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline import Image, Models
from sightline.errors import InputError, ModelFileError

torch = pytest.importorskip("torch")
if (
    importlib.util.find_spec("ultralytics") is None
):  # not importorskip: its first import must see our settings
    pytest.skip("needs ultralytics", allow_module_level=True)


def picture(seed: int = 0, height: int = 96, width: int = 128) -> Image:
    return Image.from_array(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def _save_tiny(yaml: str, path: Path, seed: int = 0) -> Path:
    """A network of the family's own YAML at its smallest scale, saved by ultralytics itself."""
    from sightline.tools.backends.yolo import prepare_ultralytics

    prepare_ultralytics()
    from ultralytics import YOLO

    torch.manual_seed(seed)
    model = YOLO(yaml, verbose=False)
    model.model.names = {i: f"kind {i}" for i in range(len(model.model.names))}
    model.save(path)
    return path


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _save_tiny("yolo11n.yaml", tmp_path_factory.mktemp("yolo") / "tiny.pt")


@pytest.fixture(scope="module")
def tiny_masks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _save_tiny("yolov8n-seg.yaml", tmp_path_factory.mktemp("yolo") / "tiny-seg.pt")


def detector(path: Path, **options: Any) -> Any:
    spec = {"backend": "ultralytics", "weights": str(path), "options": {"image_size": 128, **options}}
    return Models.from_pack(overrides={"detector": spec}).get("detector", "LOC")


def test_a_tiny_official_file_loads_and_detects_in_the_originals_pixels(tiny: Path) -> None:
    model = detector(tiny, confidence=0.0, most=20)
    assert len(model.vocabulary) == 80
    image = picture()
    crop = image.crop((40, 30, 120, 90))
    whole, part = model.detect([image, crop])
    assert len(whole)
    assert len(part)
    assert all(40 <= r.box[0] < r.box[2] <= 120 and 30 <= r.box[1] < r.box[3] <= 90 for r in part)
    assert {r.picture for r in (*whole, *part)} == {image.hash}
    assert {r.tool for r in whole} == {"ultralytics"}
    assert whole[0].weights == Models.from_pack(
        overrides={"detector": {"backend": "ultralytics", "weights": str(tiny),
                                "options": {"image_size": 128, "confidence": 0.0, "most": 20}}}
    ).weights("detector")  # fmt: skip
    assert [r.score for r in whole] == sorted((r.score for r in whole), reverse=True)


def test_masks_lie_inside_their_boxes(tiny_masks: Path) -> None:
    image = picture(1).crop((10, 5, 110, 85))
    (found,) = detector(tiny_masks, confidence=0.0, most=20).detect([image])
    assert len(found)
    for region in found:
        assert region.mask is not None
        x1, y1, x2, y2 = region.mask.box
        assert region.box[0] - 1 <= x1 <= x2 <= region.box[2] + 1
        assert region.box[1] - 1 <= y1 <= y2 <= region.box[3] + 1


def test_the_batch_does_not_change_the_result(tiny_masks: Path) -> None:
    model = detector(tiny_masks, confidence=0.0, most=10)
    images = [picture(0), picture(1, 128, 64), picture(2), picture(3, 40, 128)]
    together = model.detect(images)
    for image, found in zip(images, together, strict=True):
        (alone,) = model.detect([image])
        assert [r.label for r in alone] == [r.label for r in found]
        np.testing.assert_allclose([r.box for r in alone], [r.box for r in found], atol=0.05)


class _Bomb:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.mark,))


def test_wrong_files_are_one_clear_line_and_run_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    torch.save({"model": _Bomb(mark)}, tmp_path / "bomb.pt")
    (tmp_path / "raw.pt").write_bytes(pickle.dumps(_Bomb(mark)))
    (tmp_path / "text.pt").write_text("no weights")
    (tmp_path / "empty.pt").touch()
    torch.save({"model": torch.zeros(2)}, tmp_path / "tensors.pt")
    for name in ("bomb", "raw", "text", "empty", "tensors"):
        with pytest.raises(ModelFileError, match=f"{name}.pt") as caught:
            detector(tmp_path / f"{name}.pt")
        assert "\n" not in str(caught.value)
    assert not mark.exists()
    with pytest.raises(InputError, match="confidence"):
        detector(tmp_path / "text.pt", confidence=7)


@pytest.fixture(scope="module")
def text_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny CLIP text tower with the width that YOLO-World takes, and a tokenizer, as transformers saves them."""
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("text")
    config = CLIPTextConfig(
        vocab_size=300, hidden_size=16, intermediate_size=16, projection_dim=512, num_hidden_layers=1,
        num_attention_heads=2, eos_token_id=257, bos_token_id=256, pad_token_id=257,
    )  # fmt: skip
    torch.manual_seed(0)
    CLIPTextModelWithProjection(config).save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=byte_tokenizer(), bos_token="<|start|>", eos_token="<|end|>", pad_token="<|end|>"
    ).save_pretrained(folder)
    return folder


def byte_tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: i for i, letter in enumerate(alphabet)}
    vocabulary |= {"<|start|>": 256, "<|end|>": 257}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|start|> $A <|end|>", special_tokens=[("<|start|>", 256), ("<|end|>", 257)]
    )
    return tokenizer


def open_detector(folder: Path, **options: Any) -> Any:
    spec = {
        "backend": "ultralytics-open",
        "weights": str(folder),
        "options": {"image_size": 128, "confidence": 0.0, "most": 10, **options},
    }
    return Models.from_pack(overrides={"open_vocabulary": spec}).get("open_vocabulary", "LOC")


def _try_names(model: Any) -> None:
    image = picture(4)
    one, two, nothing = model.detect([image, image, image], [["dog"], ["cat", "red/blue ball"], []])
    assert {r.label for r in one} == {"dog"}
    assert {r.label for r in two} <= {"cat", "red/blue ball"}
    assert len(nothing) == 0
    (again,) = model.detect([image], [["dog"]])  # asking for other names in between left nothing behind
    np.testing.assert_allclose([r.score for r in again], [r.score for r in one], atol=1e-5)


def test_yolo_world_takes_names(text_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "world"
    folder.mkdir()
    _save_tiny("yolov8s-worldv2.yaml", folder / "model.pt")
    (folder / "text").symlink_to(text_folder)
    _try_names(open_detector(folder))


def test_yoloe_takes_names_and_gives_masks(text_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "yoloe"
    folder.mkdir()
    _save_tiny("yoloe-11s-seg.yaml", folder / "model.pt")
    (folder / "text").symlink_to(text_folder)
    with pytest.raises(ModelFileError, match=r"one \*\.ts"):
        open_detector(folder)

    class Encoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = torch.nn.Embedding(300, 512)

        def forward(self, ids: Any) -> Any:
            return torch.nn.functional.normalize(self.table(ids).mean(dim=1), dim=-1)

    torch.manual_seed(0)
    torch.jit.trace(Encoder(), torch.zeros(1, 77, dtype=torch.long)).save(str(folder / "encoder.ts"))
    model = open_detector(folder)
    _try_names(model)
    assert all(r.mask is not None for r in model.detect([picture(4)], [["dog"]])[0])


def test_a_closed_checkpoint_is_no_open_one(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(tiny.read_bytes())
    with pytest.raises(ModelFileError, match="takes YOLO-World and YOLOE"):
        open_detector(tmp_path)


def _truth(data: Path, most: int) -> list[tuple[Path, list[tuple[str, tuple[float, ...]]]]]:
    folder = data / "photos" / "coco_val128"
    content = json.loads((folder / "instances.json").read_text())
    names = {c["id"]: c["name"] for c in content["categories"]}
    rows = []
    for entry in content["images"][:most]:
        boxes = [
            (names[a["category_id"]], (a["bbox"][0], a["bbox"][1], a["bbox"][0] + a["bbox"][2],
                                       a["bbox"][1] + a["bbox"][3]))
            for a in content["annotations"]
            if a["image_id"] == entry["id"] and not a.get("iscrowd")
        ]  # fmt: skip
        rows.append((folder / entry["file_name"], boxes))
    return rows


def _iou(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


@pytest.mark.parametrize(
    ("file", "recall", "precision"),
    [
        ("yolo11n_from_int8.pt", 0.5, 0.64),
        ("yolov8n-seg_from_int8.pt", 0.44, 0.66),
        ("yolox_nano.onnx", 0.35, 0.66),
    ],
)
def test_the_weights_find_what_people_marked(data: Path, file: str, recall: float, precision: float) -> None:
    models = Models.from_pack(
        models_dir=data / "weights", overrides={"detector": str(data / "weights" / file)}
    )
    model = models.get("detector", "LOC")
    hits = found = wanted = 0
    for path, boxes in _truth(data, 24):
        (regions,) = model.detect([Image.open(path)])
        left = list(boxes)
        for region in regions:
            match = next((b for b in left if b[0] == region.label and _iou(b[1], region.box) > 0.5), None)
            if match:
                left.remove(match)
                hits += 1
        found += len(regions)
        wanted += len(boxes)
    print(f"{file}: recall {hits / wanted:.3f} precision {hits / found:.3f}")
    assert hits / wanted > recall
    assert hits / found > precision


def test_a_wrong_onnx_file_is_one_clear_line(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    (tmp_path / "a.onnx").write_bytes(b"no model")
    with pytest.raises(ModelFileError, match=r"a\.onnx: not an ONNX model") as caught:
        Models.from_pack(overrides={"detector": str(tmp_path / "a.onnx")}).get("detector")
    assert "\n" not in str(caught.value)
