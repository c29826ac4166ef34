"""Where a person's data lies, and what an erasure does there: one line per table and kind of file.

Erasing and proving read the same lines; a table or file that is in none of them fails a test before anybody's data can hide in it.

What an erasure does (`does`):

- `delete`: the rows that name the person go; what is left is what a world without the person has;
- `clear`: all rows go, because they are made again from others (memories and indexes of hashes, which cannot be searched by person);
- `blank`: a value that names the person, as an example among counts, becomes null;
- `suppress`: hashed contacts are kept, and nothing else;
- `keep`: the rows stay under a person_id whose owner nobody can tell any more, or never held anything of a person.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass

# The column of a table -> the kind of term (`candor.erasure.subjects`) that it may hold.
COLUMNS = {
    **dict.fromkeys(
        ("person_id", "other_person_id", "surviving_person_id", "from_person_id", "to_person_id", "example_person"), "person"
    ),
    "account_id": "account_id",
    "contact_id": "contact_id",
    "device_id": "device_id",
    "anonymous_id": "anonymous_id",
    "wallet_std": "wallet",
    "row_hash": "row_hash",
    "row_hash_before": "row_hash",
    "_row_hash": "row_hash",
    "decision_id": "decision",
    "node_id": "wallet",
    "other_id": "wallet",
    "raw": "raw",
    "domain": "domain",
    "actor": "actor",
    "session_id": "session",
    "event_id": "event",
    "assignment_id": "assignment",
    "identifier": "identifier",  # beside identifier_kind
    "other_identifier": "identifier",  # beside other_kind
    "anchor": "identifier",  # beside anchor_kind
    "record_id": "record",
    "other_record_id": "record",
}
KIND_BESIDE = {"identifier": "identifier_kind", "other_identifier": "other_kind", "anchor": "anchor_kind"}


@dataclass(frozen=True)
class Line:
    """One place, or several that are treated alike: `name` may be a pattern of file names."""

    store: str
    name: str
    record_class: str  # as in policy/retention.yml
    does: str
    keys: tuple[str, ...] = ()  # the columns that name the person
    because: str = ""

    @property
    def is_vault(self) -> bool:
        """Whether what was found here may be told to the vault's readers only."""
        return self.store in ("vault", "restricted", "restricted_raw")


def _tables(store: str, schema: str, record_class: str, does: str, names: str, because: str = "") -> list[Line]:
    """Lines of one schema, `names` being `table(key, key) table(key)`; a table without keys is written alone."""
    lines = []
    for entry in names.replace("\n", " ").split("; "):
        table, _, keys = entry.strip().removesuffix(")").partition("(")
        columns = tuple(key.strip() for key in keys.split(",") if key.strip())
        lines.append(Line(store, f"{schema}.{table.strip()}", record_class, does, columns, because))
    return lines


_COUNTS = "counts, limits and settings: nothing of one person"
_REMADE = "made again by the next run, from raw rows that are gone"

