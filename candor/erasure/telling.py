"""A proof of erasure as text."""

from __future__ import annotations

from typing import Any


def as_text(report: dict[str, Any]) -> str:
    """The report for people: what was there, what is, what was searched, what stays and why."""
    proof = report["proof"]
    is_dry = report["is_dry_run"]
    state = "would be erased" if is_dry else "erased and proven" if proof["is_proven"] else "NOT PROVEN"
    lines = [f"erasure {report['erasure_id']} as of {report['as_of']}: {state}"]
    kinds = ", ".join(f"{count} {kind}" for kind, count in report["identifiers"].items())
    lines.append(f"  {report['person_ids']} person_id, {kinds}")
    if left := report["left_because_only_likeness_joined_it"]:
        lines.append(
            f"  {left} identifiers stay: only likeness of name and address joined them, so they may be somebody else's"
        )
    if shared := ", ".join(f"{count} {kind}" for kind, count in report["also_named_by_records_of_others"].items()):
        lines.append(f"  {shared} are also named by records of others, which stay, as theirs")
    for place in report["places"]:
        if place["before"] or place["after"]:
            after = "" if is_dry else f" -> {place['after']:,}"
            lines.append(f"  {place['store'] + '.' + place['name']:<52} {place['before']:>8,}{after}  ({place['does']})")
    if not is_dry:
        lines.append(f"  mentions taken out of reports and logs: {report['texts_cleaned']:,}")
        searched = report["searched"]
        lines.append(
            f"  searched again: {searched['tables']:,} tables, {searched['files']:,} files, {searched['bytes']:,} bytes"
        )
    for rest in proof["found_by_search"]:
        if "name" in rest:
            lines.append(f"  FOUND {rest['values']:,} in {rest['store']} {rest['name']}, {rest['column']} ({rest['kind']})")
        else:
            lines.append("  FOUND in the restricted store: its report says where")
    lines += [f"  LEFT in {place}" for place in proof["rows_left"]]
    lines += [f"  in no line of the inventory: {place}" for place in proof["in_no_line_of_the_inventory"]]
    lines += [f"  raw delivery differs from its content hash: {delivery}" for delivery in proof["raw_deliveries_that_differ"]]
    lines.append(f"  kept: the decision log, under a person_id that is nobody's now ({len(report['kept'])} files of each run)")
    lines.append(f"  kept: {report['restricted']}")
    lines.append(f"  the sources still have it: {report['sources_still_have_it']}; they erase it themselves")
    for model in report["retrain_due"]:
        lines.append(f"  retrain due: model {model['number']}, trained as of {model['train_as_of']}")
    return "\n".join(lines) + "\n"
