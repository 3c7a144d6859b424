"""What each part is worth: arms of the ablation, forced rationales, demonstrations, masks as regions, questions asked together."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tiny_starter import tiny_starter  # noqa: E402

from sightline.errors import InputError, ModelFileError  # noqa: E402
from sightline.mllm.answerer import Answerer, Demonstration, Question  # noqa: E402
from sightline.mllm.cutoff import CutOff, Cutoff, cutting_off  # noqa: E402
from sightline.mllm.evaluation import demonstrations, rationales, regions, stock  # noqa: E402
from sightline.mllm.evaluation.scenes import make_items  # noqa: E402
from sightline.mllm.regions import mask_box, region_of_mask  # noqa: E402
from sightline.mllm.scenes.render import render  # noqa: E402
from sightline.mllm.scenes.schema import Scene, SceneObject, Turn  # noqa: E402
from sightline.mllm.scenes.world import make_scene  # noqa: E402
from sightline.mllm.starter import StarterForConditionalGeneration, together  # noqa: E402
from sightline.mllm.starter.config import EOS  # noqa: E402
from sightline.mllm.stock.config import DataSection, load_config  # noqa: E402
from sightline.mllm.training import ablate, grid  # noqa: E402
from sightline.mllm.training.export import load_eyes  # noqa: E402
from sightline.mllm.training.stages import read_config, run_stage, starter_config  # noqa: E402

CONFIGS = Path(__file__).parents[1] / "mllm" / "configs"
SHAPE = {
    "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 96, "max_objects": 12,
    "match_after": [0, 1], "trunk_channels": [8, 12, 16, 16], "image_size": 64,
}  # fmt: skip


@pytest.fixture(scope="module")
def answerer() -> Answerer:
    texts = ["Is there a dog in the picture? yes", "left right red blue"] * 30
    return tiny_starter(texts, 420, SHAPE)


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    return [render(make_scene(i)).image for i in (4, 6, 21, 22, 23)]


def test_questions_on_one_picture_together_are_answered_as_apart(
    answerer: Answerer, images: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = answerer.look(images[:2])
    box = (10.0, 10.0, 60.0, 60.0)
    asked = [
        Question("Is there a dog in the picture?", (one,)),
        Question("What is at <region>, left or right?", (one,), box),
        Question("red?", (one,), mode="answer"),
        Question("blue", (one,), (0.0, 0.0, 9.0, 9.0)),
    ]
    plain = [r.ids for r in answerer.ask(asked, max_new_tokens=12, do_sample=False)]
    assert [r.ids for r in answerer.ask(asked, max_new_tokens=12)] == plain
    # Rows that end at different steps: any token may be taken for the last one.
    monkeypatch.setattr(together, "EOS", plain[1][2])
    ended = [r.ids for r in answerer.ask(asked, max_new_tokens=12)]
    cut = [ids[: ids.index(plain[1][2])] if plain[1][2] in ids else ids for ids in plain]
    assert ended == cut and len(ended[1]) < 12
    both = [Question(q.text, (one, two), q.region) for q in asked]
    monkeypatch.setattr(together, "EOS", EOS)
    assert [r.ids for r in answerer.ask(both, max_new_tokens=8)] == [
        answerer.ask([q], max_new_tokens=8)[0].ids for q in both
    ]
    with cutting_off(Cutoff(until=0.0)), pytest.raises(CutOff):
        answerer.ask(asked, max_new_tokens=12)


def test_a_thought_that_is_given_is_answered_after(answerer: Answerer, images: list[np.ndarray]) -> None:
    (seen,) = answerer.look(images[:1])
    question = Question("Is there a dog in the picture?", (seen,), thought="<obj0> left")
    assert answerer.prompt(question).endswith("<assistant><think><obj0> left<answer>")
    reply = answerer.ask([question], max_new_tokens=6)[0]
    assert reply.thought == "" and reply.ids
    assert answerer.prompt(Question("Dog?", (seen,), thought="")).endswith("<think><answer>")


def test_demonstrations_stand_before_the_question(answerer: Answerer, images: list[np.ndarray]) -> None:
    seen = answerer.look(images)
    shown = (Demonstration("Dog?", "yes", (seen[1],)), Demonstration("Cat?", "没有"))
    question = Question("Cow?", (seen[0],), mode="answer", demonstrations=shown)
    assert answerer.prompt(question) == (
        "<image><user>Dog?<assistant><answer> yes<eos><user>Cat?<assistant><answer>没有<eos>"
        "<image><user>Cow?<assistant><answer>"
    )
    assert question.shown == (seen[1], seen[0])
    alone, plain = Question("Cow?", (seen[0],), mode="answer"), [question, question]
    assert answerer.ask([question, alone], max_new_tokens=8) == [
        answerer.ask([q], max_new_tokens=8)[0] for q in (question, alone)
    ]
    assert len(answerer.ask(plain, max_new_tokens=4)) == 2
    many = tuple(Demonstration("Dog?", "no", (s,)) for s in seen[:4])
    with pytest.raises(InputError, match="takes 4 in a prompt"):
        answerer.ask([Question("Cow?", (seen[4],), demonstrations=many)])
    with pytest.raises(InputError, match="demonstration"):
        answerer.ask([Question("Cow?", (seen[0],), demonstrations=(Demonstration("At <region>?", "no"),))])


def test_a_mask_speaks_of_the_thing_it_lies_on(answerer: Answerer, images: list[np.ndarray]) -> None:
    big, small = (10.0, 10.0, 90.0, 90.0), (30.0, 30.0, 50.0, 50.0)
    whole, dot, line, away = (np.zeros((100, 120), bool) for _ in range(4))
    whole[12:88, 12:88] = True
    dot[38:42, 36:44] = True
    line[60:63, 5:60] = True  # begins outside
    away[95:98, 100:118] = True
    assert region_of_mask(whole, [big, small]) == big
    assert region_of_mask(dot, [big, small]) == small
    assert region_of_mask(line, [big, small]) == big
    assert region_of_mask(away, [big, small]) == (100.0, 95.0, 118.0, 98.0) == mask_box(away)
    assert region_of_mask(dot, [(200.0, 0.0, 300.0, 9.0)]) == mask_box(dot)
    with pytest.raises(InputError, match="empty"):
        mask_box(np.zeros((4, 4)))
    with pytest.raises(InputError, match="shape"):
        mask_box(np.zeros((4, 4, 3)))
    (seen,) = answerer.look(images[:1])
    mask = np.zeros(seen.size[::-1], bool)
    mask[20:40, 20:50] = True
    replies = answerer.ask(
        [Question("What is at <region>?", (seen,), m) for m in (mask, seen.region(mask))], max_new_tokens=6
    )
    assert replies[0].ids == replies[1].ids
    with pytest.raises(InputError, match="the picture"):
        answerer.describe(seen, mask[:-1])
    given = answerer.processor(images=images[:1], text="<image><user>At <region>?", regions=[[mask]])
    assert torch.allclose(given["region_boxes"], torch.tensor([[20.0, 20.0, 50.0, 40.0]]) / max(seen.size))


def test_swapping_a_rationale_changes_what_holds_and_not_what_it_points_at() -> None:
    assert rationales.swapped("<obj3>;<obj0> right above smaller") == "<obj3>;<obj0> left below larger"
    assert rationales.swapped("<obj1><obj4> 2<obj0> 1 more") == "<obj1><obj4> 3<obj0> 2 fewer"
    assert rationales.swapped("<obj12>左下小") == "<obj12>右上大"
    assert rationales.swapped("<obj2> red<obj5> yes") == "<obj2> orange<obj5> no"
    assert rationales.swapped("<obj1> same") == "<obj1> same"


def test_rationales_are_forced_in_every_way(answerer: Answerer) -> None:
    items = [i for i in make_items(3, 40, tasks=("existence", "relation")) if i.turn.rationale is not None]
    result = rationales.evaluate(answerer, items[:8])
    assert result["n"] == 8 and set(result["tasks"]) == {*(i.turn.task for i in items[:8]), "all"}
    every = result["tasks"]["all"]
    assert every["own"]["kept"] == 1.0 and every["none"]["n"] == 8
    assert "| all |" in rationales.table(result)


def test_demonstrations_show_both_answers_and_controls_break_them(answerer: Answerer) -> None:
    made = demonstrations.prompts("side", answerer, 0, 4)
    kinds = {(kind, count) for kind, count, *_ in made}
    assert kinds == {("right", c) for c in (0, 1, 2, 4)} | {
        (k, c) for k in demonstrations.CONTROLS for c in (1, 2, 4)
    }
    for kind, count, _order, question, answer in made:
        said = [d.answer for d in question.demonstrations]
        assert len(said) == count and len(question.shown) <= 3 and answer in ("left", "right")
        if kind != "incoherent" and count == 2:
            assert set(said) == {"left", "right"}
    orders = [q for kind, count, _, q, _ in made if (kind, count) == ("right", 4)][:3]
    assert len({tuple(d.text for d in q.demonstrations) for q in orders}) == 3
    result = demonstrations.evaluate(answerer, ["relabel"], 1, 3)
    assert len(result["tasks"]["relabel"]["right/4"]["orders"]) == 3
    assert 0.0 <= result["tasks"]["relabel"]["right/0"]["choice"] <= 1.0
    assert "| relabel |" in demonstrations.table(result)
    shown = [Demonstration("blick a, b", "b"), Demonstration("blick c, d", "d")]
    assert [d.answer for d in demonstrations.broken(shown, "shuffled", {"b": "a", "d": "c"}, Random(1))] == [
        "a",
        "c",
    ]


def test_regions_are_marked_in_six_ways(answerer: Answerer) -> None:
    figures = regions.evaluate(answerer, 2, 3)
    assert set(figures) == set(regions.WAYS) and all(f["n"] == 3 for f in figures.values())
    mask = np.zeros((40, 40), bool)
    mask[5:30, 8:12] = True
    assert regions.stroke(mask, Random(1)).any()


def test_a_stock_model_is_held_against_guessing() -> None:
    section = stock.scenes_of(load_config(CONFIGS / "stock-scenes-query.yaml"))
    assert (
        section.curriculum == 0.0
        and stock.scenes_of(load_config(CONFIGS / "stock-scenes-tiles.yaml")) == section
    )
    asked = stock.questions_of(section, 1, 12)
    assert {t.task for t, _ in asked} <= set(section.tasks or [])
    truth = {(t.question, id(image)): t.answer for t, image in asked}
    figures = stock.evaluate(lambda q, image: truth.get((q, id(image)), "no idea"), asked)
    assert figures["all"]["accuracy"] == 1.0 and figures["all"]["blind"] < 1.0 and figures["all"]["n"] == 12
    assert DataSection("x").curriculum == 1.0
    with pytest.raises(InputError, match="no scenes"):
        stock.scenes_of(load_config(CONFIGS / "stock-siglip-qwen.yaml"))


@pytest.fixture
def base(answerer: Answerer, tmp_path: Path) -> Path:
    """A config of an ablation whose runs take a second."""
    answerer.processor.tokenizer.save_pretrained(tmp_path / "words")
    c = answerer.model.config
    shape = {**SHAPE, "pointer_start": c.pointer_start, "reading_start": c.reading_start}
    path = tmp_path / "base.yaml"
    path.write_text(
        f"output: unused\ntokenizer: {tmp_path}/words\nvocabulary: 420\nbatch: 2\nturns: 6\nprobe_scenes: 2\n"
        f"pair_share: 0.0\ntasks: {{existence: 1.0, color: 1.0}}\nmodel: {shape}\n"
    )
    return path


def test_arms_say_what_they_get_from_pixels(base: Path, tmp_path: Path) -> None:
    items = make_items(0, 6, tasks=("existence", "color"))
    lines: list[str] = []
    figures = ablate.run_arm(base, None, 12, tmp_path / "run", lines.append, items)
    assert any(line.startswith("perception:") for line in lines)  # without eyes of its own it learns to see
    assert {"pixels/existence", "at_once/color", "answer/color"} <= figures.keys()
    again = ablate.run_arm(base, None, 12, tmp_path / "run", lines.append, items)
    assert again == figures
    none = ablate.run_arm(
        base, CONFIGS / "ablations" / "no-instruct.yaml", 12, tmp_path / "none", lines.append
    )
    assert none["turns"] == 0 and not (tmp_path / "none" / "state.safetensors").exists()
    shown = ablate.table_of_pixels({"as it is": figures}, items)
    assert (
        shown.splitlines()[0].startswith("| arm | color | existence | mean") and "commonest answer" in shown
    )
    json.loads((tmp_path / "run" / "figures.json").read_text())


def test_a_grid_stands_in_for_objects(base: Path, tmp_path: Path) -> None:
    values = read_config(base)
    shape = {**values.model, "max_objects": 48, "max_pictures": 1}
    change = tmp_path / "grid.yaml"
    change.write_text(f"grid: true\nmodel: {shape}\n")
    items = make_items(0, 4, tasks=("existence", "color"))
    figures = ablate.run_arm(base, change, 12, tmp_path / "grid", lambda _: None, items)
    assert "pixels/existence" in figures
    model = grid.GridStarter(starter_config(read_config(base, change)))
    model.reset(1)
    thing = SceneObject("dog", "animal", "red", "small", (100.0, 4.0, 120.0, 20.0))
    slots = grid.GridEye(model).look(Scene(1, 128, 128, (thing, thing)), Random(1))
    assert [i for i, o in enumerate(slots.of) if o >= 0] == [6] and slots.of[6] == 0  # row 0, column 6 of 8
    with pytest.raises(InputError, match="max_objects 48"):
        grid.GridStarter(starter_config(values))
    change.write_text(f"grid: true\npair_share: 0.5\nmodel: {shape}\n")
    with pytest.raises(InputError, match="pair_share"):
        ablate.run_arm(base, change, 12, tmp_path / "pairs", lambda _: None)
    with pytest.raises(InputError, match="ablate"):
        run_stage("instruct", read_config(base, change))


def test_eyes_come_out_of_a_finished_starter(answerer: Answerer, tmp_path: Path) -> None:
    answerer.model.save_pretrained(tmp_path / "model")
    other = StarterForConditionalGeneration(answerer.model.config)
    other.reset(9)
    words = other.language.embedding.weight.clone()
    assert "model" in load_eyes(other, tmp_path / "model")
    assert torch.equal(other.perception.kind.weight, answerer.model.perception.kind.weight)
    assert torch.equal(other.language.embedding.weight, words)
    (tmp_path / "model" / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(ModelFileError, match="damaged"):
        load_eyes(other, tmp_path / "model")


def test_the_commonest_answer_is_counted_by_language() -> None:
    turns = [
        Turn("count", "?", a, language=lang)
        for a, lang in (("1", "en"), ("1", "en"), ("2", "en"), ("3", "zh"))
    ]
    items = [type("I", (), {"turn": t})() for t in turns]
    assert ablate.majority(items) == {"count": 0.75}  # type: ignore[arg-type]