WAREHOUSE = (
    *_tables("warehouse", "state", "identity", "delete",
        "key_map(person_id, identifier); persons(person_id, anchor); identity_changes(person_id, other_person_id, identifier); "
        "probabilistic_links(account_id, contact_id); arms(person_id); phone_numbers(raw); wallet_addresses(raw); email_domains(domain)"),
    *_tables("warehouse", "state", "features_and_scores", "delete", "decisions(person_id)",
        "the working copy of what past runs decided; the evidence is the published ledger"),
    *_tables("warehouse", "state", "operations", "keep",
        "batches; current_run; deliveries; delivery_notes; erased_rows; hygiene_history; identity_rules; pins; reduced_cleaning; seen_folders; "
        "stage_marks; user_agents",
        "what was delivered and run, in counts and hashes of whole deliveries"),
    *_tables("warehouse", "raw", "operations", "keep", "feeds; silos", _COUNTS),
    *_tables("warehouse", "policy", "policy", "keep", "*", "the rules: nothing of a customer"),
    *_tables("warehouse", "seeds", "policy", "keep", "*", "lists that ship with the product"),
    *_tables("warehouse", "staging", "source_rows", "delete",
        "stg_catalogue__approvals(row_hash); stg_catalogue__past_assignments(row_hash); stg_crm__consents(row_hash); "
        "stg_crm__contacts(row_hash); stg_crm__messages(row_hash); stg_crm__preferences(row_hash); stg_events__event_duplicates(row_hash); "
        "stg_events__events(row_hash); stg_exchange__accounts(row_hash); stg_exchange__ledger_entries(row_hash); "
        "stg_exchange__trades(row_hash); stg_surveys__responses(row_hash); stg_wallets__transfers(row_hash); "
        "stg_wallets__wallet_links(row_hash)", _REMADE),
    *_tables("warehouse", "staging", "source_rows", "clear", "int_event_keys_repeated", _REMADE),
    *_tables("warehouse", "staging", "catalogue", "keep",
        "stg_catalogue__creatives; stg_catalogue__offers; stg_market__prices", "what the shop offers and what markets cost"),
    *_tables("warehouse", "identity", "identity", "delete",
        "dropped_edges(identifier, other_identifier); edges(identifier, other_identifier); identifiers(identifier); "
        "int_browsers_overlapping(device_id, anonymous_id); int_event_identifiers_grouped(account_id, device_id, anonymous_id); "
        "int_identifier_degrees(identifier); int_identifier_pairs_observed(identifier, other_identifier); "
        "int_identifiers_blocked(identifier); int_links_judged(identifier, other_identifier); "
        "int_record_pairs_compared(record_id, other_record_id); person_aliases(person_id, surviving_person_id); "
        "person_identifiers(identifier, person_id); persons(person_id)", _REMADE),
    *_tables("warehouse", "identity", "identity", "clear",
        "memory_absent; memory_batch; memory_claims; memory_cuts; memory_edges; memory_identifiers; memory_persons",
        "hashes that only a whole recomputation can rid of somebody; the next run computes everybody again"),
    *_tables("warehouse", "identity", "identity", "blank", "link_limits_observed(most_identifier)", "an example among counts"),
    *_tables("warehouse", "identity", "policy", "keep", "evidence_classes; identifier_kinds; link_limits", _COUNTS),
    *_tables("warehouse", "hygiene", "source_rows", "delete",
        "int_test_records(row_hash); new_hubs(identifier); new_test_records(row_hash); recycled_records(row_hash, row_hash_before)", _REMADE),
    *_tables("warehouse", "hygiene", "source_rows", "blank", "join_keys(not_joined); merging(example_person); orphans(example)",
        "an example among counts"),
    *_tables("warehouse", "hygiene", "operations", "keep",
        "bridges; completeness; component_sizes; freshness; metrics; reachability; silo_counts; trend_limits; trends", _COUNTS),
    *_tables("warehouse", "core", "source_rows", "delete",
        "int_actors(actor); int_assignments_judged(row_hash, person_id); int_bot_actors(actor); int_bot_sessions(session_id); "
        "int_events_judged(row_hash, person_id); int_events_said_again(event_id); int_identifier_owners(identifier, person_id); "
        "int_ledger_entries_judged(row_hash, person_id); int_messages_judged(row_hash, person_id); int_sessions(session_id); "
        "int_test_accounts(account_id); int_test_people(person_id); int_trades_judged(row_hash, person_id); "
        "int_transfers_judged(row_hash); people(person_id); person_accounts(person_id, account_id); "
        "person_contacts(person_id, contact_id); product_uses(person_id); removed_assignments(row_hash, person_id); "
        "removed_events(row_hash, person_id); removed_ledger_entries(row_hash, person_id); removed_messages(row_hash, person_id); "
        "removed_trades(row_hash, person_id); removed_transfers(row_hash)", _REMADE),
    *_tables("warehouse", "core", "source_rows", "blank",
        "int_transfers_judged(from_person_id, to_person_id); removed_transfers(from_person_id, to_person_id)",
        "the other side's transfer, which stays theirs"),
    *_tables("warehouse", "core", "source_rows", "clear", "int_event_moments_repeated", _REMADE),
    *_tables("warehouse", "core", "operations", "keep",
        "hygiene_counts; hygiene_metrics; hygiene_shares; hygiene_trends; int_bot_agents; market_states; noise_reasons; validity_periods",
        _COUNTS),
    *_tables("warehouse", "features", "features_and_scores", "delete",
        "line_activity(person_id); message_facts(person_id); person_activity(person_id); person_features(person_id); "
        "person_line_features(person_id); training_examples(person_id)", _REMADE),
    *_tables("warehouse", "eligibility", "features_and_scores", "delete", "candidates(person_id); person_segments(person_id)", _REMADE),
    *_tables("warehouse", "eligibility", "catalogue", "keep",
        "creative_choices; exclusion_counts; fact_ages; market_state; offer_classes; offer_facts; offers_withheld", _COUNTS),
    *_tables("warehouse", "valuation", "features_and_scores", "delete",
        "candidates_valued(person_id); int_refusals(person_id); line_options(person_id)", _REMADE),
    *_tables("warehouse", "valuation", "operations", "keep", "offer_feedback", _COUNTS),
    *_tables("warehouse", "decisions", "features_and_scores", "delete",
        "allocations(person_id); explanations(decision_id); int_choices(person_id); int_placements(person_id); ledger(person_id); "
        "people_set_aside(person_id); places_in_vain(person_id); "
        "scores(person_id); staged_offers(person_id)", _REMADE),
    *_tables("warehouse", "decisions", "operations", "keep", "shadow_prices", _COUNTS),
    *_tables("warehouse", "measurement", "features_and_scores", "delete", "exposures(person_id); outcomes(person_id)", _REMADE),
    *_tables("warehouse", "measurement", "operations", "keep", "arm_outcomes; lifts", _COUNTS),
)  # fmt: skip

