"""Our own detector: its measure against pycocotools, its training, what ships, and what its scores are worth."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sightline.errors import InputError, ModelFileError
from sightline.tools.calibration import Calibration, Curve
from sightline.tools.detection import pictures as pictures_module
from sightline.tools.detection.evaluate import calibrate, report
from sightline.tools.detection.metrics import Found, Truth, mean_ap, pool, score_kinds
from sightline.tools.detection.scenes import KINDS, draw, truth_of
from sightline.tools.detection.train import RunConfig, read_config
from sightline.tools.models import Models
from sightline.tools.values import Image


def random_case(rng: np.random.Generator, pictures: int, kinds: int) -> tuple[list[Found], list[Truth]]:
    """Truths, some of them crowds, and detections near them, doubled, missed and made up."""
    found, truths = [], []
    for _ in range(pictures):
        n = int(rng.integers(0, 7))
        low = rng.uniform(0, 70, (n, 2))
        boxes = np.hstack([low, low + rng.uniform(5, 30, (n, 2))])
        what = rng.integers(0, kinds, n)
        crowd = rng.random(n) < 0.15
        truths.append(Truth(boxes, what, crowd, crowd))
        near = np.repeat(boxes, 2, axis=0) + rng.normal(0, 2.5, (2 * n, 4))
        names = np.where(rng.random(2 * n) < 0.8, np.repeat(what, 2), rng.integers(0, kinds, 2 * n))
        wild = rng.uniform(0, 60, (3, 2))
        every = np.vstack([near, np.hstack([wild, wild + 15])])
        every[:, 2:] = np.maximum(every[:, 2:], every[:, :2] + 1)
        found.append(
            Found(
                every,
                np.append(names, rng.integers(0, kinds, 3)),
                rng.permutation(len(every)) / 50 + rng.random() / 100,
            )
        )
    return found, truths


def test_average_precision_is_that_of_pycocotools() -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="needs pycocotools: pip install 'sightline[dev]'")
    from pycocotools.cocoeval import COCOeval

    found, truths = random_case(np.random.default_rng(5), 60, 4)
    images = [{"id": i + 1} for i in range(len(truths))]
    notes, results = [], []
    for i, (one, truth) in enumerate(zip(found, truths, strict=True)):
        for box, kind, crowd in zip(truth.boxes, truth.kinds, truth.crowd, strict=True):
            size = box[2:] - box[:2]
            notes.append({"id": len(notes) + 1, "image_id": i + 1, "category_id": int(kind) + 1, "iscrowd": int(crowd),
                          "bbox": [*box[:2].tolist(), *size.tolist()], "area": float(size.prod())})  # fmt: skip
        for box, kind, score in zip(one.boxes, one.kinds, one.scores, strict=True):
            results.append({"image_id": i + 1, "category_id": int(kind) + 1, "score": float(score),
                            "bbox": [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()]})  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        truth_set = coco.COCO()
        truth_set.dataset = {
            "images": images,
            "annotations": notes,
            "categories": [{"id": k + 1} for k in range(4)],
        }
        truth_set.createIndex()
        judge = COCOeval(truth_set, truth_set.loadRes(results), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    ours = score_kinds(found, truths, 4)
    assert mean_ap(ours) == pytest.approx((judge.stats[1], judge.stats[0]), abs=1e-9)
    theirs = judge.eval["precision"][:, :, :, 0, 2].mean(axis=1)  # [T, K]
    assert np.stack([s.ap() for s in ours], axis=1) == pytest.approx(theirs, abs=1e-9)


def test_recall_where_nine_in_ten_are_right() -> None:
    truth = Truth(np.array([[i * 20, 0, i * 20 + 10, 10] for i in range(4)], float), np.zeros(4, int),
                  np.zeros(4, bool), np.zeros(4, bool))  # fmt: skip
    boxes = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [500, 0, 510, 10], [40, 0, 50, 10]], float)
    (scored,) = score_kinds([Found(boxes, np.zeros(4, int), np.array([0.9, 0.8, 0.7, 0.6]))], [truth], 1)
    assert scored.recall_at(0.9) == 0.5 and scored.recall_at(0.7) == 0.75
    assert pool([scored, scored]).total == 8
    (nothing,) = score_kinds([Found(boxes[:0], np.zeros(0, int), np.zeros(0))], [truth], 1)
    assert nothing.recall_at(0.9) == 0.0 and nothing.ap()[0] == 0.0


def test_classes_that_nobody_looked_for_count_neither_way() -> None:
    truth = Truth(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0, bool), np.zeros(0, bool), frozenset({0}))
    found = Found(np.array([[0, 0, 9, 9]], float), np.zeros(1, int), np.ones(1))
    (scored,) = score_kinds([found], [truth], 1)
    assert not scored.counts.any() and scored.total == 0


def oracle(count: int) -> tuple[pictures_module.Pictures, list[Found]]:
    shown = pictures_module.scenes(3, count)
    found = [
        Found(t.boxes, t.kinds, np.linspace(0.6, 0.9, len(t.kinds)) if len(t.kinds) else np.zeros(0))
        for t in shown.truths
    ]
    return shown, found


def test_a_perfect_detector_gets_full_marks() -> None:
    shown, found = oracle(12)
    figures = report(shown, found, set(range(len(KINDS))), 0.5)
    assert figures["map50"] == figures["map50_95"] == figures["count_exact"] == figures["kinds_exact"] == 1
    assert figures["recall"] == figures["precision"] == 1 and figures["objects"] == sum(
        len(f.kinds) for f in found
    )
    half = report(shown, found, set(), 0.5)
    assert half["map50_all"] == 0 and half["classes"] == 0 and half["map50"] is None


def test_calibration_is_read_as_it_was_written(tmp_path: Path) -> None:
    shown, found = oracle(12)
    made = calibrate(shown, found, {kind: i for i, kind in enumerate(KINDS)}, 0.5)
    (tmp_path / "c.json").write_text(json.dumps(made.to_json()))
    again = Calibration.load(tmp_path / "c.json")
    assert again == made and again.used == 0.5
    assert again.recall("dog") == 1.0 and again.precision("dog") == 1.0 and again.is_pooled("dog")
    assert again.recall("dog", 0.95) < 1.0 and again.recall("unicorn") is None and again.count("unicorn") == 0
    (tmp_path / "bad.json").write_text('{"thresholds": [0.5], "pooled": 3}')
    with pytest.raises(ModelFileError, match="no calibration file"):
        Calibration.load(tmp_path / "bad.json")


def test_a_class_with_examples_has_its_own_curve() -> None:
    pooled, own = Curve(99, (0.5, 0.6), (0.9, 0.7)), Curve(20, (0.8, 0.9), (0.6, 0.4))
    made = Calibration((0.2, 0.5), pooled, {"cat": own, "owl": Curve(3, (1.0, 1.0), (1.0, 1.0))}, 0.2)
    assert (made.recall("cat"), made.precision("cat")) == (0.6, 0.8)
    assert (made.recall("owl"), made.precision("owl")) == (0.9, 0.5)
    # between two thresholds: the recall of the next, the precision of the last
    assert (made.recall("cat", 0.3), made.precision("cat", 0.3)) == (0.4, 0.8)
    assert made.recall("cat", 0.6) == 0.0


def test_a_pack_names_its_calibration(tmp_path: Path) -> None:
    shown, found = oracle(4)
    made = calibrate(shown, found, {kind: i for i, kind in enumerate(KINDS)}, 0.5)
    (tmp_path / "c.json").write_text(json.dumps(made.to_json()))
    pack = tmp_path / "mine.yaml"
    pack.write_text("roles: {segmenter: {backend: grabcut, calibration: c.json}, ocr: {backend: rapidocr}}")
    models = Models.from_pack(pack)
    assert models.calibration("segmenter") == made
    assert models.calibration("ocr") is None and models.calibration("depth") is None


def test_folders_in_cocos_form_and_what_is_not_one(tmp_path: Path) -> None:
    import PIL.Image

    PIL.Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    data = {
        "images": [{"id": 7, "file_name": "a.png"}],
        "categories": [{"id": 3, "name": "sofa"}],
        "annotations": [{"image_id": 7, "category_id": 3, "bbox": [1, 2, 10, 20], "iscrowd": 0}],
    }
    (tmp_path / "instances.json").write_text(json.dumps(data))
    shown = pictures_module.folder(tmp_path)
    assert shown.classes == ("sofa",) and shown.truths[0].boxes.tolist() == [[1, 2, 11, 22]]
    assert pictures_module.same_names(("couch", "cat"), shown.classes) == {"couch": 0}
    data["images"][0]["file_name"] = "../a.png"
    (tmp_path / "instances.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match="not in the folder"):
        pictures_module.folder(tmp_path)
    (tmp_path / "instances.json").write_text("[]")
    with pytest.raises(InputError, match="COCO's form"):
        pictures_module.folder(tmp_path)
    with pytest.raises(InputError, match=r"no instances\.json"):
        pictures_module.folder(tmp_path / "absent")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("output: x\nstep: 3", "no option 'step'"),
        ("seed: 3", "`output`"),
        ("output: x\nbatch: many", "batch should be a int"),
        ("output: x\nsizes: [100]", "multiples of 32"),
        ("output: x\nloop: {stepz: 3}", "loop has no option 'stepz'"),
        ("output: x\ndata: films", "data is scenes or photos"),
        ("output: x\ndata: photos", "needs `photos`"),
        ("output: x\ndistil: 2.0", "needs `teacher`"),
        ("output: x\ndistil: -1\nteacher: t.pt", "weight of 0 or more"),
        ("output: x\ndistil: much", "distil should be a float"),
        ("output: [x", "not YAML"),
        ("- a", "keys and values"),
    ],
)
def test_configs_say_what_is_wrong(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(InputError, match=says):
        read_config(tmp_path / "c.yaml")


def test_the_shipped_configs_are_sound() -> None:
    folder = Path(pictures_module.__file__).parent / "configs"
    assert {p.stem for p in folder.glob("*.yaml")} == {"scenes", "photos"}
    for path in folder.glob("*.yaml"):
        read_config(path)


def test_scenes_are_drawn_alike_and_held_apart() -> None:
    a, b = draw("train", 1, 5), draw("train", 1, 5)
    assert np.array_equal(a.image, b.image) and not np.array_equal(a.image, draw("test", 1, 5).image)
    truth = truth_of(a)
    assert [KINDS[k] for k in truth.kinds] == [o.kind for o in a.scene.objects]


def tiny(folder: Path, steps: int) -> RunConfig:
    loop = {"steps": steps, "warmup": 1, "cooldown": 0, "log_every": 1, "save_every": 1}
    return RunConfig(output=str(folder), sizes=[64], batch=2, precision="float32", average=0.5, loop=loop)


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_training_goes_on_where_it_stopped_and_ships_what_the_back_end_loads(tmp_path: Path) -> None:
    from sightline.tools.backends.ultralytics_detector import UltralyticsDetector
    from sightline.tools.detection.train import run

    quiet: list[str] = []
    run(tiny(tmp_path / "whole", 3), quiet.append)
    run(tiny(tmp_path / "halves", 2), quiet.append)
    target = run(tiny(tmp_path / "halves", 3), quiet.append)
    assert losses(tmp_path / "halves") == pytest.approx(losses(tmp_path / "whole"), rel=1e-5)
    assert any("resumed at step 2" in line for line in quiet)
    detector = UltralyticsDetector(target, "test", image_size=64)
    assert detector.vocabulary == KINDS
    (regions,) = detector.detect([Image.from_array(draw("test", 0, 0).image)])
    assert all(r.label in KINDS for r in regions)


def test_a_class_left_open_in_a_picture_teaches_nothing_there() -> None:
    import torch

    from sightline.tools.detection.network import PartialLoss, build

    net = build(("cat", "dog", "owl"), "yolo11n.yaml", 64, 1).train()
    loss = PartialLoss(net)
    pixels = torch.rand(2, 3, 64, 64)
    batch = {
        "batch_idx": torch.tensor([0.0]), "cls": torch.tensor([[0.0]]), "bboxes": torch.tensor([[0.5, 0.5, 0.4, 0.4]]),
        "known": torch.tensor([[[1.0, 1.0, 1.0]], [[1.0, 1.0, 0.0]]]),
    }  # fmt: skip
    output = net(pixels)
    output["scores"] = output["scores"].detach().requires_grad_()
    total, parts = loss(output, batch)
    total.backward()
    slope = output["scores"].grad.abs().sum(dim=2)  # [B, kinds]
    assert (
        slope[1, 2] == 0
        and slope[0, 2] > 0
        and slope[1, 1] > 0
        and set(parts) == {"box_loss", "cls_loss", "dfl_loss"}
    )


def photo_set(folder: Path, name: str, kinds: list[str]) -> None:
    import PIL.Image

    place = folder / name
    place.mkdir(parents=True)
    rng = np.random.default_rng(1)
    images, notes = [], []
    for i in range(6):
        PIL.Image.fromarray(rng.integers(0, 255, (60, 80, 3), np.uint8)).save(place / f"{i}.png")
        images.append({"id": i, "file_name": f"{i}.png"})
        outline = [[10.0, 10.0, 50.0, 10.0, 50.0, 45.0, 10.0, 45.0]]
        notes.append(
            {"image_id": i, "category_id": i % len(kinds), "bbox": [10, 10, 40, 35], "segmentation": outline}
        )
    categories = [{"id": k, "name": kind} for k, kind in enumerate(kinds)]
    (place / "annotations.json").write_text(
        json.dumps({"images": images, "annotations": notes, "categories": categories})
    )


def test_photographs_of_several_sets_are_mixed_with_what_each_tells(tmp_path: Path) -> None:
    from sightline.tools.detection.photos import PhotoStage, class_list, complete, read_sets
    from sightline.tools.values import Region, Regions

    photo_set(tmp_path / "sets", "one", ["sofa", "cat"])
    photo_set(tmp_path / "sets", "two", ["dog"])
    assert class_list(tmp_path / "sets", 4) == {"dog": 6} and set(class_list(tmp_path / "sets", 1)) == {
        "couch",
        "cat",
        "dog",
    }
    classes = ("couch", "cat", "dog")
    photos = read_sets(tmp_path / "sets", classes)
    assert [p.known for p in photos] == [frozenset({0, 1})] * 6 + [frozenset({2})] * 6

    class Teacher:
        vocabulary = ("cat", "dog")

        def detect(self, images):
            def region(label, score):
                return Region(box=(1.0, 2.0, 30.0, 40.0), label=label, score=score)

            return [Regions([region("cat", 0.9), region("dog", 0.2)]) for _ in images]

    full = complete(photos, classes, Teacher(), tmp_path / "t.json", lambda _: None)
    assert (
        full[0].known == {0, 1} and len(full[0].kinds) == 1
    )  # half a dog leaves dogs open; its cats were labelled
    assert full[6].known == {1, 2} and full[6].kinds.tolist() == [2, 1]
    assert complete(photos, classes, Teacher(), tmp_path / "t.json", lambda _: None)[6].kinds.tolist() == [
        2,
        1,
    ]

    model = SimpleNamespace(net=_network(len(classes)))
    stage = PhotoStage(model, full, len(classes), 1, 8, [96], 100, full[:2])
    a, b = stage.batch(4), stage.batch(4)
    assert all(np.array_equal(a[k], b[k]) for k in a)
    assert a["pixels"].shape == (8, 3, 96, 96) and a["known"].shape == (8, 1, 3)
    assert len(a["cls"]) == len(a["bboxes"]) == len(a["batch_idx"]) > 4
    assert float(a["bboxes"].min()) >= 0 and float(a["bboxes"].max()) <= 1
    assert set(stage.probe(model.net.eval())) == {"map50", "map50_95"}


def _network(classes: int):
    from sightline.tools.detection.network import build

    return build([f"kind {i}" for i in range(classes)], "yolo11n.yaml", 96, 1)


def told_net(classes: list[str], shape: str, seed: int):
    from sightline.tools.detection.network import build

    return build(classes, shape, 64, seed)


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    from sightline.tools.detection.network import save_weights

    path = tmp_path / "teacher.safetensors"
    save_weights(told_net(["dog", "sofa", "owl"], "yolov8n.yaml", 2).eval(), path, "yolov8n.yaml", {})
    return path


def test_a_teacher_is_followed_in_the_classes_that_it_knows(teacher: Path) -> None:
    import torch

    from sightline.tools.detection.distil import Distillation

    torch.manual_seed(0)
    classes = ["couch", "cat", "dog"]  # the teacher calls the first a sofa, and knows no cat
    student = told_net(classes, "yolov8n.yaml", 1).train()
    loss = Distillation(student, classes, teacher, torch.float32)
    pixels = torch.rand(2, 3, 64, 64)
    output = {k: v.detach().requires_grad_() for k, v in student(pixels).items() if k in ("scores", "boxes")}
    total, parts = loss(output, pixels)
    total.backward()
    slope = output["scores"].grad.abs().sum(dim=(0, 2))
    assert slope[0] > 0 and slope[1] == 0 and slope[2] > 0 and output["boxes"].grad.abs().sum() > 0
    assert set(parts) == {"distil_cls", "distil_box"} and all(v >= 0 for v in parts.values())
    again, _ = loss({k: v.detach() for k, v in output.items()}, pixels)
    assert float(again) == pytest.approx(float(total.detach()), rel=1e-5)
    # the teacher itself has no boxes to learn, and no other scores would do better
    with torch.no_grad():
        own = loss._net(pixels.clone())[1]
    same = {"scores": own["scores"].float()[:, [1, 2, 0]].clone(), "boxes": own["boxes"].float().clone()}
    least, parts = loss(same, pixels)
    assert parts["distil_box"] == pytest.approx(0, abs=1e-4)
    worse, _ = loss({**same, "scores": same["scores"] + 1}, pixels)
    assert float(worse) > float(least)


def test_a_teacher_that_does_not_fit_is_refused(teacher: Path) -> None:
    import torch

    from sightline.tools.detection.distil import Distillation

    with pytest.raises(InputError, match="knows none of the classes"):
        Distillation(told_net(["cat"], "yolov8n.yaml", 1), ["cat"], teacher, torch.float32)
    with pytest.raises(InputError, match="other strides"):
        Distillation(told_net(["dog"], "yolov8n-p2.yaml", 1), ["dog"], teacher, torch.float32)


def test_distilling_counts_in_the_loss_of_a_step(tmp_path: Path, teacher: Path) -> None:
    import torch

    from sightline.tools.detection.distil import Distillation
    from sightline.tools.detection.network import Averaged
    from sightline.tools.detection.photos import PhotoStage, read_sets

    photo_set(tmp_path / "sets", "one", ["dog"])
    photos = read_sets(tmp_path / "sets", ["dog"])
    sums = []
    for weight in (0.0, 2.0):
        model = Averaged(told_net(["dog"], "yolov8n.yaml", 1), 0.5)
        taught = Distillation(model.net, ["dog"], teacher, torch.float32)
        stage = PhotoStage(model, photos, 1, 1, 4, [64], 100, photos[:1], taught, weight)
        ((loss, parts),) = stage.losses(stage.batch(0))
        sums.append(float(loss.detach()))
        assert {"box_loss", "cls_loss", "dfl_loss", "distil_cls", "distil_box"} == set(parts)
    assert sums[1] - sums[0] == pytest.approx(2 * (parts["distil_cls"] + parts["distil_box"]), rel=1e-3)


def test_photographs_held_back_are_measured_with_what_people_labelled(tmp_path: Path) -> None:
    for name in ("one", "two", "three", "four"):
        photo_set(tmp_path / "sets", name, ["sofa"] if name == "four" else ["cat"])
    config = tmp_path / "c.yaml"
    config.write_text(f"output: o\ndata: photos\nphotos: {tmp_path / 'sets'}\nclasses: [couch, cat]\n")
    held = pictures_module.held_back(
        config
    )  # of 24 photographs the twentieth, in the order of the folders' names
    assert len(held.images) == 1 and held.classes == ("couch", "cat")
    assert held.truths[0].open in (frozenset({0}), frozenset({1}))
    config.write_text("output: o\n")
    with pytest.raises(InputError, match="trains on scenes"):
        pictures_module.held_back(config)


def test_trends_are_read_off_runs_and_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from sightline.tools.detection.trend import main, power_law

    seen = [1000.0 * i for i in range(1, 12)]
    c, a, b = power_law(seen, [0.5 - 4 * s**-0.5 for s in seen])
    assert (c, a, b) == pytest.approx((0.5, 4, 0.5), rel=0.02)
    classes = ["dog", "cat", "sheep", "bird", "cow", "horse"]
    for i, name in enumerate(classes):
        photo_set(tmp_path / "sets", f"{i} {name}", classes[: i + 1])
    config = tmp_path / "c.yaml"
    config.write_text(
        f"output: o\ndata: photos\nbatch: 10\nphotos: {tmp_path / 'sets'}\nclasses: [{', '.join(classes)}]\n"
        "loop: {steps: 1000, cooldown: 100}\n"
    )
    rows = [{"step": s, "probe": {"map50": 0.3 - 2 * (10 * s) ** -0.5}} for s in range(100, 1001, 100)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    figures = {"kinds": {name: {"n": 9, "ap50": 0.6 - 0.1 * i} for i, name in enumerate(classes)}}
    (tmp_path / "figures.json").write_text(json.dumps(figures))
    given = ["--run", str(tmp_path), "--config", str(config)]
    assert main([*given, "--figures", str(tmp_path / "figures.json")]) == 0
    time, boxes = map(json.loads, capsys.readouterr().out.splitlines())
    assert time["photographs seen"] == 9000 and time["probes"] == 9 and time["end seen"] == 10000
    assert time["at 1 x"] < time["at 2 x"] < time["at 4 x"] <= time["ceiling"] == pytest.approx(0.3, abs=0.01)
    assert (
        boxes["classes"] == 6 and boxes["AP50 per doubling of boxes"] > 0 and boxes["ci"][0] <= boxes["ci"][1]
    )
    (tmp_path / "metrics.jsonl").write_text("{}")
    assert main(given) == 2 and "0 probes" in capsys.readouterr().err
    assert main(["--run", str(tmp_path / "none"), "--config", str(config)]) == 2
    assert "no metrics.jsonl" in capsys.readouterr().err


def test_the_scenes_pack_is_measured_by_one_command() -> None:
    from typer.testing import CliRunner

    from sightline.cli import app

    done = CliRunner().invoke(
        app, ["eval", "detector", "--on", "scenes", "--count", "20", "--seed", "9", "--json"]
    )
    assert done.exit_code == 0, done.output
    figures = json.loads(done.output)
    assert (
        figures["map50"] > 0.7 and 0 < figures["map50_95"] <= figures["map50"] and figures["pictures"] == 20
    )
    assert {"recall_at_p90", "count_exact", "kinds", "sparse", "ms_per_picture"} <= set(figures)


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"shape": "../../tmp/evil.yaml", "names": '["dog"]'}, "no model file"),
        ({"shape": "yolov8n.yaml"}, "names"),
        ({"shape": "yolov8n.yaml", "names": '["dog"]'}, "can be read"),  # tensors that do not fit
    ],
)
def test_weights_of_ours_that_do_not_fit_give_one_line(
    tmp_path: Path, facts: dict[str, str], why: str
) -> None:
    import torch
    from safetensors.torch import save_file

    from sightline.tools.backends.yolo import load_model

    path = tmp_path / "weights.safetensors"
    save_file({"a": torch.zeros(2)}, path, facts)
    with pytest.raises(ModelFileError, match=why) as error:
        load_model(path, torch.device("cpu"))
    assert "\n" not in str(error.value)
