"""Files of conformance cases: what each expects, beside what the rules decide."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from candor.errors import UsageError
from candor.policy import columns, evaluation
from candor.policy.columns import OBSERVED, RELEASES, SQL_TYPES
from candor.policy.model import Policy
from candor.policy.reading import Node, instant, parse

if TYPE_CHECKING:
    import pyarrow as pa

MARKET_STATES = {"calm": 0, "elevated": 1, "stressed": 2}
KEYS = frozenset(
    {"id", "t", "p", "o", "u", "of", "ch", "at", "vol", "age", "rel", "list_ok", "d", "c", "inc", "ob", "pen", "ex"}
)


@dataclass(frozen=True)
class Difference:
    """One field of one case that is not as expected."""

    case_id: str
    title: str
    field: str
    expected: str
    got: str


def check(policy: Policy, cases: Path, base: Path | None = None) -> tuple[int, list[Difference]]:
    """How many cases the file has, and every difference. `base` is by default base.yaml or base.yml beside the file."""
    listed = _cases(cases)
    defaults = _base(cases, base)
    decided = {row["case_id"]: row for row in evaluation.evaluate_rows(policy, as_table(policy, listed, defaults))}
    return len(listed), [difference for case in listed for difference in _compare(case, decided[case["id"]])]


def as_table(policy: Policy, cases: list[dict[str, Any]], base: dict[str, Any]) -> pa.Table:
    """The cases as a table that `evaluate` takes: persona over base, then the case's own facts, ages as times of observation."""
    import pyarrow as pa

    kinds = columns.accepted(policy)
    rows = [_row(case, base, kinds) for case in cases]
    arrow = {
        "string": pa.string(), "bool": pa.bool_(), "int": pa.int64(), "number": pa.float64(), "instant": pa.timestamp("us"), "date": pa.date32(),
        "strings": pa.list_(pa.string()),
    }  # fmt: skip
    types = {"case_id": pa.string(), **{name: arrow[kind] for name, kind in kinds.items()}}
    for row in rows:
        types |= {name: pa.timestamp("us") for name in row if name.endswith(OBSERVED)}
    types[RELEASES] = pa.list_(pa.struct([("rule", pa.string()), ("until", pa.timestamp("us"))]))
    present = {name for row in rows for name in row}
    arrays = {}
    for name, kind in types.items():
        if name in present:
            arrays[name] = pa.array([row.get(name) for row in rows], kind)
    return pa.table(arrays)


def _row(case: dict[str, Any], base: dict[str, Any], kinds: dict[str, str]) -> dict[str, Any]:
    """One case as a row of facts."""
    where = f"case {case['id']}"
    person = {**base["user"], **_named(base["personas"], case.get("p"), "persona", where), **case.get("u", {})}
    offer = {**base["offer"], **_named(base["offers"], case.get("o"), "offer", where), **case.get("of", {})}
    at = _instant(case.get("at", base["as_of"]), where)
    state = case.get("vol", base.get("vol"))
    if state is not None and state not in MARKET_STATES and state != "unknown":
        raise UsageError(f"{where}: vol {state!r} is no market state", hint=f"one of {', '.join(MARKET_STATES)}, unknown")
    row: dict[str, Any] = {
        "case_id": case["id"],
        "c_as_of": at,
        "c_channel": case.get("ch", base.get("channel")),
        "c_list_parse_complete": case.get("list_ok", True),
        "c_vol_rank": MARKET_STATES.get(state) if state is not None else None,
    }
    for prefix, facts in (("u_", person), ("o_", offer)):
        for key, value in facts.items():
            name = columns.SAME.get(prefix + key, prefix + key)
            if name not in kinds:
                raise UsageError(f"{where}: {prefix + key} is no declared fact", hint="`candor policy facts` lists them")
            row[name] = _value(value, kinds[name], f"{where}: {name}")
    for fact, hours in case.get("age", {}).items():
        name = columns.SAME.get(fact, fact)
        if name not in kinds:
            raise UsageError(f"{where}: ages {fact}, which is no declared fact", hint="`candor policy facts` lists them")
        row[name + OBSERVED] = None if hours is None else at - timedelta(hours=hours)
    if "rel" in case:
        row[RELEASES] = [
            {"rule": release.get("rule"), "until": _value(release.get("until"), "instant", f"{where}: rel")}
            for release in case["rel"] or []
        ]
    return row


def _named(known: dict[str, Any], name: str | None, kind: str, where: str) -> dict[str, Any]:
    if name not in known:
        raise UsageError(f"{where}: the base has no {kind} {name!r}", hint=f"it has {', '.join(known)}")
    return known[name] or {}


