"""Makes the verifier's lexicon from WordNet: which words name things, actions and qualities, and what is a kind of what.

    python -m sightline.agent.verification.build_lexicon DICT [--out FOLDER]

DICT is the folder of WordNet 3.0's own files (index.noun, data.noun, ...; Debian's package wordnet-base has them). The
result is three gzipped tables of plain text beside this module and is shipped; WordNet itself is not needed to run.
"""

from __future__ import annotations

import argparse
import gzip
import re
from collections.abc import Iterator
from pathlib import Path

# Lexicographer files whose nouns can be seen, by their number in data.noun (lexnames(5WN)).
SEEN = {5: "animal", 6: "artifact", 8: "body", 13: "food", 14: "group", 15: "location", 17: "object", 18: "person",
        19: "phenomenon", 20: "plant", 23: "quantity", 25: "shape", 27: "substance", 3: "top"}  # fmt: skip
_NAME = re.compile(r"[a-z][a-z'.-]*(?:_[a-z][a-z'.-]*){0,2}")
_SENSES = 6  # of a word; rarer ones are not what a caption means
_BARREN = 12  # senses of a lemma in WordNet's order; where the first visible one comes later, it is left out


def _counts(folder: Path) -> dict[str, int]:
    """Sense key -> how often the sense occurs in the tagged texts."""
    counts = {}
    for line in (folder / "cntlist.rev").read_text("utf-8").splitlines():
        key, _, count = line.split(" ")
        counts[key] = int(count)
    return counts


def _index(folder: Path, pos: str) -> Iterator[tuple[str, list[int]]]:
    """(lemma, offsets of its synsets, the commonest sense first)."""
    for line in (folder / f"index.{pos}").read_text("utf-8").splitlines():
        if line.startswith(" "):
            continue
        fields = line.split()
        pointers = int(fields[3])
        yield fields[0], [int(offset) for offset in fields[6 + pointers :]]


def _keys(folder: Path, pos: str) -> dict[tuple[int, str], str]:
    """(synset offset, lemma) -> the sense key's number in `cntlist.rev`."""
    kinds = {"noun": 1, "verb": 2, "adj": 3}
    found = {}
    for line in (folder / f"data.{pos}").read_text("utf-8").splitlines():
        if line.startswith(" "):
            continue
        fields = line.split()
        offset, file, size = int(fields[0]), int(fields[1]), int(fields[3], 16)
        for i in range(size):
            word, number = fields[4 + 2 * i], int(fields[5 + 2 * i], 16)
            lemma = word.split("(")[0].lower()
            found[offset, lemma] = f"{lemma}%{kinds[pos]}:{file:02d}:{number:02d}"
    return found


def _nouns(folder: Path, counts: dict[str, int]) -> tuple[list[str], list[str]]:
    files: dict[int, int] = {}
    wider: dict[int, list[int]] = {}
    spelled: dict[tuple[int, str], str] = {}
    for line in (folder / "data.noun").read_text("utf-8").splitlines():
        if line.startswith(" "):
            continue
        fields = line.split("|")[0].split()
        offset, size = int(fields[0]), int(fields[3], 16)
        files[offset] = int(fields[1])
        for i in range(size):
            spelled[offset, fields[4 + 2 * i].lower()] = fields[4 + 2 * i]
        at = 4 + 2 * size
        pointers = fields[at + 1 :]
        wider[offset] = [int(pointers[i + 1]) for i in range(0, 4 * int(fields[at]), 4) if pointers[i] == "@"]
    keys = _keys(folder, "noun")
    senses: dict[str, list[tuple[int, int]]] = {}
    for lemma, offsets in _index(folder, "noun"):
        if not _NAME.fullmatch(lemma):
            continue
        own = [(o, counts.get(f"{keys.get((o, lemma), '')}::", 0)) for o in offsets]
        own = [(o, n) for o, n in own if spelled.get((o, lemma), "").islower()][:_BARREN]
        if own:
            senses[lemma] = own
    used: set[int] = set()
    queue = [o for own in senses.values() for o, _ in own[:_SENSES] if files[o] in SEEN]
    while queue:
        offset = queue.pop()
        if offset not in used:
            used.add(offset)
            queue += wider.get(offset, [])
    number = {offset: i for i, offset in enumerate(sorted(used))}
    things = [
        f"{files[offset]}\t{','.join(str(number[w]) for w in wider.get(offset, []))}"
        for offset in sorted(used)
    ]
    words = []
    for lemma, own in sorted(senses.items()):
        told = [f"{number[o] if files[o] in SEEN else '-'}:{n}" for o, n in own[:_SENSES]]
        words.append(f"{lemma.replace('_', ' ')}\t{' '.join(told)}")
    return things, words


def _others(folder: Path, counts: dict[str, int]) -> list[str]:
    """'v' or 'a', the lemma and how often it occurs; single words only. Irregular forms follow as 'V form lemma'."""
    total: dict[tuple[str, str], int] = {}
    for pos, letter in (("verb", "v"), ("adj", "a")):
        keys = _keys(folder, pos)
        by_key: dict[str, int] = {}
        for key, n in counts.items():
            by_key[":".join(key.split(":")[:3])] = by_key.get(":".join(key.split(":")[:3]), 0) + n
        for lemma, offsets in _index(folder, pos):
            if re.fullmatch(r"[a-z][a-z-]*", lemma):
                told = {keys.get((o, lemma), "") for o in offsets}
                satellite = {k.replace("%3:", "%5:") for k in told}
                total[letter, lemma] = sum(by_key.get(k, 0) for k in told | satellite)
    rows = [f"{letter}\t{lemma}\t{n}" for (letter, lemma), n in sorted(total.items())]
    for line in (folder / "verb.exc").read_text("utf-8").splitlines():
        form, lemma = line.split()[:2]
        if "_" not in form and ("v", lemma) in total:
            rows.append(f"V\t{form}\t{lemma}")
    for line in (folder / "noun.exc").read_text("utf-8").splitlines():
        form, lemma = line.split()[:2]
        if "_" not in form and re.fullmatch(r"[a-z]+", form):
            rows.append(f"N\t{form}\t{lemma}")
    return rows


def build(folder: Path, out: Path) -> dict[str, int]:
    """Write the tables; gives the number of rows of each."""
    counts = _counts(folder)
    things, words = _nouns(folder, counts)
    tables = {"things": things, "nouns": words, "words": _others(folder, counts)}
    for name, rows in tables.items():
        data = ("\n".join(rows) + "\n").encode()
        (out / f"{name}.txt.gz").write_bytes(gzip.compress(data, 9, mtime=0))
    return {name: len(rows) for name, rows in tables.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="WordNet's dict folder")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "lexicon")
    given = parser.parse_args()
    print(build(given.folder, given.out))


if __name__ == "__main__":
    main()
