"""Controllers by name: one word or address on the command line, one object for the agent.

| name | the model |
|---|---|
| `starter` | the embedded one |
| `openai:MODEL` | OpenAI's; key in OPENAI_API_KEY |
| `openai:MODEL@URL` | MODEL at any OpenAI-compatible address; key, if it wants one, in SIGHTLINE_API_KEY |
| `URL` | the one model that is served at an OpenAI-compatible address |
| `anthropic:MODEL`, `google_genai:MODEL` | theirs; keys in ANTHROPIC_API_KEY, GOOGLE_API_KEY |
| `ollama:MODEL`, `ollama:MODEL@URL` | Ollama's on this machine, or at URL |
| `local:FOLDER` | a transformers chat model in a folder; its programs are held to the grammar of the tools |
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ...errors import InputError
from ..errors import ControllerError
from .base import Controller
from .faults import KEYS

if TYPE_CHECKING:
    from langchain_core.language_models.chat_models import BaseChatModel

    from .chat import ChatController

NAMES = "starter, openai:MODEL, openai:MODEL@URL, URL, anthropic:MODEL, google_genai:MODEL, ollama:MODEL, local:FOLDER"
_PACKAGES = {  # provider -> LangChain's package, its class
    "openai": ("langchain-openai", "ChatOpenAI"),
    "anthropic": ("langchain-anthropic", "ChatAnthropic"),
    "google_genai": ("langchain-google-genai", "ChatGoogleGenerativeAI"),
    "ollama": ("langchain-ollama", "ChatOllama"),
}
_MODEL_OPTIONS = ("temperature", "max_tokens", "timeout")  # handed on to the provider's class
MAX_TOKENS = 1024
TIMEOUT = 60.0  # seconds of one call


def controller(name: str | Controller | BaseChatModel, **options: Any) -> Controller:
    """The controller that a name stands for (see the table above).

    Args:
        name: such a name; a controller passes as it is, a LangChain chat model is wrapped.
        options: of `ChatController` (sees, tools, structured, demonstrations ...), and `temperature` (0), `max_tokens`
            (1024), `timeout` (60 s) of the model.

    Raises:
        InputError: no such name, or an option that the controller does not have.
        ControllerError: a package, a key or a model is missing; the line says what to do.
    """
    if not isinstance(name, str):
        return _given(name, options)
    kind, _, rest = name.partition(":")
    if name == "starter":
        from .starter import StarterController

        return StarterController(**_allowed("starter", options, ("planner", "registry")))
    if kind in ("http", "https"):
        return _openai(name, _only_model(name), name.rstrip("/"), options)
    if kind == "local" and rest:
        from .local import local_controller

        return local_controller(rest, name, **options)
    if kind not in _PACKAGES or not rest:
        raise InputError(f"controller {name!r} is not known; give one of {NAMES}")
    model, _, place = rest.partition("@")
    if place and not place.startswith(("http://", "https://")):
        raise InputError(
            f"controller {name!r}: after @ stands an address that begins with http:// or https://"
        )
    if kind == "openai":
        return _openai(name, model, place.rstrip("/"), options)
    return _provided(name, kind, model, place.rstrip("/"), options)


def _given(model: Any, options: dict[str, Any]) -> Controller:
    if callable(getattr(model, "plan", None)) and callable(getattr(model, "chat_model", None)):
        if options:
            raise InputError(
                f"options for a ready controller: {', '.join(options)}; set them where it is made"
            )
        found: Controller = model
        return found
    if callable(getattr(model, "bind_tools", None)) and callable(getattr(model, "invoke", None)):
        return _chat(model, **options)
    raise InputError(
        f"a {type(model).__name__} is no controller; give a name ({NAMES}), a controller or a chat model"
    )


def _chat(model: BaseChatModel, name: str = "", **options: Any) -> ChatController:
    from .chat import ChatController

    if (getattr(model, "profile", None) or {}).get("temperature") is False:
        model = model.model_copy(update={"temperature": None})  # such models refuse to be sent one
    try:
        return ChatController(model, name, **options)
    except TypeError as error:
        raise InputError(f"controller {name or type(model).__name__}: {error}") from error


def _openai(name: str, model: str, place: str, options: dict[str, Any]) -> ChatController:
    """OpenAI itself, or whatever speaks as it does at `place`; a key meant for OpenAI is sent nowhere else."""
    settings = _settings(options)
    if place:
        key = os.environ.get(KEYS["url"]) or "none"  # the client insists on one; local servers ignore it
        made = _class("openai")(model=model, base_url=place, api_key=key, max_retries=0, **settings)
        return _chat(made, name, provider="url", place=place, **options)
    _key(name, "openai")
    options.setdefault("structured", True)
    return _chat(_class("openai")(model=model, max_retries=0, **settings), name, provider="openai", **options)


def _provided(name: str, kind: str, model: str, place: str, options: dict[str, Any]) -> ChatController:
    settings = _settings(options)
    if kind == "ollama":
        settings["num_predict"] = settings.pop("max_tokens")
        settings["client_kwargs"] = {"timeout": settings.pop("timeout")}
        if place:
            settings["base_url"] = place
    else:
        if place:
            raise InputError(f"controller {name!r}: only openai: and ollama: take an address")
        settings["max_retries"] = 0
    made = _class(kind)
    if kind != "ollama":
        _key(name, kind)
    return _chat(made(model=model, **settings), name, provider=kind, place=place, **options)


def _settings(options: dict[str, Any]) -> dict[str, Any]:
    """The model's own options, taken out of `options`."""
    given = {key: options.pop(key) for key in _MODEL_OPTIONS if key in options}
    return {"temperature": 0.0, "max_tokens": MAX_TOKENS, "timeout": TIMEOUT} | given


def _class(kind: str) -> Callable[..., BaseChatModel]:
    package, name = _PACKAGES[kind]
    module = package.replace("-", "_")
    if find_spec(module) is None:
        extra = "pip install 'sightline[chat]'" if kind == "openai" else f"pip install {package}"
        raise ControllerError(f"controllers {kind}: need the package {package}: {extra}")
    made: Callable[..., BaseChatModel] = getattr(import_module(module), name)
    return made


def _key(name: str, kind: str) -> None:
    variable = KEYS[kind]
    if not os.environ.get(variable):
        raise ControllerError(f"controller {name}: no key; set the environment variable {variable}")


def _only_model(place: str) -> str:
    """The model that an OpenAI-compatible server offers, where it offers one."""
    request = urllib.request.Request(f"{place.rstrip('/')}/models")  # noqa: S310 (http or https, by the caller)
    if key := os.environ.get(KEYS["url"]):
        request.add_header("Authorization", f"Bearer {key}")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            rows = json.loads(answer.read(1 << 20))["data"]
            names = [str(row["id"]) for row in rows]
    except (urllib.error.URLError, OSError) as error:
        why = getattr(error, "reason", error)
        raise ControllerError(
            f"{place}: cannot ask which models are served: {why}; start the server, or correct the address"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ControllerError(
            f"{place}: does not list its models as OpenAI's servers do; name one: openai:MODEL@{place}"
        ) from error
    if len(names) != 1:
        listed = ", ".join(names[:8]) or "none"
        raise ControllerError(
            f"{place}: serves {len(names)} models ({listed}); name one: openai:MODEL@{place}"
        )
    return names[0]


def _allowed(name: str, options: dict[str, Any], allowed: tuple[str, ...]) -> dict[str, Any]:
    wrong = [key for key in options if key not in allowed]
    if wrong:
        raise InputError(f"controller {name} has no option {', '.join(wrong)}; it has {', '.join(allowed)}")
    return options