VAULT = (
    *_tables("vault", "state", "identity", "delete", "wallet_addresses(raw); withheld(person_id)"),
    *_tables("vault", "state", "identity", "delete", "suppressed_people(person_id)", "drawn anew from the hashed contacts by each run"),
    *_tables("vault", "state", "suppression", "suppress", "suppressed_contacts", "hashed contacts, so that marketing stays away"),
    *_tables("vault", "staging", "source_rows", "delete",
        "stg_compliance__assessments(row_hash); stg_compliance__kyc_records(row_hash); stg_compliance__restrictions(row_hash); "
        "stg_compliance__screening_hits(row_hash)", _REMADE),
    *_tables("vault", "staging", "operations", "keep", "stg_compliance__screening_runs", "which lists were screened, of nobody in particular"),
    *_tables("vault", "hygiene", "source_rows", "delete", "int_people_in_silos(person_id)", _REMADE),
    *_tables("vault", "hygiene", "operations", "keep", "int_claims_apart", _COUNTS),
    *_tables("vault", "identity", "identity", "delete", "int_record_claims(record_id)", _REMADE),
    *_tables("vault", "identity", "identity", "delete", "wallet_clusters(node_id); wallet_links(node_id, other_id)", _REMADE),
    *_tables("vault", "review", "features_and_scores", "delete", "queue(person_id); releases(person_id); refusals(person_id)", _REMADE),
    *_tables("vault", "state", "features_and_scores", "delete", "review_draws(person_id)"),
    *_tables("vault", "state", "decision_log", "keep", "review_items", "when something was first queued, by a hash of what it is"),
    *_tables("vault", "eligibility", "features_and_scores", "delete",
        "int_account_assessments(person_id, account_id); int_accounts_checked(person_id, account_id); int_candidates_dated(person_id); "
        "int_candidates_surviving(person_id); int_person_assessments(person_id); int_person_consents(person_id); "
        "int_person_contacts_counted(person_id); int_person_countries(person_id); int_person_direct_offers(person_id); "
        "int_person_audiences(person_id); int_person_feedback(person_id); int_person_kyc(person_id); int_person_lifts(person_id); "
        "int_person_objections(person_id); int_person_product_patterns(person_id); int_person_regimes(person_id); "
        "int_person_restrictions(person_id); int_person_screenings(person_id); int_person_tests(person_id); pair_hits(person_id); "
        "person_channel_facts(person_id); person_emails(person_id); person_facts(person_id); person_product_facts(person_id); "
        "person_wallets(person_id); user_channel_hits(person_id); user_hits(person_id); user_product_hits(person_id)", _REMADE),
    *_tables("vault", "eligibility", "operations", "keep",
        "fact_observations; int_audience_offers; int_exclusions_counted; int_product_pattern_hits; offer_deliveries; offer_hits; "
        "offer_place_facts; offer_regime_hits; places; send_windows; zone_windows", _COUNTS),
    # Facts without a name, but an instant among them may be one person's alone.
    *_tables("vault", "eligibility", "features_and_scores", "clear", "int_product_patterns", _REMADE),
)  # fmt: skip

