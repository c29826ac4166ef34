"""YAML that means what it says, with the line of everything, for the files of the policy folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml

from candor.errors import UsageError


class Node(dict):
    """A mapping that remembers the line it starts on and the line of each key."""

    def __init__(self) -> None:
        super().__init__()
        self.line = 0
        self.lines: dict[str, int] = {}


@dataclass
class Problems:
    """Everything wrong found so far; one line each: file, place, line, what."""

    found: list[str] = field(default_factory=list)

    def add(self, file: str, line: int | None, where: str, text: str) -> None:
        at = f"{file}:{line}" if line else file
        self.found.append(f"{at}: {where}: {text}" if where else f"{at}: {text}")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML 1.2's plain scalars only: NO, on, yes, 012, 1_000, 12:30 and dates stay the text they are."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, Any]]] = {}  # PyYAML's own attribute
    doubled: list[tuple[str, int]]


_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:null|~|)$"), ["n", "~", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), ["t", "f"])
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^-?(?:0|[1-9][0-9]*)$"), list("-0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"^-?(?:0|[1-9][0-9]*)\.[0-9]+$"), list("-0123456789"))


def _mapping(loader: _Loader, node: yaml.MappingNode) -> Node:
    made = Node()
    made.line = node.start_mark.line + 1
    for key_node, value_node in node.value:
        key = str(loader.construct_object(key_node, deep=True))
        line = key_node.start_mark.line + 1
        if key in made:
            loader.doubled.append((key, line))
        made[key] = loader.construct_object(value_node, deep=True)
        made.lines[key] = line
    return made


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def read(path: Path, problems: Problems) -> Node | None:
    """The mapping in `path`, or None with the problem noted."""
    if not path.is_file():
        problems.add(path.name, None, "", "the file is missing")
        return None
    try:
        loader = _Loader(path.read_text(encoding="utf-8"))
        loader.doubled = []
        content = loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        problems.add(path.name, mark.line + 1 if mark else None, "", f"not YAML: {error.problem}")
        return None
    except UnicodeDecodeError as error:
        problems.add(path.name, None, "", f"not UTF-8: {error.reason} at byte {error.start}")
        return None
    for key, line in loader.doubled:
        problems.add(path.name, line, key, "the key is there twice; YAML would keep the last silently")
    if not isinstance(content, Node):
        problems.add(path.name, None, "", "must be a mapping of keys")
        return None
    return content


Check = Callable[[Any], str | None]


def text(value: Any) -> str | None:
    return None if isinstance(value, str) and value.strip() else f"must be text, is {value!r}"


def truth(value: Any) -> str | None:
    return None if isinstance(value, bool) else f"must be true or false, is {value!r}"


def whole(value: Any) -> str | None:
    return None if isinstance(value, int) and not isinstance(value, bool) else f"must be a whole number, is {value!r}"


def number(value: Any) -> str | None:
    return None if isinstance(value, int | float) and not isinstance(value, bool) else f"must be a number, is {value!r}"


def texts(value: Any) -> str | None:
    if isinstance(value, list) and all(isinstance(item, str) and item for item in value):
        return None
    return f'must be a list of texts, is {value!r} (quote codes such as "NO" or "on")'


def wholes(value: Any) -> str | None:
    sound = isinstance(value, list) and value and all(whole(item) is None for item in value)
    return None if sound else f"must be a list of whole numbers, is {value!r}"


def rows(value: Any) -> str | None:
    return None if isinstance(value, list) and all(isinstance(item, Node) for item in value) else "must be a list of mappings"


def mapping(value: Any) -> str | None:
    return None if isinstance(value, Node) else "must be a mapping"


def listing(value: Any) -> str | None:
    return None if isinstance(value, list) else f"must be a list, is {value!r}"


def one_of(*allowed: Any) -> Check:
    def check(value: Any) -> str | None:
        return None if value in allowed else f"must be one of {', '.join(map(str, allowed))}, is {value!r}"

    return check


def some_of(*allowed: str) -> Check:
    def check(value: Any) -> str | None:
        if complaint := texts(value):
            return complaint
        strange = [item for item in value if item not in allowed]
        return f"knows no {', '.join(strange)} (known: {', '.join(allowed)})" if strange else None

    return check


def nullable(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


def clock(value: Any) -> str | None:
    matches = isinstance(value, str) and re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", value)
    return None if matches else f'must be a quoted wall-clock time such as "08:00", is {value!r}'


def moment(value: Any) -> str | None:
    try:
        instant(value)
    except ValueError as error:
        return str(error)
    return None


def instant(value: Any) -> datetime:
    """The UTC instant (naive) of `2023-10-08T00:00 Europe/London`, `2026-11-23T00:00:00Z` or one with an offset.

    Raises ValueError without a zone: a legal date is local to its legislator.
    """
    if not isinstance(value, str):
        raise ValueError(f"must be a quoted instant, is {value!r}")
    written, _, zone = value.strip().partition(" ")
    try:
        parsed = datetime.fromisoformat(written.replace("Z", "+00:00"))
    except ValueError:
        raise ValueError(f"is not a date and time: {value!r}") from None
    if zone:
        if parsed.tzinfo is not None:
            raise ValueError(f"has an offset and a zone: {value!r}")
        try:
            parsed = parsed.replace(tzinfo=ZoneInfo(zone))
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"names no known time zone: {value!r}") from None
    if parsed.tzinfo is None:
        raise ValueError(f'must say its zone, as in "2023-10-08T00:00 Europe/London": {value!r}')
    return parsed.astimezone(UTC).replace(tzinfo=None)


def keys(
    node: Node,
    spec: Mapping[str, Check],
    *,
    file: str,
    where: str,
    problems: Problems,
    optional: Iterable[str] = (),
) -> bool:
    """Whether `node` has exactly the keys of `spec` with right values; every problem noted."""
    before = len(problems.found)
    optional = set(optional)
    for key in node:
        if key not in spec:
            problems.add(file, node.lines[key], where, f"unknown key {key!r} (known: {', '.join(spec)})")
    for key, check in spec.items():
        if key not in node:
            if key not in optional:
                problems.add(file, node.line, where, f"{key} is missing")
        elif complaint := check(node[key]):
            problems.add(file, node.lines[key], where, f"{key} {complaint}")
    return len(problems.found) == before


def schema(node: Node, file: str, expected: str, known: set[str], problems: Problems) -> None:
    """Note another schema than expected, and top-level keys that are not known."""
    if node.get("schema") != expected:
        problems.add(file, node.lines.get("schema", 1), "schema", f"must be {expected}, is {node.get('schema')!r}")
    for key in node:
        if key not in {"schema"} | known:
            problems.add(file, node.lines[key], "", f"unknown key {key!r} (known: schema, {', '.join(sorted(known))})")


def parse(path: Path) -> Any:
    """What the YAML file says, whatever it is: lists, mappings as Node, plain scalars of YAML 1.2. Raises UsageError for anything else."""
    try:
        loader = _Loader(path.read_text(encoding="utf-8"))
        loader.doubled = []
        content = loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        at = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UsageError(f"{path}{at} is not YAML: {error.problem}", hint="quote texts with a colon or a bracket") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8: {error.reason} at byte {error.start}", hint="save it as UTF-8") from error
    if loader.doubled:
        key, line = loader.doubled[0]
        raise UsageError(f"{path}:{line}: the key {key} is there twice", hint="YAML would keep the last silently")
    return content
