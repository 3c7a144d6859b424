"""The procedural world: same seed same picture, exact masks, true colours, relations, words."""

from __future__ import annotations

import hashlib
import itertools
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from sightline.errors import InputError
from sightline.mllm.scenes import relations, sprites, vocabulary
from sightline.mllm.scenes.backgrounds import PhotoPool
from sightline.mllm.scenes.layouts import LAYOUTS, SIZE_RANGE
from sightline.mllm.scenes.render import mask_box, render
from sightline.mllm.scenes.schema import Scene, SceneObject
from sightline.mllm.scenes.vocabulary import COLORS, KINDS, MULTICOLOR
from sightline.mllm.scenes.world import SPLITS, SceneConfig, make_scene, split_of, split_seed

CLEAN = SceneConfig(max_noise=0, max_blur=0)


def fingerprint(seeds: range) -> str:
    digest = hashlib.sha256()
    for seed in seeds:
        scene = make_scene(seed)
        drawn = render(scene)
        digest.update(repr(scene).encode())
        digest.update(drawn.image.tobytes() + drawn.masks.tobytes())
    return digest.hexdigest()


def one(item: SceneObject, background: str = "plain", seed: int = 3) -> Scene:
    return Scene(seed, 128, 128, (item,), background)


# ---- vocabulary ----------------------------------------------------------------------------------


def test_the_world_is_wide_enough() -> None:
    assert len(vocabulary.PICTOGRAMS) >= 85
    assert len(vocabulary.CATEGORIES) >= 8
    assert len(COLORS) == 11
    assert all(len(kinds) >= 1 for kinds in vocabulary.CATEGORIES.values())


def test_every_name_has_chinese_and_a_distinct_plural() -> None:
    names = [*KINDS, *vocabulary.CATEGORIES, *COLORS, *vocabulary.SIZES, *relations.RELATIONS]
    for name in names:
        assert all("\u4e00" <= c <= "\u9fff" for c in vocabulary.chinese(name)), name
    assert len({k.zh for k in KINDS.values()}) == len(KINDS)
    assert all(k.measure for k in KINDS.values())
    assert len({vocabulary.plural(name) for name in KINDS}) == len(KINDS)
    expected = {
        "dog": "dogs", "bus": "buses", "box": "boxes", "mouse": "mice", "fish": "fish", "knife": "knives",
        "strawberry": "strawberries", "key": "keys", "couch": "couches", "wine glass": "wine glasses",
        "person": "people", "leaf": "leaves", "toy": "toys",
    }  # fmt: skip
    assert {name: vocabulary.plural(name) for name in expected} == expected
    assert vocabulary.article("apple") == "an apple"
    assert vocabulary.article("dog") == "a dog"


def test_hypernyms_climb_and_members_descend() -> None:
    assert vocabulary.hypernyms("apple") == ("fruit", "food")
    assert "apple" in vocabulary.members("food")
    assert "duck" in vocabulary.members("animal")
    for name in KINDS:
        assert all(name in vocabulary.members(c) for c in vocabulary.hypernyms(name))


def test_unknown_names_are_refused_with_a_hint() -> None:
    with pytest.raises(InputError, match="did you mean 'dog'"):
        vocabulary.kind("dgo")
    with pytest.raises(InputError, match="no category"):
        vocabulary.members("dog")


def test_sheet_is_complete_small_and_licensed() -> None:
    for name in sprites.drawn_kinds():
        for variant in range(KINDS[name].variants):
            assert len(sprites.index()["aspects"][name][variant]) == len(sprites.ANGLES)
            assert sprites.upright(name, variant).mode == "RGBA"
    assert set(sprites.index()["cells"]) == set(vocabulary.PICTOGRAMS)
    assert "SIL OPEN FONT LICENSE" in (sprites.ASSETS / "sprites.LICENSE.txt").read_text("utf-8")
    assert "Bitstream" in (sprites.ASSETS / "letters.LICENSE.txt").read_text("utf-8")
    assert sum(p.stat().st_size for p in sprites.ASSETS.iterdir()) < 3 * 2**20


@pytest.mark.parametrize("name", ["dog", "rocket", "triangle", "star", "knife"])
def test_aspects_in_the_index_are_those_of_the_pictures(name: str) -> None:
    for angle, flip in itertools.product(sprites.ANGLES, (False, True)):
        picture = sprites.turned(name, 0, angle, flip)
        told = sprites.aspect(name, 0, -angle if flip else angle)
        assert abs(math.log(picture.width / picture.height / told)) < 0.04


