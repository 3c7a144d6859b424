"""Ops that find things in a picture: by name, by face, by click or box, by the text on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from ...errors import RoleError, SightlineError, ToolError
from ..columns import ModelSource, at_once, frame_key, once_each, prepare, settle
from ..declaration import Column, tool
from ..geometry import SIDES, check_frame, half
from ..roles import Prompt, vocabulary_for
from ..values import Box, Image, Region, Regions
from ..wanted import Want, keep_wanted, wants

BATCH = 16  # pictures in one detector forward


def asked_names(given: str | Sequence[str], op: str) -> tuple[str, ...]:
    """The names in an `object` argument, trimmed, each once; an empty one is an error."""
    names = (given,) if isinstance(given, str) else tuple(given)
    names = tuple(dict.fromkeys(name.strip() for name in names))
    if not names or not all(names):
        raise ToolError(f"{op}: object needs a name such as 'dog', or a list of names without empty ones")
    return names


def best_first(regions: Iterable[Region]) -> Regions:
    """By falling score; equal scores stay in the order found."""
    return Regions(sorted(regions, key=lambda region: -region.score))


def stamped(regions: Iterable[Region], op: str, image: Image) -> Regions:
    """Regions fresh from a back end, with the op that made them and the picture that they belong to."""
    return Regions(replace(region, tool=op, picture=image.picture) for region in regions)


def _detect(images: Sequence[Image], models: ModelSource, op: str) -> list[Regions]:
    """Everything the closed-vocabulary detector sees, one pass a distinct picture."""
    detector = models.get("detector", op=op)
    found = once_each(images, frame_key, detector.detect, at_once(detector, BATCH))
    return [best_first(stamped(r, "DETECT", i)) for i, r in zip(images, found, strict=True)]


def _detect_open(
    images: Sequence[Image], labels: Sequence[Sequence[str]], models: ModelSource, op: str
) -> list[Regions]:
    """Things named in words: all names asked of one picture in one forward."""
    detector = models.get("open_vocabulary", op=op)
    jobs = list(zip(images, (tuple(names) for names in labels), strict=True))
    found = once_each(
        jobs,
        lambda job: (frame_key(job[0]), job[1]),
        lambda piece: detector.detect([image for image, _ in piece], [names for _, names in piece]),
        at_once(detector, BATCH),
    )
    return [best_first(stamped(r, "DETECT_OPEN", i)) for i, r in zip(images, found, strict=True)]


@tool(roles=("detector", "open_vocabulary"), batch=BATCH, cost=40.0)
def LOC(image: Column[Image], object: Column[str | list[str]], *, models: ModelSource) -> Column[Regions]:
    """Find every thing with a name in the picture; regions come best first, none where nothing was found.

    Names that the detector's vocabulary covers (synonyms, and kinds: 'animal' finds dogs) are found by it and keep its
    label; a colour in front ('red bus') is checked on the pixels. Other names go to the open-vocabulary detector, which
    labels with the name asked; without one, the detector's wider class stands in ('person' for 'woman'), as its label
    says. 'TOP', 'BOTTOM', 'LEFT' and 'RIGHT' give that half of the picture.

    Args:
        object: a name such as 'dog', or a list of names
    Example: BOX0=LOC(image=IMAGE,object='dog')
    """
    names, failed = prepare(len(image), lambda i: asked_names(object[i], "LOC"))
    halves = {i: _half_region(image[i], n[0]) for i, n in names.items() if len(n) == 1 and n[0] in SIDES}
    wanted = {i: n for i, n in names.items() if i not in halves}
    return settle(len(image), failed, halves, _locate(image, wanted, models) if wanted else {})


def _half_region(image: Image, side: str) -> Regions:
    return Regions([Region(box=half(image, side), label=side, tool="LOC", picture=image.picture)])


def _locate(
    images: Sequence[Image], wanted: dict[int, tuple[str, ...]], models: ModelSource
) -> dict[int, Regions | RoleError]:
    """Results by call: from the detector where its vocabulary covers the names, else from the open-vocabulary one."""
    no_detector: RoleError | None = None
    known: dict[int, tuple[str, ...]] = dict.fromkeys(wanted, ())  # what is looked for in each call's picture
    try:
        detector = models.get("detector", op="LOC")
        known = {i: vocabulary_for(detector, images[i]) for i in wanted}
    except RoleError as error:  # a pack may fill the open-vocabulary role alone
        no_detector = error
    exact = models.has("open_vocabulary")
    closed = {i: plan for i, names in wanted.items() if (plan := wants(names, known[i], exact=exact))}
    opened = {i: names for i, names in wanted.items() if i not in closed}
    results: dict[int, Regions | RoleError] = {}
    if closed:
        for i, found in zip(closed, _detect([images[i] for i in closed], models, "LOC"), strict=True):
            results[i] = keep_wanted(images[i], found, closed[i])
    if opened:
        try:
            found_open = _detect_open([images[i] for i in opened], list(opened.values()), models, "LOC")
        except RoleError as error:
            unknown = {i: no_detector or _unknown_name(n, known[i], error) for i, n in opened.items()}
            return results | unknown
        results.update(zip(opened, found_open, strict=True))
    return results


def _unknown_name(names: Sequence[str], vocabulary: Sequence[str], cause: RoleError) -> RoleError:
    unknown = ", ".join(repr(name) for name in names if not wants([name], vocabulary, exact=False))
    return RoleError(f"LOC: the detector does not know {unknown}; {cause}")


@tool(roles="detector", batch=BATCH, hidden=True, cost=40.0)
def DETECT(image: Column[Image], *, models: ModelSource) -> Column[Regions]:
    """Find every thing of the detector's closed vocabulary: what several LOC on one picture become.

    Example: OBJ0=DETECT(image=IMAGE)
    """
    return _detect(image, models, "DETECT")


@tool(roles="detector", batch=BATCH, hidden=True, cost=1.0)
def GLIMPSE(image: Column[Image], *, models: ModelSource) -> Column[Regions]:
    """What the detector saw too faintly to let it stand: second names of things and half-seen ones, nothing that DETECT gives.

    For whoever weighs a claim about the picture. None where the back end keeps no such candidates.

    Example: OBJ0=GLIMPSE(image=IMAGE)
    """
    detector = models.get("detector", op="GLIMPSE")
    glimpse = getattr(detector, "glimpse", None)  # of `Glimpsing` detectors
    if glimpse is None:
        return [Regions() for _ in image]
    found = once_each(image, frame_key, glimpse, at_once(detector, BATCH))
    return [best_first(stamped(r, "GLIMPSE", i)) for i, r in zip(image, found, strict=True)]


@tool(roles="open_vocabulary", batch=BATCH, hidden=True, cost=150.0)
def DETECT_OPEN(image: Column[Image], labels: Column[list[str]], *, models: ModelSource) -> Column[Regions]:
    """Find things named in words, all names in one forward: what LOC becomes for names outside the closed vocabulary.

    Args:
        labels: the names asked
    Example: OBJ0=DETECT_OPEN(image=IMAGE,labels=['red kettle','ladle'])
    """
    return _detect_open(image, labels, models, "DETECT_OPEN")


@tool(hidden=True)
def PICK(image: Image, object: Regions, labels: list[str], colors: list[str]) -> Regions:
    """Keep the regions whose label is exactly one of `labels`, in the colour asked with it; in their order.

    Args:
        object: the regions, as DETECT gives them
        labels: labels as the detector writes them
        colors: the colour asked with each label, '' for any
    Example: BOX0=PICK(image=IMAGE,object=OBJ0,labels=['bus'],colors=['red'])
    """
    return keep_wanted(image, object, [Want(label, c) for label, c in zip(labels, colors, strict=True)])


@tool(roles="face_detector", batch=BATCH, cost=20.0)
def FACEDET(image: Column[Image], *, models: ModelSource) -> Column[Regions]:
    """Find the faces of people; each region is labelled 'face'.

    Example: OBJ0=FACEDET(image=IMAGE)
    """
    detector = models.get("face_detector", op="FACEDET")
    found = once_each(image, frame_key, detector.detect_faces, at_once(detector, BATCH))
    return [
        best_first(stamped((replace(r, label="face") for r in regions), "FACEDET", picture))
        for picture, regions in zip(image, found, strict=True)
    ]


@tool(roles=("detector", "segmenter"), batch=BATCH, cost=60.0)
def SEG(
    image: Column[Image], object: Column[Regions | None] = [None], *, models: ModelSource
) -> Column[Regions]:
    """Find every thing the detector knows, each with its mask, best first; or give the regions you have their masks.

    The masks are the detector's own where it has them; otherwise the segmenter makes one from each box.

    Args:
        object: regions that need masks, such as LOC gives; everything in the picture when not given
    Example: OBJ0=SEG(image=IMAGE)
    """
    given, failed = prepare(len(image), lambda i: _given(image[i], object[i]))
    blind = [i for i, regions in given.items() if regions is None]
    detected = (
        dict(zip(blind, _detect([image[i] for i in blind], models, "SEG"), strict=True)) if blind else {}
    )
    found = {i: detected[i] if regions is None else regions for i, regions in given.items()}
    return settle(len(image), _with_masks(image, found, models), failed)


def _given(image: Image, regions: Regions | None) -> Regions | None:
    if regions is not None:
        check_frame("SEG", image, regions, inside=True)
    return regions


def _with_masks(
    images: Sequence[Image], found: dict[int, Regions], models: ModelSource
) -> dict[int, Regions]:
    """The regions by call, each with a mask: its own, else the segmenter's from its box."""
    bare = [(images[i], region) for i, regions in found.items() for region in regions if not region.mask]
    masks: dict[tuple[object, str], Region] = {}
    if bare:
        segmenter = models.get("segmenter", op="SEG")
        made = once_each(
            bare,
            lambda item: (frame_key(item[0]), item[1].id),
            lambda piece: segmenter.segment([i for i, _ in piece], [Prompt(box=r.box) for _, r in piece]),
            at_once(segmenter),
        )
        for (picture, region), best in zip(bare, made, strict=True):
            if best:
                masks[frame_key(picture), region.id] = best[0]
    results: dict[int, Regions] = {}
    for i, regions in found.items():
        masked = []
        for region in regions:
            best = masks.get((frame_key(images[i]), region.id))
            weights = region.weights
            if best is not None and best.weights:
                weights = f"{weights}+{best.weights}" if weights else best.weights
            mask = best.mask if best is not None else region.mask
            masked.append(region.derive("SEG", mask=mask, weights=weights))
        results[i] = Regions(masked)
    return results


