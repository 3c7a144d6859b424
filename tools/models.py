"""The model holder: fills roles from a pack, lazily, each back end loaded once and shared by all threads."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import ModelFileError, RoleError, SightlineError
from . import weightfiles
from .backends import Backend, backends, near
from .calibration import Calibration
from .pack import Pack, Policy, RoleSpec, load_pack
from .roles import ROLES, sort_of
from .values import Image, digest


@dataclass(frozen=True)
class RoleRow:
    """What fills one role, as `sightline models` shows it."""

    role: str
    backend: str  # '' where the role is open
    file: str  # weights on disk, else what they would be called; '' where a package brings them
    on_disk: bool
    size: int  # bytes on disk, 0 where there is no file
    license: str
    digest: str  # of weights, library and options together; '' where not on disk
    source: str  # where it comes from
    note: str = ""  # what the user can do about an open role


@dataclass(frozen=True)
class Check:
    """The outcome of comparing one role's files with their published digests."""

    role: str
    ok: bool  # nothing found wrong
    status: str  # one line


class Models:
    """Role fillers of one pack.

    Threads: `get` loads a back end once; calls on a back end may come from several threads, and an adapter that cannot
    take that guards itself. A back end's `batch` is the most images it takes at once. When memory runs out it raises
    MemoryError or torch.OutOfMemoryError, for the engine to halve the batch.
    """

    def __init__(self, pack: Pack, models_dir: str | Path | None = None, *, fetch: bool = False) -> None:
        """`models_dir` is searched first for weights; with `fetch`, missing weights are downloaded on first use."""
        self.pack = pack
        self.models_dir = Path(models_dir).expanduser() if models_dir is not None else None
        self._fetch = fetch
        self._bound: dict[str, tuple[Any, str]] = {}  # role -> (object, digest)
        self._loaded: dict[str, Any] = {}
        self._digests: dict[str, str] = {}
        self._fallbacks: dict[str, Models] = {}
        self._calibrations: dict[Path, Calibration] = {}
        self._locks = {role: threading.RLock() for role in ROLES}
        self.generation = 0  # grows whenever a role's filler may have become another

    @classmethod
    def from_pack(
        cls,
        name: str | Path = "starter",
        models_dir: str | Path | None = None,
        overrides: Mapping[str, Any] | None = None,
        *,
        fetch: bool = False,
    ) -> Models:
        """The roles of a shipped pack or of a YAML file; `overrides` maps a role to a spec or to a weights path."""
        return cls(load_pack(name, overrides), models_dir, fetch=fetch)

    def bind(self, role: str, filler: Any, weights: str = "") -> None:
        """Fill a role with an object of the caller's (a controller, a fake).

        `weights` stands for it in cache keys: give one that says which model it is. Without it results are kept for this
        binding alone, since two objects of one class may answer differently.
        """
        lock = self._lock(role)
        with lock:
            self._bound[role] = (filler, weights or digest("bound", secrets.token_hex(16)))
            self._loaded.pop(role, None)
            self._digests.pop(role, None)
            self.generation += 1

    def has(self, role: str) -> bool:
        """Whether `get` would find a filler whose weights are on disk (it may still prove damaged)."""
        self._lock(role)
        if role in self._bound:
            return True
        spec = self.pack.roles.get(role)
        return spec is not None and (self._backend(spec).weights == "package" or self._find(spec) is not None)

    def to_fetch(self, role: str) -> bool:
        """Whether the role's weights are not on disk and would be downloaded when it is used."""
        return self._fetch and self.spec(role) is not None and not self.has(role)

    def get(self, role: str, op: str = "") -> Any:
        """The back end that fills `role`, loaded on first use. RoleError names `op`, the role and the remedy."""
        with self._lock(role):
            if role in self._bound:
                return self._bound[role][0]
            if role not in self._loaded:
                spec = self._spec(role, op)
                path = self._path(spec, op)
                adapter = self._backend(spec).load()
                try:
                    self._loaded[role] = adapter(path, self.weights(role, op), **spec.options)
                except TypeError as error:
                    if "argument" not in str(error):
                        raise
                    raise RoleError(
                        f"role {role} of pack {spec.pack}: options do not fit ({error})"
                    ) from error
            return self._loaded[role]

    def weights(self, role: str, op: str = "") -> str:
        """Digest of what decides the role's results: weights, library version, options. Loads no model."""
        with self._lock(role):
            if role in self._bound:
                return self._bound[role][1]
            if role not in self._digests:
                spec = self._spec(role, op)
                path = self._path(spec, op)
                self._digests[role] = self._digest(spec, path)
            return self._digests[role]

    def spec(self, role: str) -> RoleSpec | None:
        """What the pack says about the role; None where it is open or bound to an object."""
        self._lock(role)
        return None if role in self._bound else self.pack.roles.get(role)

    def policy(self, role: str) -> Policy:
        """What to do when a call of the role fails; no more tries where the pack does not say."""
        spec = self.spec(role)
        return spec.policy if spec is not None else Policy()

    def fallback(self, role: str) -> Models | None:
        """These models with the role filled by its fallback back end; None where the pack names none."""
        spec = self.spec(role)
        if spec is None or spec.fallback is None:
            return None
        with self._lock(role):
            if role not in self._fallbacks:
                pack = replace(self.pack, roles={**self.pack.roles, role: spec.fallback})
                other = Models(pack, self.models_dir, fetch=self._fetch)
                other._bound, other._loaded, other._locks = self._bound, dict(self._loaded), self._locks
                other._loaded.pop(role, None)
                self._fallbacks[role] = other
            return self._fallbacks[role]

    def calibration(self, role: str, image: Image | None = None) -> Calibration | None:
        """What the role's scores are worth, as measured on held-out pictures; None where the pack does not say.

        A pack may say so for each sort of picture that its detector tells apart: then it depends on `image`.
        """
        spec = self.spec(role)
        if spec is None:
            return None
        name = spec.calibration
        if spec.calibrations and image is not None:
            name = spec.calibrations.get(sort_of(self.get(role), image), "")
        if not name:
            return None
        with self._lock(role):
            path = self._find(replace(spec, weights=name, files=()))
            if path is None:
                raise RoleError(f"role {role} of pack {spec.pack}: its calibration {name} is not on disk")
            if path not in self._calibrations:
                self._calibrations[path] = Calibration.load(path)
            return self._calibrations[path]

    def batch(self, role: str, op: str = "") -> int:
        """The most images that the role's filler takes at once."""
        return int(getattr(self.get(role, op), "batch", 1))

    def unload(self, role: str | None = None) -> None:
        """Let go of loaded models, or of one role's; the next `get` loads again."""
        for name in [role] if role else list(ROLES):
            with self._lock(name):
                self._loaded.pop(name, None)

    def describe(self) -> list[RoleRow]:
        """One row a role, in the order of `ROLES`."""
        return [self._row(role) for role in ROLES]

    def pull(
        self, progress: weightfiles.Progress | None = None, roles: list[str] | None = None
    ) -> list[Path]:
        """Fetch every weights file of the pack that is not on disk. Returns what was fetched."""
        fetched = []
        for role in roles or list(self.pack.roles):
            self._lock(role)
            spec = self.pack.roles.get(role)
            if spec is None or self._backend(spec).weights == "package" or self._find(spec) is not None:
                continue
            fetched.append(weightfiles.pull(spec, progress))
            self.generation += 1
        return fetched

    def verify(self) -> list[Check]:
        """Compare the files on disk with the digests that their publishers give."""
        return [_verify(spec, self._backend(spec), self._find(spec)) for spec in self.pack.roles.values()]

    def _lock(self, role: str) -> threading.RLock:
        if role not in self._locks:
            raise RoleError(f"no role {role!r}; {near(role, ROLES)}")
        return self._locks[role]

    @staticmethod
    def _backend(spec: RoleSpec) -> Backend:
        return backends()[spec.backend]

    def _find(self, spec: RoleSpec) -> Path | None:
        return weightfiles.find(spec, self.models_dir)

    def _spec(self, role: str, op: str) -> RoleSpec:
        spec = self.pack.roles.get(role)
        if spec is not None:
            return spec
        need = f"{op} needs" if op else "this needs"
        name = role.replace("_", " ")
        article = "an" if name[0] in "aeiou" else "a"
        raise RoleError(f"{need} {article} {name}, and pack {self.pack.name} has none: {self._remedy(role)}")

    def _remedy(self, role: str) -> str:
        if role in self.pack.unfilled:
            return self.pack.unfilled[role]
        return f"point role {role} at a file in your own pack"

    def _path(self, spec: RoleSpec, op: str) -> Path | None:
        """The role's weights on disk; None where the installed package brings them."""
        if self._backend(spec).weights == "package":
            return None
        path = self._find(spec)
        if path is None and self._fetch and (spec.source or spec.files):
            path = weightfiles.pull(spec)
            self.generation += 1
        if path is None:
            need = f"{op} needs role {spec.role}" if op else f"role {spec.role}"
            has_source = spec.source or spec.files
            remedy = (
                f"run: sightline models pull {spec.pack}"
                if has_source
                else "put it there or use --models DIR"
            )
            raise RoleError(
                f"{need}, and its weights {spec.weights} of pack {spec.pack} are not on disk: {remedy}"
            )
        wanted = self._backend(spec).weights
        if path.is_dir() != (wanted == "folder"):
            raise ModelFileError(
                f"role {spec.role}: {path} should be a {wanted}, for back end {spec.backend}"
            )
        return path

    def _digest(self, spec: RoleSpec, path: Path | None) -> str:
        options = json.dumps(dict(spec.options), sort_keys=True, default=str)
        return digest(self._backend(spec).fingerprint(), weightfiles.sha256(path) if path else "", options)

    def _row(self, role: str) -> RoleRow:
        if role in self._bound:
            filler, weights = self._bound[role]
            return RoleRow(role, type(filler).__name__, "", True, 0, "", weights, "bound by the program")
        spec = self.pack.roles.get(role)
        if spec is None:
            return RoleRow(role, "", "", False, 0, "", "", "", self._remedy(role))
        backend = self._backend(spec)
        source = spec.source or (spec.files[0].source if spec.files else "")
        if backend.weights == "package":
            installed = backend.installed()
            present = all(number != "absent" for _, number in installed)
            source = "package " + ", ".join(f"{name} {number}" for name, number in installed)
            code = self._digest(spec, None) if present else ""
            return RoleRow(role, spec.backend, "", present, 0, spec.license, code, source)
        path = self._find(spec)
        if path is None:
            note = f"sightline models pull {spec.pack}" if source else "not found; give --models DIR"
            return RoleRow(role, spec.backend, spec.weights, False, 0, spec.license, "", source, note)
        size = weightfiles.size(path)
        return RoleRow(
            role, spec.backend, str(path), True, size, spec.license, self._digest(spec, path), source
        )


