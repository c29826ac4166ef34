"""The eligibility models built again beside a standing run, under another policy, without touching anything of the run.

The text is that of dbt_project/models/eligibility and its macros, with the rules compiled as for a run (`compiling.daily_sql`); warehouse and
vault are attached read-only, and what is built lives in memory. A model is built again only when something it rests on differs: its
compiled rules, a table of schema `policy`, or a model before it. Every other one is read where the run left it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from candor import silos
from candor.catalogue.linting import findings
from candor.errors import PolicyError, UsageError
from candor.policy import compiling, store
from candor.policy.grains import ALL_GRAINS, PATTERNED
from candor.policy.model import Policy
from candor.settings import PROJECT_ROOT
from candor.warehouse import scratch, sql_timestamp

if TYPE_CHECKING:
    import duckdb

    from candor.settings import Settings

_PROJECT = PROJECT_ROOT / "dbt_project"
_MODELS = _PROJECT / "models" / "eligibility"
_LAYERS = ("staging", "identity", "hygiene", "core", "features", "eligibility", "seeds")
# What the facts of each grain are made of: the models whose columns its rules may read.
_FACTS_OF = {
    "user": ("person_facts",),
    "user_x_product": ("person_facts", "offer_classes", "person_product_facts", "market_state"),
    "user_x_channel": ("person_facts", "person_channel_facts"),
    "offer": ("offer_facts",),
    "offer_x_regime": ("offer_facts", "offer_place_facts", "places"),
    "pair": ("person_facts", "offer_facts"),
}
_GIVEN_BY_THE_HITS = {"c_as_of", "c_channel", "o_is_promotion"}


@contextmanager
def attached(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """An in-memory connection with warehouse and vault attached read-only under the names that the run's own views use."""
    import duckdb

    for path in (settings.warehouse_path, settings.vault_path):
        if not path.is_file():
            raise UsageError(f"no run stands: there is no {path}", hint="`candor run --as-of …` makes one")
    with scratch(settings) as connection:
        try:
            connection.execute(f"attach '{settings.warehouse_path}' as candor (read_only)")
            connection.execute(f"attach '{settings.vault_path}' as vault (read_only)")
        except duckdb.IOException as error:
            raise UsageError(
                f"the warehouse cannot be read while another process writes it: {str(error).splitlines()[0]}",
                hint="wait until the run is through, or point CANDOR_STATE_DIR at a copy of the state folder",
            ) from error
        connection.execute("set preserve_insertion_order = false")
        yield connection


