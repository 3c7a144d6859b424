"""The starter segmenter: SAM's own classes around our encoder, exact resuming, places to the pixel, and its measures."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("segment_anything")

from sightline import Image, Mask, Models  # noqa: E402
from sightline.errors import InputError, ModelFileError  # noqa: E402
from sightline.mllm.evaluation.segmenter import (  # noqa: E402
    coco_mask,
    evaluate_segmenter,
    folder_cases,
    interval,
    scene_cases,
)
from sightline.mllm.segmentation.clicks import correction, first_prompt, innermost, next_click  # noqa: E402
from sightline.mllm.segmentation.encoder import SegmenterShape  # noqa: E402
from sightline.mllm.segmentation.network import build, embed_prompts, load, save, use_side  # noqa: E402
from sightline.mllm.segmentation.pictures import Photograph, Pictures, Window, read_photographs, square  # noqa: E402
from sightline.mllm.segmentation.stage import SegmenterStage, mask_loss, prepared  # noqa: E402
from sightline.mllm.segmentation.teacher import agreeing, complete  # noqa: E402
from sightline.mllm.segmentation.train import read_config, train_segmenter  # noqa: E402
from sightline.tools.backends.edges import cut_to_edges  # noqa: E402
from sightline.tools.backends.scene_segmenter import clicked_box  # noqa: E402
from sightline.tools.roles import Prompt  # noqa: E402

TINY = SegmenterShape(
    side=64,
    places=4,
    stem=8,
    fine=4,
    mid=(8, 12),
    width=16,
    blocks=1,
    heads=2,
    embedding=16,
    decoder_depth=1,
    decoder_mlp=16,
)
MODEL = "{side: 64, places: 4, stem: 8, fine: 4, mid: [8, 12], width: 16, blocks: 1, heads: 2, embedding: 16, decoder_depth: 1, decoder_mlp: 16}"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(5)
    sam = build(TINY)
    with torch.no_grad():  # random masks of some size, not the near-zero maps of a new network
        sam.mask_decoder.iou_prediction_head.layers[-1].bias.copy_(torch.tensor([0.5, 0.3, 0.6, 0.4]))
    path = tmp_path_factory.mktemp("segmenter") / "tiny.safetensors"
    save(sam, TINY, path)
    return path


def filled(weights: Path, **options: Any) -> Any:
    spec = {"backend": "segment-anything", "weights": str(weights), "options": options}
    return Models.from_pack(overrides={"segmenter": spec}).get("segmenter", "SEGMENT")


def picture(seed: int = 0, height: int = 48, width: int = 64) -> Image:
    return Image.from_array(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


# --- the network -----------------------------------------------------------------------------------------------------


def test_sams_own_predictor_gives_what_the_back_end_gives(weights: Path) -> None:
    from segment_anything import SamPredictor

    image = picture(5, 40, 64)
    predictor = SamPredictor(load(weights))
    predictor.set_image(image.pixels)
    masks, scores, small = predictor.predict(box=np.array([4.5, 5.5, 39.5, 29.5]), multimask_output=False)
    assert small.shape == (1, 32, 32)
    (found,) = filled(weights, zoom=0.0, edges=0.0).segment([image], [Prompt(box=(5.0, 6.0, 40.0, 30.0))])
    assert masks[0].any() and (found[0].mask.on(image) == masks[0]).all()
    assert found[0].score == pytest.approx(float(np.clip(scores[0], 0, 1)), abs=1e-5)
    again, _, _ = predictor.predict(
        box=np.array([4.5, 5.5, 39.5, 29.5]), mask_input=small, multimask_output=False
    )
    assert again.shape == masks.shape  # what comes out can go in again


def test_prompts_of_a_batch_are_embedded_as_sam_embeds_them() -> None:
    sam = build(TINY)
    points, box = torch.tensor([[[10.0, 20.0], [30.0, 5.0]]]), torch.tensor([[3.0, 4.0, 40.0, 50.0]])
    clicks, _ = sam.prompt_encoder(points=(points, torch.tensor([[1, 0]])), boxes=None, masks=None)
    padded = torch.cat([points, torch.zeros(1, 1, 2)], 1)
    assert torch.allclose(embed_prompts(sam, padded, torch.tensor([[1, 0, -1]])), clicks)
    both, _ = sam.prompt_encoder(points=(points, torch.tensor([[1, 0]])), boxes=box, masks=None)
    places = torch.cat([points, box.view(1, 2, 2)], 1)
    assert torch.allclose(embed_prompts(sam, places, torch.tensor([[1, 0, 2, 3]])), both)


def test_prompts_of_several_pictures_are_answered_as_one_by_one() -> None:
    torch.manual_seed(1)
    sam = build(TINY).eval()
    with torch.inference_mode():
        features = sam.image_encoder(torch.randn(2, 3, 64, 64))
        sparse, dense = torch.randn(6, 2, 16), torch.randn(6, 16, 4, 4)
        place = sam.prompt_encoder.get_dense_pe()
        masks, quality = sam.mask_decoder.predict_masks(features, place, sparse, dense)
        for i in range(6):
            one, sure = sam.mask_decoder.predict_masks(
                features[i // 3 :][:1], place, sparse[i : i + 1], dense[i : i + 1]
            )
            assert torch.allclose(one[0], masks[i], atol=1e-4) and torch.allclose(
                sure[0], quality[i], atol=1e-5
            )
        first, _ = sam.mask_decoder.predict_masks(features, place, sparse, dense, most=1)
        assert torch.allclose(first[:, 0], masks[:, 0], atol=1e-4)


def test_another_side_is_another_grid_and_nothing_else() -> None:
    sam = build(TINY).eval()
    use_side(sam, 32)
    with torch.inference_mode():
        features = sam.image_encoder(torch.randn(1, 3, 32, 32))
        assert features.shape == (1, 16 + 4 * 64, 2, 2)
        sparse, dense = sam.prompt_encoder(
            points=None, boxes=torch.tensor([[1.0, 2.0, 20.0, 30.0]]), masks=torch.zeros(1, 1, 16, 16)
        )
        masks, _ = sam.mask_decoder.predict_masks(features, sam.prompt_encoder.get_dense_pe(), sparse, dense)
    assert masks.shape == (1, 4, 16, 16)


def test_a_wrong_weights_file_is_one_clear_line(tmp_path: Path, weights: Path) -> None:
    from safetensors.torch import save_file

    (tmp_path / "text.safetensors").write_text("nothing")
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(weights.read_bytes()[:-100])
    for name, words in (
        ("text", "does not load"),
        ("other", "no weights of the starter"),
        ("cut", "does not load"),
    ):
        with pytest.raises(ModelFileError, match=words) as caught:
            filled(tmp_path / f"{name}.safetensors")
        assert "\n" not in str(caught.value)
    with pytest.raises(ModelFileError, match="not SAM vit_b"):
        filled(weights, model="vit_b")


# --- the back end ----------------------------------------------------------------------------------------------------


def test_a_cached_embedding_gives_what_a_fresh_one_gives(weights: Path) -> None:
    image, prompts = picture(), [Prompt(points=((20.0, 20.0, True),)), Prompt(box=(10.0, 10.0, 40.0, 30.0))]
    kept = filled(weights, zoom=0.0, edges=0.0)
    calls: list[int] = []
    kept._model.image_encoder.register_forward_hook(lambda *_: calls.append(1))
    first = [kept.segment([image], [p])[0] for p in prompts]
    assert len(calls) == 1
    fresh = [filled(weights, zoom=0.0, edges=0.0).segment([image], [p])[0] for p in prompts]
    assert [r.to_json() for f in first for r in f] == [
        {**r.to_json(), "weights": first[0][0].weights} for f in fresh for r in f
    ]
    assert kept.segment([image] * 2, prompts) == first


@pytest.mark.parametrize("size", [(64, 64), (30, 100), (400, 130), (1, 1), (7, 640)])
def test_places_are_the_same_to_the_pixel_in_any_shape_of_picture(
    weights: Path, size: tuple[int, int]
) -> None:
    height, width = size
    sam = filled(weights, zoom=0.0, edges=0.0)
    seen: list[Any] = []
    encode = sam._model.prompt_encoder.forward

    def spy(points: Any, boxes: Any, masks: Any) -> Any:
        seen.append((points, boxes))
        return encode(points=points, boxes=boxes, masks=masks)

    sam._model.prompt_encoder.forward = spy
    image = picture(1, height, width)
    x, y = width * 0.75, height * 0.25
    sam.segment([image], [Prompt(points=((x, y, True),))])
    sam.segment([image], [Prompt(box=(0.0, 0.0, float(width), float(height)))])
    _, (h, w) = sam._embedding(image)
    assert max(h, w) == 64
    (px, py) = seen[0][0][0][0, 0].tolist()  # SAM adds the half pixel itself
    assert (px + 0.5) / w == pytest.approx(x / width, abs=1e-4) and (py + 0.5) / h == pytest.approx(
        y / height, abs=1e-4
    )
    assert (seen[1][1][0] + 0.5).tolist() == pytest.approx([0, 0, w, h], abs=1e-3)


def test_a_turned_photograph_is_clicked_upright(weights: Path) -> None:
    from PIL import Image as Pillow

    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:, 60:] = 255
    exif = Pillow.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to show
    file = io.BytesIO()
    Pillow.fromarray(pixels).save(file, "JPEG", exif=exif, quality=95)
    image = Image.open(file.getvalue())
    assert image.size == (40, 80)
    upright = Image.from_array(image.pixels)
    prompt = Prompt(points=((20.0, 70.0, True),))  # the white end is at the bottom now
    assert image.pixels[70, 20].min() > 200
    turned, straight = filled(weights).segment([image, upright], [prompt, prompt])
    assert [r.mask for r in turned] == [r.mask for r in straight]


def test_a_small_thing_is_looked_at_again_in_a_window(weights: Path) -> None:
    sam = filled(weights, zoom=2.0)
    image = picture(3, 300, 400)
    looked: list[Any] = []
    embed = sam._embedding
    sam._embedding = lambda frame: (looked.append(frame.extent), embed(frame))[1]
    sam.segment([image], [Prompt(box=(200.0, 100.0, 240.0, 130.0))])
    (window,) = looked
    assert window == (180.0, 75.0, 260.0, 155.0)
    looked.clear()
    sam.segment([image], [Prompt(box=(200.0, 100.0, 204.0, 103.0))])  # 4 x 3 pixels
    assert looked[0][2] - looked[0][0] >= 24
    looked.clear()
    sam.segment([image], [Prompt(box=(0.0, 0.0, 400.0, 300.0))])  # all of it: nothing to come closer to
    assert looked == [image.extent]
    crop = image.crop((100.0, 50.0, 300.0, 250.0))
    for region in sam.segment([crop], [Prompt(points=((290.0, 240.0, True), (110.0, 60.0, False)))])[0]:
        assert region.box[0] >= 100 and region.box[2] <= 300 and region.box[1] >= 50 and region.box[3] <= 250


def test_masks_and_wholly_false_hints_are_taken(weights: Path) -> None:
    sam, image = filled(weights), picture(4, 80, 60)
    rough = Mask.from_array(np.pad(np.ones((10, 10), bool), 20))
    empty = Mask.from_array(np.zeros((4, 4), bool))
    prompts = [
        Prompt(mask=rough),
        Prompt(points=((30.0, 30.0, False),)),
        Prompt(points=((3.0, 3.0, True),), mask=empty),
    ]
    for regions in sam.segment([image] * 3, prompts):
        assert all(0 <= r.score <= 1 and r.mask.area for r in regions)


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


# --- clicks in drawn scenes, edges -----------------------------------------------------------------------------------


def test_a_click_means_the_smallest_thing_that_holds_it() -> None:
    boxes = [(0.0, 0.0, 50.0, 50.0), (10.0, 10.0, 20.0, 20.0), (60.0, 0.0, 90.0, 30.0)]

    def meant(*points: tuple[float, float, bool]) -> Any:
        return clicked_box(Prompt(points=points), boxes)

    assert meant((15, 15, True)) == boxes[1]
    assert meant((15, 15, True), (40, 40, True)) == boxes[0]
    assert meant((15, 15, True), (12, 12, False)) == boxes[1]  # both hold it: the smaller one still
    assert meant((40, 40, True), (15, 15, False)) == boxes[0]
    assert meant((15, 15, True), (70, 10, True)) is None and meant((55, 5, True)) is None
    assert meant((15, 15, False)) is None


def test_an_unsure_rim_goes_where_the_colours_say() -> None:
    pixels = np.full((60, 60, 3), 40, np.uint8)
    pixels[20:40, 20:40] = (220, 60, 60)
    pixels = pixels + np.random.default_rng(0).integers(0, 8, pixels.shape, np.uint8)
    y, x = np.mgrid[:60, :60]
    chance = 1 / (1 + np.exp((np.hypot(y - 30, x - 30) - 10) / 2))  # a soft disc where the square is
    truth = np.zeros((60, 60), bool)
    truth[20:40, 20:40] = True
    cut = cut_to_edges(pixels, chance.astype(np.float32), (0.02, 0.98))
    assert (cut & truth).sum() / (cut | truth).sum() > 0.97
    assert ((chance > 0.5) & truth).sum() / ((chance > 0.5) | truth).sum() < 0.85
    for flat in (0.0, 1.0, 0.5):  # nothing certain on one side: the mask stands
        level = np.full((60, 60), flat, np.float32)
        assert (cut_to_edges(pixels, level) == (level > 0.5)).all()
    large = cut_to_edges(
        np.kron(pixels, np.ones((8, 8, 1), np.uint8)), np.kron(chance, np.ones((8, 8))).astype(np.float32)
    )
    assert large.shape == (480, 480)
