"""What goes wrong between us and a language model, each in one line that says what to do; and how long to wait before
another try."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..errors import CannotError, ControllerError, Unreachable

KEYS = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "google_genai": "GOOGLE_API_KEY",
    "url": "SIGHTLINE_API_KEY",
}


class NoToolCalling(CannotError):
    """The server does not take tools; tool calls can be written as text instead."""


class NoSchema(CannotError):
    """The server does not take a schema for its reply; JSON can be asked for in words instead."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a call is tried, and the longest wait in seconds before another try.

    A server that asks for a longer wait than that is not asked again.
    """

    tries: int = 3
    longest: float = 20.0

    def wait(self, error: BaseException, tried: int) -> float | None:
        """Seconds before the next try after `tried` tries; None where another would not help."""
        if tried >= self.tries or not is_transient(error):
            return None
        asked = retry_after(error)
        if asked is not None:
            return asked if asked <= self.longest else None
        return float(min(0.5 * 2 ** (tried - 1), self.longest))


def is_transient(error: BaseException) -> bool:
    """Whether the same call may go through a moment later: a rate limit, a server's own fault, a lost connection."""
    if _is_refused(error) or _is_quota(error):
        return False
    code = _status(error)
    if code is not None:
        return code in (408, 409, 429) or code >= 500
    return any(
        _is_named(e, "RateLimit", "Timeout", "Connect", "InternalServer", "Overloaded") for e in _chain(error)
    )


def retry_after(error: BaseException) -> float | None:
    """Seconds that the server asks to wait (Retry-After, in seconds or as a date); None where it does not say."""
    for link in _chain(error):
        headers = getattr(getattr(link, "response", None), "headers", None)
        if headers is None:
            continue
        if (exact := headers.get("retry-after-ms")) is not None:
            return _seconds(exact, 1000.0)
        if (said := headers.get("retry-after")) is not None:
            found = _seconds(said, 1.0)
            if found is not None:
                return found
            try:
                at = email.utils.parsedate_to_datetime(said).timestamp()
            except (TypeError, ValueError):
                return None
            return max(0.0, at - time.time())
    return None


def explained(
    error: BaseException, name: str, provider: str = "", place: str = "", tried: int = 1
) -> ControllerError:
    """The error as one line for a person; ControllerErrors pass as they are.

    Args:
        error: what the provider's package raised.
        name: the controller, as it was asked for.
        provider: a key of `KEYS`, so that the right variable is named.
        place: the server's address, where it is not the provider's own.
        tried: how often the call was tried.
    """
    if isinstance(error, ControllerError):
        return error
    words = " ".join(str(error).split())
    low = words.lower()
    code = _status(error)
    where = f"{name} at {place}" if place and place not in name else name
    key = KEYS.get(provider, "the provider's key")
    if _is_refused(error):
        return Unreachable(f"{where}: connection refused; start the server, or correct the address")
    if _is_quota(error):
        return Unreachable(f"{where}: the account has no quota left; check its plan and billing")
    if code == 429 or any(_is_named(e, "RateLimit") for e in _chain(error)):
        asked = retry_after(error)
        wait = f"; the server asks to wait {asked:.0f} s" if asked else "; wait a little"
        return ControllerError(f"{where}: rate limit, {_times(tried)}{wait} and ask again")
    if code in (401, 403) or any(_is_named(e, "Authentication", "PermissionDenied") for e in _chain(error)):
        return Unreachable(f"{where}: the key was refused; check {key}")
    if code == 404:
        return Unreachable(f"{where}: no such model or path there; check the model's name and the address")
    if (
        "context length" in low
        or "too many tokens" in low
        or any(_is_named(e, "ContextOverflow") for e in _chain(error))
    ):
        return ControllerError(
            f"{where}: the prompt is longer than the model can read; shorten the conversation"
        )
    if code in (400, 404, 415, 422, 501) and "tool" in low:
        return NoToolCalling(f"{where}: takes no tools: {words[:160]}")
    if code in (400, 415, 422, 501) and ("response_format" in low or "schema" in low):
        return NoSchema(f"{where}: takes no schema for a reply: {words[:160]}")
    if any(_is_named(e, "Timeout") for e in _chain(error)):
        return ControllerError(
            f"{where}: no answer in time, {_times(tried)}; raise timeout=, or try a smaller model"
        )
    if code is not None and code >= 500:
        return ControllerError(
            f"{where}: the server failed with status {code}, {_times(tried)}; try again later"
        )
    if code is not None:
        return ControllerError(f"{where}: the server refused the call with status {code}: {words[:200]}")
    if any(_is_named(e, "Connect") for e in _chain(error)):
        return Unreachable(f"{where}: cannot be reached, {_times(tried)}; check the network and the address")
    return ControllerError(f"{where}: the call failed: {type(error).__name__}: {words[:200]}")


def complaint(reply: Any) -> str | None:
    """What is wrong with a reply that did arrive: truncated, filtered, refused or empty; None where nothing is.

    Args:
        reply: LangChain's AIMessage.
    """
    told = reply.response_metadata or {}
    reason = str(
        told.get("finish_reason") or told.get("stop_reason") or told.get("done_reason") or ""
    ).lower()
    if reason in ("length", "max_tokens", "max_output_tokens", "model_length"):
        return "the reply was cut off at the token limit; raise max_tokens="
    refusal = (reply.additional_kwargs or {}).get("refusal")
    if refusal:
        return f"the model refused: {' '.join(str(refusal).split())[:200]}"
    if reason in ("content_filter", "safety", "refusal"):
        return "the provider's filter withheld the reply; ask in other words"
    if not reply.text.strip() and not reply.tool_calls and not reply.invalid_tool_calls:
        return "the reply was empty"
    return None


def _times(tried: int) -> str:
    return "tried once" if tried == 1 else f"tried {tried} times"


def _seconds(said: str, unit: float) -> float | None:
    try:
        return max(0.0, float(said) / unit)
    except ValueError:
        return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and its causes."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _is_named(error: BaseException, *parts: str) -> bool:
    """Whether a class of the error is called so: providers' packages share names, not classes."""
    names = [cls.__name__ for cls in type(error).__mro__]
    return any(part in name for part in parts for name in names)


def _status(error: BaseException) -> int | None:
    for link in _chain(error):
        for holder in (link, getattr(link, "response", None)):
            for field in ("status_code", "code", "status"):
                value = getattr(holder, field, None)
                if isinstance(value, int) and 400 <= value < 600:
                    return value
    return None


def _is_refused(error: BaseException) -> bool:
    return any(
        isinstance(e, ConnectionRefusedError) or "connection refused" in str(e).lower() for e in _chain(error)
    )


def _is_quota(error: BaseException) -> bool:
    told = (f"{e} {getattr(e, 'code', '')} {getattr(e, 'body', '')}" for e in _chain(error))
    return _status(error) == 429 and any("insufficient_quota" in words for words in told)
