"""Weights on disk: where they are looked for, what they hash to, and how they get there."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import sqlite3
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from ..errors import ModelFileError
from .pack import Download, RoleSpec

Progress = Callable[[str, int, int], None]  # file name, bytes so far, bytes in all (0: unknown)

_HF_PATTERNS = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]  # no pickles, no code
_lock = Lock()
_memory: dict[tuple[str, int, int], str] = {}


def home() -> Path:
    """Folder of what Sightline keeps for a user: SIGHTLINE_HOME, else `sightline` in the user's cache folder."""
    if chosen := os.environ.get("SIGHTLINE_HOME"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sightline"


def pulled_folder() -> Path:
    """Where downloaded weights lie."""
    return home() / "models"


def find(spec: RoleSpec, models_dir: Path | None) -> Path | None:
    """The role's weights file or folder on disk: in `models_dir`, beside the pack's YAML, or among the pulled ones."""
    given = Path(spec.weights).expanduser()
    places = [given] if given.is_absolute() else []
    if models_dir is not None:
        places += [models_dir / given, models_dir / given.name]
    places += [spec.folder / given, pulled_folder() / given]
    for place in places:
        if place.exists() and not (
            place.is_dir() and any(not (place / f.name).is_file() for f in spec.files)
        ):
            return place
    return None


def sha256(path: Path) -> str:
    """Hex digest of a file, or of a folder's file names and contents; kept by path, size and mtime."""
    if not path.is_dir():
        return _file_sha256(path)
    total = hashlib.sha256()
    for file in _files(path):
        total.update(f"{file.relative_to(path).as_posix()}\0{_file_sha256(file)}\n".encode())
    return total.hexdigest()


def size(path: Path) -> int:
    """Bytes of a file or of a folder's files."""
    return sum(file.stat().st_size for file in _files(path)) if path.is_dir() else path.stat().st_size


def md5(path: Path) -> str:
    """Hex MD5 of a file, for publishers that give nothing better."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    for file in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") or part == "__pycache__" for part in file.relative_to(folder).parts)
        if file.is_file() and not hidden:
            yield file


def _file_sha256(path: Path) -> str:
    try:
        status = path.stat()
        key = (str(path.resolve()), status.st_size, status.st_mtime_ns)
        with _lock:
            known = _memory.get(key) or _stored(key)
        if known:
            return known
        with path.open("rb") as file:
            value = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read ({error.strerror})") from error
    # a file written within the last two seconds may change again under the same mtime
    if time.time_ns() - status.st_mtime_ns > 2_000_000_000:
        with _lock:
            _memory[key] = value
            _store(key, value)
    return value


def _index() -> sqlite3.Connection:
    home().mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(home() / "digests.sqlite", timeout=5)
    connection.execute("CREATE TABLE IF NOT EXISTS digests (path TEXT PRIMARY KEY, size, mtime, sha256)")
    return connection


def _stored(key: tuple[str, int, int]) -> str | None:
    try:
        connection = _index()
        try:
            query = "SELECT sha256 FROM digests WHERE path = ? AND size = ? AND mtime = ?"
            row = connection.execute(query, key).fetchone()
        finally:
            connection.close()
    except (OSError, sqlite3.Error):  # the index only saves time; without it the file is hashed again
        return None
    return str(row[0]) if row else None


def _store(key: tuple[str, int, int], value: str) -> None:
    try:
        connection = _index()
        try:
            with connection:
                connection.execute("INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?)", (*key, value))
        finally:
            connection.close()
    except (OSError, sqlite3.Error):  # as above: an unwritable home costs time, not results
        return


def pull(spec: RoleSpec, progress: Progress | None = None) -> Path:
    """Fetch what the spec's source names into the pulled folder and check it. ModelFileError when that fails."""
    given = Path(spec.weights)
    target = pulled_folder() / (given.name if given.is_absolute() else given)
    if not target.resolve().is_relative_to(pulled_folder().resolve()):
        raise ModelFileError(f"role {spec.role}: weights {spec.weights!r} point outside the models folder")
    if spec.source.startswith("hf:"):
        _snapshot(spec, target)
    elif spec.files:
        for item in spec.files:
            if not (target / item.name).is_file():
                download(item, target / item.name, progress)
    elif spec.source:
        download(Download("", spec.source, spec.sha256, spec.md5), target, progress)
    else:
        raise ModelFileError(f"role {spec.role}: pack {spec.pack} gives no source for {spec.weights}")
    return target


class _NoDowngrade(urllib.request.HTTPRedirectHandler):
    """Follows redirects to https only."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if urlsplit(newurl).scheme != "https" and urlsplit(req.full_url).scheme == "https":
            raise urllib.error.URLError(f"redirected to {urlsplit(newurl).scheme}, which is refused")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """Speaks http and https and nothing else (no file:, no ftp:)."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        _NoDowngrade(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def download(item: Download, target: Path, progress: Progress | None = None) -> None:
    """Fetch one file to a temporary name, check its digest, then rename it. Nothing is left behind on failure."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with _opener().open(item.source, timeout=60) as reply, part.open("wb") as file:
            total = int(reply.headers.get("Content-Length") or 0)
            done = 0
            while block := reply.read(1 << 20):
                file.write(block)
                done += len(block)
                if progress:
                    progress(target.name, done, total)
            file.flush()
            os.fsync(file.fileno())
        if total and done != total:
            raise ModelFileError(f"{item.source}: ended after {done} of {total} bytes; pull again")
        if item.member:
            _unzip(part, item.member)
        _check(part, item)
        os.replace(part, target)
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise ModelFileError(f"{item.source}: cannot be fetched ({error})") from error
    finally:
        part.unlink(missing_ok=True)


def _unzip(part: Path, member: str) -> None:
    """Replace a zip by one of its members."""
    inner = part.with_name(part.name + ".member")
    try:
        with zipfile.ZipFile(part) as archive, archive.open(member) as packed, inner.open("wb") as file:
            shutil.copyfileobj(packed, file, 1 << 20)
        os.replace(inner, part)
    finally:
        inner.unlink(missing_ok=True)


def _check(path: Path, item: Download) -> None:
    if item.sha256 and (found := sha256(path)) != item.sha256:
        raise ModelFileError(f"{item.source}: sha256 is {found[:12]}..., not {item.sha256[:12]}...; not kept")
    if item.md5 and not item.sha256 and (found := md5(path)) != item.md5:
        raise ModelFileError(f"{item.source}: md5 is {found[:12]}..., not {item.md5[:12]}...; not kept")


def _snapshot(spec: RoleSpec, target: Path) -> None:
    """A Hugging Face model's safetensors and configuration, in a folder of its own."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    name, _, revision = spec.source.removeprefix("hf:").partition("@")
    # kept when it breaks off: the next pull goes on from there
    part = target.with_name(f".{target.name}.part")
    try:
        snapshot_download(name, revision=revision or None, local_dir=part, allow_patterns=_HF_PATTERNS)
        os.replace(part, target)
    except (OSError, HfHubHTTPError, LocalEntryNotFoundError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0][:160]
        raise ModelFileError(f"hf:{name}: cannot be fetched ({reason})") from error


__all__ = ["Progress", "download", "find", "home", "md5", "pull", "pulled_folder", "sha256", "size"]
