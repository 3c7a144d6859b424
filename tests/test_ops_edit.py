"""Edits: what changes, and that everything else stays byte for byte."""

from __future__ import annotations

import numpy as np
import pytest
from ops_fakes import FakeInpainter, FakeModels, batch, blank, call, disc, noise, region

from sightline.errors import RoleError, ToolError
from sightline.tools import draw
from sightline.tools.emoji import EMOJI_NAMES, draw_emoji
from sightline.tools.values import Image, Regions


@pytest.fixture
def scene():
    image = noise(160, 120, seed=5)
    ball = disc(image, 60, 60, 25, "ball", score=0.87)
    box = region(image, (110, 20, 150, 50), "sign")
    inside = ball.mask_on(image) | box.mask_on(image)
    return image, Regions([ball, box]), inside


EDITS = [("COLORPOP", {}), ("BGBLUR", {}), ("BLUR", {}), ("HIGHLIGHT", {}), ("TAG", {}),
         ("EMOJI", {"emoji": "smiling_face"}), ("REPLACE", {"prompt": "a lawn"})]  # fmt: skip
MODELS = FakeModels(inpainter=FakeInpainter())


@pytest.mark.parametrize(("name", "more"), EDITS)
def test_edits_keep_frame_and_original(scene, name, more):
    image, regions, _ = scene
    before = image.pixels.copy()
    edited = call(name, MODELS, image=image, object=regions, **more)
    assert np.array_equal(image.pixels, before)
    assert edited.size == image.size and edited.picture == image.picture and edited.hash != image.hash
    again = call(name, MODELS, image=image, object=regions, **more)
    assert again.hash == edited.hash
    crop = image.crop((20, 10, 150, 110))
    in_crop = call(name, MODELS, image=crop, object=regions, **more)
    assert in_crop.extent == crop.extent and in_crop.picture == image.picture
    # Regions of the first picture still fit the edited one: VisProg chains edits so.
    assert call(name, MODELS, image=edited, object=regions, **more).picture == image.picture


@pytest.mark.parametrize(("name", "more"), EDITS)
def test_edits_refuse_regions_of_another_picture(scene, name, more):
    with pytest.raises(ToolError, match=f"{name}.*another picture"):
        call(name, MODELS, image=blank(), object=scene[1], **more)


@pytest.mark.parametrize(("name", "more"), EDITS[2:])
def test_edits_of_nothing_change_nothing(scene, name, more):
    image = scene[0]
    assert call(name, MODELS, image=image, object=Regions(), **more) is image


@pytest.mark.parametrize(("name", "more"), EDITS)
def test_regions_beyond_a_crop_change_nothing_in_it_that_they_should_not(scene, name, more):
    image, regions, _ = scene
    corner = image.crop((0, 100, 20, 120))
    edited = call(name, MODELS, image=corner, object=regions, **more)
    if name in ("BLUR", "TAG", "EMOJI", "REPLACE"):
        assert np.array_equal(edited.pixels, corner.pixels)


def test_colorpop(scene):
    image, regions, inside = scene
    pixels = call("COLORPOP", image=image, object=regions).pixels
    assert np.array_equal(pixels[inside], image.pixels[inside])
    outside = pixels[~inside].astype(int)
    assert (outside == outside[:, :1]).all()
    assert np.abs(outside[:, 0] - image.pixels[~inside] @ [0.299, 0.587, 0.114]).max() <= 0.5 + 1e-9
    everything = call("COLORPOP", image=image, object=Regions()).pixels
    assert (everything == everything[:, :, :1]).all()


def test_bgblur(scene):
    image, regions, inside = scene
    pixels = call("BGBLUR", image=image, object=regions).pixels
    assert np.array_equal(pixels[inside], image.pixels[inside])
    assert pixels[~inside].std() < 0.4 * image.pixels[~inside].std()
    assert call("BGBLUR", image=image, object=Regions()).pixels.std() < 0.4 * image.pixels.std()


def test_bgblur_casts_no_halo():
    pixels = np.full((120, 160, 3), (20, 20, 200), np.uint8)
    image = Image.from_array(pixels)
    ball = disc(image, 80, 60, 25)
    red = image.pixels.copy()
    red[ball.mask_on(image)] = (255, 0, 0)
    painted = image.with_pixels(red)
    blurred = call("BGBLUR", image=painted, object=Regions([ball])).pixels
    assert np.array_equal(blurred, red)  # an even background stays even: no red seeps into it


@pytest.mark.parametrize("strength", [0.1, 0.5, 1.0])
def test_blur_hides_inside_and_leaves_outside(scene, strength):
    image, regions, inside = scene
    pixels = call("BLUR", image=image, object=regions, strength=strength).pixels
    assert np.array_equal(pixels[~inside], image.pixels[~inside])
    assert pixels[inside].std() < 0.25 * image.pixels[inside].std()


def test_blur_cannot_be_told_apart_by_detail():
    """Two different prints of the same ink in each cell give nearly the same redaction: the strokes are gone."""
    first = np.full((48, 96, 3), 255, np.uint8)
    second = first.copy()
    first[::2] = 0
    second[:, ::2] = 0
    a, b = Image.from_array(first), Image.from_array(second)
    hidden = [
        call("BLUR", image=i, object=Regions([region(i, (0, 0, 96, 48))])).pixels.astype(int) for i in (a, b)
    ]
    assert np.abs(hidden[0] - hidden[1]).max() <= 2