@tool(roles="segmenter", batch=BATCH, cost=80.0)
def SEGMENT(
    image: Column[Image],
    point: Column[list[float] | None] = [None],
    background: Column[list[float] | None] = [None],
    box: Column[Region | list[float] | None] = [None],
    object: Column[Region | None] = [None],
    *,
    models: ModelSource,
) -> Column[Region]:
    """Segment one thing, pointed at by a click, a box or a region; gives its best mask, scored by the segmenter.

    Give at least one of point, box and object. Coordinates are pixels of the original picture.

    Args:
        point: x and y of a click on the thing; several clicks as [x1,y1,x2,y2,...]
        background: clicks beside the thing, in the same form
        box: a region, or [x1,y1,x2,y2]
        object: a region whose mask (or box, where it has none) is refined
    Example: OBJ0=SEGMENT(image=IMAGE,point=[120,80])
    """
    prompts, failed = prepare(
        len(image), lambda i: _prompt(image[i], point[i], background[i], box[i], object[i])
    )
    if not prompts:
        return settle(len(image), failed)
    segmenter = models.get("segmenter", op="SEGMENT")
    made = once_each(
        [(image[i], prompt) for i, prompt in prompts.items()],
        lambda job: (frame_key(job[0]), job[1]),
        lambda piece: segmenter.segment([i for i, _ in piece], [p for _, p in piece]),
        at_once(segmenter),
    )
    candidates = dict(zip(prompts, made, strict=True))

    def best(i: int) -> Region:
        if i in failed:
            raise failed[i]
        return _best_mask(candidates[i], image[i], box[i], object[i])

    return settle(len(image), *prepare(len(image), best))


