"""`sightline doctor`: whether this machine can run Sightline, finding by finding, each with its remedy."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ..errors import SightlineError
from .models import Models

# package -> the version that is known to break something, as a prefix, and what it breaks
_BROKEN = {
    "opencv-python": ("5.", "its wheels carry no face cascades"),
    "transformers": ("4.", "its API is older"),
}
_PACKAGES = (
    "torch",
    "torchvision",
    "transformers",
    "langchain",
    "ultralytics",
    "segment-anything",
    "easyocr",
    "rapidocr",
    "onnxruntime",
    "networkx",
    "gradio",
    "opencv-python",
    "opencv-python-headless",
    "pyarrow",
)


@dataclass(frozen=True)
class Finding:
    """`level` is ok, note (worth knowing) or bad (something will fail)."""

    level: str
    name: str
    text: str


def examine(pack: str, models_dir: Path | None, cache: Path) -> list[Finding]:
    """Packages, cores and memory, the cache folder, and every role of the pack. Loads no model."""
    return [*_packages(), _machine(), _cache(cache), *_roles(pack, models_dir)]


def _packages() -> list[Finding]:
    findings = []
    versions: dict[str, str] = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            findings.append(Finding("bad", name, f"not installed; run: pip install {name}"))
            continue
        broken = _BROKEN.get(name)
        if broken and versions[name].startswith(broken[0]):
            findings.append(
                Finding("bad", name, f"{versions[name]}: {broken[1]}; install the pinned version")
            )
        else:
            findings.append(Finding("ok", name, versions[name]))
    pair = (versions.get("opencv-python"), versions.get("opencv-python-headless"))
    if None not in pair and pair[0] != pair[1]:
        findings.append(
            Finding("bad", "opencv", f"opencv-python {pair[0]} and -headless {pair[1]} overwrite each other")
        )
    return findings


def _machine() -> Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    level = "ok" if memory >= 7 else "note"
    return Finding(level, "machine", f"{cores} cores, {memory:.0f} GiB of memory")


def _cache(folder: Path) -> Finding:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Finding("bad", "cache", f"{folder} cannot be written ({error.strerror}); set SIGHTLINE_HOME")
    free = shutil.disk_usage(folder).free / 2**30
    return Finding("ok" if free > 1 else "note", "cache", f"{folder}, {free:.0f} GiB free")


def _roles(pack: str, models_dir: Path | None) -> list[Finding]:
    try:
        rows = Models.from_pack(pack, models_dir).describe()
    except SightlineError as error:
        return [Finding("bad", "pack", str(error))]
    findings = []
    for row in rows:
        if row.on_disk:
            findings.append(Finding("ok", row.role, row.backend))
        elif row.backend:
            findings.append(Finding("bad", row.role, f"{row.file} is not on disk; {row.note}"))
        else:
            findings.append(Finding("note", row.role, f"open: {row.note}"))
    return findings