# ---- the symbolic world --------------------------------------------------------------------------


def test_same_seed_same_pixels_in_another_process() -> None:
    here = fingerprint(range(40, 60))
    assert here == fingerprint(range(40, 60))
    code = "from tests.test_scenes import fingerprint; print(fingerprint(range(40, 60)))"
    root = sprites.ASSETS.parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=root,
        check=True,
        env={"PYTHONHASHSEED": "7"},
    )
    assert done.stdout.strip() == here


def test_seeds_differ_and_splits_never_meet() -> None:
    assert len({repr(make_scene(seed).objects) for seed in range(300)}) > 285  # empty scenes are alike
    seen = [split_seed(s, stream, i) for s in SPLITS for stream in (0, 1, 2**32 - 1) for i in (0, 2**28 - 1)]
    assert len(set(seen)) == len(seen)
    assert max(seen) < 2**63
    for split in SPLITS:
        assert split_of(split_seed(split, 17, 5)) == split
    for bad in (lambda: split_seed("dev", 0, 0), lambda: split_seed("val", 2**32, 0), lambda: split_of(-1)):
        with pytest.raises(InputError):
            bad()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_keeps_its_promises(layout: str) -> None:
    config = SceneConfig(layouts=((layout, 1.0),), empty=0)
    counts = set()
    for seed in range(200):
        scene = make_scene(seed, config)
        assert scene.layout == layout
        counts.add(len(scene.objects))
        groups = {group.name: group for group in scene.groups}
        for item in scene.objects:
            x1, y1, x2, y2 = item.box
            assert 0 <= x1 < x2 <= 128
            assert 0 <= y1 < y2 <= 128
            assert item.category == KINDS[item.kind].category
            assert item.color in COLORS or item.color == MULTICOLOR
            assert (item.word is not None) == (item.category == "text")
            assert item.visible >= 1 - config.max_cover - 1e-9
            if item.group is not None:
                g = groups[item.group].box
                assert g[0] <= x1
                assert g[1] <= y1
                assert g[2] >= x2
                assert g[3] >= y2
            if layout == "scattered" and item.word is None:
                low, high = SIZE_RANGE[item.size]
                assert low * 128 - 1 <= max(x2 - x1, y2 - y1) <= high * 128 + 1
        if layout == "words":
            printed = [item.word for item in scene.objects if item.word]
            assert printed
            assert len(printed) == len(set(printed))
    assert max(counts) <= config.max_objects
    assert len(counts) >= 3


def test_tower_blocks_stand_on_each_other() -> None:
    for seed in range(100):
        scene = make_scene(seed, SceneConfig(layouts=(("towers", 1.0),), empty=0))
        for group in scene.groups:
            blocks = [item.box for item in scene.objects if item.group == group.name]
            assert all(low[1] == high[3] for low, high in itertools.pairwise(blocks))
            assert (group.kind == "tower") == bool(blocks)


def test_curriculum_starts_easy() -> None:
    easy = SceneConfig(layouts=(("scattered", 1.0),), curriculum=0)
    for seed in range(200):
        scene = make_scene(seed, easy)
        assert len(scene.objects) <= 2
        assert scene.noise == scene.blur == 0
        assert all(item.visible == 1 and item.angle == 0 for item in scene.objects)


def test_kinds_colours_and_picture_size_can_be_chosen() -> None:
    config = SceneConfig(
        width=200, height=96, kinds=("dog", "circle"), colors=("red",), layouts=(("scattered", 1.0),)
    )
    scenes = [make_scene(seed, config) for seed in range(60)]
    assert {item.kind for s in scenes for item in s.objects} == {"dog", "circle"}
    assert {item.color for s in scenes for item in s.objects} == {"red", MULTICOLOR}
    assert render(scenes[0]).image.shape == (96, 200, 3)


