"""policy/brand.yml read and checked: what the brand stands for, and what no creative may say."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from candor.policy import specs
from candor.policy.reading import Node, Problems, keys, rows, schema, texts, whole

FILE = "brand.yml"
# Not by phrases: `candor.catalogue` and the audit look for characters.
HIDDEN = "hidden_characters"
# Neither RE2 (DuckDB) nor Rust's engine (the audit) has them.
NOT_SHARED = re.compile(r"\(\?[=!<]|\\[1-9]|\(\?P[=>]")


def folded(text: str) -> str:
    """The text without accents and umlauts: what \\b is beside letters beyond ASCII, RE2 and other engines do not agree on."""
    return "".join(letter for letter in unicodedata.normalize("NFD", text) if not unicodedata.category(letter).startswith("M"))


@dataclass(frozen=True)
class Phrase:
    """One pattern in one language, and what it means when a creative has it."""

    flag: str
    language: str
    pattern: str


@dataclass(frozen=True)
class Brand:
    """What the catalogue lint holds creatives and offers against."""

    values: tuple[str, ...]
    min_words: int
    max_lix: tuple[tuple[str, int], ...]  # by language
    flags: tuple[tuple[str, str, str], ...]  # flag, the pressure flag it becomes, why
    phrases: tuple[Phrase, ...]


NOTHING = Brand((), 0, (), (), ())


def read_brand(node: Node | None, problems: Problems) -> Brand:
    """What the file says. Every problem is noted with its line; a pattern that misses its own example is one."""
    if node is None:
        return NOTHING
    schema(node, FILE, "brand/1", {"values", "min_words", "languages", "flags", "phrases"}, problems)
    values, min_words = node.get("values"), node.get("min_words")
    if complaint := texts(values):
        problems.add(FILE, node.lines.get("values"), "values", complaint)
    if complaint := whole(min_words):
        problems.add(FILE, node.lines.get("min_words"), "min_words", complaint)
    languages = _listed(node, "languages", "language", specs.LANGUAGE, problems)
    flags = _listed(node, "flags", "flag", specs.FLAG, problems)
    known, spoken = {row["flag"] for row in flags}, {row["language"] for row in languages}
    if node.get("flags") and HIDDEN not in known:
        problems.add(FILE, node.lines["flags"], "flags", f"{HIDDEN} is missing")
    phrases = []
    for row in _listed(node, "phrases", None, specs.PHRASE, problems):
        where = f"{row['language']} {row['flag']}"
        if row["flag"] not in known:
            problems.add(FILE, row.line, where, f"{row['flag']!r} is not among the flags")
        if row["language"] not in spoken:
            problems.add(FILE, row.line, where, f"{row['language']!r} is not among the languages")
        _check_pattern(row, where, problems)
        phrases.append(Phrase(row["flag"], row["language"], row["pattern"]))
    if problems.found:
        return NOTHING
    return Brand(
        tuple(values or ()),
        int(min_words or 0),
        tuple((row["language"], row["max_lix"]) for row in languages),
        tuple((row["flag"], row["becomes"], row["why"]) for row in flags),
        tuple(phrases),
    )


def _listed(node: Node, key: str, id_key: str | None, spec: dict, problems: Problems) -> list[Node]:
    listed = node.get(key)
    if complaint := rows(listed):
        problems.add(FILE, node.lines.get(key), key, complaint)
        return []
    fit, seen = [], set()
    for row in listed or ():
        where = str(row.get(id_key or "flag", "?"))
        if not keys(row, spec, file=FILE, where=where, problems=problems):
            continue
        if id_key and where in seen:
            problems.add(FILE, row.line, where, "is there twice")
        seen.add(where)
        fit.append(row)
    return fit


def _check_pattern(row: Node, where: str, problems: Problems) -> None:
    line = row.lines["pattern"]
    if NOT_SHARED.search(row["pattern"]):
        problems.add(FILE, line, where, f"lookaround and backreferences are not understood everywhere: {row['pattern']!r}")
        return
    try:
        pattern = re.compile(folded(row["pattern"]), re.IGNORECASE | re.ASCII)
    except re.error as error:
        problems.add(FILE, line, where, f"no regular expression: {error}: {row['pattern']!r}")
        return
    if pattern.search(""):
        problems.add(FILE, line, where, f"finds something in an empty text: {row['pattern']!r}")
    for example in row["examples"]:
        if not pattern.search(folded(example)):
            problems.add(FILE, line, where, f"does not find its own example {example!r}")
    if not row["examples"]:
        problems.add(FILE, line, where, "needs at least one example")
