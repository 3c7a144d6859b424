"""The line that visitors stand in: turns in fair order, places told, nobody left standing by one who went away."""

from __future__ import annotations

import asyncio

import pytest

from sightline.errors import InputError
from sightline.web.line import Line, Turn


async def visit(line: Line, who: str, served: list[str], hold: asyncio.Event | None = None) -> None:
    async with line.turn(who) as turn:
        await turn.come()
        served.append(who)
        if hold is not None:
            await hold.wait()


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_turns_go_round_so_that_many_questions_of_one_hold_up_nobody() -> None:
    async def scene() -> list[str]:
        line, served, hold = Line(1, 99), [], asyncio.Event()
        tasks = [asyncio.create_task(visit(line, "greedy", served, hold))]
        await settle()
        for who in ("greedy", "greedy", "greedy", "ann", "bob"):
            tasks.append(asyncio.create_task(visit(line, who, served)))
            await settle()
        hold.set()
        await asyncio.gather(*tasks)
        assert len(line) == 0
        return served

    assert asyncio.run(scene()) == ["greedy", "greedy", "ann", "bob", "greedy", "greedy"]


def test_nobody_waits_for_ever_behind_newcomers() -> None:
    async def scene() -> list[str]:
        line, served, hold = Line(1, 99), [], asyncio.Event()
        tasks = [asyncio.create_task(visit(line, "old", served, hold))]
        await settle()
        for who in ("old", "new0", "new1", "new2"):
            tasks.append(asyncio.create_task(visit(line, who, served)))
            await settle()
        hold.set()
        await asyncio.gather(*tasks)
        return served

    assert asyncio.run(scene()).index("old", 1) <= 2


def test_no_more_are_at_work_than_allowed_and_places_count_down() -> None:
    async def scene() -> list[int]:
        line, served, hold, seen = Line(2, 99), [], asyncio.Event(), []
        tasks = [asyncio.create_task(visit(line, f"v{n}", served, hold)) for n in range(4)]
        await settle()
        assert served == ["v0", "v1"] and len(line) == 2

        async def watch() -> None:
            async with line.turn("last") as turn:
                async for place in turn.places():
                    seen.append(place.ahead)
                    assert place.seconds > 0

        last = asyncio.create_task(watch())
        await settle()
        hold.set()
        await asyncio.gather(last, *tasks)
        return seen

    seen = asyncio.run(scene())
    assert seen[0] == 2 and seen == sorted(seen, reverse=True)


def test_who_goes_away_while_waiting_or_at_work_makes_room() -> None:
    async def scene() -> list[str]:
        line, served, hold = Line(1, 99), [], asyncio.Event()
        first = asyncio.create_task(visit(line, "first", served, hold))
        await settle()
        second = asyncio.create_task(visit(line, "second", served))
        third = asyncio.create_task(visit(line, "third", served))
        await settle()
        second.cancel()
        await settle()
        first.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        await third
        return served

    assert asyncio.run(scene()) == ["first", "third"]


def test_a_full_line_refuses_in_a_sentence() -> None:
    async def scene() -> None:
        line, hold = Line(1, 2), asyncio.Event()
        tasks = [asyncio.create_task(visit(line, f"v{n}", [], hold)) for n in range(3)]
        await settle()
        with pytest.raises(InputError, match="2 questions are waiting already"):
            async with line.turn("late"):
                pass
        hold.set()
        await asyncio.gather(*tasks)

    asyncio.run(scene())


def test_a_failed_turn_ends_too() -> None:
    async def scene() -> None:
        line = Line(1, 2)
        with pytest.raises(ValueError):
            async with line.turn("a") as turn:
                await turn.come()
                raise ValueError
        async with line.turn("b") as turn:
            assert isinstance(turn, Turn)
            assert [place async for place in turn.places()] == []

    asyncio.run(scene())