def _prompt(
    image: Image,
    point: list[float] | None,
    background: list[float] | None,
    box: Region | list[float] | None,
    object: Region | None,
) -> Prompt:
    """The segmenter's prompt from SEGMENT's arguments, each checked against the picture."""
    if not point and box is None and object is None:
        raise ToolError("SEGMENT: give a point such as point=[120,80], a box, or an object to segment")
    clicks = _clicks(image, "point", point, True) + _clicks(image, "background", background, False)
    check_frame("SEGMENT", image, [r for r in (box, object) if isinstance(r, Region)], inside=True)
    corners: Box | None = None
    if isinstance(box, Region):
        corners = box.box
    elif box is not None:
        corners = _corners(image, box)
    mask = None
    if object is not None:
        mask = object.mask
        corners = corners or object.box
    return Prompt(points=clicks, box=corners, mask=mask)


def _clicks(
    image: Image, name: str, values: list[float] | None, is_object: bool
) -> tuple[tuple[float, float, bool], ...]:
    values = values or []
    if len(values) % 2:
        raise ToolError(
            f"SEGMENT: {name} takes x and y of each click, so an even count of numbers, not {len(values)}"
        )
    x1, y1, x2, y2 = image.extent
    clicks = tuple((float(x), float(y), is_object) for x, y in zip(values[::2], values[1::2], strict=True))
    for x, y, _ in clicks:
        if not (x1 <= x < x2 and y1 <= y < y2):
            raise ToolError(
                f"SEGMENT: {name} ({x:g}, {y:g}) lies outside the picture, whose pixels run from "
                f"({x1:g}, {y1:g}) to ({x2 - 1:g}, {y2 - 1:g})"
            )
    return clicks


