"""Ops that look at what was found: answers and captions, names, colours, depth, likeness."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...errors import ToolError
from ..color import color_shares, main_color
from ..columns import ModelSource, at_once, frame_key, once_each, prepare, settle
from ..declaration import Column, tool
from ..geometry import check_frame
from ..likeness import likeness
from ..values import Image, Region, Regions
from ..wanted import keep_wanted, wants

LEAST_SHARE = 0.1  # of a thing's pixels that a colour must cover for COLORS to name it


@tool(roles="mllm", batch=8, cost=400.0)
def VQA(image: Column[Image], question: Column[str], *, models: ModelSource) -> Column[str]:
    """Answer a question about the picture in a word or a short phrase ('yes', '2', 'on the table').

    Args:
        question: the question, as a sentence
    Example: ANSWER0=VQA(image=IMAGE,question='What is the man holding?')
    """
    asked, failed = prepare(len(image), lambda i: _question(question[i]))
    if not asked:
        return settle(len(image), failed)
    mllm = models.get("mllm", op="VQA")
    answers = once_each(
        [(image[i], text) for i, text in asked.items()],
        lambda job: (frame_key(job[0]), job[1]),
        lambda piece: mllm.answer([picture for picture, _ in piece], [text for _, text in piece]),
        at_once(mllm, 8),
    )
    return settle(len(image), failed, dict(zip(asked, answers, strict=True)))


def _question(text: str) -> str:
    if not text.strip():
        raise ToolError("VQA: the question is empty")
    return text.strip()


@tool(roles="mllm", batch=8, cost=800.0)
def CAPTION(image: Column[Image], *, models: ModelSource) -> Column[str]:
    """Describe the picture in a sentence or two.

    Example: ANSWER0=CAPTION(image=IMAGE)
    """
    mllm = models.get("mllm", op="CAPTION")
    return once_each(image, frame_key, mllm.caption, at_once(mllm, 8))


@tool(roles="classifier", batch=16, cost=60.0)
def CLASSIFY(
    image: Column[Image],
    object: Column[Regions],
    categories: Column[str | list[str]],
    *,
    models: ModelSource,
) -> Column[Regions]:
    """Name each region by the best of the categories; every region is kept, in its order.

    A region becomes labelled with a category when that is likelier than 'none of them'; otherwise it keeps its label.
    Its score is the probability of the best category either way, so a low score says that the classifier is not sure.

    Args:
        object: the regions to name
        categories: a list of names, or one text with commas
    Example: OBJ1=CLASSIFY(image=IMAGE,object=OBJ0,categories=['sandal','boot','trainer'])
    """

    def job(i: int) -> tuple[str, ...]:
        check_frame("CLASSIFY", image[i], object[i], inside=True)
        names = _listed(categories[i])
        if not names:
            raise ToolError("CLASSIFY: categories is empty; give a list of names such as ['cat','dog']")
        return names

    names, failed = prepare(len(image), job)
    crops = {i: [image[i].crop(r.box) for r in object[i]] for i in names}
    scores = _classify("CLASSIFY", crops, names, models)
    weights = models.weights("classifier", "CLASSIFY") if any(scores.values()) else ""
    results = {}
    for i, rows in scores.items():
        named = []
        for region, row in zip(object[i], rows, strict=True):
            best = int(np.argmax(row))
            unsure = 1.0 - sum(row)
            label = names[i][best] if row[best] > unsure else region.label
            named.append(region.derive("CLASSIFY", label=label, score=float(row[best]), weights=weights))
        results[i] = Regions(named)
    return settle(len(image), failed, results)


def _listed(given: str | Sequence[str] | None) -> tuple[str, ...]:
    """Names from a list, or from one text with commas; trimmed, each once."""
    parts = given.split(",") if isinstance(given, str) else (given or ())
    return tuple(dict.fromkeys(name.strip() for name in parts if name.strip()))


def _classify(
    op: str, crops: dict[int, list[Image]], names: dict[int, tuple[str, ...]], models: ModelSource
) -> dict[int, list[list[float]]]:
    """Probabilities [region][name] of every call; each distinct (crop, names) goes through the model once."""
    jobs = [(crop, names[i]) for i, pictures in crops.items() for crop in pictures]
    classifier = models.get("classifier", op=op) if jobs else None
    rows: list[list[float]] = []
    if classifier is not None:
        rows = once_each(
            jobs,
            lambda job: (frame_key(job[0]), job[1]),
            lambda piece: classifier.classify([c for c, _ in piece], [labels for _, labels in piece]),
            at_once(classifier),
        )
    supply = iter(rows)
    return {i: [next(supply) for _ in pictures] for i, pictures in crops.items()}


@tool(roles="classifier", batch=16, cost=60.0)
def SELECT(
    image: Column[Image],
    object: Column[Regions],
    query: Column[str],
    category: Column[str | None] = [None],
    *,
    models: ModelSource,
) -> Column[Regions]:
    """Choose the regions that the query names; none from no regions.

    Each name in the query takes every region whose label it covers; a colour in front ('red bus') is checked on the
    pixels. Where no name is found so, or a category is given, the classifier takes the region most like each name:
    labelled with the name if that is likelier than not, else with its old label.

    Args:
        object: the regions to choose from
        query: one name, or several with commas
        category: choose only among regions with this label (or one of several with commas), where there are any
    Example: OBJ1=SELECT(image=IMAGE,object=OBJ0,query='man in a red suit',category='person')
    """
    results: dict[int, Regions] = {}
    exact = models.has("classifier")  # without one, 'person' has to do for 'girl'

    def open_question(i: int) -> tuple[Regions, tuple[str, ...]] | None:
        """What the classifier must decide, or None when labels and colours did."""
        check_frame("SELECT", image[i], object[i], inside=True)
        queries = _listed(query[i])
        if not queries:
            raise ToolError("SELECT: the query is empty; name what to choose, such as query='red bus'")
        candidates = _of_category(object[i], category[i])
        by_name = [] if category[i] else _by_name(image[i], candidates, queries, exact)
        if by_name or not candidates:
            results[i] = Regions(by_name)
            return None
        return candidates, queries

    questions, failed = prepare(len(image), open_question)
    pending = {i: question for i, question in questions.items() if question is not None}
    crops = {i: [image[i].crop(r.box) for r in regions] for i, (regions, _) in pending.items()}
    names = {i: queries for i, (_, queries) in pending.items()}
    for i, rows in _classify("SELECT", crops, names, models).items():
        results[i] = _most_like(*pending[i], rows, models.weights("classifier", "SELECT"))
    return settle(len(image), failed, results)


def _of_category(regions: Regions, category: str | None) -> Regions:
    wanted = {name.casefold() for name in _listed(category)}
    return Regions(r for r in regions if r.label.casefold() in wanted) or regions


def _by_name(image: Image, regions: Regions, queries: Sequence[str], exact: bool) -> list[Region]:
    """Regions that their labels, and the colours of their pixels, show to be meant; in the order of the regions."""
    labels = tuple(dict.fromkeys(r.label for r in regions if r.label))
    plan = [want for text in queries for want in wants([text], labels, exact=exact) or ()]
    return list(keep_wanted(image, regions, plan))


def _most_like(
    regions: Regions, queries: tuple[str, ...], rows: Sequence[Sequence[float]], weights: str
) -> Regions:
    """For each query the region that is most like it; a region chosen twice comes once, under its better name."""
    table = np.asarray(rows, dtype=float)  # [regions, queries]
    best: dict[int, int] = {}
    for column in range(len(queries)):
        row = int(table[:, column].argmax())
        if row not in best or table[row, column] > table[row, best[row]]:
            best[row] = column
    chosen = []
    for row in sorted(best, key=lambda index: -table[index, best[index]]):
        score = float(table[row, best[row]])
        label = queries[best[row]] if score > 0.5 else regions[row].label
        chosen.append(regions[row].derive("SELECT", label=label, score=score, weights=weights))
    return Regions(chosen)


@tool(cost=1.0)
def COLOR(image: Image, object: Region) -> str:
    """Name the colour of a region, from the pixels of its mask (else the middle of its box).

    Shade, glare and dirt (black, gray, brown pixels) weigh less than clear colours. One of black, white, gray, red, orange, yellow, green, blue, purple, pink, brown.

    Args:
        object: the region
    Example: ANSWER0=COLOR(image=IMAGE,object=BOX0)
    """
    check_frame("COLOR", image, [object], inside=True)
    return main_color(image, object)


@tool(cost=1.0)
def COLORS(image: Image, object: Region) -> list[str]:
    """Name every colour that covers at least a tenth of a region, the largest first (see COLOR).

    Args:
        object: the region
    Example: LIST0=COLORS(image=IMAGE,object=BOX0)
    """
    check_frame("COLORS", image, [object], inside=True)
    shares = color_shares(image, object)
    return [name for index, (name, share) in enumerate(shares) if share >= LEAST_SHARE or index == 0]


@tool(roles="depth", batch=16, cost=200.0)
def DEPTH(image: Column[Image], object: Column[Region], *, models: ModelSource) -> Column[float]:
    """Tell how far away a region is, relative to its picture: 0 is the nearest point, 1 the farthest.

    The median over the region's mask, or over its box where it has none.

    Args:
        object: the region
    Example: ANSWER0=DEPTH(image=IMAGE,object=BOX0)
    """

    def pixels(i: int) -> np.ndarray:
        check_frame("DEPTH", image[i], [object[i]], inside=True)
        mask = object[i].mask_on(image[i])
        if not mask.any():
            raise ToolError("DEPTH: the region holds no pixel of this picture")
        return mask

    masks, failed = prepare(len(image), pixels)
    if not masks:
        return settle(len(image), failed)
    estimator = models.get("depth", op="DEPTH")
    maps = once_each([image[i] for i in masks], frame_key, estimator.depth, at_once(estimator, 16))
    medians = {i: float(np.median(depth[masks[i]])) for i, depth in zip(masks, maps, strict=True)}
    return settle(len(image), failed, medians)


@tool(cost=3.0)
def SIMILAR(image: Image, other: Image) -> float:
    """Tell how alike two pictures look, 0 to 1.

    Equal pictures give 1; near-duplicates (resized, recompressed, brightened, cropped by 2%) above 0.65; unrelated
    photographs below 0.3.

    Args:
        other: the picture to compare with
    Example: ANSWER0=SIMILAR(image=LEFT,other=RIGHT)
    """
    return likeness(image.pixels, other.pixels)
