"""policy/explanations.yml read and checked: what may be said of why somebody sees an offer."""

from __future__ import annotations

from dataclasses import dataclass

from candor.policy.reading import Node, Problems, keys, mapping, number, rows, schema, text, whole

FILE = "explanations.yml"
SENTENCE = {"language": text, "sentence": text, "and": text}
DRIVER = {"driver": text, "sensitivity": whole, "needs": mapping, "without": mapping, "words": mapping}
NEEDS = {"feature": text, "at_least": number}
SLOT = "{drivers}"


@dataclass(frozen=True)
class Driver:
    """A group of model features that mean one thing to a customer."""

    name: str
    sensitivity: int
    needs: tuple[str, float]  # feature, at least
    without: tuple[tuple[str, float | None], ...]  # features as they are for somebody who has it not; None: missing
    words: tuple[tuple[str, str], ...]  # language, clause


@dataclass(frozen=True)
class Explanations:
    """How a reason is put into words."""

    budget: int
    most_drivers: int
    least_effect: float
    sentences: tuple[tuple[str, str, str], ...]  # language, sentence with {drivers}, what joins two
    drivers: tuple[Driver, ...]


NOTHING = Explanations(0, 0, 0.0, (), ())


def read_explanations(node: Node | None, problems: Problems) -> Explanations:
    """What the file says. Every problem is noted with its line."""
    if node is None:
        return NOTHING
    before = len(problems.found)
    schema(node, FILE, "explanations/1", {"budget", "most_drivers", "least_effect", "sentences", "drivers"}, problems)
    for key, check in (("budget", whole), ("most_drivers", whole), ("least_effect", number)):
        if complaint := check(node.get(key)):
            problems.add(FILE, node.lines.get(key), key, complaint)
    if not problems.found[before:] and (not 1 <= node["most_drivers"] <= 3 or node["budget"] < 0 or node["least_effect"] <= 0):
        problems.add(
            FILE, node.lines["budget"], "budget", "budget must be at least 0, most_drivers 1 to 3, least_effect above 0"
        )
    sentences = _listed(node, "sentences", "language", SENTENCE, problems)
    for row in sentences:
        if row["sentence"].count(SLOT) != 1:
            problems.add(FILE, row.lines["sentence"], f"sentence {row['language']}", f"must say {SLOT} once")
    spoken = {row["language"] for row in sentences}
    drivers = [
        driver for row in _listed(node, "drivers", "driver", DRIVER, problems) if (driver := _driver(row, spoken, problems))
    ]
    if len(problems.found) > before:
        return NOTHING
    return Explanations(
        node["budget"],
        node["most_drivers"],
        float(node["least_effect"]),
        tuple((row["language"], row["sentence"], row["and"]) for row in sentences),
        tuple(drivers),
    )


def _listed(node: Node, key: str, id_key: str, spec: dict, problems: Problems) -> list[Node]:
    listed = node.get(key)
    if complaint := rows(listed):
        problems.add(FILE, node.lines.get(key), key, complaint)
        return []
    fit, seen = [], set()
    for row in listed or ():
        where = str(row.get(id_key, "?"))
        if where in seen:
            problems.add(FILE, row.line, where, "is there twice")
        seen.add(where)
        if keys(row, spec, file=FILE, where=where, problems=problems):
            fit.append(row)
    return fit


def _driver(row: Node, spoken: set[str], problems: Problems) -> Driver | None:
    where, before = str(row["driver"]), len(problems.found)
    if not 0 <= row["sensitivity"] <= 2:
        problems.add(
            FILE, row.lines["sensitivity"], where, f"sensitivity must be 0, 1 or 2 to be said, is {row['sensitivity']}"
        )
    needs, without, words = row["needs"], row["without"], row["words"]
    if keys(needs, NEEDS, file=FILE, where=f"{where} needs", problems=problems):
        told = without.get(needs["feature"], "")
        if not (told is None or (isinstance(told, int | float) and told < needs["at_least"])):
            problems.add(FILE, needs.line, where, f"without it, {needs['feature']} must be below {needs['at_least']}")
    for feature, value in without.items():
        if value is not None and (complaint := number(value)):
            problems.add(FILE, without.lines[feature], where, f"without {feature} {complaint}")
    for language in sorted(spoken ^ set(words)):
        has = "has no words in" if language in spoken else "has words in, and there is no sentence in"
        problems.add(FILE, row.lines["words"], where, f"{has} {language}")
    for language, clause in words.items():
        if text(clause) or clause.strip() != clause or clause.endswith("."):
            problems.add(FILE, words.lines[language], where, f"the words in {language} must be a clause without a full stop")
    if len(problems.found) > before:
        return None
    return Driver(
        where,
        row["sensitivity"],
        (needs["feature"], float(needs["at_least"])),
        tuple((feature, None if value is None else float(value)) for feature, value in without.items()),
        tuple(sorted(words.items())),
    )