def _value(value: Any, kind: str, where: str) -> Any:
    """The value as its type. Raises UsageError for another type."""
    if value is None:
        return None
    if kind == "instant":
        return _instant(value, where)
    if kind == "date":
        try:
            return date.fromisoformat(str(value))
        except ValueError:
            raise UsageError(f"{where} is {value!r}, not a date", hint="write 2008-02-29") from None
    fits = {
        "string": isinstance(value, str),
        "bool": isinstance(value, bool),
        "int": isinstance(value, int) and not isinstance(value, bool),
        "number": isinstance(value, int | float) and not isinstance(value, bool),
        "strings": isinstance(value, list) and all(one is None or isinstance(one, str) for one in value),
    }
    if not fits[kind]:
        raise UsageError(f"{where} is {value!r}, not {SQL_TYPES[kind]}", hint="a fact that nobody knows is null")
    return value


def _instant(value: Any, where: str) -> datetime:
    try:
        return instant(str(value))
    except ValueError:
        raise UsageError(f"{where}: {value!r} is no instant", hint="write 2026-11-23T15:00:00Z") from None


def _cases(path: Path) -> list[dict[str, Any]]:
    listed = _read(path)
    if not isinstance(listed, list) or not all(isinstance(case, Node) for case in listed):
        raise UsageError(f"{path} is not a list of cases", hint="each case: {id, t, p, o, d, c, …}")
    seen: set[str] = set()
    for number, case in enumerate(listed, start=1):
        if not isinstance(case.get("id"), str):
            raise UsageError(f"case number {number} of {path.name} has no id", hint="{id: C001, …}")
        if case["id"] in seen:
            raise UsageError(f"case {case['id']} is twice in {path.name}", hint="one case per id")
        seen.add(case["id"])
        if unknown := sorted(set(case) - KEYS):
            raise UsageError(
                f"case {case['id']} of {path.name} has unknown keys: {', '.join(unknown)}",
                hint=f"known: {', '.join(sorted(KEYS))}",
            )
        for key, kind in (("u", Node), ("of", Node), ("age", Node), ("c", list), ("inc", list), ("ob", list), ("rel", list)):
            if case.get(key) is not None and not isinstance(case[key], kind):
                raise UsageError(
                    f"case {case['id']}: {key} must be a {'mapping' if kind is Node else 'list'}, is {case[key]!r}"
                )
    return listed


def _base(cases: Path, base: Path | None) -> dict[str, Any]:
    if base is None:
        base = next((path for name in ("base.yaml", "base.yml") if (path := cases.parent / name).is_file()), None)
        if base is None:
            raise UsageError(
                f"there is no base.yaml beside {cases}", hint="--base names the file with the facts that cases start from"
            )
    made = _read(base)
    lacking = [
        key
        for key in ("as_of", "user", "offer", "channel", "personas", "offers")
        if not isinstance(made, dict) or key not in made
    ]
    if lacking:
        raise UsageError(
            f"{base} has no {', '.join(lacking)}", hint="it holds as_of, vol, user, offer, channel, personas, offers"
        )
    return made


def _read(path: Path) -> Any:
    if not path.is_file():
        raise UsageError(f"there is no file {path}", hint="a YAML file of cases")
    return parse(path)


def _compare(case: dict[str, Any], got: dict[str, Any]) -> list[Difference]:
    """What the case says, field by field; what it does not say is not looked at."""
    made = []

    def differs(field: str, expected: Any, found: Any, is_same: bool) -> None:
        if not is_same:
            made.append(Difference(case["id"], str(case.get("t", "")), field, _said(expected), _said(found)))

    if "d" in case:
        differs("decision", case["d"], got["decision"], case["d"] == got["decision"])
    for key, field in (("c", "codes"), ("ob", "obligations")):
        if key in case:
            differs(field, sorted(case[key]), got[field], sorted(set(case[key])) == got[field])
    if "inc" in case:
        differs("codes (at least)", sorted(case["inc"]), got["codes"], set(case["inc"]) <= set(got["codes"]))
    if "pen" in case:
        differs("penalty_bp", case["pen"], got["penalty_bp"], case["pen"] == got["penalty_bp"])
    if "ex" in case:
        differs("explanation", case["ex"], got["explanation"], case["ex"] == got["explanation"])
    return made


def _said(value: Any) -> str:
    return ", ".join(value) or "none" if isinstance(value, list) else json.dumps(value) if not isinstance(value, str) else value