def _verify(spec: RoleSpec, backend: Backend, path: Path | None) -> Check:
    if backend.weights == "package":
        missing = [name for name, number in backend.installed() if number == "absent"]
        text = f"package {missing[0]} is not installed" if missing else "comes with the installed package"
        return Check(spec.role, not missing, text)
    if path is None:
        return Check(spec.role, False, f"{spec.weights} is not on disk")
    try:
        return _compare(spec, path)
    except SightlineError as error:
        return Check(spec.role, False, str(error))


def _compare(spec: RoleSpec, path: Path) -> Check:
    expected: list[tuple[Path, str, Callable[[Path], str], str]] = []
    if spec.sha256:
        expected.append((path, spec.sha256, weightfiles.sha256, "sha256"))
    elif spec.md5:
        expected.append((path, spec.md5, weightfiles.md5, "md5"))
    for item in spec.files:
        if item.sha256:
            expected.append((path / item.name, item.sha256, weightfiles.sha256, "sha256"))
        elif item.md5:
            expected.append((path / item.name, item.md5, weightfiles.md5, "md5"))
    if not expected:
        return Check(spec.role, True, f"no digest published; sha256 {weightfiles.sha256(path)[:16]}...")
    for file, wanted, measure, kind in expected:
        if not file.is_file():
            return Check(spec.role, False, f"{file} is missing")
        found = measure(file)
        if found != wanted:
            return Check(spec.role, False, f"{file}: {kind} is {found[:16]}..., not {wanted[:16]}...")
    return Check(spec.role, True, f"{expected[0][3]} matches")


__all__ = ["Check", "Models", "RoleRow"]
