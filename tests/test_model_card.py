"""The model card keeps its prose and takes its figures from the evaluations' files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from sightline.mllm import card

PERCEPTION = {
    "recall": 0.9, "precision": 0.8, "iou": 0.7, "kind": 0.6, "color": 0.5, "size": 0.4, "read": 0.3, "objects": 9,
    "words": 2, "scenes": 3,
}  # fmt: skip
SCENES = {
    "tasks": {"count": {"accuracy": 0.91, "ci": [0.85, 0.95], "majority": 0.2, "blind": None, "n": 40}},
    "phrasing": "test", "mode": "think", "seed": 4, "n": 40, "ms_per_answer": 12.0,
}  # fmt: skip
FIGURES = {
    "n": 5, "exact": 0.4, "execution": 0.6, "ci": [0.2, 0.9], "worded_freely": 0.8, "well_formed": 1.0,
}  # fmt: skip
PLANNER = {"seed": 7, "scenes": 6, "splits": {"test_seen": {"all": FIGURES, "zh": FIGURES}}}


@pytest.fixture
def starter(tmp_path: Path) -> Path:
    folder = tmp_path / "starter"
    folder.mkdir()
    tensors = {"language.a": np.zeros((1000, 30), np.float16), "perception.bn.running_mean": np.zeros(9)}
    save_file(tensors, folder / "model.safetensors")
    config = {"image_size": 128, "max_objects": 12, "num_hidden_layers": 5, "hidden_size": 256}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def written(folder: Path, **results: object) -> list[str]:
    paths = []
    for name, result in results.items():
        path = folder.parent / f"{name}.json"
        path.write_text(result if isinstance(result, str) else json.dumps(result))
        paths.append(str(path))
    return ["--model", str(folder), *paths]


def test_a_card_is_made_and_its_figures_are_replaced_in_place(starter: Path) -> None:
    assert card.main(written(starter, a=PERCEPTION, b=SCENES, c=PLANNER)) == 0
    path = starter / "README.md"
    first = path.read_text(encoding="utf-8")
    assert "0.03 M parameters (language 0.03 M)" in first and "(5 layers of 256" in first
    assert "| count | 0.910 | 0.850 - 0.950 | 0.200 | - | 40 |" in first
    assert "| test_seen | zh | 5 | 0.400 | 0.600 | 0.200 - 0.900 | 0.800 | 1.00 |" in first
    path.write_text(
        first.replace("## Use", "## Prose of a person\n\n## Use") + "\nLast words.\n", encoding="utf-8"
    )
    assert card.main(written(starter, a={**PERCEPTION, "recall": 0.95})) == 0
    second = path.read_text(encoding="utf-8")
    assert "## Prose of a person" in second and second.endswith("Last words.\n")
    assert "| 0.950 | 0.800 |" in second and "| 0.900 | 0.800 |" not in second
    assert second.count("<!-- measured: perception -->") == 1 and "| count | 0.910 |" in second


@pytest.mark.parametrize(
    ("result", "told"),
    [("{", "cannot be read as JSON"), ("[]", "no JSON object"), ({"x": 1}, "no result of"), ({**SCENES, "tasks": {"a": {}}}, "lacks")],
)  # fmt: skip
def test_a_file_that_is_no_evaluation_is_one_line_and_leaves_the_card(
    starter: Path, capsys: pytest.CaptureFixture[str], result: object, told: str
) -> None:
    assert card.main(written(starter, bad=result)) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and told in error
    assert not (starter / "README.md").exists()


def test_the_shipped_card_holds_every_block() -> None:
    text = (Path(card.__file__).parent / "weights" / "starter" / "README.md").read_text(encoding="utf-8")
    for name in (
        "weights",
        "scenes train think",
        "scenes test think",
        "scenes train answer",
        "perception",
        "planner",
    ):
        assert text.count(f"<!-- measured: {name} -->") == 1, name
    assert text.count("<!-- measured") == text.count("<!-- end -->")
