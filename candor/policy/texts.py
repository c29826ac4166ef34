"""policy/texts.yml read and checked: what a customer may be told, by code, and the one sentence for everything else."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

from candor.policy.reading import Node, Problems, nullable, schema, text

FILE = "texts.yml"
# The sentence of a policy folder without texts, and of every code that may not be told.
CONSTANT = "This offer isn't available to you right now."


def read_texts(node: Node | None, tellable: Collection[str], problems: Problems) -> tuple[Mapping[str, str], str]:
    """(sentence by code, the sentence for everything else). Every problem is noted with its line.

    `tellable` holds the codes of the pack's safe rules: a sentence for another code would tell what may not be told.
    """
    if node is None:
        return MappingProxyType({}), CONSTANT
    schema(node, FILE, "customer-texts/1", {"otherwise", "texts"}, problems)
    if complaint := text(node.get("otherwise")):
        problems.add(FILE, node.lines.get("otherwise"), "otherwise", complaint)
    listed = node.get("texts")
    if not isinstance(listed, Node):
        problems.add(FILE, node.lines.get("texts"), "texts", "must be a mapping of codes to sentences")
        return MappingProxyType({}), CONSTANT
    for code, sentence in listed.items():
        if complaint := nullable(text)(sentence):
            problems.add(FILE, listed.lines[code], code, complaint)
        if code not in tellable:
            problems.add(FILE, listed.lines[code], code, "is no code of a safe rule of the pack, so nobody may be told of it")
    kept = {code: sentence for code, sentence in listed.items() if sentence is not None}
    return MappingProxyType(kept), str(node.get("otherwise"))


def tellable(pack: Node | None) -> frozenset[str]:
    """The codes of the checks of the pack's safe rules, those included that a shop leaves out."""
    listed = pack.get("rules") if pack is not None else None
    return frozenset(
        str(check["code"])
        for rule in (listed if isinstance(listed, list) else [])
        if isinstance(rule, Node) and rule.get("vis") == "safe"
        for check in (rule.get("checks") or [])
        if isinstance(check, Node) and "code" in check
    )
