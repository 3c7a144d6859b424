"""Training and measuring the starter segmenter: simulated clicks, exact resuming, the teacher, and its measures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("segment_anything")

from tiny_segmenter import MODEL, TINY  # noqa: E402

from sightline.errors import InputError  # noqa: E402
from sightline.mllm.evaluation.segmenter import (  # noqa: E402
    coco_mask,
    evaluate_segmenter,
    folder_cases,
    interval,
    scene_cases,
)
from sightline.mllm.segmentation.clicks import correction, first_prompt, innermost, next_click  # noqa: E402
from sightline.mllm.segmentation.network import build, load  # noqa: E402
from sightline.mllm.segmentation.pictures import Photograph, Pictures, Window, read_photographs, square  # noqa: E402
from sightline.mllm.segmentation.stage import SegmenterStage, mask_loss, prepared  # noqa: E402
from sightline.mllm.segmentation.teacher import agreeing, complete  # noqa: E402
from sightline.mllm.segmentation.train import read_config, train_segmenter  # noqa: E402

# --- clicks ----------------------------------------------------------------------------------------------------------


def test_clicks_fall_in_the_middle_of_what_is_wrong() -> None:
    wanted = np.zeros((40, 60), bool)
    wanted[10:21, 20:41] = True
    assert innermost(wanted)[1] == 15.5 and 25 < innermost(wanted)[0] < 36
    found = wanted.copy()
    found[10:21, 20:30] = False  # a large part missing, and a speck too much
    found[0:2, 0:2] = True
    x, y, on = correction(found, wanted) or (0, 0, False)
    assert on and 20 <= x < 30 and 10 <= y < 21
    found = wanted.copy()
    found[25:40] = True
    x, y, on = correction(found, wanted) or (0, 0, True)
    assert not on and y > 25
    assert correction(wanted, wanted) is None
    single = np.zeros((9, 9), bool)
    single[4, 7] = True
    assert innermost(single) == (7.5, 4.5)


def test_simulated_prompts_point_at_their_mask() -> None:
    rng = np.random.default_rng(0)
    mask = np.zeros((32, 32), bool)
    mask[5:9, 20:30] = True
    for _ in range(20):
        place, kind = first_prompt(mask, rng, boxed=False)
        assert kind.tolist() == [1, -1]
        x, y = (place[0] + 0.5) / 2
        assert mask[int(y), int(x)]
        corners, kind = first_prompt(mask, rng, boxed=True)
        assert kind.tolist() == [2, 3]
        assert np.abs(corners + 0.5 - [[40, 10], [60, 18]]).max() <= 2.01  # off by a tenth at most
        where, on = next_click(np.zeros_like(mask), mask, rng)
        assert on == 1 and mask[int((where[1] + 0.5) / 2), int((where[0] + 0.5) / 2)]


# --- training --------------------------------------------------------------------------------------------------------


def test_a_perfect_answer_costs_nothing_and_a_wrong_one_much() -> None:
    truth = torch.zeros(2, 16, 16)
    truth[:, 4:12, 3:9] = 1
    right = (truth * 2 - 1)[:, None].expand(-1, 4, -1, -1) * 30
    loss, best, figures = mask_loss(right, torch.ones(2, 4), truth, ambiguous=True)
    assert float(loss) < 1e-3 and figures["iou"] == 1.0 and torch.equal(best > 0, truth > 0)
    assert float(mask_loss(-right, torch.ones(2, 4), truth, ambiguous=True)[0]) > 10
    one_right = torch.cat([-right[:, :1], right[:, :1], -right[:, :2]], 1)
    several = mask_loss(one_right, torch.zeros(2, 4), truth, ambiguous=True)[0]
    single = mask_loss(one_right, torch.zeros(2, 4), truth, ambiguous=False)[0]
    # the best of the three others is right and adds nothing
    assert float(several) == pytest.approx(float(single), abs=1e-3)


def test_outlines_and_masks_land_in_the_same_place() -> None:
    mask = np.zeros((60, 90), bool)
    mask[20:40, 30:70] = True
    outline = [np.array([[30.0, 20.0], [70.0, 20.0], [70.0, 40.0], [30.0, 40.0]])]
    for box, flip in (((0, 0, 90, 60), False), ((10, 5, 85, 55), True), ((25, 15, 60, 45), False)):
        window = Window(box, 64, flip)
        drawn, moved = window.outline(outline) > 0, window.mask(mask) > 0
        assert (drawn & moved).sum() / (drawn | moved).sum() > 0.9
        shown = window.picture((mask[..., None] * np.uint8(255)).repeat(3, 2))[..., 0] > 127
        assert (shown & moved).sum() / (shown | moved).sum() > 0.95


def test_pictures_are_a_pure_function_of_their_seed() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    import cv2

    ok, data = cv2.imencode(".png", noise)
    assert ok
    things = (
        [np.array([[10.0, 10.0], [50.0, 12.0], [45.0, 40.0]])],
        [np.array([[5.0, 30.0], [25.0, 30.0], [25.0, 48.0]])],
    )
    source = Pictures(3, [Photograph(data.tobytes(), things)], scenes=0.5, paste=0.5)
    for number in range(12):
        a, b = (source.draw(np.random.default_rng(number), number, 64) for _ in range(2))
        assert (a.picture == b.picture).all() and (a.masks == b.masks).all() and a.seen == b.seen
        assert a.picture.shape == (64, 64, 3) and a.masks.shape[1:] == (32, 32) and a.masks.any((1, 2)).all()
    x = prepared(build(TINY), torch.full((1, 3, 64, 64), 200, dtype=torch.uint8), [(40, 64)])
    assert x[:, :, :40].abs().min() > 0 and not x[:, :, 40:].any()  # padding is zero, as Sam.preprocess pads
    assert square(noise, 64)[1] == (46, 64)


def config(tmp_path: Path, name: str, steps: int, more: str = "") -> Path:
    path = tmp_path / f"{name}.yaml"
    path.write_text(
        f"output: {tmp_path / name}\nweights: {tmp_path / name}.safetensors\nbatch: 2\nprompts: 2\n"
        f"sides: {{0: 64, 3: 96}}\nprecision: float32\nmodel: {MODEL}\n"
        f"loop: {{steps: {steps}, warmup: 2, cooldown: 0, log_every: 1, save_every: 2}}\n{more}"
    )
    return path


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    lines: list[str] = []
    train_segmenter(read_config(config(tmp_path, "whole", 5)), lines.append)
    train_segmenter(read_config(config(tmp_path, "parts", 2)), lines.append)
    train_segmenter(read_config(config(tmp_path, "parts", 5)), lines.append)
    assert any("resumed at step 2" in line for line in lines) and any("ms/step" in line for line in lines)
    rows = [
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("whole", "parts")
    ]
    assert [r["loss"] for r in rows[0]] == [r["loss"] for r in rows[1]] and len(rows[0]) == 5
    a, b = (load(tmp_path / f"{name}.safetensors").state_dict() for name in ("whole", "parts"))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_bad_configs_are_one_line_that_names_the_option(tmp_path: Path) -> None:
    for text, words in (
        ("batch: 2", "output"),
        ("output: x\nbatchs: 2", "did you mean 'batch'"),
        ("output: x\nmodel: {widht: 3}", "did you mean 'width'"),
        ("output: x\nsides: {0: 100}", "multiple of 32"),
        ("output: x\nbatch: many", "should be a int"),
    ):
        path = tmp_path / "bad.yaml"
        path.write_text(text)
        with pytest.raises(InputError, match=words):
            read_config(path)
    with pytest.raises(InputError, match="no config file"):
        read_config(tmp_path / "none.yaml")
    with pytest.raises(InputError, match=r"annotations\.json"):
        read_photographs(tmp_path)
    with pytest.raises(InputError, match="no teacher"):
        complete(tmp_path, None, tmp_path / "t.json")


def test_a_stages_batches_do_not_depend_on_what_came_before() -> None:
    sam = build(TINY)
    stages = [
        SegmenterStage(sam, Pictures(1), 1, batch=2, prompts=3, sides=[(0, 32), (4, 64)]) for _ in range(2)
    ]
    stages[0].batch(0)
    a, b = (stage.batch(2) for stage in stages)
    assert (
        a["pixels"].shape == (8, 3, 32, 32)
        and (a["pixels"] == b["pixels"]).all()
        and (a["places"] == b["places"]).all()
    )
    assert stages[0].batch(4)["pixels"].shape == (2, 3, 64, 64)


def test_the_teacher_adds_shapes_only_where_someone_drew_a_box() -> None:
    boxes = [(10.0, 10.0, 30.0, 40.0), (50.0, 5.0, 60.0, 20.0), (10.0, 10.0, 31.0, 40.0)]
    found = []
    for x1, y1, x2, y2 in boxes:
        mask = np.zeros((60, 80), bool)
        mask[int(y1) : int(y2), int(x1) : int(x2)] = True
        found.append(((x1, y1, x2, y2), mask))
    # the second is no labelled thing, the third the same one again
    (thing,) = agreeing(found, [[10, 10, 20, 30]])
    points = np.array(thing[0]).reshape(-1, 2)
    assert points.min(0).tolist() == [10.5, 10.5] and points.max(0).tolist() == [29.5, 39.5]
    assert agreeing([], [[10, 10, 20, 30]]) == []


def test_a_teachers_outlines_are_made_once(tmp_path: Path) -> None:
    from PIL import Image as Pillow

    folder = tmp_path / "set"
    folder.mkdir()
    Pillow.new("RGB", (80, 60), (9, 90, 200)).save(folder / "a.png")
    rows = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "annotations": [{"image_id": 1, "bbox": [10, 10, 20, 30]}],
    }
    (folder / "annotations.json").write_text(json.dumps(rows))
    mask = np.zeros((60, 80), bool)
    mask[10:40, 10:30] = True
    asked: list[Any] = []

    def teacher(picture: np.ndarray) -> list[Any]:
        asked.append(picture)
        return [((10, 10, 30, 40), mask)]

    made = complete(tmp_path, teacher, tmp_path / "run" / "t.json", lambda line: None)
    assert asked[0].shape == (60, 80, 3) and asked[0][0, 0].tolist() == [9, 90, 200]
    assert made == complete(tmp_path, None, tmp_path / "run" / "t.json") and len(asked) == 1
    (photograph,) = read_photographs(tmp_path, made)
    assert read_photographs(tmp_path) == [] and len(photograph.outlines) == 1


# --- measuring -------------------------------------------------------------------------------------------------------


def test_a_perfect_segmenter_scores_one_and_a_blind_one_nothing() -> None:
    cases = list(scene_cases(0, 3))
    by_picture = {case.picture.tobytes(): case.masks for case in cases}

    def perfect(pixels: np.ndarray) -> Any:
        masks = by_picture[pixels.tobytes()]

        def ask(clicks: Any, box: Any) -> np.ndarray:
            x, y = clicks[0][:2] if clicks else ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
            if clicks:
                return next(m for m in masks if m[int(y), int(x)])
            return next(
                m
                for m in masks
                if np.flatnonzero(m.any(0))[0] == box[0] and np.flatnonzero(m.any(1))[0] == box[1]
            )

        return ask

    report = evaluate_segmenter(perfect, cases)
    assert report["miou_click"] == report["miou_box"] == report["miou_3clicks"] == 1.0
    assert report["ci"]["miou_click"] == (1.0, 1.0) and report["n"] == sum(len(c.masks) for c in cases)
    blind = evaluate_segmenter(lambda _: lambda clicks, box: None, cases)
    assert blind["miou_box"] == 0.0
    assert interval(report["rows"], "miou_click", blind["rows"]) == (1.0, 1.0)


def test_folders_of_photographs_are_read_in_both_forms(tmp_path: Path) -> None:
    from PIL import Image as Pillow

    Pillow.new("RGB", (40, 30)).save(tmp_path / "a.png")
    square_ = [[5, 5, 25, 5, 25, 20, 5, 20]]
    runs = {"size": [30, 40], "counts": [0, 30 * 10, 30 * 30]}
    notes = [
        {"image_id": 1, "segmentation": s, "bbox": [0, 0, 1, 1]}
        for s in (square_, runs, [[1, 1, 3, 1, 3, 3]])
    ]
    (tmp_path / "instances.json").write_text(
        json.dumps(
            {"images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 30}], "annotations": notes}
        )
    )
    (case,) = folder_cases(tmp_path)
    assert [int(m.sum()) for m in case.masks] == [300, 300]  # the speck is left out
    assert case.masks[0][5:20, 5:25].all() and case.masks[1][:, :10].all()
    (tmp_path / "instances.json").unlink()
    levels = np.zeros((30, 40), np.uint8)
    levels[:10], levels[20:] = 1, 2
    Pillow.fromarray(levels).save(tmp_path / "a_mask.png")
    (case,) = folder_cases(tmp_path)
    assert len(case.masks) == 2
    with pytest.raises(InputError, match="neither"):
        (tmp_path / "empty").mkdir()
        list(folder_cases(tmp_path / "empty"))


def test_polygons_cover_the_pixels_that_they_hold() -> None:
    mask = coco_mask([[2, 3, 7, 3, 7, 9, 2, 9]], (12, 10))
    assert mask[3:9, 2:7].all() and mask.sum() == 30
