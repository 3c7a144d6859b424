"""The page of a trace: one file, safe with hostile words, readable, complete for every kind of event, alive in a browser."""

from __future__ import annotations

import html.parser
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from trace_samples import HOSTILE, PROGRAM, asked, ended, program_trace, react_trace, region, scene, step

from sightline.agent.events import KINDS, Recorder
from sightline.agent.tracing.html import _part, render
from sightline.agent.tracing.layout import layered
from sightline.agent.tracing.markup import Markup, escape, join, script_json, tag
from sightline.agent.tracing.store import TraceStore
from sightline.agent.tracing.trace import Trace
from sightline.agent.tracing.wording import Piece, edited, word_diff
from sightline.tools.values import Image, Mask


@pytest.fixture
def store(tmp_path: Path) -> TraceStore:
    return TraceStore(tmp_path / "traces")


class Page(html.parser.HTMLParser):
    """The tags, texts and scripts of a page; fails where an element is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.scripts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open, self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "br", "img", "input"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        (self.scripts if self._open and self._open[-1] == "script" else self.text).append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def hostile_trace(store: TraceStore) -> Trace:
    """Every field of every kind of event holds an attack."""
    with store.open("h") as sink:
        r = Recorder("h", (sink,))
        image = scene()
        asked(r, image, question=HOSTILE, alone=HOSTILE, controller=HOSTILE, pack=HOSTILE, session=HOSTILE)
        r.emit("mode", chosen=HOSTILE, why=HOSTILE)
        r.emit(
            "thought", role=HOSTILE, said=HOSTILE, asked=HOSTILE, tokens_in=1, tokens_out=1, ms=1.0, attempt=0
        )
        problem = {"code": HOSTILE, "line": HOSTILE, "column": 1, "message": HOSTILE, "suggestion": HOSTILE}
        r.emit("plan", program=HOSTILE, attempt=0, ok=False, errors=[problem], demonstrations=[HOSTILE])
        program = f"A=OCR(image=IMAGE,text='{HOSTILE}')\n"
        nodes = [{"id": 0, "op": HOSTILE, "lines": [1], "cost": 1.0}]
        r.emit(
            "graph",
            program=0,
            text=program,
            nodes=nodes,
            edges=[[0, 0]],
            notes=[HOSTILE],
            weights={HOSTILE: HOSTILE},
        )
        r.emit("start", program=0, name="A", op=HOSTILE, node=0)
        value = [region((1, 2, 30, 40), HOSTILE, text=HOSTILE)]
        step(r, "A", HOSTILE, 0, value, HOSTILE, HOSTILE, error=HOSTILE, status=HOSTILE)
        r.emit("call", id=HOSTILE, tool=HOSTILE, arguments={HOSTILE: HOSTILE}, thought=HOSTILE)
        r.emit(
            "observation", id=HOSTILE, name=HOSTILE, ok=True, shown=HOSTILE, value=value, ms=1.0, cached=False
        )
        r.emit("question", id=HOSTILE, parent=None, text=HOSTILE, by=HOSTILE)
        r.emit("finding", id=HOSTILE, text=HOSTILE, boxes=[[1, 2, 3, 4]])
        r.emit("fallback", **{"from": HOSTILE, "to": HOSTILE, "why": HOSTILE})
        r.emit("draft", text=HOSTILE, grounded=HOSTILE)
        r.emit(
            "claim", id=HOSTILE, kind=HOSTILE, text=HOSTILE, span=[0, 9], polarity=False, entities=[HOSTILE]
        )
        r.emit("verdict", claim=HOSTILE, label=HOSTILE, probability=0.5, evidence=value, why=HOSTILE)
        r.emit("edit", span=[0, 9], before=HOSTILE, after=HOSTILE, claims=[HOSTILE])
        r.emit("error", message=HOSTILE, traceback=HOSTILE, where=HOSTILE)
        r.emit("premonition", **{"what": HOSTILE, HOSTILE: 1})  # type: ignore[arg-type]
        r.emit("answer", status=HOSTILE, text=HOSTILE, grounded=HOSTILE + " ", mode=HOSTILE)
        r.emit("end", usage={"calls": HOSTILE}, status=HOSTILE)
        assert {e.kind for e in r.events} >= set(KINDS)
    return store.load("h")


def test_hostile_words_stay_words(store: TraceStore) -> None:
    text = render(hostile_trace(store))
    page = Page(text)
    assert sum(tag == "script" for tag, _ in page.tags) == 2, "the page's own script and its data"
    assert not [t for t, _ in page.tags if t in ("img", "iframe", "object", "link", "form", "base")]
    for tag_name, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on") and name != "style", (tag_name, name)
            if name in ("href", "src"):
                assert value is not None and value.startswith(("#", "data:image/webp;base64,")), value
    data = next(s for s in page.scripts if s.startswith("{"))
    assert "<" not in data
    assert json.loads(data)["events"][0]["data"]["question"] == HOSTILE
    assert 'onerror="' not in text.replace(data, ""), "only as text"
    assert HOSTILE in "".join(page.text)


def test_the_policy_lets_in_only_the_pages_own_script(store: TraceStore) -> None:
    text = render(hostile_trace(store))
    policy = next(
        a["content"] for t, a in Page(text).tags if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None and policy.startswith("default-src 'none'; ")
    assert (
        "unsafe" not in policy
        and "http" not in policy
        and re.search(r"script-src 'sha256-[\w+/=]+'$", policy)
    )
    assert not re.search(r"https?://", text), "nothing is fetched"


def test_markup_escapes_by_construction() -> None:
    assert (
        tag("p", "<b>", [1, None, Markup("<i></i>")], title='"') == '<p title="&quot;">&lt;b&gt;1<i></i></p>'
    )
    assert tag("input", disabled=True, value=None) == "<input disabled>"
    assert escape("a\x00\x1b\ud83d") == "a\ufffd\ufffd\ufffd"
    assert join("&", ["<"]) == "&amp;&lt;"
    assert (
        script_json({"a": "</script><!--\u2028\ud83d"})
        == '{"a":"\\u003c/script\\u003e\\u003c!--\\u2028\\ud83d"}'
    )
    for name in ("onclick", "on click", 'a"b'):
        with pytest.raises(ValueError, match="no attribute"):
            tag("p", **{name: "x"})


def test_everything_that_happened_stands_in_the_page(store: TraceStore) -> None:
    with store.open("t") as sink:
        program_trace(sink, scene(), "t")
    page = Page(render(store.load("t")))
    for words in ("How many dogs are there?", "There are two dogs, and one is red.", "a program shows its evidence",
                  "E101", "no tool LOCATE", "1 error sent back for repair", "from the cache", "contradicted", "97% sure",
                  "its pixels are red", "1.2 ms", "420", "scene.png", "Thought of the controller, attempt 2"):  # fmt: skip
        assert words in page.words, words
    keys = {key for _, a in page.tags for key in (a.get("data-key") or "").split()}
    for _, attributes in page.tags:
        lights = (attributes.get("data-lights") or "").split()
        assert set(lights) - {k for k in lights if k.startswith("r0s")} <= keys, (
            "every light has something to light"
        )
    line = next(a for t, a in page.tags if t == "button" and "r0l1" in (a.get("data-lights") or ""))
    assert set((line["data-lights"] or "").split()) == {"r0l1", "r0n0", "r0s0"}, "line, node, boxes"
    assert {"kc1", "kc1b", "kc2b"} <= keys, "claims and their evidence"
    assert [t for t, _ in page.tags].count("del") == 2 and [t for t, _ in page.tags].count("ins") == 2
    assert any(t == "svg" and a.get("class") == "thumb" for t, a in page.tags)


def test_calls_and_sub_questions(store: TraceStore) -> None:
    with store.open("r") as sink:
        react_trace(sink, scene(), "r")
    page = Page(render(store.load("r")))
    for words in (
        "2 tool calls together",
        "E101 no tool LOOK",
        "2 x dog",
        "Which colours have they?",
        "red and blue",
    ):
        assert words in page.words


@pytest.mark.parametrize("kept", range(12))
def test_a_trace_cut_off_anywhere_has_a_page(store: TraceStore, kept: int) -> None:
    with store.open("t") as sink:
        program_trace(sink, scene(), "t")
    trace = store.load("t")
    trace.events = trace.events[:kept]
    assert "Sightline" in Page(render(trace)).words


def test_events_of_another_hand_are_shown_raw_rather_than_crash(store: TraceStore) -> None:
    with store.open("t") as sink:
        r = Recorder("t", (sink,))
        asked(r, scene())
        r.emit("graph", program=0, text=PROGRAM, nodes=[{"id": "x"}], edges=[["a"], 3], notes=None)
        r.emit("step", program="?", name=None, value={"box": ["a", "b"]}, masks=[{"counts": "?"}])
        r.emit("finding", id="q", text="x", boxes=[["?"], 7])
        r.emit("plan", program=None, errors=["odd"], attempt="first")
        r.emit("verdict", claim=None, probability="sure", evidence="none")
        r.emit("claim", id=None, span=["a"], text=None)
        r.emit("premonition", feeling="good")  # type: ignore[arg-type]
        ended(r, "x")
    words = Page(render(store.load("t"))).words
    assert "premonition" in words and '"feeling": "good"' in words


def test_pictures_are_embedded_once_and_bounded(store: TraceStore) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (1200, 1600, 3)).astype(np.uint8)
    image = Image.from_array(pixels)
    with store.open("t") as sink:
        r = Recorder("t", (sink,))
        asked(r, image)
        crops = [image.crop((x, 0, x + 200, 200)) for x in range(0, 1400, 100)]
        value = [{"width": 200, "height": 200, "hash": c.hash} for c in crops]
        step(r, "IMAGE0", "CROP", 1, value, "pictures", "images", crops)
        ended(r, "x")
    text = render(store.load("t"))
    assert text.count("data:image/") == 1 and len(text) < 3_000_000
    assert Page(text).words.count("and 2 more") == 1
    (store.folder / "pictures").rename(store.folder / "gone")
    words = Page(render(store.load("t"))).words
    assert "This picture was not kept." in words and "the picture was not kept" in words


def test_masks_and_several_pictures_lie_where_they_belong(store: TraceStore) -> None:
    left, right = scene(1), scene(2, (200, 100))
    array = np.zeros((100, 200), bool)
    array[20:60, 50:150] = True
    mask = Mask.from_array(array)
    with store.open("t") as sink:
        r = Recorder("t", (sink,))
        asked(r, left, right, at={"picture": 1, "box": [1, 2, 30, 40]})
        value = [
            {"box": [50, 20, 150, 60], "label": "cat", "mask": {"window": [50, 20, 100, 40], "area": 4000}}
        ]
        step(r, "OBJ0", "SEG", 0, value, "[cat]", "regions", frames=[right.hash], masks=[mask.to_json()])
        ended(r, "x")
    text = render(store.load("t"))
    first, second = re.findall(r"<figure>.*?</figure>", text, re.DOTALL)
    assert "cat" not in first and "cat" in second and 'class="mask"' in second and "pointed" in second
    assert "RIGHT · 200 × 100" in text


def test_evidence_for_a_draft_is_told_apart_from_the_program(store: TraceStore) -> None:
    with store.open("t") as sink:
        r = Recorder("t", (sink,))
        asked(r, scene())
        r.emit("graph", program=0, text="A=LOC(image=IMAGE,object='dog')\n", nodes=[], edges=[])
        step(r, "A", "LOC", 0, [region((1, 2, 3, 4), "dog")], "[dog]", "regions")
        r.emit("draft", text="A cat.", grounded="A cat.")
        for _ in range(2):  # equal names, and of the program's own number
            step(r, "STEP0", "DETECT", 0, [region((5, 6, 7, 8), "cat")], "[cat]", "regions")
        r.emit("claim", id="c1", kind="existence", text="A cat", span=[0, 5], polarity=True, entities=["cat"])
        r.emit("verdict", claim="c1", label="supported", probability=0.9994, evidence=[], why="seen")
        ended(r, "A cat.")
    trace = store.load("t")
    assert [(run.checking, run.text != "", len(run.steps)) for run in trace.runs()] == [
        (False, True, 1),
        (True, False, 2),
    ]
    page = Page(render(trace))
    assert "Evidence for the claims" in page.words and "over 99% sure" in page.words
    assert page.words.count("STEP0 = DETECT") == 2
    default = [a["data-key"] for t, a in page.tags if t == "g" and a.get("class") == "boxes default"]
    assert default == ["r0s0"]


def test_word_diff_and_edits() -> None:
    assert word_diff("a red dog", "a blue dog") == [
        Piece("a "),
        Piece("red", "gone"),
        Piece("blue", "new"),
        Piece(" dog"),
    ]
    assert [p.text for p in word_diff("有三只狗", "有两只狗") if p.change != "same"] == ["三", "两"]
    draft = "There are three dogs."
    claims = [{"id": "c", "span": [10, 20]}, {"id": "odd", "span": [5, 500]}]
    pieces = edited(
        draft, claims, [{"span": [10, 15], "after": "two", "claims": ["c"]}, {"span": [12, 14], "after": "X"}]
    )
    assert "".join(p.text for p in pieces if p.change != "gone") == "There are two dogs."
    assert "".join(p.text for p in pieces if p.change != "new") == draft
    assert next(p for p in pieces if p.text == " dogs").claims == ("c",)
    inserted = edited(
        "ab",
        [],
        [{"span": [1, 1], "after": "X"}, {"span": [0, 0], "after": "Y"}, {"span": [2, 2], "after": "Z"}],
    )
    assert "".join(p.text for p in inserted) == "YaXbZ"
    assert (
        "".join(p.text for p in edited("abc", [], [{"span": [1, 3], "after": ""}]) if p.change != "gone")
        == "a"
    )


def test_layout_keeps_nodes_apart_and_edges_going_down() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        count = int(rng.integers(1, 30))
        widths = {i: float(rng.integers(40, 120)) for i in range(count)}
        edges = [(int(a), int(b)) for a, b in rng.integers(0, count, (count * 2, 2)) if a < b]
        drawn = layered(widths, edges)
        places = list(drawn.places.items())
        for i, (a, (x, y)) in enumerate(places):
            assert (
                x - widths[a] / 2 >= -0.01
                and x + widths[a] / 2 <= drawn.width + 0.01
                and 0 <= y <= drawn.height
            )
            for b, (x2, y2) in places[i + 1 :]:
                assert y != y2 or abs(x - x2) >= (widths[a] + widths[b]) / 2, "two nodes overlap"
        for a, b, _points in drawn.edges:
            assert drawn.places[a][1] < drawn.places[b][1]
    ring = layered({1: 50, 2: 50, 3: 50}, [(1, 2), (2, 3), (3, 1), (1, 1), (1, 9)])
    assert len(ring.places) == 3 and len(ring.edges) == 3
    assert layered({}, []).places == {}


def luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(a: str, b: str) -> float:
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_is_readable(scheme: str) -> None:
    light, dark = re.findall(r":root \{(.*?)\}", _part("page.css"), re.DOTALL)
    colors = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", light if scheme == "light" else dark))
    pairs = [
        (ink, paper)
        for ink in ("ink", "soft", "accent", "good", "bad", "warn")
        for paper in ("ground", "panel", "faint")
    ]
    pairs += [(ink, "lit") for ink in ("ink", "soft", "string", "number", "op", "name", "bad", "good")]
    pairs += [(ink, paper) for ink in ("string", "number", "op", "name") for paper in ("panel", "faint")]
    pairs += [("bad", "gone"), ("good", "new")]
    poor = {
        f"{a} on {b}": round(contrast(colors[a], colors[b]), 2)
        for a, b in pairs
        if contrast(colors[a], colors[b]) < 4.5
    }
    assert not poor, f"WCAG AA wants 4.5: {poor}"


def browser_path() -> str | None:
    return next(
        (
            p
            for name in ("chromium", "chromium-browser", "google-chrome", "chrome")
            if (p := shutil.which(name))
        ),
        None,
    )


@pytest.fixture(scope="module")
def browser():  # type: ignore[no-untyped-def]
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    path = browser_path()
    if path is None:
        pytest.skip("needs a chromium on the machine: apt-get install chromium")
    with sync_api.sync_playwright() as play:
        started = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


def test_the_page_lives_in_a_browser(store: TraceStore, browser, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with store.open("t") as sink:
        program_trace(sink, scene(), "t")
    (tmp_path / "t.html").write_text(render(store.load("t")), encoding="utf-8")
    (tmp_path / "h.html").write_text(render(hostile_trace(store)), encoding="utf-8")
    said: list[str] = []
    fetched: list[str] = []
    for name in ("t", "h"):
        page = browser.new_page(viewport={"width": 390, "height": 800})
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.on("request", lambda request: fetched.append(request.url))
        page.goto((tmp_path / f"{name}.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, "no sideways scrolling"
        page.set_viewport_size({"width": 1280, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= 1280
        if name == "h":
            assert page.title() != "owned"
            continue
        lit = lambda page=page: set(page.eval_on_selector_all(".lit", "all => all.map(e => e.dataset.key)"))  # noqa: E731
        shown = lambda page=page: page.eval_on_selector_all(  # noqa: E731
            ".boxes", "all => all.filter(e => getComputedStyle(e).display != 'none').map(e => e.dataset.key)"
        )
        assert shown() == ["r0s0"], "the last regions are shown at first"
        line = page.locator("button.code").first
        line.hover()
        assert {"r0l1", "r0n0", "r0s0"} <= lit() and shown() == ["r0s0"]
        page.mouse.move(1, 1)
        assert not lit()
        line.focus()
        page.keyboard.press("Tab")  # the next line: its node and its crop
        assert {"r0l2", "r0n1", "r0s1"} <= lit()
        page.locator("g.node").first.focus()
        page.keyboard.press("Enter")  # pinned by keyboard
        page.locator("h1").hover()
        assert {"r0n0", "r0l1", "r0s0"} <= lit()
        page.keyboard.press("Escape")
        page.locator("h1").click()
        page.locator(".claims button").first.hover()
        assert {"kc1", "kc1b"} <= lit() and shown() == ["kc1b"]
        page.locator("#all").click()
        page.mouse.move(1, 1)
        page.locator("#all").blur()
        assert len(shown()) >= 4
        assert json.loads(page.locator("#events").text_content())["trace"] == "t"
        page.close()
    assert not said, said
    assert all(url.startswith(("file:", "data:")) for url in fetched), fetched