SERVING = (
    Line("serving", "offers", "features_and_scores", "delete", ("person_id",)),
    Line("serving", "person_lookup", "identity", "delete", ("person_id",)),
    Line("serving", "likely_lookup", "identity", "delete", ("person_id",)),
    Line("serving", "suppressions", "suppression", "delete", ("person_id",), "the hashed contacts stand in the vault instead"),
    Line("serving", "runs", "operations", "keep", (), _COUNTS),
    Line("serving", "offer_lines", "catalogue", "keep", (), "which product line an offer is of"),
    Line("serving", "lessons", "catalogue", "keep", (), "which offers teach"),
    Line("serving", "known_deliveries", "operations", "keep", (), "keyed hashes of deliveries"),
    Line("serving", "revocation_reads", "operations", "keep", (), "keyed hashes of deliveries"),
)

_LOG = "the decision log: rows under a person_id whose owner nobody can tell any more; the chain holds these bytes"
# Files of a published run, `published` and its restricted face, by name without `.parquet`.
FILES = (
    *(
        Line("published", name, "decision_log", "keep", (), _LOG)
        for name in (
            "offers", "ledger", "persons", "aliases", "ledger_people", "user_hits", "user_product_patterns", "user_channel_hits", "pair_hits",
            "explanations", "user_product_hits",  # the last of runs published by older versions
        )
    ),
    *(
        Line("published", name, "decision_log", "keep", (), _COUNTS)
        for name in (
            "exclusion_counts", "offers_withheld", "shadow_prices", "offer_hits", "offer_regime_hits", "product_pattern_hits", "ledger_creatives",
            "ledger_offers", "ledger_rules", "ledger_texts", "ledger_drivers", "choices", "catalogue_findings",
            "market_states", "hygiene", "hygiene_trends", "silos", "measurement/lifts", "measurement/arm_outcomes",
        )
    ),
    Line("published", "identity_members", "identity", "delete", ("person_id",), "the mapping"),
    Line("published", "key_map", "identity", "delete", ("person_id",), "the mapping"),
    Line("published", "person_lookup", "identity", "delete", ("person_id",), "the mapping"),
    Line("published", "likely_lookup", "identity", "delete", ("person_id",), "the mapping"),
    Line("published", "identity_edges", "identity", "delete", ("person_id", "other_person_id", "identifier", "other_identifier")),
    Line("published", "identity_events", "identity", "delete", ("person_id", "other_person_id", "identifier")),
    Line("published", "arms", "features_and_scores", "delete", ("person_id",)),
    Line("published", "measurement/exposures", "features_and_scores", "delete", ("person_id",),
        "names assignments, which sources know by account"),
    Line("published", "measurement/outcomes", "features_and_scores", "delete", ("person_id",),
        "names assignments, which sources know by account"),
    *(
        Line("restricted", name, "decision_log", "keep", (), _LOG)
        for name in (
            "user_hits", "user_product_patterns", "user_channel_hits", "pair_hits", "facts_person", "facts_person_restricted",
            "facts_person_channel", "facts_person_product", "explanations", "audit_violations", "user_product_hits",
        )
    ),
    *(
        Line("restricted", name, "decision_log", "keep", (), _COUNTS)
        for name in ("offer_hits", "offer_regime_hits", "product_pattern_hits", "facts_offer", "facts_offer_place", "facts_market", "facts_observed")
    ),
    Line("restricted", "wallet_clusters", "identity", "delete", ("node_id",)),
    Line("restricted", "wallet_links", "identity", "delete", ("node_id", "other_id")),
)  # fmt: skip

