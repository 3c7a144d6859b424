"""What traces are for: run again, compared, exported as spans and as training data, shown in the terminal, left by the agent."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from agent_fakes import COUNT, DOGS, ScriptedController, picture, staged, thing
from trace_samples import HOSTILE, program_trace, react_trace, scene
from typer.testing import CliRunner

from sightline.agent.agent import Agent
from sightline.agent.records import Limits, Request
from sightline.agent.toolbox import Toolbox
from sightline.agent.tracing.blobs import PictureMissing
from sightline.agent.tracing.compare import compare
from sightline.agent.tracing.examples import accepted, planner_conversations, write_examples
from sightline.agent.tracing.html import render
from sightline.agent.tracing.replay import alike, replay
from sightline.agent.tracing.spans import otlp
from sightline.agent.tracing.store import TraceStore
from sightline.cli import app
from sightline.errors import InputError
from sightline.mllm.data.conversation import Conversation
from sightline.mllm.data.convert import read_json
from sightline.mllm.stock.pairs import read_pairs
from sightline.programs.engine import Engine
from sightline.tools.models import Models
from sightline.tools.values import Image

CUT = (
    "BOX0=LOC(image=IMAGE,object='dog')\nIMAGE0=CROP(image=IMAGE,box=BOX0)\nFINAL_RESULT=RESULT(var=IMAGE0)\n"
)


@pytest.fixture
def store(tmp_path: Path) -> TraceStore:
    return TraceStore(tmp_path / "traces")


def ask(
    store: TraceStore, image: Image, program: str, question: str = "q?", models: Models | None = None
) -> str:
    agent = Agent(ScriptedController({question: program}), models or staged((image, DOGS)), traces=store)
    return agent.ask(image, question, verify=False).trace


# -- replay ------------------------------------------------------------------------------------------------------------


def test_the_agent_leaves_a_trace_that_comes_out_the_same(store: TraceStore) -> None:
    image = picture()
    models = staged((image, DOGS))
    for program in (
        COUNT.format("dog"),
        CUT,
        CUT.replace("CROP(image=IMAGE,box=", "COLORPOP(image=IMAGE,object="),
    ):
        trace = store.load(ask(store, image, program, models=models))
        assert trace.status == "done" and trace.runs()[0].text == program
        assert trace.runs()[0].nodes[0]["name"] == "IMAGE"
        again = replay(trace, Engine(models))
        assert again.same and again.compared == len(program.splitlines()) and not again.weights
        assert again.to_json()["status"] == "done"


def test_what_verification_looked_up_is_not_run_again(store: TraceStore) -> None:
    image, question = picture(), "How many dogs are there?"
    models = staged((image, DOGS))
    controller = ScriptedController({question: COUNT.format("dog")})
    controller.compose = lambda *_, **__: "There are 2 dogs."  # type: ignore[method-assign]
    trace = store.load(Agent(controller, models, traces=store).ask(image, question).trace)
    assert [run.checking for run in trace.runs()] == [False, True] and trace.runs()[1].text
    assert replay(trace, Engine(models)).same


def test_what_comes_out_otherwise_is_told_step_by_step(store: TraceStore) -> None:
    image = picture()
    trace = store.load(ask(store, image, COUNT.format("dog")))
    fewer = replay(trace, Engine(staged((image, DOGS[1:]))))
    assert [(d.where, d.what) for d in fewer.differences] == [
        ("BOX0", "value"),
        ("ANSWER0", "value"),
        ("FINAL_RESULT", "value"),
    ]
    assert (fewer.differences[1].before, fewer.differences[1].after) == ("2", "1") and not fewer.same
    moved = [thing("dog", (4, 4, 21, 20)), thing("dog", (30, 30, 50, 50), "brown")]
    assert [d.where for d in replay(trace, Engine(staged((image, moved)))).differences] == ["BOX0"]
    assert replay(trace, Engine(staged((image, moved))), tolerance=1.5).same


def test_other_weights_and_a_failing_step_are_told(store: TraceStore) -> None:
    image = picture()
    trace = store.load(ask(store, image, COUNT.format("dog")))
    models = staged((image, DOGS))
    role = next(iter(next(trace.of("graph")).data["weights"]))

    class Broken:
        vocabulary = ()

        def __getattr__(self, name: str) -> object:
            raise RuntimeError("out of order")

    models.bind(role, Broken(), weights="another")
    again = replay(trace, Engine(models))
    assert [w[0] for w in again.weights] == [role] and again.weights[0][2] == "another"
    assert again.differences[0].what == "status" and again.differences[0].before == "done"


def test_tool_calls_are_replayed_by_rounds(store: TraceStore) -> None:
    image = picture()
    agent = Agent(ScriptedController(), staged((image, DOGS)), traces=store)
    with store.open("r") as sink:
        from sightline.agent.events import Recorder

        recorder = Recorder("r", (sink,))
        recorder.emit("ask", (image,), question="q?", pictures=[{"hash": image.hash}], at=None, pack="oracle")
        toolbox = Toolbox(agent.engine, Request("q?", (image,)), recorder, Limits())
        toolbox.call([("LOC", {"image": "IMAGE", "object": "dog"}), ("LOOK", {})])
        toolbox.call([("COUNT", {"box": "BOX0"})])
    trace = store.load("r")
    again = replay(trace, Engine(staged((image, DOGS))))
    assert again.same and again.compared == 3
    other = replay(trace, Engine(staged((image, DOGS[:1]))))
    assert [d.where for d in other.differences] == ["call1 LOC", "call3 COUNT"]


def test_what_cannot_be_replayed_says_why(store: TraceStore) -> None:
    image = picture()
    trace = store.load(ask(store, image, COUNT.format("dog")))
    trace.events = [e for e in trace.events if e.kind not in ("graph", "step")]
    with pytest.raises(InputError, match="no program and no tool call"):
        replay(trace, Engine(staged((image, DOGS))))
    trace = store.load(trace.id)
    store.blobs.remove(image.hash)
    with pytest.raises(PictureMissing, match="was not kept"):
        replay(trace, Engine(staged((image, DOGS))))


def test_values_are_alike() -> None:
    assert alike({"box": [1, 2.0], "weights": "a"}, {"box": [1.0, 2], "weights": "b", "parents": ["x"]})
    assert not alike([1], [1, 2]) and not alike(1, True) and not alike("1", 1) and not alike({"a": 1}, {})
    assert alike(1.0, 1.4, 0.5) and not alike(1.0, 1.6, 0.5)


# -- compare -----------------------------------------------------------------------------------------------------------


def test_traces_are_compared(store: TraceStore) -> None:
    image = picture()
    models = staged((image, DOGS))
    first, second = (
        store.load(ask(store, image, COUNT.format(noun), models=models)) for noun in ("dog", "cat")
    )
    assert compare(first, first).same
    result = compare(first, second)
    assert {c.what for c in result.changes} == {"program", "value", "draft", "answer"}
    assert [line for line in result.programs if line[0] in "+-"] == [
        "- BOX0=LOC(image=IMAGE,object='dog')", "+ BOX0=LOC(image=IMAGE,object='cat')",
    ]  # fmt: skip
    answer = next(c for c in result.changes if c.what == "answer")
    assert (answer.before, answer.after) == ("2", "1")
    assert result.costs["calls"] == (2, 2) and json.dumps(result.to_json())
    assert "<del>- BOX0=LOC(image=IMAGE,object=&#x27;dog&#x27;)" in result.html()
    with store.open("h") as sink:
        program_trace(sink, scene(), "h", question=HOSTILE)
    assert "<script" not in compare(first, store.load("h")).html()
    assert "only the costs differ" in compare(first, first).html()


# -- exports -----------------------------------------------------------------------------------------------------------


def test_spans_follow_the_conventions(store: TraceStore) -> None:
    with store.open("p") as sink:
        program_trace(sink, scene(), "p")
    with store.open("r") as sink:
        react_trace(sink, scene(), "r")
    data = otlp([store.load("p"), store.load("r")])
    (resource,) = data["resourceSpans"]
    spans = resource["scopeSpans"][0]["spans"]
    assert len({s["traceId"] for s in spans}) == 2 and len({s["spanId"] for s in spans}) == len(spans)
    ids = {s["spanId"] for s in spans}
    for span in spans:
        assert re.fullmatch("[0-9a-f]{32}", span["traceId"]) and re.fullmatch("[0-9a-f]{16}", span["spanId"])
        assert int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"])
        assert span["status"]["code"] in (1, 2) and span["kind"] in (1, 3)
        assert span.get("parentSpanId", span["spanId"]) in ids
        for attribute in span["attributes"]:
            ((kind, value),) = attribute["value"].items()
            assert (
                kind in ("stringValue", "intValue", "doubleValue", "boolValue", "arrayValue")
                and value is not None
            )
    told = [{a["key"]: next(iter(a["value"].values())) for a in s["attributes"]} for s in spans]
    operations = {t.get("gen_ai.operation.name") for t in told}
    assert operations == {"invoke_agent", "chat", "plan", "execute_tool", None}
    root = next(t for t in told if t.get("sightline.trace.id") == "p")
    assert root["gen_ai.usage.input_tokens"] == "420" and root["gen_ai.agent.name"] == "sightline"
    assert json.loads(root["gen_ai.input.messages"])[0]["parts"][0]["content"] == "How many dogs are there?"
    loc = next(s for s in spans if s["name"] == "execute_tool LOC")
    assert loc["parentSpanId"] in ids
    call = next(t for t in told if t.get("gen_ai.tool.call.id") == "call1")
    assert json.loads(call["gen_ai.tool.call.arguments"]) == {"image": "IMAGE", "object": "dog"}
    plans = [s for s in spans if s["name"] == "plan sightline"]
    assert [s["status"]["code"] for s in plans] == [2, 1]
    assert sum(s.get("parentSpanId") in {p["spanId"] for p in plans} for s in spans) == 2, (
        "a plan holds its thought"
    )
    assert otlp([store.load("p")]) == otlp([store.load("p")])


def test_spans_without_content_tell_no_words(store: TraceStore) -> None:
    with store.open("p") as sink:
        program_trace(sink, scene(), "p", question="SECRET-QUESTION dogs?")
    text = json.dumps(otlp([store.load("p")], content=False))
    for word in ("SECRET", "three", "LOC(image", "its pixels", "dog"):
        assert word not in text
    assert "execute_tool LOC" in text


def test_accepted_programs_become_planner_conversations(store: TraceStore, tmp_path: Path) -> None:
    image = picture()
    for program in (COUNT.format("dog"), COUNT.format("dog"), COUNT.format("cat")):
        ask(store, image, program, question=f"How many {'cats' if 'cat' in program else 'dogs'}?")
    failing = "BOX0=LOC(image=IMAGE,object='dog')\nANSWER0=EVAL(expr='1 / (len({BOX0}) - 2)')\nFINAL_RESULT=RESULT(var=ANSWER0)\n"
    failed = store.load(ask(store, image, failing))
    assert not accepted(failed)
    with store.open("corrected") as sink:
        program_trace(sink, scene(), "corrected")
    assert not accepted(store.load("corrected")), "a claim was refuted"
    counts = write_examples((store.load(name) for name in store), tmp_path / "out")
    assert counts == {"planner.jsonl": 2, "pairs.jsonl": 1}
    rows = [Conversation.from_json(row) for row in read_json(tmp_path / "out" / "planner.jsonl")]
    assert {(r.messages[0].text, r.messages[1].text) for r in rows} == {
        ("How many dogs?", COUNT.format("dog").strip()), ("How many cats?", COUNT.format("cat").strip()),
    }  # fmt: skip
    assert all(not row.images for row in rows)


def test_corrected_answers_become_pairs_that_train_reads(store: TraceStore, tmp_path: Path) -> None:
    image = scene()
    with store.open("t") as sink:
        program_trace(sink, image, "t")
    with store.open("right") as sink:
        program_trace(sink, image, "right", verified=False)
    write_examples((store.load(name) for name in store), tmp_path / "out")
    (pair,) = read_pairs(tmp_path / "out" / "pairs.jsonl")
    assert pair.rejected == "There are three dogs, and one is red."
    assert pair.chosen == "There are two dogs, and one is red."
    assert pair.prompt == ({"role": "user", "content": "<image>\nHow many dogs are there?"},)
    assert Image.open(pair.images[0]).hash == image.hash
    record = json.loads((tmp_path / "out" / "pairs.jsonl").read_text())
    assert record["edits"] == [{"start": 10, "end": 15, "text": "two"}]
    trace = store.load("t")
    trace.events = [e for e in trace.events if e.kind != "edit" or e.data.update({"span": [0, 3]}) is None]  # type: ignore[attr-defined]
    from sightline.agent.tracing.examples import preference_pairs

    (again,) = preference_pairs([trace], tmp_path / "again")
    assert again["chosen"] == pair.chosen, (
        "edits that do not make the answer give way to the words that differ"
    )


def test_stock_training_reads_the_planner_file(store: TraceStore, tmp_path: Path) -> None:
    from sightline.mllm.stock.config import DataSection
    from sightline.mllm.stock.samples import read_samples

    ask(store, picture(), COUNT.format("dog"), question="How many dogs?")
    write_examples((store.load(name) for name in store), tmp_path / "out")
    section = DataSection(format="conversations", path=str(tmp_path / "out" / "planner.jsonl"))
    (sample,) = read_samples([section])
    assert sample.messages[0]["content"] == "How many dogs?" and sample.messages[1]["content"].startswith(
        "BOX0=LOC("
    )
    assert [c.extra["task"] for c in planner_conversations(store.load(n) for n in store)] == ["plan"]


# -- the command line ----------------------------------------------------------------------------------------------------


def run(store: TraceStore, *arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["trace", *arguments, "--traces", str(store.folder)])
    assert done.exit_code == code, (done.output, done.exception)
    return done.output


def test_commands(store: TraceStore, tmp_path: Path) -> None:
    assert "no trace yet" in run(store, "list")
    with store.open("20260101-p") as sink:
        program_trace(sink, scene(), "20260101-p")
    with store.open("20260102-r") as sink:
        react_trace(sink, scene(), "20260102-r")
    listed = run(store, "list")
    assert "20260101-p" in listed and "How many dogs are there?" in listed
    assert [t["id"] for t in json.loads(run(store, "list", "red", "--json"))["traces"]] == ["20260101-p"]
    assert "no such trace" in run(store, "list", "zebra")
    shown = run(store, "show", "20260101")
    for words in ("thought of the controller", "E101 no tool LOCATE", "ANSWER0=COUNT(box=BOX0)", "done cached",
                  "[-three-]{+two+}", "contradicted (97%)", "420 + 37 tokens"):  # fmt: skip
        assert words in shown, words
    assert "call2: failed = E101 no tool LOOK" in run(store, "show", "last")
    assert len(json.loads(run(store, "show", "last", "--json"))["events"]) == 14
    page = tmp_path / "page.html"
    assert str(page) in run(store, "html", "last", "--out", str(page)) and page.read_text("utf-8").startswith(
        "<!doctype html>"
    )
    told = json.loads(run(store, "compare", "20260101", "last", "--json"))
    assert not told["same"] and {"mode", "program", "answer"} <= {c["what"] for c in told["changes"]}
    assert "mode" in run(store, "compare", "20260101", "last")
    spans = tmp_path / "spans.json"
    assert json.loads(run(store, "export", "--out", str(spans), "--json"))["spans"] > 10 and json.loads(
        spans.read_text()
    )
    assert "pairs.jsonl" in run(store, "export", "--as", "train", "--out", str(tmp_path / "train"))
    assert json.loads(run(store, "delete", "last", "--json"))["deleted"] == ["20260102-r"]
    assert "deleted 1 traces" in run(store, "prune", "--max-size", "0K") and not store.list()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "nothing"), "no trace 'nothing'"),
        (("show", "../../etc/passwd"), "is no name of a trace"),
        (("show", "last"), "ask something first"),
        (("prune",), "say what may go"),
        (("prune", "--max-size", "much"), "is no size"),
        (("export", "--as", "csv", "--out", "x"), "none of otel, train"),
    ],
)
def test_errors_are_one_line(store: TraceStore, arguments: tuple[str, ...], message: str) -> None:
    done = CliRunner().invoke(app, ["trace", *arguments, "--traces", str(store.folder)])
    assert (
        isinstance(done.exception, InputError)
        and message in str(done.exception)
        and "\n" not in str(done.exception)
    )


def test_replay_by_command(store: TraceStore, monkeypatch: pytest.MonkeyPatch) -> None:
    image = picture()
    name = ask(store, image, COUNT.format("dog"))
    seen = [DOGS]

    class Again:
        def __init__(self, *_: object) -> None:
            self.engine = Engine(staged((image, seen[0])))

        def __enter__(self) -> Again:
            return self

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr("sightline.agent.agent.Agent", Again)
    assert "all came out as before" in run(store, "replay", name)
    seen[0] = DOGS[1:]
    assert "ANSWER0: value was 2; now 1" in run(store, "replay", name, code=1)
    assert json.loads(run(store, "replay", name, "--json", code=1))["differences"][0]["where"] == "BOX0"


def test_the_terminal_obeys_no_words(store: TraceStore) -> None:
    with store.open("t") as sink:
        program_trace(sink, scene(), "t", question=f"\x1b[2J\x1b]0;owned\x07 [red]{HOSTILE}[/nothing]")
    for command in (("show", "t"), ("list",)):
        told = run(store, *command)
        assert "\x1b[2J" not in told and "\x07" not in told and "[red]" in told


def test_a_page_of_what_the_agent_did(store: TraceStore) -> None:
    trace = store.load(ask(store, picture(), CUT))
    page = render(trace)
    assert 'class="results"' in page and "IMAGE" in page


def test_ask_leaves_a_trace_and_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image as Pictures

    Pictures.fromarray(picture().pixels).save(tmp_path / "dogs.png")
    page, folder = tmp_path / "page.html", tmp_path / "traces"

    def scripted(*_: object, traces: TraceStore, **__: object) -> Agent:
        return Agent(
            ScriptedController({"How many dogs?": COUNT.format("dog")}),
            staged((picture(), DOGS)),
            traces=traces,
        )

    monkeypatch.setattr("sightline.agent.agent.Agent", scripted)
    command = [
        "ask",
        str(tmp_path / "dogs.png"),
        "How many dogs?",
        "--no-verify",
        "--no-cache",
        "--traces",
        str(folder),
    ]
    done = CliRunner().invoke(app, [*command, "--json", "--trace-html", str(page)])
    assert done.exit_code == 0, (done.output, done.exception)
    told = json.loads(done.output)
    with TraceStore(folder) as store:
        assert [row.id for row in store.list()] == [told["trace"]]
        trace = store.load(told["trace"])
    assert trace.status == "done" and trace.answer == told["answer"]
    assert f'"trace":"{told["trace"]}"' in page.read_text("utf-8")
    lost = CliRunner().invoke(app, [*command, "--trace-html", str(tmp_path / "no" / "page.html")])
    assert isinstance(lost.exception, InputError) and "there is no folder" in str(lost.exception)
    assert len([*folder.glob("*.jsonl")]) == 1, "the question was not asked in vain"
