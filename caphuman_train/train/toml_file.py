"""run.toml: read, overridden by --set, checked whole before anything starts; and the example with every setting's reason."""
from __future__ import annotations

import difflib
import json
import math
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from caphuman_core.check import fail, require

from .settings import Settings

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports]

NAMES = {float: "a number", int: "a whole number", str: "a text in quotes", bool: "true or false"}
WIDTH = 118


def read_settings(path: Path | None, overrides: Sequence[str] = ()) -> Settings:
    """The settings of a file, with `section.key=value` put over them. InputError for whatever does not fit."""
    tables = read_tables(path) if path is not None else {}
    for text in overrides:
        _override(tables, text)
    return settings_of(tables)


def settings_of(tables: Mapping[str, Any]) -> Settings:
    """Checked settings from nested tables; what is not there has its default."""
    settings = Settings(**sections_of(Settings, tables))
    _check_whole(settings)
    return settings


def sections_of(kind: type, tables: Mapping[str, Any]) -> dict[str, Any]:
    """The sections of a dataclass whose fields are dataclasses of `setting`s, each value checked by itself."""
    sections: dict[str, Any] = {item.name: item.default_factory for item in fields(kind)}
    for name, table in tables.items():
        _require_known(name, list(sections), "the section", kind)
        require(isinstance(table, Mapping), f"setting {name}", "must be a section", repr(table),
                f"write [{name}] above its settings")
    return {name: _section(name, section, tables.get(name, {}), kind) for name, section in sections.items()}


def read_tables(path: Path) -> dict[str, Any]:
    """The nested tables of a TOML file. InputError if there is none."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        fail(f"settings file '{path}'", "must exist", "no such file",
             "write one with: python -m caphuman_train train --example > run.toml")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        fail(f"settings file '{path}'", "must be a TOML file in UTF-8", str(error), "correct that line")


def _override(tables: dict[str, Any], text: str) -> None:
    place, equals, value = text.partition("=")
    section, dot, key = place.strip().partition(".")
    require(bool(equals and dot and section and key), "--set", "must be section.key=value", repr(text),
            "write for example --set optimizer.lr=5e-5")
    try:
        parsed = tomllib.loads(f"value = {value.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()                  # a bare text: --set run.folder=/data/run
    tables.setdefault(section, {})[key] = parsed


def _section(name: str, section: type, table: Mapping[str, Any], kind: type) -> Any:
    known = {item.name: item for item in fields(section)}
    for key in table:
        _require_known(f"{name}.{key}", [f"{name}.{key}" for key in known], "the setting", kind)
    return section(**{key: _value(f"{name}.{key}", value, known[key]) for key, value in table.items()})


def _require_known(name: str, known: Sequence[str], what: str, kind: type) -> None:
    if name in known:
        return
    keys = {f"{section.name}.{item.name}": item.name for section, item in _all(kind)}
    section, _, key = name.rpartition(".")
    near = ([other for other in keys if keys[other] == key]
            or [f"{section}.{other}" for other in difflib.get_close_matches(key, [keys.get(other, "") for other in known], 1, 0.5)]
            if section else difflib.get_close_matches(name, known, 1, 0.5))
    fix = f"write {near[0]}" if near else "see python -m caphuman_train train --example"
    fail(f"run settings: {what} {name}", "must be one that the trainer knows", "an unknown name", fix)


def _value(name: str, value: Any, item: Any) -> Any:
    kind, rule = type(item.default), item.metadata
    if kind is float and type(value) is int:
        value = float(value)
    require(type(value) is kind, f"setting {name}", f"must be {NAMES[kind]}", repr(value),
            f"write for example {json.dumps(item.default)}")
    if rule["one_of"]:
        near = difflib.get_close_matches(str(value), rule["one_of"], 1, 0.4)
        require(value in rule["one_of"], f"setting {name}", f"must be one of {', '.join(rule['one_of'])}", repr(value),
                f"write {json.dumps(near[0] if near else item.default)}")
    if kind in (int, float):
        _require_inside(name, value, rule["least"], rule["most"])
    return value


def _require_inside(name: str, value: float, least: float | None, most: float | None) -> None:
    inside = math.isfinite(value) and (least is None or value >= least) and (most is None or value <= most)
    limits = " and ".join([f"at least {least}"] * (least is not None) + [f"at most {most}"] * (most is not None))
    require(inside, f"setting {name}", f"must be {limits or 'finite'}", value, "correct it")


def _check_whole(settings: Settings) -> None:
    start, data = settings.start, settings.data
    for name, value in (("run.folder", settings.run.folder), ("start.base", start.base), ("data.shards", data.shards)):
        require(bool(value), f"setting {name}", "must be given", "nothing", f"write it into the TOML file, or add --set {name}=...")
    for name, value in (("start.base", start.base), ("start.capface", start.capface)):
        require(not value or Path(value).is_file(), f"setting {name}", "must be a file", repr(value), "correct the path")
    for name in ("scale_hint", "scale_identity"):
        require(not (getattr(start, name) and start.capface), f"setting start.{name}", "must be false with start.capface", "true",
                "set it to false: the file's layers are trained already")
    require(Path(data.shards).is_dir(), "setting data.shards", "must be a folder", repr(data.shards),
            "make it with: python -m caphuman_train prepare")
    require(not data.clip_vision or data.workers == 0, "setting data.workers", "must be 0 with data.clip_vision", data.workers,
            "set it to 0, or prepare the shards with their tokens")
    warmup, steps = settings.schedule.warmup_steps, settings.run.steps
    require(warmup < steps, "setting schedule.warmup_steps", "must be below run.steps", f"{warmup} of {steps}", "lower it")
    require(settings.optimizer.beta1 < 1 and settings.optimizer.beta2 < 1 and settings.average.decay < 1,
            "settings optimizer.beta1, optimizer.beta2 and average.decay", "must be below 1",
            (settings.optimizer.beta1, settings.optimizer.beta2, settings.average.decay), "lower them")


def affecting(settings: Settings) -> dict[str, Any]:
    """Settings that the numbers of a run depend on, by name: a resumed run must have the same."""
    values = asdict(settings)
    out = {f"{section.name}.{item.name}": values[section.name][item.name] for section, item in _all() if item.metadata["affects"]}
    if settings.schedule.name == "constant":
        out.pop("run.steps")                    # a longer run is the same run, only longer
    out.pop("start.base")                       # told by its fingerprint: the file may be moved
    out.pop("start.capface")                    # long passed
    return out


def example() -> str:
    """A run.toml with every setting at its default and its reason above it."""
    lines = ["# Settings of a CapFace training. Values are the defaults, which are the reference's where it has them.",
             "# Given on the command line they count for more: --set optimizer.lr=5e-5"]
    before = None
    for section, item in _all():
        if section.name != before:
            lines += ["", f"[{section.name}]"]
            before = section.name
        lines += textwrap.wrap(item.metadata["why"], WIDTH, initial_indent="# ", subsequent_indent="# ")
        lines.append(f"{item.name} = {json.dumps(item.default)}")
    return "\n".join(lines) + "\n"


def _all(kind: type = Settings) -> Iterator[tuple[Any, Any]]:
    """(section, setting) of everything, in order."""
    for section in fields(kind):
        for item in fields(section.default_factory):        # type: ignore[arg-type]
            yield section, item