def _corners(image: Image, values: list[float]) -> Box:
    if len(values) != 4:
        raise ToolError(f"SEGMENT: box takes four numbers [x1,y1,x2,y2], not {len(values)}")
    left, top, right, bottom = image.extent
    x1, y1 = max(float(values[0]), left), max(float(values[1]), top)
    x2, y2 = min(float(values[2]), right), min(float(values[3]), bottom)
    if not (x1 < x2 and y1 < y2):
        raise ToolError(
            f"SEGMENT: box {list(values)} holds no pixel of the picture; it needs x1 < x2 and y1 < y2 within "
            f"({left:g}, {top:g}) to ({right:g}, {bottom:g})"
        )
    return (x1, y1, x2, y2)


def _best_mask(
    candidates: Regions, image: Image, box: Region | list[float] | None, object: Region | None
) -> Region:
    if not candidates or candidates[0].mask is None or not candidates[0].mask.area:
        raise ToolError(
            "SEGMENT: the segmenter found nothing there; point at another part of the thing or box it"
        )
    sources = [r for r in (object, box) if isinstance(r, Region)]
    best = candidates[0]
    return replace(
        best,
        label=sources[0].label if sources else best.label,
        tool="SEGMENT",
        parents=tuple(dict.fromkeys(r.id for r in sources)),
        picture=image.picture,
    )


@tool(roles="ocr", batch=BATCH, cost=250.0)
def OCR(
    image: Column[Image], object: Column[Regions | None] = [None], *, models: ModelSource
) -> Column[Regions]:
    """Read the printed and written text; a region a line, in reading order, with what was read as its text.

    Args:
        object: read inside these regions only, one after the other; the whole picture when not given
    Example: TEXT0=OCR(image=IMAGE)
    """
    lines, failed = _read("OCR", image, object, models)
    return settle(
        len(image), {i: Regions(r for part in parts for r in part) for i, parts in lines.items()}, failed
    )


@tool(roles="ocr", batch=BATCH, cost=250.0)
def READ(image: Column[Image], object: Column[Region | None] = [None], *, models: ModelSource) -> Column[str]:
    """Read the text in a region, or in the whole picture, as one string with a line break between lines.

    Args:
        object: the region to read; the whole picture when not given
    Example: ANSWER0=READ(image=IMAGE,object=BOX0)
    """
    lines, failed = _read("READ", image, [None if r is None else Regions([r]) for r in object], models)
    texts = {i: "\n".join(r.text or "" for part in parts for r in part) for i, parts in lines.items()}
    return settle(len(image), texts, failed)


def _read(
    op: str, images: Sequence[Image], objects: Sequence[Regions | None], models: ModelSource
) -> tuple[dict[int, list[Regions]], dict[int, SightlineError]]:
    """Lines by call and by region asked; every distinct crop of the batch is read once."""

    def areas(i: int) -> list[tuple[Image, Region | None]]:
        regions = objects[i]
        if regions is None:
            return [(images[i], None)]
        check_frame(op, images[i], regions, inside=True)
        return [(images[i].crop(region.box), region) for region in regions]

    wanted, failed = prepare(len(images), areas)
    every = [crop for crops in wanted.values() for crop, _ in crops]
    found: Iterator[Regions] = iter(())
    if every:
        reader = models.get("ocr", op=op)
        found = iter(once_each(every, frame_key, reader.read, at_once(reader, BATCH)))
    lines: dict[int, list[Regions]] = {}
    for i, crops in wanted.items():
        lines[i] = []
        for crop, region in crops:
            fresh = stamped(next(found), op, crop)
            parents = (region.id,) if region is not None else ()
            lines[i].append(Regions(replace(line, parents=parents) for line in fresh))
    return lines, failed