@pytest.mark.parametrize(("width", "height"), [(32, 32), (400, 100), (48, 300), (336, 336)])
def test_pictures_of_any_shape_hold_their_objects(width: int, height: int) -> None:
    for seed in range(60):
        scene = make_scene(seed, SceneConfig(width=width, height=height))
        drawn = render(scene)
        assert drawn.image.shape == (height, width, 3)
        for item in scene.objects:
            assert min(item.box) >= 0
            assert item.box[2] <= width
            assert item.box[3] <= height
        for group in scene.groups:
            inside = [item.box for item in scene.objects if item.group == group.name]
            assert all(relations.intersection(b, group.box) == relations.area(b) for b in inside)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"width": 8}, "outside 32..4096"),
        ({"min_objects": 5, "max_objects": 4}, "min_objects <= max_objects"),
        ({"layouts": (("spiral", 1.0),)}, "weights over"),
        ({"styles": ()}, "weights over"),
        ({"kinds": ("dgo",)}, "not drawable kinds: dgo"),
        ({"colors": ("teal",)}, "not colours of the world: teal"),
        ({"curriculum": 1.5}, "not in 0..1"),
        ({"max_blur": -1.0}, "must not be negative"),
    ],
)
def test_a_wrong_configuration_says_what_is_wrong(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SceneConfig(**wrong)  # type: ignore[arg-type]


# ---- pixels --------------------------------------------------------------------------------------


def test_masks_boxes_and_visible_parts_are_those_of_the_pixels() -> None:
    """Each object drawn alone gives its full mask; what later objects cover must be missing from it."""
    for seed in range(60):
        scene = make_scene(seed, CLEAN)
        drawn = render(scene)
        assert drawn.masks.shape == (len(scene.objects), 128, 128)
        assert drawn.masks.sum(0).max(initial=0) <= 1  # a pixel shows one object
        for i, (item, mask) in enumerate(zip(drawn.scene.objects, drawn.masks, strict=True)):
            alone = render(replace(scene, objects=(scene.objects[i],))).masks[0]
            assert not (mask & ~alone).any()
            later = drawn.masks[i + 1 :].any(0)
            assert not (mask & later).any()
            ys, xs = np.nonzero(mask)
            assert item.box == (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
            assert item.visible == pytest.approx(mask.sum() / alone.sum())
            if item.visible == 1:  # thin tips may be fainter than half a pixel
                assert max(abs(a - b) for a, b in zip(item.box, scene.objects[i].box, strict=True)) <= 6


def test_a_mask_marks_exactly_the_pixels_that_an_object_changed() -> None:
    item = SceneObject("square", "shape", "red", "large", (30, 40, 70, 80), "shape")
    with_it, without = render(one(item)), render(replace(one(item), objects=()))
    assert with_it.masks[0].sum() == 1600
    assert mask_box(with_it.masks[0]) == (30, 40, 70, 80)
    backdrop = render(one(replace(item, box=(30, 40, 31, 41))))
    changed = (with_it.image != backdrop.image).any(2)
    assert (changed[42:78, 32:68]).all()
    assert not changed[:38].any()
    assert without.masks.shape == (0, 128, 128)
    assert mask_box(np.zeros((4, 4), np.bool_)) == (0, 0, 0, 0)


def test_an_object_fully_covered_keeps_its_place_in_the_list() -> None:
    below = SceneObject("circle", "shape", "red", "small", (50, 50, 70, 70), "shape")
    above = SceneObject("square", "shape", "blue", "large", (40, 40, 80, 80), "shape")
    drawn = render(Scene(1, 128, 128, (below, above)))
    assert drawn.scene.objects[0].visible == 0
    assert drawn.scene.objects[0].box == (0, 0, 0, 0)
    assert drawn.scene.objects[1].visible == 1


def test_colour_names_are_true_for_every_kind_and_style() -> None:
    """Each colourable kind, large, in each style: the mean over its mask is nearest to the named colour."""
    wrong = []
    names = list(COLORS)
    for i, entry in enumerate(k for k in KINDS.values() if k.colorable or not k.glyphs):
        if entry.category == "text":
            continue
        styles = (
            ["tint", "outline", "sticker"]
            if entry.glyphs
            else ["block" if entry.name == "block" else "shape"]
        )
        styles += ["flat"] if entry.silhouette and entry.glyphs else []
        for style, color in itertools.product(
            styles, (names[i % 11], names[(i + 4) % 11], names[(i + 7) % 11])
        ):
            ratio = sprites.aspect(entry.name, 0, 0)
            w, h = (64, 64 / ratio) if ratio > 1 else (64 * ratio, 64)
            item = SceneObject(
                entry.name, entry.category, color, "large", (20, 20, 20 + round(w), 20 + round(h)), style
            )
            drawn = render(one(item, seed=i))
            seen = vocabulary.nearest_color(tuple(drawn.image[drawn.masks[0]].mean(0)))
            if seen != color:
                wrong.append((entry.name, style, color, seen))
    assert not wrong


def test_colours_stay_true_in_made_scenes() -> None:
    right = total = 0
    for seed in range(250):
        drawn = render(make_scene(seed, CLEAN))
        for item, mask in zip(drawn.scene.objects, drawn.masks, strict=True):
            if item.color == MULTICOLOR:
                continue
            pixels = drawn.image[mask].astype(float)
            # On a sign the word's ink is not the sign's colour.
            value = np.median(pixels, 0) if item.style == "sign" else pixels.mean(0)
            right += vocabulary.nearest_color(tuple(value)) == item.color
            total += 1
    assert total > 400
    assert right / total > 0.99


def test_every_basic_colour_is_its_own_nearest() -> None:
    assert all(vocabulary.nearest_color(rgb) == name for name, rgb in COLORS.items())


def test_objects_stand_out_from_their_background() -> None:
    for seed in range(40):
        scene = make_scene(seed, CLEAN)
        if scene.background == "boxes":
            continue
        drawn = render(scene).image.astype(float)
        for item in scene.objects:
            x1, y1, x2, y2 = (int(v) for v in item.box)
            around = drawn[max(0, y1 - 3) : y2 + 3, max(0, x1 - 3) : x2 + 3]
            assert around.reshape(-1, 3).std(0).max() > 8


def test_photographs_are_used_and_checked() -> None:
    scene = Scene(5, 128, 128, (), "photo")
    pool = PhotoPool([np.full((64, 90, 3), (10, 200, 30), np.uint8)])
    assert (render(scene, pool).image == (10, 200, 30)).all()
    assert render(scene).image.std() > 3  # a synthetic landscape
    with pytest.raises(InputError, match="no photographs"):
        PhotoPool([])
    with pytest.raises(InputError, match="not uint8"):
        PhotoPool([np.zeros((64, 64), np.uint8)])
    with pytest.raises(InputError, match="no folder"):
        PhotoPool.from_folder(sprites.ASSETS / "absent")


def test_noise_and_blur_have_the_strength_asked_for() -> None:
    calm = render(Scene(9, 128, 128, ())).image.astype(float)
    noisy = render(Scene(9, 128, 128, (), noise=10.0)).image.astype(float)
    assert (noisy - calm).std() == pytest.approx(10, rel=0.1)
    item = SceneObject("square", "shape", "black", "large", (30, 40, 70, 80), "shape")
    sharp, soft = render(one(item)), render(replace(one(item), blur=1.5))
    edge = [np.abs(np.diff(r.image[60].astype(float), axis=0)).max() for r in (sharp, soft)]
    assert edge[1] < 0.6 * edge[0]
    assert (sharp.masks == soft.masks).all()


def test_printed_words_fit_their_boxes_and_bad_ones_are_refused() -> None:
    for font, word in itertools.product(range(len(sprites.FONTS)), ("STOP", "Wi5", "MMMMMM", "gypq")):
        x1, y1, x2, y2 = sprites.word_extent(word, font)
        mask = np.asarray(sprites.word_mask(word, font))
        assert mask.shape == (math.ceil(y2 - y1), math.ceil(x2 - x1))
        assert mask.max() == 255
    for word in ("", "a b", "é", None):
        with pytest.raises(InputError, match="cannot print"):
            render(one(SceneObject("sign", "text", "red", "small", (10, 10, 60, 30), "sign", word)))
    with pytest.raises(InputError, match="no background"):
        render(Scene(1, 64, 64, (), "void"))
    with pytest.raises(InputError, match="no style"):
        render(one(SceneObject("dog", "animal", "red", "small", (10, 10, 60, 30), "oil")))


# ---- relations -----------------------------------------------------------------------------------


def boxes(seed: int, count: int) -> list[tuple[float, float, float, float]]:
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(count):
        x, y = (int(v) for v in rng.integers(0, 100, 2))
        w, h = (int(v) for v in rng.integers(4, 29, 2))
        out.append((float(x), float(y), float(x + w), float(y + h)))
    return out


def test_relations_agree_with_counting_pixels() -> None:
    """Brute force: boxes painted on a grid; centres, shared pixels and gaps are read off the grid."""
    rows, columns = np.mgrid[0:128, 0:128]
    for seed in range(60):
        a, b = boxes(seed, 2)
        pa, pb = ((rows >= y1) & (rows < y2) & (columns >= x1) & (columns < x2) for x1, y1, x2, y2 in (a, b))
        assert relations.area(a) == pa.sum()
        assert relations.intersection(a, b) == (pa & pb).sum()
        assert relations.iou(a, b) == pytest.approx((pa & pb).sum() / (pa | pb).sum())
        dx = columns[pb].mean() - columns[pa].mean()
        need = max(relations.MARGIN * 128, 0.125 * (a[2] - a[0] + b[2] - b[0]))
        expected = True if dx >= need else False if dx <= -need else None
        assert relations.left_of(a, b, 128) is expected
        ya, xa = np.nonzero(pa)
        yb, xb = np.nonzero(pb)
        apart = np.hypot(
            np.maximum(np.abs(xa[:, None] - xb) - 1, 0), np.maximum(np.abs(ya[:, None] - yb) - 1, 0)
        ).min()
        assert relations.gap(a, b) == pytest.approx(apart)


def test_relations_are_consistent_with_each_other() -> None:
    for seed in range(200):
        a, b = boxes(seed, 2)
        for name in relations.DIRECTIONS:
            verdict = relations.holds(name, a, b, 128)
            assert verdict is relations.holds(relations.OPPOSITE[name], b, a, 128)
            if verdict:
                assert relations.holds(relations.OPPOSITE[name], a, b, 128) is False
        word = relations.direction(a, b, 128)
        if word:
            assert relations.holds(word, a, b, 128)
            assert relations.direction(b, a, 128) == relations.OPPOSITE[word]
        assert relations.touching(a, b, 128) is relations.touching(b, a, 128)
        if relations.inside(a, b, 128):
            assert relations.touching(a, b, 128)
            assert not relations.inside(b, a, 128)


def test_nearest_and_extremes_against_brute_force() -> None:
    for seed in range(100):
        target, *others = boxes(seed, 5)
        found = relations.nearest(target, others, 128)
        far = [relations.distance(target, other) for other in others]
        if found is not None:
            assert far[found] == min(far)
        else:
            first, second = sorted(far)[:2]
            assert second < 1.33 * first or second - first < relations.MARGIN * 128
        left = relations.extreme("leftmost", others, 128)
        if left is not None:
            assert others[left][0] + others[left][2] == min(o[0] + o[2] for o in others)
        big = relations.extreme("largest", others, 128)
        if big is not None:
            assert relations.area(others[big]) == max(relations.area(o) for o in others)
    assert relations.nearest(target, [], 128) is None
    assert relations.extreme("smallest", [target], 128) == 0


def test_margins_leave_doubtful_cases_open() -> None:
    a, b = (10.0, 10.0, 30.0, 30.0), (13.0, 60.0, 33.0, 80.0)
    assert relations.left_of(a, b, 128) is None
    assert relations.above(a, b, 128) is True
    assert relations.direction(a, b, 128) == "above"
    assert relations.direction((0, 0, 10, 10), (50, 50, 60, 60), 128) is None
    assert relations.inside((10, 10, 20, 20), (0, 0, 40, 40), 128) is True
    assert relations.inside((10, 10, 20, 20), (12, 0, 40, 40), 128) is None
    assert relations.touching((0, 0, 10, 10), (11, 0, 20, 10), 128) is True
    assert relations.touching((0, 0, 10, 10), (13, 0, 20, 10), 128) is None
    assert relations.touching((0, 0, 10, 10), (30, 0, 40, 10), 128) is False
    assert relations.between((45, 45, 55, 55), (0, 45, 10, 55), (90, 45, 100, 55), 128) is True
    assert relations.between((45, 110, 55, 120), (0, 45, 10, 55), (90, 45, 100, 55), 128) is False
    assert relations.touching_wall((0, 5, 4, 9), (0, 0, 40, 40), 128) is True
    assert relations.touching_wall((5, 5, 9, 9), (0, 0, 40, 40), 128) is False
    assert relations.position((0, 0, 20, 20), 128, 128) == "top left"
    assert relations.position((54, 54, 74, 74), 128, 128) == "center"
    assert relations.position((40, 54, 46, 74), 128, 128) is None
    with pytest.raises(InputError, match="no relation"):
        relations.holds("beside", a, b, 128)


def test_pairs_lists_every_certain_pair_of_a_scene() -> None:
    scene = make_scene(4, SceneConfig(layouts=(("grid", 1.0),), min_objects=4))
    found = relations.pairs(scene, "above")
    side = relations.side_of(scene)
    expected = sum(
        relations.above(a.box, b.box, side) is not None for a, b in itertools.permutations(scene.objects, 2)
    )
    assert len(found) == expected > 0
