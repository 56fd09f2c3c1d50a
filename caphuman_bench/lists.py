"""The two lists a benchmark is made of: prompts (prompts.json) and head conditions (conditions.json).

Files of one's own have the same form. A head condition has `values` (widget values of CapHuman Edit Head; what is left out is
neutral), or `file` (a .head.safetensors), or `photo` (a picture whose head is fitted); paths are relative to the list's file.
"""
from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from caphuman_core.check import fail
from caphuman_core.head.edit import widget_values

from .plan import HeadEntry, PromptEntry

HERE = Path(__file__).parent
PROMPTS_FILE, CONDITIONS_FILE = HERE / "prompts.json", HERE / "conditions.json"
PROMPTS_FORMAT, HEADS_FORMAT = "caphuman-bench-prompts/1", "caphuman-bench-heads/1"
KINDS = ("simple", "context", "clothing", "accessory", "activity", "style")
KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")             # also a file name, on any system
NEUTRAL: dict[str, Any] = {**widget_values.NEUTRAL, "mode": "set"}


def load_prompts(path: Path | None = None) -> tuple[PromptEntry, ...]:
    """The prompts of a list; None: the 35 that ship with the tool. Raises InputError that names the entry."""
    path = path or PROMPTS_FILE
    entries = []
    for name, entry in _entries(path, PROMPTS_FORMAT, "prompts"):
        text, kind, expects = entry.get("text"), entry.get("kind", "other"), entry.get("expects", [])
        _need(isinstance(text, str) and bool(text.strip()), name, "must have a text", text)
        _need(isinstance(kind, str) and bool(kind), name, "must have a kind that is a word", kind)
        _need(isinstance(expects, list) and all(isinstance(e, str) for e in expects), name, "must expect phrases", expects)
        entries.append(PromptEntry(entry["key"], str(text), kind, tuple(expects)))
    return tuple(entries)


def load_conditions(path: Path | None = None) -> tuple[HeadEntry, ...]:
    """The head conditions of a list; None: the 10 that ship with the tool. `file` and `picture` (of a photo) are absolute paths.

    Raises InputError that names the entry.
    """
    path = path or CONDITIONS_FILE
    return tuple(_condition(name, entry, path.resolve().parent) for name, entry in _entries(path, HEADS_FORMAT, "heads"))


def full_values(values: Mapping[str, Any], name: str = "head condition") -> dict[str, Any]:
    """All widget values of CapHuman Edit Head by input name. Any light value turns `relight` on. InputError for unknown names."""
    unknown = sorted(set(values) - set(NEUTRAL))
    _need(not unknown, name, f"must use names such as {', '.join(widget_values.PLACE)}", ", ".join(map(str, unknown)))
    for key, value in values.items():
        _need(_fits(value, NEUTRAL[key]), f"{name}, {key},", f"must be a {_word(NEUTRAL[key])}", value)
    relight = {"relight": True} if set(values) & set(widget_values.LIGHT) else {}
    return {**NEUTRAL, **relight, **values}


def _fits(value: Any, like: Any) -> bool:
    if isinstance(like, bool) or isinstance(value, bool):
        return isinstance(value, bool) and isinstance(like, bool)
    if isinstance(like, float):
        return isinstance(value, (int, float)) and abs(value) < 1e6        # False for NaN too
    return isinstance(value, str)


def _word(like: Any) -> str:
    return "truth value" if isinstance(like, bool) else "number" if isinstance(like, float) else "text"


def _condition(name: str, entry: Mapping[str, Any], folder: Path) -> HeadEntry:
    forms = [form for form in ("values", "file", "photo") if form in entry]
    _need(len(forms) == 1, name, "must have one of values, file and photo", ", ".join(forms) or "none")
    if forms == ["values"]:
        _need(isinstance(entry["values"], dict), name, "must have values by input name", entry["values"])
        return HeadEntry(entry["key"], "values", full_values(entry["values"], name))
    source = folder / str(entry[forms[0]])
    _need(source.is_file(), name, f"must name a {forms[0]} that is there", source)
    if forms == ["file"]:
        return HeadEntry(entry["key"], "file", file=str(source))
    return HeadEntry(entry["key"], "photo", picture=str(source))


def _entries(path: Path, form: str, what: str) -> list[tuple[str, dict[str, Any]]]:
    name = f"list '{path.name}'"
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        fail(name, f"must be a JSON file of {what}", str(error)[:120], "start from the one that ships with the tool")
    _need(isinstance(content, dict) and content.get("format") == form, name, f"must be of format {form}",
          content.get("format") if isinstance(content, dict) else type(content).__name__)
    listed: list[dict[str, Any]] = content.get(what) or []
    _need(isinstance(listed, list) and bool(listed) and all(isinstance(e, dict) for e in listed), name,
          f"must hold {what}", listed)
    seen: set[str] = set()
    for entry in listed:
        key = entry["key"] if isinstance(entry.get("key"), str) else ""
        _need(KEY.fullmatch(key) is not None, name,
              "must have keys of letters, digits, - and _ (at most 64)", key)
        _need(key.lower() not in seen, name, "must have each key once", key)
        seen.add(key.lower())
    return [(f"{name}, entry '{entry['key']}',", entry) for entry in listed]


def _need(condition: bool, name: str, rule: str, got: Any) -> None:
    if not condition:
        fail(name, rule, repr(got)[:120], "change it in the file; the list that ships with the tool is an example")
