"""The starter segmenter: SAM's own classes around our encoder, its back end, and places to the pixel."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("segment_anything")

from tiny_segmenter import TINY  # noqa: E402

from sightline import Image, Mask, Models  # noqa: E402
from sightline.errors import ModelFileError  # noqa: E402
from sightline.mllm.segmentation.network import build, embed_prompts, load, save, use_side  # noqa: E402
from sightline.tools.backends.edges import cut_to_edges  # noqa: E402
from sightline.tools.backends.scene_segmenter import clicked_box  # noqa: E402
from sightline.tools.roles import Prompt  # noqa: E402


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
