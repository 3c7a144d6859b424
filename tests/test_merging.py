"""Two detectors as one: who is believed, which boxes are averaged, what is dropped as a part or a double."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.tools.backends.merging import DOUBT, UNSEEN, Candidates, joined, opinion, settle


def test_boxes_of_a_kind_that_agree_are_averaged_by_score() -> None:
    found = settle(
        Candidates.of([((0, 0, 10, 10), 1, 0.75), ((0, 0, 12, 10), 1, 0.25), ((40, 0, 50, 10), 1, 0.5)])
    )
    assert found.boxes.tolist() == [[0, 0, 10.5, 10], [40, 0, 50, 10]]
    assert found.scores.tolist() == [0.75, 0.5] and found.kinds.tolist() == [1, 1]


def test_a_second_name_is_in_doubt_and_a_part_goes_with_its_whole() -> None:
    rows = [
        ((0, 0, 10, 10), 1, 0.6),
        ((0, 0, 10, 11), 2, 0.7),
        ((1, 1, 4, 4), 2, 0.5),
        ((6, 6, 9, 9), 3, 0.4),
    ]
    found = settle(Candidates.of(rows))
    # the part of the same kind is dropped; another kind may lie on it
    assert found.kinds.tolist() == [2, 3, 1]
    assert found.scores.tolist() == pytest.approx([0.7, 0.4, 0.6 * DOUBT])


def test_each_is_asked_about_what_the_other_found() -> None:
    ours = Candidates.of([((0, 0, 10, 10), 1, 0.9), ((40, 0, 50, 10), 2, 0.9)])
    theirs = Candidates.of([((0, 0, 10, 9), 1, 0.8), ((40, 0, 50, 10), 3, 0.8)])
    assert opinion(theirs, ours).tolist() == [0.8, 0.0]
    scores = joined(ours.scores, opinion(theirs, ours), 0.5)
    assert scores[0] == pytest.approx((0.9 * (0.8 + UNSEEN)) ** 0.5) and scores[1] < 0.1
    assert opinion(Candidates.of([]), ours).tolist() == [0, 0]


def test_nothing_found_is_nothing() -> None:
    assert not len(settle(Candidates.of([])).boxes)
    assert len(settle(Candidates.of([]) + Candidates.of([((0, 0, 1, 1), 0, 0.5)])).boxes) == 1
    assert np.isfinite(joined(np.zeros(2), np.zeros(2), 0.3)).all()
