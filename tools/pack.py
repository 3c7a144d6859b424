"""Packs: YAML files that say which back end and weights fill each role, checked key by key.

name: mine
extends: starter                 # a shipped pack or a file beside this one; what follows replaces its roles
roles:
  detector:
    backend: ultralytics         # docs/packs.md lists them
    weights: my_yolo.pt          # looked for in --models DIR, beside this file, and among the pulled files
    options: {confidence: 0.3}
    retries: 1                   # when a call fails for no fault of its input, with `wait` seconds before each
    fallback: {backend: onnx-yolox, weights: yolox_nano.onnx}   # and then this gets one try, if it knows all the names
    calibration: my_yolo.json    # what its scores are worth: sightline eval detector --calibration my_yolo.json
                                 # (a file for each sort of picture where the back end tells them apart: {photograph: a.json})
unfilled:
  depth: "what to do instead"    # shown when the role is used
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from ..errors import InputError
from .backends import backends, near
from .roles import ROLES

SHIPPED = Path(__file__).resolve().parent / "packs"
_PACK_KEYS = {"name", "description", "extends", "roles", "unfilled"}
_ROLE_KEYS = {"backend", "weights", "source", "sha256", "md5", "license", "size", "options", "files", "retries", "wait",
              "fallback", "calibration"}  # fmt: skip
_FILE_KEYS = {"name", "source", "sha256", "md5", "member"}

# What a bare file name means for a role that the pack leaves open: (role, suffix) -> back end; '' is a folder.
_BY_SUFFIX = {
    ("detector", ".pt"): "ultralytics",
    ("detector", ".safetensors"): "ultralytics",
    ("detector", ".onnx"): "onnx-yolox",
    ("open_vocabulary", ""): "transformers-zero-shot",
    ("segmenter", ".pth"): "segment-anything",
    ("ocr", ""): "easyocr",
    ("classifier", ""): "transformers-clip",
    ("depth", ""): "transformers-depth",
    ("mllm", ""): "transformers-mllm",
}


@dataclass(frozen=True)
class Download:
    """One file to fetch: where from, what it must hash to, and the member to take where the source is a zip."""

    name: str  # path below the place of the role's weights; '' for the weights file itself
    source: str  # https://...
    sha256: str = ""
    md5: str = ""  # only where the publisher gives no sha256
    member: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the engine does when a call of the role fails for no fault of its input: so many more tries, a wait before
    each; after them the role's fallback, where the pack names one, gets one try.
    """

    retries: int = 0
    wait_s: float = 0.0


@dataclass(frozen=True)
class RoleSpec:
    """What fills one role."""

    role: str
    backend: str
    weights: str = ""  # file or folder; '' where the installed package brings them
    options: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""  # https://... of a file, or hf:owner/name@revision of a folder
    sha256: str = ""
    md5: str = ""
    license: str = ""
    size: str = ""  # of the download, in words
    files: tuple[Download, ...] = ()  # for a folder that is fetched file by file
    pack: str = ""
    folder: Path = Path()  # where the pack's YAML lies
    policy: Policy = Policy()
    fallback: RoleSpec | None = None  # what is tried when this back end fails
    calibration: str = ""  # JSON file of what its scores are worth, looked for like the weights
    calibrations: Mapping[str, str] = field(
        default_factory=dict
    )  # such files by sort of picture, see roles.ByPicture


@dataclass(frozen=True)
class Pack:
    """A checked pack. `unfilled` says for an open role what the user can do."""

    name: str
    description: str
    roles: Mapping[str, RoleSpec]
    unfilled: Mapping[str, str]


