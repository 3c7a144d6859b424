"""The words tower: its spelling, its copy head with and without a cache, padding, training and its place in the answerer."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest
import torch

from sightline.agent.planner_data.stream import planner_examples
from sightline.agent.planner_data.turns import planner_turn
from sightline.errors import InputError, ModelFileError
from sightline.mllm.answerer import Answerer, Question
from sightline.mllm.constrained import Constraint
from sightline.mllm.scenes.schema import Turn
from sightline.mllm.tokenizer import load_tokenizer
from sightline.mllm.training.loop import LoopOptions, train
from sightline.mllm.training.words import (
    WordsStage,
    collate_words,
    copy_places,
    exact_share,
    scene_turn,
    words_loss,
)
from sightline.mllm.training.words_run import export_words, read_words_run, run_words
from sightline.mllm.words import Speller, WordsConfig, WordsForCausalLM
from sightline.mllm.words.tower import WordsTower
from sightline.programs.automaton import ProgramAutomaton
from sightline.programs.checker import checked
from sightline.tools.registry import default_registry

STARTER = Path(__file__).resolve().parent.parent / "mllm" / "weights" / "starter"


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(STARTER)


@pytest.fixture(scope="module")
def tower(tokenizer) -> WordsTower:
    """A small tower whose every weight is random, so that writing and copying both matter."""
    torch.manual_seed(0)
    config = WordsConfig(
        vocab_size=len(tokenizer), hidden_size=64, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=96, copy_size=32,
    )  # fmt: skip
    model = WordsForCausalLM(config)
    model.reset(3)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name != "copying.mix.bias":
                p.add_(torch.randn_like(p) * 0.15)
    return WordsTower(model.eval(), Speller(tokenizer))


def pieces(tokenizer, ids) -> list[str]:
    return [tokenizer.decode([i]) for i in ids]


# Spelling


def test_a_name_has_the_same_tokens_wherever_it_stands(tokenizer) -> None:
    speller = Speller(tokenizer)

    def held(name_ids: list[int], text_ids: list[int]) -> bool:
        n = len(name_ids)
        return any(text_ids[i : i + n] == name_ids for i in range(len(text_ids) - n + 1))

    for name, requests in {
        "deck chair": ("Deck chairs present?", "is there a deck chair here", "Deck chair: yes or no"),
        "blenko": ("how many blenkos are there", "Blenko?"),
        "glass": ("Count the glasses.",),
        "vase": ("Count the vases.",),
        "berry": ("any berries here",),
        "糖葫芦": ("图里有糖葫芦吗？", "糖葫芦在哪里"),
    }.items():
        written = speller.answer(f"BOX0=LOC(image=IMAGE,object='{name}')", lead=False)
        before = len(speller.answer("BOX0=LOC(image=IMAGE,object=' ", lead=False)) - 1
        inside = written[before:-1]
        inside = inside[1:] if tokenizer.decode(inside[:1]) == " " else inside
        for request in requests:
            assert held(inside, speller.request(request)), (name, request, pieces(tokenizer, inside))


def test_an_answer_decodes_to_itself(tokenizer) -> None:
    speller = Speller(tokenizer)
    stream = planner_examples(11)
    for _ in range(150):
        program = next(stream).program
        assert speller.decode(speller.answer(program, lead=False)) == program
    for text in (
        "There are 2 boxes and 3 dresses.",
        "count: 狗 = 2\ntext: sign = STOP",
        "classes does this us",
    ):
        assert speller.decode(speller.answer(text, lead=True)).strip() == text


def test_a_name_in_an_expression_has_the_tokens_of_the_request(tokenizer) -> None:
    speller = Speller(tokenizer)
    text = "ANSWER2=EVAL(expr=\"'tarvish lamp' if {ANSWER0} > {ANSWER1} else 'blenko'\")"
    written = speller.answer(text, lead=False)
    assert speller.decode(written) == text
    for name in ("tarvish lamp", "blenko"):
        tokens = speller.request(name)
        assert any(tokens == written[i : i + len(tokens)] for i in range(len(written)))
    yes = speller.answer("ANSWER1=EVAL(expr=\"'yes' if {ANSWER0} > 0 else 'no'\")", lead=False)
    assert tokenizer.convert_tokens_to_ids("yes") in yes


def test_copy_places_prefer_the_longest_run() -> None:
    prompt = [9, 20, 21, 30, 20, 22, 23]
    #      20 alone fits two places, 20 22 only one; 50 nowhere; 30 is common and stands alone
    assert copy_places(prompt, [20, 22, 50, 20, 30], frozenset({30}), range(60)) == [
        [4],
        [5],
        [],
        [1, 4],
        None,
    ]
    twins = [*range(23), 40, *range(24, 60)]  # 40 is 23 without its space
    assert copy_places(prompt, [40], frozenset(), twins) == [[6]]


# The model


def test_probabilities_sum_to_one_and_training_sees_the_same(tokenizer, tower) -> None:
    stage = WordsStage(tower.model, tokenizer, 1, [(1.0, planner_turn)])
    rng = Random(5)
    samples = [stage.encode(planner_turn(rng)) for _ in range(3)]
    batch = collate_words(samples, 1)
    with torch.no_grad():
        _, parts = words_loss(tower.model, batch, 0.3, 0.1)
        logs = []
        for sample in samples:
            out = tower.model(torch.tensor([sample.ids])).logits[0]
            assert torch.allclose(out.exp().sum(-1), torch.ones(len(out)), atol=1e-4)
            at = torch.arange(sample.answer_at - 1, len(sample.ids) - 1)
            logs.append(out[at, torch.tensor(sample.ids)[at + 1]])
    assert parts["answer"] == pytest.approx(-float(torch.cat(logs).mean()), abs=1e-4)


def test_cached_is_uncached_and_batched_is_single(tower) -> None:
    texts = ["Are there any deck chairs next to the tarvish lamp?", "count dogs", "图里有几只糖葫芦？"]
    free = {"plan": True, "max_new_tokens": 24}
    together = tower.write_ids(texts, [True] * 3, batch=3, max_new_tokens=24)
    assert together == tower.write_ids(texts, [True] * 3, batch=1, max_new_tokens=24)
    assert together == tower.write_ids(texts, [True] * 3, batch=3, max_new_tokens=24, use_cache=False)
    assert tower.write(texts, **free) == tower.write(texts, **free, num_beams=1)
    assert len(tower.write(texts, **free, num_beams=3)) == 3
    prompt = tower.prompt(texts[0], True)
    ids = torch.tensor([prompt + together[0]])
    end = len(prompt)
    with torch.no_grad():
        whole = tower.model(ids).logits
        cache, steps = None, []
        for part in (ids[:, :end], ids[:, end : end + 1], ids[:, end + 1 :]):
            seen = 0 if cache is None else cache.get_seq_length()
            mask = torch.ones(1, seen + part.shape[1], dtype=torch.long)
            out = tower.model(part, attention_mask=mask, past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            steps.append(out.logits)
    assert torch.allclose(whole, torch.cat(steps, 1), atol=1e-4)
    last = tower.model(ids, logits_to_keep=1).logits
    assert torch.allclose(last, whole[:, -1:], atol=1e-5)


def test_a_prompt_is_read_both_ways_and_an_answer_one_way(tower) -> None:
    prompt = tower.prompt("count the red dogs", True)
    ids = torch.tensor([prompt + prompt[1:4]])
    changed = ids.clone()
    changed[0, len(prompt) - 3] = prompt[1]
    last = ids.clone()
    last[0, -1] = prompt[2]
    with torch.no_grad():
        before, after, later = (tower.model(x).logits for x in (ids, changed, last))
    assert not torch.allclose(
        before[0, 1], after[0, 1], atol=1e-4
    )  # a word sees what follows it in the prompt
    assert torch.allclose(
        before[0, :-1], later[0, :-1], atol=1e-5
    )  # no token sees the answer that is to come


def test_marks_of_the_prompt_are_never_copied(tower) -> None:
    ids = torch.tensor([tower.prompt("count dogs", True)])
    with torch.no_grad():
        states = tower.model.states(
            ids, torch.arange(1, ids.shape[1] + 1)[None], torch.ones(1, 1, 1, ids.shape[1]).bool()
        )
        from sightline.mllm.words.copying import history

        places = history(ids)
        look = torch.ones(1, ids.shape[1], ids.shape[1]).tril().bool()
        attention, _, _ = tower.model.copying.attend(
            states, places, tower.model.copying.key(states), places, look
        )
    marks = ids[0] < 9
    assert float(attention[0, -1][marks].exp().max()) < 1e-6
    assert float(attention[0, -1].exp().sum()) == pytest.approx(1.0, abs=1e-4)


def test_every_program_is_well_formed_under_the_grammar(tokenizer, tower) -> None:
    constraint = Constraint(tokenizer, ProgramAutomaton(default_registry(), None))
    texts = ["how many blenkos are there", "红色的算盘在哪里"]
    for program in tower.write(
        texts, plan=True, max_new_tokens=90, logits_processor=[constraint.processor(90)]
    ):
        checked(program, default_registry())


def test_save_and_load(tower, tokenizer, tmp_path) -> None:
    tower.model.save_pretrained(tmp_path / "words")
    again = WordsTower.load(tmp_path / "words", tokenizer)
    text = ["where is the garden gnome"]
    assert again.write(text, plan=True, max_new_tokens=12) == tower.write(text, plan=True, max_new_tokens=12)
    with pytest.raises(ModelFileError, match=r"model\.safetensors is missing|config\.json is missing"):
        WordsTower.load(tmp_path, tokenizer)
    (tmp_path / "words" / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(ModelFileError, match="does not load as a words tower"):
        WordsTower.load(tmp_path / "words", tokenizer)


def test_the_answerer_sends_words_to_the_tower(tokenizer, tower) -> None:
    model = SimpleNamespace(eval=lambda: None)
    answerer = Answerer(model, SimpleNamespace(tokenizer=tokenizer), tower)  # type: ignore[arg-type]
    replies = answerer.ask(
        [Question("count dogs", mode="plan"), Question("A: 1. So?", mode="answer")], max_new_tokens=9
    )
    assert [r.text for r in replies] == [
        tower.write(["count dogs"], plan=True, max_new_tokens=9)[0],
        tower.write(["A: 1. So?"], plan=False, max_new_tokens=9)[0],
    ]


# Training


def _word_turn(rng: Random) -> Turn:
    """A request whose answer is a word of it that can only be copied."""
    word = "".join(rng.choice("bdfgklmnprstv") + rng.choice("aeiou") for _ in range(3))
    other = "".join(rng.choice("bdfgklmnprstv") + rng.choice("aeiou") for _ in range(3))
    return Turn("plan", f"not {other} but {word}", f"LOC(object='{word}')", words_only=True)


def _tiny(tokenizer) -> WordsForCausalLM:
    model = WordsForCausalLM(
        WordsConfig(
            vocab_size=len(tokenizer), hidden_size=64, num_hidden_layers=2, num_attention_heads=2,
            intermediate_size=128, copy_size=32,
        )
    )  # fmt: skip
    model.reset(1)
    return model


def test_a_tiny_training_learns_to_copy(tokenizer, tmp_path) -> None:
    model = _tiny(tokenizer)
    stage = WordsStage(model, tokenizer, 1, [(1.0, _word_turn)], batch=32, parts=1)
    options = LoopOptions(steps=90, warmup=5, cooldown=30, save_every=1000, log_every=90)
    train(model, stage, options, tmp_path, say=lambda line: None)
    rng = Random("held out")
    assert exact_share(stage.tower, [_word_turn(rng) for _ in range(20)]) >= 0.8


def test_a_run_resumes_exactly_and_is_exported(tokenizer, tmp_path, monkeypatch) -> None:
    def config(folder: str, steps: int) -> Path:
        values = {
            "output": str(tmp_path / folder), "export": str(tmp_path / folder / "tower"), "tokenizer": str(STARTER),
            "batch": 6, "parts": 2, "precision": "float32",
            "texts": {"sightline.agent.planner_data.turns:planner_turn": 0.7}, "tasks": {"compose": 0.3},
            "probes": {"seen": "sightline.agent.planner_data.turns:seen_turn"}, "probe_count": 2,
            "model": {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 32},
            "loop": {"steps": steps, "warmup": 1, "cooldown": 1, "floor": 1.0, "log_every": 1, "probe_every": 4},
        }  # fmt: skip
        path = tmp_path / f"{folder}.yaml"
        path.write_text(json.dumps(values), encoding="utf-8")
        return path

    said: list[str] = []
    run_words(read_words_run(config("whole", 4)), said.append)
    run_words(read_words_run(config("cut", 2)), said.append)
    run_words(read_words_run(config("cut", 4)), said.append)
    whole, cut = (
        [json.loads(line) for line in (tmp_path / f / "metrics.jsonl").read_text().splitlines()]
        for f in ("whole", "cut")
    )
    assert [row["loss"] for row in whole if "loss" in row] == [row["loss"] for row in cut if "loss" in row]
    assert any("tokens/s" in line and "min left" in line for line in said)
    assert any(line.startswith("probe at 4: seen") for line in said)
    tower = WordsTower.load(tmp_path / "cut" / "tower", tokenizer)
    assert tower.write(["count dogs"], plan=True, max_new_tokens=5)
    other = read_words_run(config("cut", 4))
    other.model["hidden_size"] = 64
    with pytest.raises(ModelFileError, match="another shape"):
        export_words(other, tmp_path / "other")


def test_a_wrong_config_is_one_clear_line(tmp_path) -> None:
    path = tmp_path / "run.yaml"
    for text, said in (
        ("output: a\ntokenizer: b\nbatchh: 3", "did you mean 'batch'"),
        ("output: a", "`tokenizer`, a folder, is missing"),
        ("output: a\ntokenizer: b\ntasks: {dance: 1.0}", "no task 'dance'"),
        ("output: a\ntokenizer: b\nloop: {stepz: 1}", "loop has no option 'stepz'"),
        ("output: a\ntokenizer: b", "nothing to learn from"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=said):
            read_words_run(path)
    with pytest.raises(InputError, match="no config file"):
        read_words_run(tmp_path / "none.yaml")


def test_scene_turns_are_of_words_only() -> None:
    rng = Random(2)
    for task in ("claims", "compose", "subquestion"):
        for _ in range(5):
            turn = scene_turn(task)(rng)
            assert turn.words_only and turn.task == task and "<box" not in turn.answer