# Folders and files of the state folder; patterns are of paths below it. The first that fits counts.
FOLDERS = (
    Line("state", "landing/*", "source_deliveries", "keep", (), "the sources' own: they still have it and must erase it there"),
    Line("state", "raw/*", "source_rows", "delete", ("_row_hash",), "segments are written again without the person's rows"),
    Line("state", "restricted/raw/*", "source_rows", "delete", ("_row_hash",), "what the law requires goes to restricted/held"),
    Line("state", "quarantine/*", "source_rows", "delete", ("_row_hash",), "refused rows that name the person"),
    Line("state", "restricted/quarantine/*", "source_rows", "delete", ("_row_hash",), "refused rows that name the person"),
    Line("state", "restricted/held/*", "legal_hold", "keep", (), "records that the law requires, until their period ends"),
    Line("state", "restricted/review_verdicts.jsonl", "decision_log", "keep", (), _LOG),
    Line("state", "kill_switches.jsonl", "policy", "keep", (), "what was taken off, and by whom: nothing of a customer"),
    Line("state", "restricted/erasures/*", "erasure_proof", "keep", (), "what was kept and until when, for compliance; no identifiers"),
    Line("state", "erasures/*", "erasure_proof", "keep", (), "proofs, and which person_ids were erased; no identifiers"),
    Line("state", "published/chain/*", "decision_log", "keep", (), "hashes of files"),
    Line("state", "published/*/*.parquet", "decision_log", "keep", (), "see the lines of each file"),
    Line("state", "restricted/published/*/*.parquet", "decision_log", "keep", (), "see the lines of each file"),
    Line("state", "warehouse/*", "source_rows", "delete", (), "see the lines of each table; the file is written anew"),
    Line("state", "restricted/warehouse/*", "source_rows", "delete", (), "see the lines of each table; the file is written anew"),
    Line("state", "serving/*", "features_and_scores", "delete", (), "see the lines of each table; the file is vacuumed"),
    Line("state", "reports/*", "operations", "blank", (), "whatever in a report names the person becomes [erased]"),
    Line("state", "mlflow/*", "models", "keep", (), "weights and figures over everybody; what was trained on the person is marked retrain_due"),
    Line("state", "dbt/*", "operations", "blank", (), "compiled statements and logs"),
    Line("state", "airflow/*", "operations", "blank", (), "logs"),
    Line("state", "policy/*", "policy", "keep", (), "snapshots of the rules"),
    Line("state", "secrets/*", "operations", "keep", (), "keys of the installation; the one that person_ids come from is drawn anew"),
    Line("state", "tmp/*", "operations", "delete", (), "what is left of spills"),
)  # fmt: skip


def lines() -> tuple[Line, ...]:
    """Every line of the inventory."""
    return (*WAREHOUSE, *VAULT, *SERVING, *FILES, *FOLDERS)


def of(store: str, name: str) -> tuple[Line, ...]:
    """The lines about one table or file; none for one that the inventory does not know."""
    return tuple(line for line in lines() if line.store == store and fnmatch.fnmatchcase(name, line.name))