def shipped_packs() -> list[str]:
    """Names of the packs inside the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def load_pack(name_or_path: str | Path, overrides: Mapping[str, Any] | None = None) -> Pack:
    """A shipped pack by name, or a YAML file. `overrides` replaces roles: a mapping as in YAML, or a weights path.

    InputError, one line with the place, for an unknown key, role, back end or option, or a missing file.
    """
    pack = _load(_locate(str(name_or_path), Path.cwd()), ())
    if not overrides:
        return pack
    roles = dict(pack.roles)
    for role, given in overrides.items():
        _check_role(role, "override")
        roles[role] = _override(role, given, pack)
    return replace(pack, roles=roles)


def _locate(name: str, beside: Path) -> Path:
    shipped = SHIPPED / f"{name}.yaml"
    if re.fullmatch(r"[\w-]+", name) and shipped.is_file():
        return shipped
    path = beside / Path(name).expanduser()
    if path.is_file():
        return path.resolve()
    raise InputError(f"no pack {name!r}: give a YAML file, or one of {', '.join(shipped_packs())}")


def _load(path: Path, seen: tuple[Path, ...]) -> Pack:
    where = path.name if path.parent == SHIPPED else str(path)
    if path in seen:
        raise InputError(f"{where}: packs extend each other in a circle")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{where}: cannot be read ({error})") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" line {mark.line + 1}" if mark else ""
        raise InputError(
            f"{where}{place}: not valid YAML ({getattr(error, 'problem', None) or 'syntax'})"
        ) from error
    data = _mapping(data, where)
    _check_keys(data, _PACK_KEYS, where)
    name = _text(data.get("name", path.stem), f"{where}: name")
    roles: dict[str, RoleSpec] = {}
    unfilled: dict[str, str] = {}
    if "extends" in data:
        base = _load(_locate(_text(data["extends"], f"{where}: extends"), path.parent), (*seen, path))
        roles.update(base.roles)
        unfilled.update(base.unfilled)
    for role, entry in _mapping(data.get("roles", {}), f"{where}: roles").items():
        _check_role(role, where)
        roles[role] = _role(role, entry, f"{where}: role {role}", name, path.parent)
        unfilled.pop(role, None)
    for role, note in _mapping(data.get("unfilled", {}), f"{where}: unfilled").items():
        _check_role(role, where)
        unfilled[role] = _text(note, f"{where}: unfilled {role}")
        roles.pop(role, None)
    return Pack(name, _text(data.get("description", ""), f"{where}: description"), roles, unfilled)


def _role(role: str, entry: Any, where: str, pack: str, folder: Path) -> RoleSpec:
    data = _mapping(entry, where)
    _check_keys(data, _ROLE_KEYS, where)
    if "backend" not in data:
        raise InputError(f"{where}: it needs a backend; {near('', _backends_for(role))}")
    name = _text(data["backend"], f"{where}: backend")
    backend = backends().get(name)
    if backend is None:
        raise InputError(f"{where}: unknown back end {name!r}; {near(name, backends())}")
    if role not in backend.roles:
        raise InputError(
            f"{where}: back end {name} fills {', '.join(backend.roles)}; {near('', _backends_for(role))}"
        )
    weights = _text(data.get("weights", ""), f"{where}: weights")
    if backend.weights == "package" and weights:
        raise InputError(f"{where}: back end {name} brings its own weights; leave out 'weights'")
    if backend.weights != "package" and not weights:
        raise InputError(f"{where}: back end {name} needs 'weights', a {backend.weights}")
    options = _mapping(data.get("options", {}), f"{where}: options")
    if options:
        known = backend.option_names()
        for option in options:
            if option not in known:
                raise InputError(f"{where}: unknown option {option!r}; {near(option, known)}")
    files = data.get("files", [])
    if not isinstance(files, list):
        raise InputError(f"{where}: files is a list of name, source and sha256")
    source = _source(data.get("source", ""), where)
    if source.startswith("hf:") and backend.weights != "folder":
        raise InputError(f"{where}: hf: sources are folders, and back end {name} takes a file")
    worth = data.get("calibration", "")
    by_sort = worth if isinstance(worth, Mapping) else {}
    return RoleSpec(
        role=role,
        backend=name,
        weights=weights,
        options=options,
        source=source,
        sha256=_hex(data.get("sha256", ""), 64, f"{where}: sha256"),
        md5=_hex(data.get("md5", ""), 32, f"{where}: md5"),
        license=_text(data.get("license", ""), f"{where}: license"),
        size=_text(data.get("size", ""), f"{where}: size"),
        files=tuple(_download(item, f"{where}: files {number + 1}") for number, item in enumerate(files)),
        pack=pack,
        folder=folder,
        policy=Policy(
            int(_number(data.get("retries", 0), f"{where}: retries", 10)),
            _number(data.get("wait", 0.0), f"{where}: wait", 60),
        ),
        fallback=_role(role, data["fallback"], f"{where}: fallback", pack, folder)
        if "fallback" in data
        else None,
        calibration="" if by_sort else _text(worth, f"{where}: calibration"),
        calibrations={
            str(sort): _text(file, f"{where}: calibration {sort}") for sort, file in by_sort.items()
        },
    )


def _number(value: Any, where: str, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise InputError(f"{where}: a number from 0 to {most:g} is expected, not {value!r}")
    return float(value)


def _download(entry: Any, where: str) -> Download:
    data = _mapping(entry, where)
    _check_keys(data, _FILE_KEYS, where)
    name = _text(data.get("name", ""), f"{where}: name")
    if not name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise InputError(f"{where}: name must be a relative file name")
    source = _source(data.get("source", ""), where)
    if not source.startswith("http"):
        raise InputError(f"{where}: source must be an https address")
    return Download(
        name,
        source,
        _hex(data.get("sha256", ""), 64, f"{where}: sha256"),
        _hex(data.get("md5", ""), 32, f"{where}: md5"),
        _text(data.get("member", ""), f"{where}: member"),
    )


def _override(role: str, given: Any, pack: Pack) -> RoleSpec:
    """A role's spec from a mapping (as in YAML), or from a path that keeps the pack's back end where it fits."""
    where = f"override of role {role}"
    if isinstance(given, str | Path):
        path = Path(given).expanduser()
        suffix = path.suffix.lower() if not path.is_dir() else ""
        current = pack.roles.get(role)
        name = _BY_SUFFIX.get((role, suffix), "")
        if current is not None and backends()[current.backend].weights == (
            "folder" if suffix == "" else "file"
        ):
            name = current.backend if not name or current.backend in _BY_SUFFIX.values() else name
        if not name:
            raise InputError(f"{where}: no back end is known for {path.name}; give backend and weights")
        given = {"backend": name, "weights": str(path)}
    return _role(role, given, where, pack.name, Path.cwd())


def _backends_for(role: str) -> list[str]:
    return [name for name, item in backends().items() if role in item.roles]


def _check_role(role: Any, where: str) -> None:
    if role not in ROLES:
        raise InputError(f"{where}: unknown role {role!r}; {near(role, ROLES)}")


def _check_keys(data: Mapping[str, Any], known: set[str], where: str) -> None:
    for key in data:
        if key not in known:
            raise InputError(f"{where}: unknown key {key!r}; {near(key, known)}")


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise InputError(f"{where}: 'key: value' pairs are expected here")
    return dict(value)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"{where}: a text is expected, not {value!r}")
    return value


def _source(value: Any, where: str) -> str:
    text = _text(value, f"{where}: source")
    if text and not re.match(r"https://|hf:[\w.-]+/[\w.-]+(@[\w.-]+)?$", text):
        raise InputError(f"{where}: source must be https://... or hf:owner/name, not {text!r}")
    return text


def _hex(value: Any, length: int, where: str) -> str:
    if not isinstance(value, str):  # YAML reads some digests as numbers
        raise InputError(f"{where}: put the {length} hexadecimal digits in quotes")
    text = value.lower()
    if text and not re.fullmatch(f"[0-9a-f]{{{length}}}", text):
        raise InputError(f"{where}: {length} hexadecimal digits are expected")
    return text


__all__ = ["SHIPPED", "Download", "Pack", "Policy", "RoleSpec", "load_pack", "shipped_packs"]
