"""Packs and the model holder: what is checked, what is said when a role is open, digests without loading, downloads."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import threading
import urllib.error
import zipfile
from pathlib import Path
from typing import Any

import pytest

from sightline import Models
from sightline.errors import InputError, ModelFileError, RoleError
from sightline.tools import weightfiles
from sightline.tools.backends import Backend, backends
from sightline.tools.pack import load_pack, shipped_packs
from sightline.tools.roles import ROLES


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SIGHTLINE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


class Fake:
    """A detector back end that counts how often it is built."""

    batch = 3
    built = 0

    def __init__(self, weights: Path | None, digest: str, sharpness: int = 1) -> None:
        Fake.built += 1
        self.weights, self.digest, self.sharpness = weights, digest, sharpness


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    Fake.built = 0
    monkeypatch.setattr(Backend, "load", lambda self: Fake)
    monkeypatch.setitem(backends(), "fake", Backend("fake", f"{__name__}:Fake", ("detector",), "file"))


def pack(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


def test_the_shipped_packs_are_sound() -> None:
    assert {"standard", "starter"} <= set(shipped_packs())
    starter, standard = load_pack("starter"), load_pack("standard")
    for role in ROLES:
        assert (role in starter.roles) != (role in starter.unfilled), role
    assert set(standard.roles) == set(ROLES) - {"controller"}
    assert all(spec.license for spec in (*starter.roles.values(), *standard.roles.values()))
    assert all(not spec.source and not spec.files for spec in starter.roles.values())  # no network, ever


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rolls: {}", r"unknown key 'rolls'; did you mean roles\?"),
        ("roles: {detectr: {backend: x}}", r"unknown role 'detectr'; did you mean detector\?"),
        ("roles: {detector: {backend: ultralytic, weights: a}}", r"did you mean ultralytics\?"),
        ("roles: {detector: {backend: easyocr, weights: a}}", "fills ocr"),
        ("roles: {detector: {backend: ultralytics}}", "needs 'weights', a file"),
        ("roles: {ocr: {backend: rapidocr, weights: a}}", "brings its own weights"),
        ("roles: {detector: {weights: a}}", "needs a backend"),
        (
            "roles: {detector: {backend: ultralytics, weights: a, options: {confidenc: 1}}}",
            r"mean confidence\?",
        ),
        ("roles: {detector: {backend: ultralytics, weights: a, sha256: xyz}}", "64 hexadecimal digits"),
        (
            "roles: {detector: {backend: ultralytics, weights: a, source: 'file:///etc/passwd'}}",
            "source must be",
        ),
        ("roles: {detector: {backend: ultralytics, weights: a, source: 'hf:a/b'}}", "takes a file"),
        ("roles: [1]", "'key: value' pairs"),
        ("roles: {detector: 3}", "role detector: 'key: value' pairs"),
        ("name: 3", "a text is expected"),
        ("extends: nothing", "no pack 'nothing'"),
        ("extends: mine.yaml", "in a circle"),
        ("a: [", "line 1: not valid YAML"),
        ("!!python/object/apply:os.system [ls]", "not valid YAML"),
    ],
)
def test_a_wrong_pack_is_one_clear_line(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_pack(pack(tmp_path, text))
    assert "\n" not in str(caught.value)
    assert "mine.yaml" in str(caught.value) or "no pack" in str(caught.value)


def test_packs_extend_each_other(tmp_path: Path) -> None:
    path = pack(tmp_path, "extends: starter\nunfilled: {ocr: read it yourself}\n"
                          "roles: {detector: {backend: ultralytics, weights: a.pt}}")  # fmt: skip
    mixed = load_pack(path)
    assert mixed.name == "mine"
    assert mixed.roles["detector"].folder == tmp_path
    assert "detector" not in mixed.unfilled
    assert "ocr" not in mixed.roles
    assert mixed.roles["segmenter"] == load_pack("starter").roles["segmenter"]
    with pytest.raises(RoleError, match="OCR needs an ocr, and pack mine has none: read it yourself"):
        Models.from_pack(path).get("ocr", "OCR")


def test_an_open_role_names_op_role_and_command() -> None:
    models = Models.from_pack("starter")
    with pytest.raises(RoleError) as caught:
        models.get("open_vocabulary", "LOC")
    line = str(caught.value)
    assert line.startswith("LOC needs an open vocabulary, and pack starter has none: ")
    assert "sightline models pull standard" in line
    assert "\n" not in line
    with pytest.raises(RoleError, match=r"no role 'detectr'; did you mean detector\?"):
        models.get("detectr")
    assert models.has("ocr") and models.has("detector")
    assert not models.has("classifier")


def test_weights_that_are_not_on_disk_name_the_command(tmp_path: Path) -> None:
    models = Models.from_pack("standard")
    with pytest.raises(
        RoleError, match=r"LOC needs role detector.*yolo11s\.pt.*sightline models pull standard"
    ):
        models.get("detector", "LOC")
    with pytest.raises(RoleError, match="sightline models pull standard"):
        models.weights("segmenter")
    own = Models.from_pack(pack(tmp_path, "roles: {detector: {backend: ultralytics, weights: a.pt}}"))
    with pytest.raises(RoleError, match="--models DIR"):
        own.get("detector")
    (tmp_path / "a.pt").mkdir()
    with pytest.raises(ModelFileError, match="should be a file"):
        own.get("detector")


def test_weights_are_looked_for_in_order(fake: None, tmp_path: Path, own_home: Path) -> None:
    path = pack(tmp_path, "roles: {detector: {backend: fake, weights: a.pt}}")
    folders = [tmp_path / "dir", tmp_path, own_home / "models"]
    for folder in reversed(folders):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "a.pt").write_text(str(folder))
        assert Models.from_pack(path, models_dir=folders[0]).get("detector").weights == folder / "a.pt"


def test_a_back_end_is_loaded_once_by_many_threads(fake: None, tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_text("weights")
    models = Models.from_pack(overrides={"detector": {"backend": "fake", "weights": str(tmp_path / "a.pt")}})
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(models.get("detector"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Fake.built == 1
    assert len({id(item) for item in found}) == 1
    assert models.batch("detector") == 3
    assert found[0].digest == models.weights("detector")
    models.unload()
    assert models.get("detector") is not found[0]


def test_the_digest_follows_weights_and_options(fake: None, tmp_path: Path) -> None:
    file = tmp_path / "a.pt"

    def measured(**options: Any) -> str:
        spec = {"backend": "fake", "weights": str(file), "options": options}
        return Models.from_pack(overrides={"detector": spec}).weights("detector")

    file.write_text("one")
    first = measured()
    assert measured() == first
    assert measured(sharpness=2) != first
    file.write_text("two")
    assert measured() != first
    assert Fake.built == 0


def test_digests_need_no_library() -> None:
    code = (
        "import sys; from sightline import Models; m = Models.from_pack('starter');"
        "m.describe(); m.verify(); m.weights('ocr');"
        "print([x for x in ('torch', 'cv2', 'transformers', 'ultralytics', 'rapidocr') if x in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_file_digests_are_kept_and_forgotten_when_the_file_changes(tmp_path: Path, monkeypatch: Any) -> None:
    import os

    file = tmp_path / "a.bin"
    file.write_bytes(b"one")
    os.utime(file, (1, 1))
    assert weightfiles.sha256(file) == hashlib.sha256(b"one").hexdigest()
    weightfiles._memory.clear()
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("hashed again"))
    assert weightfiles.sha256(file) == hashlib.sha256(b"one").hexdigest()
    monkeypatch.undo()
    file.write_bytes(b"two")
    assert weightfiles.sha256(file) == hashlib.sha256(b"two").hexdigest()


def test_binding_and_describing(fake: None, tmp_path: Path) -> None:
    models = Models.from_pack("starter")
    models.bind("controller", object(), "mine-1")
    assert models.weights("controller") == "mine-1"
    assert models.has("controller")
    rows = {row.role: row for row in models.describe()}
    assert list(rows) == list(ROLES)
    assert rows["controller"].digest == "mine-1"
    assert rows["ocr"].on_disk
    assert rows["ocr"].license == "Apache-2.0"
    assert "sightline models pull" in rows["open_vocabulary"].note
    assert all(check.ok for check in models.verify())
    with pytest.raises(RoleError, match="no role"):
        models.bind("controler", object())


def test_an_override_may_be_a_path(tmp_path: Path) -> None:
    found = Models.from_pack("starter", overrides={"detector": "my.onnx"}).spec("detector")
    assert found is not None
    assert found.backend == "onnx-yolox"
    assert load_pack("standard", {"segmenter": "my.pth"}).roles["segmenter"].backend == "segment-anything"
    with pytest.raises(InputError, match=r"no back end is known for my\.txt"):
        load_pack("starter", {"detector": "my.txt"})
    with pytest.raises(InputError, match="unknown role"):
        load_pack("starter", {"detectr": "my.pt"})


class Reply(io.BytesIO):
    def __init__(self, data: bytes, length: int | None = None) -> None:
        super().__init__(data)
        self.headers = {"Content-Length": str(len(data) if length is None else length)}


class Net:
    """Stands in for the network: address -> reply."""

    def __init__(self, **pages: tuple[bytes, int | None]) -> None:
        self.pages = pages

    def open(self, address: str, timeout: float) -> Reply:
        name = address.rsplit("/", 1)[1].split(".")[0]
        if name not in self.pages:
            raise urllib.error.URLError("no route")
        return Reply(*self.pages[name])


def zipped(name: str, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, data)
    return buffer.getvalue()


def test_pulling_checks_what_it_fetched(fake: None, tmp_path: Path, own_home: Path, monkeypatch: Any) -> None:
    good = hashlib.sha256(b"weights").hexdigest()
    text = "roles: {{detector: {{backend: fake, weights: a.pt, source: 'https://x.org/{}.pt', sha256: {}}}}}"
    net = Net(a=(b"weights", None), cut=(b"weig", 7))
    monkeypatch.setattr(weightfiles, "_opener", lambda: net)
    seen = []
    models = Models.from_pack(pack(tmp_path, text.format("a", good)))
    assert [check.ok for check in models.verify()] == [False]
    models.pull(lambda name, done, total: seen.append((name, done, total)))
    assert seen == [("a.pt", 7, 7)]
    assert models.get("detector").weights == own_home / "models" / "a.pt"
    assert [check.status for check in models.verify()] == ["sha256 matches"]
    (own_home / "models" / "a.pt").write_bytes(b"changed")
    assert [check.ok for check in models.verify()] == [False]
    (own_home / "models" / "a.pt").unlink()
    cases = [("a", "f" * 64, "not kept"), ("cut", good, "ended after 4 of 7"), ("b", good, "no route")]
    for name, digest, message in cases:
        with pytest.raises(ModelFileError, match=message) as caught:
            Models.from_pack(pack(tmp_path, text.format(name, digest))).pull()
        assert "\n" not in str(caught.value)
    assert not list((own_home / "models").iterdir())


def test_folders_are_pulled_file_by_file(tmp_path: Path, own_home: Path, monkeypatch: Any) -> None:
    net = Net(one=(zipped("one.pth", b"1"), None), two=(zipped("other", b"2"), None))
    monkeypatch.setattr(weightfiles, "_opener", lambda: net)
    md5 = hashlib.md5(b"1").hexdigest()
    entry = "{{name: {0}.pth, source: 'https://x.org/{0}.zip', member: {0}.pth, md5: {1}}}"
    roles = "roles: {ocr: {backend: easyocr, weights: easy, files: [%s]}}"
    models = Models.from_pack(pack(tmp_path, roles % entry.format("one", md5)))
    assert models.pull() == [own_home / "models" / "easy"]
    assert (own_home / "models" / "easy" / "one.pth").read_bytes() == b"1"
    assert [check.status for check in models.verify()] == ["md5 matches"]
    with pytest.raises(ModelFileError, match=r"two\.zip"):
        Models.from_pack(pack(tmp_path, roles % entry.format("two", md5))).pull()


def test_a_snapshot_that_broke_off_is_not_taken_for_a_checkpoint(own_home: Path, monkeypatch: Any) -> None:
    huggingface_hub = pytest.importorskip("huggingface_hub")
    asked: dict[str, Any] = {}

    def snapshot(name: str, *, local_dir: Path, **options: Any) -> None:
        asked.update(options, name=name)
        local_dir.mkdir(parents=True, exist_ok=True)
        (local_dir / "config.json").write_text("{}")
        if not asked.get("fails", False):
            return
        raise OSError("connection lost\nmore")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    models = Models.from_pack("standard")
    asked["fails"] = True
    with pytest.raises(ModelFileError, match="hf:openai/clip-vit-base-patch32: cannot be fetched") as caught:
        models.pull(roles=["classifier"])
    assert "\n" not in str(caught.value)
    assert not models.has("classifier")
    asked["fails"] = False
    assert models.pull(roles=["classifier"]) == [own_home / "models" / "clip-vit-base-patch32"]
    assert models.has("classifier")
    assert not any(pattern.endswith((".bin", ".py", ".pt")) for pattern in asked["allow_patterns"])


def test_a_pull_stays_in_its_folder_and_off_other_schemes(fake: None, tmp_path: Path) -> None:
    path = pack(
        tmp_path, "roles: {detector: {backend: fake, weights: ../../a.pt, source: 'https://x.org/a.pt'}}"
    )
    with pytest.raises(ModelFileError, match="outside the models folder"):
        Models.from_pack(path).pull()
    with pytest.raises(urllib.error.URLError):
        weightfiles._opener().open("file:///etc/hostname")