class Rebuilt:
    """The eligibility of the run of `as_of` under `policy`; `before` is the policy that the run was decided by."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        as_of: datetime,
        before: Policy,
        policy: Policy,
        *,
        everything: bool = False,
        told: Callable[[str], None] = lambda name: None,
    ) -> None:
        """`everything`: build also what does not differ. `told` hears of each model before it is built."""
        self._connection, self._as_of, self._everything, self._told = connection, as_of, everything, told
        self._where: dict[str, str] = {}
        self._built: list[str] = []
        self._rules = {grain: compiling.daily_sql(policy, grain) for grain in ALL_GRAINS}
        self._rules_before = {grain: compiling.daily_sql(before, grain) for grain in ALL_GRAINS}
        self._rule_facts = {grain: compiling.rule_facts(policy, grain) for grain in PATTERNED}
        self._rule_facts_before = {grain: compiling.rule_facts(before, grain) for grain in PATTERNED}
        self._relations = _relations(connection)
        self._templates: Any = None
        self._touched: list[bool] = []  # of the models that are being rendered: whether something they rest on differs
        self._differing = self._install(before, policy)
        _refuse_facts_that_lack(connection, policy, self._relations)

    @property
    def built(self) -> tuple[str, ...]:
        """The models that were built again, in that order."""
        return tuple(self._built)

    def relation(self, model: str) -> str:
        """Where `model` stands under the policy: built in memory, or the run's own where nothing about it differs."""
        if model in self._where:
            return self._where[model]
        file = _MODELS / f"{model}.sql"
        if not file.is_file():
            return self.of_the_run(model)
        self._touched.append(self._everything)
        sql = self._render(file.read_text(encoding="utf-8"))
        if self._touched.pop():
            self._told(model)
            self._connection.execute(f"create table memory.eligibility.{model} as {sql}")
            self._built.append(model)
            self._where[model] = f"memory.eligibility.{model}"
        else:
            self._where[model] = self.of_the_run(model)
        return self._where[model]

    def of_the_run(self, name: str, schema: str | None = None) -> str:
        """Where the run left the table or view `name`. Raises UsageError when it is not there."""
        found = [one for one in self._relations if one[2] == name and (one[1] == schema if schema else one[1] in _LAYERS)]
        if len(found) != 1:
            raise UsageError(
                f"the run's {f'{schema}.' if schema else ''}{name} is {'not there' if not found else 'there twice'}",
                hint="its eligibility must have been built; `candor run --as-of …` does",
            )
        return ".".join(f'"{part}"' for part in found[0])

    def _render(self, text: str) -> str:
        if self._templates is None:
            (batch_seq,) = self._connection.execute(
                f"select batch_seq from candor.state.batches where as_of = {sql_timestamp(self._as_of)}"
            ).fetchall()[0]
            self._templates = _Templates(
                self._as_of, batch_seq, self._ref, self._source, self._compiled, self._facts_of_rules, self._has_relation
            )
        return str(self._templates.render(text))

    def _touch(self) -> None:
        self._touched[-1] = True

    def _ref(self, model: str) -> str:
        where = self.relation(model)
        if where.startswith("memory."):
            self._touch()
        return where

    def _source(self, schema: str, name: str) -> str:
        if schema == "policy" or (schema, name) == ("raw", "silos"):
            if name in self._differing:
                self._touch()
            return f"memory.{schema}.{name}"
        if schema in ("vault_state", "vault_review"):  # as dbt's sources call the vault's own memory
            return f"vault.{schema.removeprefix('vault_')}.{name}"
        try:
            return self.of_the_run(name, schema)
        except UsageError:
            return f"candor.{schema}.{name}"  # only has_relation may ask for it

    def _compiled(self, grain: str) -> str:
        if self._rules[grain] != self._rules_before[grain]:
            self._touch()
        return self._rules[grain]

    def _facts_of_rules(self, grain: str) -> list[dict[str, Any]]:
        if self._rule_facts[grain] != self._rule_facts_before[grain]:
            self._touch()
        return self._rule_facts[grain]

    def _has_relation(self, relation: str) -> bool:
        parts = tuple(part.strip('"') for part in relation.split("."))
        return parts in self._relations

    def _install(self, before: Policy, policy: Policy) -> set[str]:
        """The names of the tables that differ, after those of `policy` were made in memory."""
        connection = self._connection
        for schema in ("policy", "eligibility", "raw"):
            connection.execute(f"create schema if not exists memory.{schema}")
        # What `candor kill` recorded stands under any policy.
        killed = connection.execute("select * from candor.policy.kill_switches").fetchall()
        recorded = set(killed) - set(store.holding(before.kill_switches, self._as_of))
        kill_switches = sorted(recorded | set(store.holding(policy.kill_switches, self._as_of)))
        store.install_tables(connection, policy, kill_switches)
        then, now = store.contents(before), store.contents(policy)
        differing = {name for name in now if sorted(then[name], key=repr) != sorted(now[name], key=repr)}
        if sorted(killed) != kill_switches:
            differing.add("kill_switches")
        connection.execute("create view memory.raw.feeds as select * from candor.raw.feeds")
        silos.write_at(connection, self._as_of)
        if before.brand != policy.brand:
            differing.add("creative_findings")
        query = findings(
            policy.brand, creatives="candor.staging.stg_catalogue__creatives", offers="candor.staging.stg_catalogue__offers"
        )
        connection.execute(f"create table memory.policy.creative_findings as {query}")
        return differing


