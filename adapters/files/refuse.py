"""Turns what pydantic says about a file into what a person needs: file, key, problem, cure."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from inspect import isclass
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from adapters.errors import ConfigError

M = TypeVar("M", bound=BaseModel)
Place = tuple[str | int, ...]
_WANTED = {  # pydantic's error type -> what stands there instead
    "float_type": "a number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "finite_number": "a finite number",
    "string_type": "text in quotes",
    "string_pattern_mismatch": "a plain word of up to 32 letters, digits, _ . -",
    "list_type": "a list in [ ]",
    "dict_type": "a section",
    "model_type": "a section",
}
_FIXED = {"missing": "is missing", "too_short": "is empty", "string_too_short": "is empty"}
_BOUNDS = {  # pydantic's error type -> where its limit stands, and how to say it
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "at most"),
}


def validate(
    model: type[M], data: Mapping[str, Any], file: str, origins: Mapping[Place, str] | None = None
) -> tuple[M | None, list[ConfigError]]:
    """The data as `model`, or everything wrong with it. `origins`: places that an environment variable filled."""
    try:
        return model.model_validate(data), []
    except ValidationError as error:
        return None, [_explain(model, fault, file, origins or {}) for fault in error.errors(include_url=False)]


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """A cure for an unknown word: the nearest known one, or all of them."""
    near = difflib.get_close_matches(word, known, 1, 0.6)
    if not near:  # the same parts in another order
        near = [name for name in known if sorted(name.split("_")) == sorted(word.split("_"))][:1]
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"


def _explain(model: type[BaseModel], fault: ErrorDetails, file: str, origins: Mapping[Place, str]) -> ConfigError:
    place = fault["loc"]
    if place in origins:
        file, key = "environment", origins[place]
    else:
        key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
    parent, field = _find(model, place)
    kind = fault["type"]
    if kind == "extra_forbidden":
        problem, cure = "is not a known key", did_you_mean(str(place[-1]), list(parent.model_fields) if parent else [])
    elif kind == "literal_error":
        known = [str(word) for word in get_args(field.annotation)] if field else []
        problem = f"is {shown(key, fault['input'])}, not one of {', '.join(known)}"
        cure = _near_literal(fault["input"], known)
    else:
        meaning = (field.description or "") if field else ""
        problem = _problem(kind, shown(key, fault["input"]), fault.get("ctx", {}), fault["msg"])
        cure = f"{'add it' if kind == 'missing' else 'give'}: {meaning}" if meaning else "correct it"
    return ConfigError(file, key, problem, cure)


def _problem(kind: str, given: str, context: Mapping[str, Any], message: str) -> str:
    if kind in _BOUNDS:
        name, word = _BOUNDS[kind]
        return f"is {given}, but must be {word} {context[name]:g}"
    if kind in ("too_long", "string_too_long"):
        return f"is longer than {context['max_length']}"
    if kind == "string_pattern_mismatch" and "{0,31}" not in context["pattern"]:
        return f"is {given}, which cannot be one"
    if kind in _WANTED:
        return f"is {given}, not {_WANTED[kind]}"
    return _FIXED.get(kind, f"is {given}: {message}")


def _find(model: type[BaseModel], place: Place) -> tuple[type[BaseModel] | None, FieldInfo | None]:
    """The model that holds the last part of a place, and the field there."""
    here: Any = model
    parent: type[BaseModel] | None = None
    field: FieldInfo | None = None
    for part in place:
        if isinstance(part, int):
            here = (get_args(here) or (None,))[0]
            continue
        parent = here if isclass(here) and issubclass(here, BaseModel) else None
        field = parent.model_fields.get(part) if parent else None
        here = field.annotation if field else None
    return parent, field


def _near_literal(given: object, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(str(given).lower(), known, 1, 0.5)
    return f'did you mean "{near[0]}"?' if near else "take one of these"


def shown(key: str, value: object) -> str:
    """The value as it would stand in the file, short; never a password, nor an address with one in it."""
    if "password" in key.lower() or "@" in str(value):
        return "(not shown)"
    if isinstance(value, bool):
        return str(value).lower()
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "..."
