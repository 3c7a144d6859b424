"""The procedural world: pictures with exact ground truth, each a pure function of a seed."""