def test_blur_refuses_odd_strengths(scene):
    for strength in (0.0, 1.5):
        with pytest.raises(ToolError, match="strength"):
            call("BLUR", image=scene[0], object=scene[1], strength=strength)


def test_blur_rounds_boxes_outwards():
    image = noise()
    pixels = call("BLUR", image=image, object=Regions([region(image, (10.6, 10.6, 30.2, 30.2))])).pixels
    changed = (pixels != image.pixels).any(axis=2)
    assert changed[10, 10:31].any() and changed[30, 10:31].any()
    assert not changed[:10].any() and not changed[31:].any() and not changed[:, :10].any()


def test_highlight(scene):
    image, regions, inside = scene
    pixels = call("HIGHLIGHT", image=image, object=regions).pixels
    assert np.array_equal(pixels[inside], image.pixels[inside])
    ring = (pixels == (255, 214, 10)).all(axis=2) & ~inside
    assert ring.sum() > 100
    rest = ~inside & ~ring
    assert np.abs(pixels[rest].astype(float) - image.pixels[rest] * 0.35).max() <= 0.51


def test_tag_draws_boxes_and_names(scene):
    image, regions, _ = scene
    pixels = call("TAG", image=image, object=regions).pixels
    for thing in regions:
        x1, _, x2, y2 = (int(v) for v in thing.box)
        assert (pixels[y2 - 1, (x1 + x2) // 2] == draw.color_of(thing.label)).all()
    middle = disc(image, 60, 60, 10).mask_on(image)
    assert np.array_equal(pixels[middle], image.pixels[middle])
    assert draw.caption_of(regions[0]) == "ball 87%" and draw.caption_of(regions[1]) == "sign"
    assert draw.caption_of(region(image, (0, 0, 5, 5), "", text="EX\nIT")) == "EX IT"
    assert len(draw.caption_of(region(image, (0, 0, 5, 5), "x" * 500))) == 60


def test_tag_takes_any_script_and_any_size():
    image = blank(40, 12)
    odd = [region(image, (0, 0, 40, 12), label) for label in ("红色的杯子", "Ünïcödé", "🙂", "", "العربية")]
    assert call("TAG", image=image, object=Regions(odd)).size == (40, 12)
    assert draw.fitting_font("plain", 12)[0] == "plain"
    shown, _ = draw.fitting_font("a\U0010fff0b", 12)
    assert shown[0] == "a" and shown[-1] == "b" and len(shown) == 3


@pytest.mark.parametrize("name", EMOJI_NAMES)
def test_emoji_faces_fill_their_disc(name):
    face = np.asarray(draw_emoji(name, 64))
    rows, columns = np.mgrid[:64, :64]
    radius = np.hypot(columns - 31.5, rows - 31.5)
    assert (face[radius < 30, 3] == 255).all() and (face[radius > 33, 3] == 0).all()
    assert len(np.unique(face[radius < 30][:, :3], axis=0)) > 3
    assert draw_emoji(name, 3).size == (3, 3)


def test_emojis_differ():
    assert len({draw_emoji(name, 48).tobytes() for name in EMOJI_NAMES}) == len(EMOJI_NAMES) >= 16


def test_emoji_covers_and_leaves(scene):
    image = scene[0]
    face = region(image, (50, 40, 80, 80), "face")
    pixels = call("EMOJI", image=image, object=Regions([face]), emoji="winking_face").pixels
    rows, columns = np.mgrid[: image.height, : image.width]
    radius = np.hypot(columns - 64.5, rows - 59.5)
    changed = (pixels != image.pixels).any(axis=2)
    assert changed[radius < 24].mean() > 0.99 and not changed[radius > 27].any()
    at_edge = region(image, (-10, -10, 20, 20), "face")
    assert call("EMOJI", image=image, object=Regions([at_edge]), emoji="smiling_face").size == image.size


def test_emoji_names_are_helped(scene):
    assert call("EMOJI", image=scene[0], object=Regions(), emoji=":winking face:") is scene[0]
    with pytest.raises(ToolError, match="did you mean winking_face"):
        call("EMOJI", image=scene[0], object=Regions(), emoji="wink_face")
    with pytest.raises(ToolError, match="there are face_with_tongue"):
        call("EMOJI", image=scene[0], object=Regions(), emoji="zzzzqqq")


def test_replace_repaints_only_the_regions(scene):
    image, regions, inside = scene
    pixels = call("REPLACE", MODELS, image=image, object=regions, prompt="a lawn").pixels
    assert (pixels[inside] == (0, 255, 0)).all() and np.array_equal(pixels[~inside], image.pixels[~inside])
    good, empty = batch(
        "REPLACE", [{"image": image, "object": regions, "prompt": p} for p in ("a lawn", " ")], MODELS
    )
    assert good.size == image.size and "prompt is empty" in str(empty)
    with pytest.raises(RoleError, match="REPLACE"):
        call("REPLACE", FakeModels(), image=image, object=regions, prompt="a lawn")


def test_supervision_round_trip(scene):
    image, regions, _ = scene
    crop = image.crop((20, 10, 160, 120))
    detections = draw.to_supervision(crop, regions)
    assert detections.xyxy[1].tolist() == [90, 10, 130, 40]
    back = draw.from_supervision(crop, detections, tool="LOC", weights="w")
    assert [(r.box, r.label, r.picture) for r in back] == [(r.box, r.label, r.picture) for r in regions]
    assert back[0].mask == regions[0].mask
    assert len(draw.to_supervision(crop, Regions())) == 0