class _Templates:
    """The models' Jinja with what dbt gives them: where things are, the run's instant, the compiled rules."""

    # Macros that ask dbt about itself; what they say here is said by a function of the same name below.
    _OWN = ("as_of", "batch_seq", "vault_database", "has_relation", "compiled_rules", "rule_facts")

    def __init__(
        self,
        as_of: datetime,
        batch_seq: int,
        ref: Callable[[str], str],
        source: Callable[[str, str], str],
        compiled: Callable[[str], str],
        rule_facts: Callable[[str], list[dict[str, Any]]],
        has_relation: Callable[[str], bool],
    ) -> None:
        import jinja2

        self._environment = jinja2.Environment(undefined=jinja2.StrictUndefined, extensions=["jinja2.ext.do"])
        own = {
            "as_of": lambda: sql_timestamp(as_of),
            "batch_seq": lambda: str(batch_seq),
            "vault_database": lambda: "vault",
            "has_relation": has_relation,
            "compiled_rules": compiled,
            "rule_facts": rule_facts,
            "ref": ref,
            "source": source,
            "config": lambda **settings: "",
        }
        self._environment.globals.update(own)
        for file in ("standardise", "eligibility"):
            # Without this module's own, so that macros which call them find the functions above.
            text = (_PROJECT / "macros" / f"{file}.sql").read_text(encoding="utf-8")
            for name in self._OWN:
                text = re.sub(rf"\{{% macro {name}\(.*?\{{%-? endmacro %\}}", "", text, flags=re.DOTALL)
            module = self._environment.from_string(text).module
            made = {name: value for name, value in vars(module).items() if not name.startswith("_")}
            self._environment.globals.update(made)

    def render(self, text: str) -> str:
        """The SQL of a model."""
        return self._environment.from_string(text).render()


def _relations(connection: duckdb.DuckDBPyConnection) -> set[tuple[str, str, str]]:
    """(database, schema, name) of every table and view of the run."""
    return set(
        connection.execute(
            """
            select database_name, schema_name, table_name from duckdb_tables() where database_name in ('candor', 'vault')
            union
            select database_name, schema_name, view_name from duckdb_views()
            where database_name in ('candor', 'vault') and not internal
            """
        ).fetchall()
    )


def _refuse_facts_that_lack(
    connection: duckdb.DuckDBPyConnection, policy: Policy, relations: set[tuple[str, str, str]]
) -> None:
    """Raise PolicyError with every rule that reads a fact which the run's tables do not hold at its grain."""
    known: dict[str, set[str]] = {name: set() for names in _FACTS_OF.values() for name in names}
    for table, column in connection.execute(
        "select table_name, column_name from duckdb_columns() where schema_name = 'eligibility' and database_name in ('candor', 'vault')"
    ).fetchall():
        if table in known:
            known[table].add(column)
    problems = []
    for rule in sorted(
        (*compiling.engine_rules(policy), *policy.rules), key=lambda rule: (rule.rule_id, rule.version, rule.grain)
    ):
        has = set().union(*(known[name] for name in _FACTS_OF[rule.grain])) | _GIVEN_BY_THE_HITS
        for fact in sorted(compiling.read_by(rule) - has):
            tables = ", ".join(_FACTS_OF[rule.grain])
            problems.append(
                f"  {rule.rule_id} v{rule.version} reads {fact}, which the run's facts lack at grain {rule.grain} ({tables})"
            )
    if problems:
        raise PolicyError(
            "these rules cannot be simulated on the run:\n" + "\n".join(problems),
            hint="let the fact await its feed (`awaits` in facts.yml), so that the rule waits; or build the fact into the eligibility models",
        )
