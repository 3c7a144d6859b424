"""English nouns in the singular, by rule and by a list of exceptions."""

from __future__ import annotations

_IRREGULAR = {
    "people": "person", "men": "man", "women": "woman", "children": "child", "mice": "mouse", "geese": "goose",
    "teeth": "tooth", "feet": "foot", "knives": "knife", "wolves": "wolf", "calves": "calf", "leaves": "leaf",
    "shelves": "shelf", "loaves": "loaf", "buses": "bus", "oxen": "ox", "policemen": "policeman",
    "policewomen": "policewoman", "ladies": "lady", "skis": "ski", "cookies": "cookie", "movies": "movie",
    "octopuses": "octopus", "octopi": "octopus", "cacti": "cactus", "kiwis": "kiwi", "scarves": "scarf",
    "firemen": "fireman", "ties": "tie", "zombies": "zombie", "shoes": "shoe", "canoes": "canoe", "axes": "axe",
}  # fmt: skip
_SINGULAR_S = {"tennis", "glasses", "scissors", "trousers", "pants", "sunglasses", "binoculars", "electronics",
               "canvas", "gas", "lens", "goggles", "stairs", "headphones", "sports"}  # fmt: skip


def singular(word: str) -> str:
    """The singular of an English noun, by its regular endings and the common exceptions."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word in _SINGULAR_S or len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "xes", "sses", "zes", "oes")):
        return word[:-2]
    return word[:-1]
