"""The policy folder read and checked as a whole: a Policy, or one PolicyError with every problem."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import MappingProxyType
from typing import Any

from candor.contract import load as load_contract
from candor.errors import PolicyError
from candor.policy import specs
from candor.policy.brand import read_brand
from candor.policy.drivers import read_explanations
from candor.policy.fatf import FILE as FATF_FILE
from candor.policy.fatf import read_fatf
from candor.policy.grains import NOT_OF_PAIRS, PAIR
from candor.policy.identity_overrides import FILE, read_overrides
from candor.policy.kill_switches import FILE as KILL_SWITCHES
from candor.policy.kill_switches import read_switches
from candor.policy.model import Fact, Policy, ProductLine, Silo
from candor.policy.packs import FACT_NAME, facts_read, in_parts, read_pack
from candor.policy.reading import Node, Problems, instant, keys, read, rows, schema, text, texts, whole
from candor.policy.retention import FILE as RETENTION_FILE
from candor.policy.retention import read_retention
from candor.policy.reviewing import FILE as REVIEWING
from candor.policy.reviewing import read_reviewing
from candor.policy.staleness import read_staleness
from candor.policy.texts import FILE as TEXTS_FILE
from candor.policy.texts import read_texts, untellable
from candor.policy.worth import check_objectives, education_ratio, incentive_budget

_OTHERS = ("channels", "limits", "objectives", "experiments", "owners", "silos", "brand", "explanations")


def read_files(folder: Path, shop: str, problems: Problems) -> dict[str, Node | None]:
    """What each file of the folder says, as it is written: all that the version names. A file that cannot be read is None, and a problem."""
    shop_node = read(folder / "shops" / f"{shop}.yml", problems)
    nodes = {"shop": shop_node, "facts": read(folder / "facts.yml", problems)}
    nodes["pack"] = read(folder / str(shop_node.get("pack", "pack.yaml") if shop_node else "pack.yaml"), problems)
    nodes |= {name: read(folder / f"{name}.yml", problems) for name in _OTHERS}
    if (folder / FILE).is_file():  # a shop that overrules nothing need not say so
        nodes["identity_overrides"] = read(folder / FILE, problems)
    if (folder / TEXTS_FILE).is_file():  # without them everybody gets the constant sentence
        nodes["texts"] = read(folder / TEXTS_FILE, problems)
    if (folder / FATF_FILE).is_file():  # without it nobody's standing is known, which holds
        nodes["fatf"] = read(folder / FATF_FILE, problems)
    if (folder / RETENTION_FILE).is_file():  # without it nothing is on legal hold, and nothing has a period
        nodes["retention"] = read(folder / RETENTION_FILE, problems)
    if (folder / KILL_SWITCHES).is_file():  # a shop may have killed nothing yet
        nodes["kill_switches"] = read(folder / KILL_SWITCHES, problems)
    if (folder / REVIEWING).is_file():  # runs from before it had none
        nodes["review"] = read(folder / REVIEWING, problems)
    return nodes


def load(folder: Path, shop: str) -> Policy:
    """The policy of `shop` in `folder`. Raises PolicyError listing every problem of every file at once."""
    problems = Problems()
    nodes = read_files(folder, shop, problems)
    shop_file, shop_node, facts_node, pack_node = f"shops/{shop}.yml", nodes["shop"], nodes["facts"], nodes["pack"]
    pack_file = shop_node.get("pack", "pack.yaml") if shop_node else "pack.yaml"
    others = {name: nodes[name] for name in _OTHERS}

    facts = _facts(facts_node, problems) if facts_node is not None else {}
    lines = _shop(shop_node, shop_file, shop, problems) if shop_node is not None else ()
    leaves_out = _leaves_out(shop_node, shop_file, pack_node, {line.product_line for line in lines}, problems)
    channels = _table(others["channels"], "channels", "channel", specs.CHANNEL, problems, also=("not_served",))
    for node in channels:
        if whole(node.get("slots")) is None and node["slots"] < 1:
            problems.add("channels.yml", node.line, str(node.get("channel")), f"slots must be at least 1, is {node['slots']}")
    limits = _table(others["limits"], "limits", "name", specs.VALUE, problems, also=("staleness",))
    if others["limits"] is not None:
        for needed in specs.LIMITS:
            if needed not in {node.get("name") for node in limits}:
                problems.add("limits.yml", None, "limits", f"{needed} is missing")
    staleness = read_staleness(others["limits"], problems)
    objectives = _table(others["objectives"], "objectives", "name", specs.VALUE, problems)
    check_objectives(others["objectives"], objectives, problems)
    ratio = education_ratio(shop_node, shop_file, problems) if shop_node is not None else ()
    budget = incentive_budget(shop_node, shop_file, problems) if shop_node is not None else None
    roles = _table(others["owners"], "owners", "role", specs.ROLE, problems, key="roles")
    role_names = {str(node.get("role")) for node in roles}
    overrides = read_overrides(nodes.get("identity_overrides"), role_names, problems)
    customer_texts, constant_text = read_texts(nodes.get("texts"), untellable(pack_node), problems)
    fatf = read_fatf(nodes.get("fatf"), problems)
    retention = read_retention(nodes.get("retention"), role_names, problems)
    named = {
        "owner": role_names,
        "channel": {str(node.get("channel")) for node in channels},
        "product_line": {line.product_line for line in lines},
    }
    switches = read_switches(nodes.get("kill_switches"), named, problems)
    reviewing = read_reviewing(nodes.get("review"), role_names, problems)
    silos = _silos(others["silos"], facts, role_names, problems)
    experiments = _experiments(others["experiments"], problems)
    brand = read_brand(others["brand"], problems)
    explanations = read_explanations(others["explanations"], problems)
    not_served = _not_served(others["channels"], {str(node.get("rule_channel")) for node in channels}, problems)
    rule_channels = {str(node.get("rule_channel")) for node in channels} | set(not_served)
    pack, rules = (
        read_pack(pack_node, str(pack_file), facts, {line.product_line for line in lines}, rule_channels, leaves_out, problems)
        if pack_node is not None
        else (Node(), ())
    )
    daily, waiting = in_parts(rules, facts)
    for rule in daily:
        for fact in sorted(facts_read(rule) & NOT_OF_PAIRS) if rule.grain == PAIR else ():
            codes = ", ".join(check.code for check in rule.checks)
            problems.add(
                str(pack_file), None, f"rule {rule.rule_id}", f"{codes} reads {fact}, which no pair of the daily run has"
            )
    if problems.found:
        count = len(problems.found)
        raise PolicyError(
            f"the policy of shop {shop!r} has {count} problem{'s' if count > 1 else ''}:\n" + "\n".join(problems.found),
            hint=f"the files are in {folder}",
        )
    assert shop_node is not None
    return Policy(
        version=version_of(nodes),
        shop=shop,
        pack_id=pack["id"],
        pack_version=pack["version"],
        valid_from=instant(pack["valid_from"]),
        valid_to=instant(pack["valid_to"]),
        judges_from=instant(pack["judges_from"]),
        judges_to=instant(pack["judges_to"]),
        rules=daily,
        waiting=waiting,
        facts=MappingProxyType(facts),
        product_lines=lines,
        regime_map=MappingProxyType(
            {market: (tuple(row["regimes"]), row["permission"]) for market, row in shop_node["regime_map"].items()}
        ),
        permissions=tuple(
            (row["regime"], row["client_class"], tuple(row["products"]), instant(row["from"]), instant(row["to"]))
            for row in shop_node["permissions"]
        ),
        quiet_hours=tuple((row["regime"], tuple(row["dow"]), row["open"], row["close"]) for row in shop_node["quiet_hours"]),
        latency_margin_min=shop_node["latency_margin_min"],
        email_optout_regimes=tuple(shop_node["email_optout_regimes"]),
        sensitive_features=tuple(shop_node["sensitive_features"]),
        channels=tuple(
            (row["channel"], row["rule_channel"], row["slots"], row["is_push"], row["has_window"]) for row in channels
        ),
        channels_not_served=not_served,
        limits=MappingProxyType({row["name"]: (float(row["value"]), row["why"]) for row in limits}),
        objectives=MappingProxyType({row["name"]: (float(row["value"]), row["why"]) for row in objectives}),
        promotions_per_education=ratio,
        incentive_budget_usd=budget,
        holdout_share=float(experiments["holdout_share"]),
        salt=experiments["salt"],
        withhold_share=float(experiments["withhold_share"]),
        withhold_salt=experiments["withhold_salt"],
        roles=tuple((row["role"], row["holder"], tuple(row["approves"])) for row in roles),
        leaves_out=MappingProxyType(leaves_out),
        silos=silos,
        staleness=staleness,
        brand=brand,
        explanations=explanations,
        market_basket=tuple(
            (row["asset"], float(row["weight"]), row["interval"]) for row in shop_node.get("market_basket", ())
        ),
        kill_switches=switches,
        identity_overrides=overrides,
        texts=customer_texts,
        constant_text=constant_text,
        fatf=fatf,
        retention=retention,
        reviewing=reviewing,
    )


def version_of(nodes: dict[str, Node | None]) -> str:
    """First 16 hex of the hash of what the files say: comments, order of keys and layout do not count."""
    canonical = json.dumps(nodes, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _table(
    node: Node | None,
    name: str,
    id_key: str,
    spec: dict[str, Any],
    problems: Problems,
    key: str | None = None,
    also: tuple[str, ...] = (),
) -> list[Node]:
    if node is None:
        return []
    file, key = f"{name}.yml", key or name
    schema(node, file, f"{name}/1", {key, *also}, problems)
    listed: Any = node.get(key)
    if complaint := rows(listed):
        problems.add(file, node.lines.get(key), key, complaint)
        return []
    seen: dict[str, int] = {}
    for row in listed:
        where = str(row.get(id_key, "?"))
        keys(row, spec, file=file, where=where, problems=problems)
        if where in seen:
            problems.add(file, row.line, where, f"is there twice (first in line {seen[where]})")
        seen.setdefault(where, row.line)
    return listed


def _not_served(node: Node | None, served: set[str], problems: Problems) -> tuple[str, ...]:
    """The channels that only rules know."""
    given: Any = (node or Node()).get("not_served", [])
    if complaint := texts(given):
        problems.add("channels.yml", (node or Node()).lines.get("not_served"), "not_served", complaint)
        return ()
    for name in sorted(set(given) & served):
        problems.add(
            "channels.yml", (node or Node()).lines.get("not_served"), "not_served", f"{name} is a channel that the shop serves"
        )
    return tuple(given)


def _silos(node: Node | None, facts: dict[str, Fact], roles: set[str], problems: Problems) -> tuple[Silo, ...]:
    """One Silo per table of the landing contract; a table left out, or one that nobody delivers, is a problem."""
    made: list[Silo] = []
    listed = _table(node, "silos", "table", specs.SILO, problems)
    known = {table.full_name: table for table in load_contract().tables}
    ageing = {source for fact in facts.values() if fact.max_age_hours is not None for source in fact.sources}
    for row in listed:
        where = str(row.get("table"))
        if where not in known:
            problems.add("silos.yml", row.line, where, "the landing contract has no such table")
        if whole(row.get("late_after_hours")) is None and row["late_after_hours"] < 1:
            problems.add("silos.yml", row.line, where, f"late_after_hours must be at least 1, is {row['late_after_hours']}")
        if row.get("owner") not in roles:
            problems.add("silos.yml", row.line, where, f"owner must be a role of owners.yml, is {row.get('owner')!r}")
        needed_for = row.get("needed_for") or []
        if "facts" in needed_for and where not in ageing:
            problems.add("silos.yml", row.line, where, "needed_for says facts, but no fact with a max_age_hours is made of it")
        if where in known and known[where].restricted and row.get("when_late") != "stop":
            problems.add("silos.yml", row.line, where, "a restricted table must stop the run when it is late")
        if texts(needed_for) is None and texts(row.get("features")) is None:
            made.append(
                Silo(where, row.get("when_late", ""), row.get("late_after_hours", 0), tuple(needed_for), tuple(row["features"]),
                     str(row.get("owner")), str(row.get("why")))
            )  # fmt: skip
    if node is not None:
        for table in sorted(known.keys() - {str(row.get("table")) for row in listed}):
            problems.add("silos.yml", None, table, "is missing; every table of the landing contract needs a row")
    return tuple(made)


def _experiments(node: Node | None, problems: Problems) -> Node:
    if node is None:
        return Node()
    schema(node, "experiments.yml", "experiments/1", {"experiments"}, problems)
    made = node.get("experiments")
    if not isinstance(made, Node):
        problems.add("experiments.yml", None, "experiments", "must be a mapping")
        return Node()
    if keys(made, specs.EXPERIMENT, file="experiments.yml", where="experiments", problems=problems):
        for share in ("holdout_share", "withhold_share"):
            if not 0 <= made[share] < 1:
                problems.add("experiments.yml", made.lines[share], share, f"must be from 0 to below 1, is {made[share]}")
        if made["salt"] == made["withhold_salt"]:
            problems.add(
                "experiments.yml",
                made.lines["withhold_salt"],
                "withhold_salt",
                "must differ from salt, or the same people are drawn",
            )
    return made


def _facts(node: Node, problems: Problems) -> dict[str, Fact]:
    schema(node, "facts.yml", "fact-dictionary/1", {"terms", "facts"}, problems)
    declared = node.get("facts")
    if not isinstance(declared, Node):
        problems.add("facts.yml", None, "facts", "must be a mapping of facts")
        return {}
    made: dict[str, Fact] = {}
    for name, entry in declared.items():
        if not FACT_NAME.fullmatch(name):
            problems.add("facts.yml", declared.lines[name], name, "a fact's name starts with u_, o_, m_, d_ or c_")
        if not isinstance(entry, Node):
            problems.add("facts.yml", declared.lines[name], name, "must be a mapping")
            continue
        if keys(entry, specs.FACT, file="facts.yml", where=name, problems=problems, optional=specs.FACT_OPTIONAL):
            domain = tuple(entry["domain"]) if "domain" in entry else None
            sources = tuple(entry.get("from", ()))
            if "awaits" in entry and sources:
                problems.add("facts.yml", entry.line, name, "awaits its feed, but says `from` which one it comes")
            made[name] = Fact(
                name, entry["type"], entry.get("max_age_hours"), entry["visibility"], domain, sources,
                entry.get("awaits"), entry["meaning"], entry.get("cases_only", False),
                max_age_stressed_hours=entry.get("max_age_stressed_hours"),
            )  # fmt: skip
            stressed, always = entry.get("max_age_stressed_hours"), entry.get("max_age_hours")
            if stressed is not None and (always is None or not 0 < stressed <= always):
                problems.add(
                    "facts.yml", entry.lines["max_age_stressed_hours"], name,
                    f"max_age_stressed_hours must be from 1 to its max_age_hours, {always}, is {stressed}",
                )  # fmt: skip
    return made


def _leaves_out(shop: Node | None, file: str, pack: Node | None, product_lines: set[str], problems: Problems) -> dict[str, str]:
    """The rules that the shop leaves out, with its reasons. Only a rule about product lines that it does not have can be left out."""
    given = (shop or Node()).get("leaves_out", Node())
    listed: Any = (pack or Node()).get("rules")
    if not isinstance(given, Node) or pack is None or rows(listed) is not None:
        return {}  # each of these is a problem that is noted elsewhere
    for rule_id, reason in given.items():
        where, line = f"leaves_out {rule_id}", given.lines[rule_id]
        named = [row for row in listed if row.get("id") == rule_id]
        if not named:
            problems.add(file, line, where, "the pack has no such rule")
        if complaint := text(reason):
            problems.add(file, line, where, f"its reason {complaint}")
        for row in named:
            scope = row.get("scope")
            products = scope.get("products") if isinstance(scope, Node) else None
            if not isinstance(products, list) or not products or product_lines & set(products):
                concerned = "every product line" if not products else ", ".join(sorted(product_lines & set(products)))
                problems.add(file, line, where, f"the rule concerns {concerned}, so it cannot be left out")
    return dict(given)


def _shop(node: Node, file: str, shop: str, problems: Problems) -> tuple[ProductLine, ...]:
    if not keys(node, specs.SHOP, file=file, where="", problems=problems, optional=specs.SHOP_OPTIONAL):
        return ()
    if node["shop"] != shop:
        problems.add(file, node.lines["shop"], "shop", f"must be {shop!r}, as the file is called, is {node['shop']!r}")
    lines: dict[str, ProductLine] = {}
    for row in node["product_lines"]:
        where = f"product line {row.get('product', '?')}"
        if not keys(row, specs.PRODUCT_LINE, file=file, where=where, problems=problems, optional=specs.PRODUCT_LINE_OPTIONAL):
            continue
        if row["product"] in lines:
            problems.add(file, row.line, where, "is there twice")
        lines[row["product"]] = ProductLine(
            row["product"], row["rank"], row["min_kyc"], row["approp"], row["vol_max"],
            tuple(row["profiles"]), tuple(row["stages"]), tuple(row["outcomes"]), row.get("outcome_needs_offer", False),
        )  # fmt: skip
        if not row["outcomes"]:
            problems.add(file, row.line, where, "needs at least one outcome")
    regimes: set[str] = set()
    for market, row in node["regime_map"].items():
        where = f"market {market}"
        if not isinstance(row, Node):
            problems.add(file, node["regime_map"].lines[market], where, "must be a mapping")
        elif keys(row, specs.MARKET, file=file, where=where, problems=problems):
            regimes |= set(row["regimes"]) | {row["permission"]}
            if not row["regimes"] or row["permission"] not in row["regimes"]:
                problems.add(file, row.line, where, f"its permission regime {row['permission']!r} must be one of its regimes")
    assets: set[str] = set()
    for row in node.get("market_basket", ()):
        where = f"market basket {row.get('asset', '?')}"
        if keys(row, specs.MARKET_ASSET, file=file, where=where, problems=problems):
            if row["weight"] <= 0:
                problems.add(file, row.line, where, f"its weight must be above 0, is {row['weight']}")
            if row["asset"] in assets:
                problems.add(file, row.line, where, "is there twice")
            assets.add(row["asset"])
    if not assets and any(line.vol_max < 2 for line in lines.values()):
        problems.add(
            file, None, "market_basket", "is missing, and some product lines may be promoted in calm markets only (vol_max)"
        )
    for number_, row in enumerate(node["permissions"], start=1):
        where = f"permission {number_} ({row.get('regime', '?')})"
        if not keys(row, specs.PERMISSION, file=file, where=where, problems=problems, optional={"evidence"}):
            continue
        if row["regime"] not in regimes:
            problems.add(file, row.line, where, f"no market has the regime {row['regime']!r}")
        for product in row["products"]:
            if product not in lines:
                problems.add(file, row.line, where, f"product line {product!r} is not in the matrix")
        if instant(row["from"]) >= instant(row["to"]):
            problems.add(file, row.line, where, f"from {row['from']!r} must be before to {row['to']!r}")
    for number_, row in enumerate(node["quiet_hours"], start=1):
        where = f"quiet hours {number_} ({row.get('regime', '?')})"
        if not keys(row, specs.QUIET, file=file, where=where, problems=problems):
            continue
        if any(day not in range(1, 8) for day in row["dow"]):
            problems.add(file, row.line, where, f"dow holds ISO weekdays 1 to 7, is {row['dow']}")
        if row["regime"] != "*" and row["regime"] not in regimes:
            problems.add(file, row.line, where, f"no market has the regime {row['regime']!r}")
        if row["open"] >= row["close"]:
            problems.add(file, row.line, where, f"open {row['open']!r} must be before close {row['close']!r}")
    return tuple(lines.values())
