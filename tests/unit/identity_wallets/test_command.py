"""`candor identity graph` from file to file."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from benchmarks import wallet_worlds
from candor.cli import app
from candor.errors import UsageError
from candor.identity.wallets import reading


@pytest.fixture
def graph(tmp_path, monkeypatch):
    monkeypatch.setenv("CANDOR_STATE_DIR", str(tmp_path / "var"))

    def call(*arguments: object):
        return CliRunner().invoke(app, ["identity", "graph", *map(str, arguments)], catch_exceptions=False)

    return call


@pytest.fixture(scope="module")
def transfers() -> pa.Table:
    return wallet_worlds.make(11, people=300, farms=7).transfers


@pytest.mark.parametrize("flag", [[], ["--same-person"]], ids=["transfers", "same_person"])
def test_shuffled_and_split_files_give_the_same_bytes(graph, transfers, tmp_path, flag):
    pq.write_table(transfers, tmp_path / "whole.parquet")
    half = transfers.num_rows // 3
    backwards = transfers.take(pa.array(range(transfers.num_rows - 1, -1, -1)))
    (tmp_path / "parts").mkdir()
    pyarrow.csv.write_csv(backwards.slice(0, half), tmp_path / "parts" / "b.csv")
    pyarrow.csv.write_csv(backwards.slice(half), tmp_path / "parts" / "a.csv")
    for name, given in (("one", tmp_path / "whole.parquet"), ("two", tmp_path / "parts")):
        extra = ["--evidence", tmp_path / f"{name}-links.parquet", "--cut", tmp_path / f"{name}-cut.parquet"]
        graph(given, "--out", tmp_path / f"{name}.parquet", *extra, *flag)
    for kind in ("", "-links", "-cut"):
        assert (tmp_path / f"one{kind}.parquet").read_bytes() == (tmp_path / f"two{kind}.parquet").read_bytes()


def test_the_command_has_every_thread_however_small_the_shop_is(graph, transfers, tmp_path, monkeypatch):
    monkeypatch.setenv("CANDOR_THREADS", "3")
    threads, intern = [], reading.intern

    def seen(connection, *others):
        threads.append(connection.execute("select current_setting('threads')").fetchone())
        return intern(connection, *others)

    monkeypatch.setattr(reading, "intern", seen)
    pq.write_table(transfers, tmp_path / "edges.parquet")
    graph(tmp_path / "edges.parquet", "--out", tmp_path / "nodes.parquet")
    assert threads == [(3,)]


def test_the_result_has_every_node_once_with_cluster_hub_and_score(graph, transfers, tmp_path):
    pq.write_table(transfers, tmp_path / "edges.parquet")
    said = graph(tmp_path / "edges.parquet", "--out", tmp_path / "nodes.parquet", "--evidence", tmp_path / "links.parquet")
    nodes = pq.read_table(tmp_path / "nodes.parquet")
    ids = nodes["node_id"].to_pylist()
    assert ids == sorted(set(transfers["from_id"].to_pylist()) | set(transfers["to_id"].to_pylist()))
    assert f"nodes {len(ids):,}" in said.stdout
    assert all(0 <= score <= 1 for score in nodes["sybil_score"].to_pylist())
    cluster = dict(zip(ids, nodes["cluster_id"].to_pylist(), strict=True))
    assert all(cluster[name] == name for name in set(cluster.values())), "a cluster is called by one of its own"
    links = pq.read_table(tmp_path / "links.parquet")
    pairs = list(zip(links["node_id"].to_pylist(), links["other_id"].to_pylist(), strict=True))
    assert len(set(pairs)) == len(pairs) > 0
    # the links alone give the clusters back
    joined: dict[str, str] = {name: name for name in ids}
    for _ in range(20):
        for one, other in pairs:
            joined[one] = joined[other] = min(joined[one], joined[other])
    assert joined == cluster


def test_a_wrong_call_says_what_to_do(graph, tmp_path):
    (tmp_path / "notes.txt").write_text("from_id,to_id\na,b\n")
    (tmp_path / "broken.parquet").write_text("no parquet")
    (tmp_path / "fine.csv").write_text("from_id,to_id\na,b\n")
    for arguments, said in (
        (["nowhere.csv", "--out", "x.parquet"], "there is no file or folder nowhere.csv"),
        ([tmp_path / "notes.txt", "--out", "x.parquet"], "no .csv or .parquet file among: notes.txt"),
        ([tmp_path / "broken.parquet", "--out", "x.parquet"], "cannot read broken.parquet"),
        ([tmp_path / "fine.csv", "--out", "x.csv"], "x.csv does not end in .parquet"),
        ([tmp_path / "fine.csv", "--out", "x.parquet", "--map", "a:b"], "--map 'a:b' is not their=ours"),
    ):
        with pytest.raises(UsageError) as raised:
            graph(*arguments)
        assert said in raised.value.message
        assert raised.value.hint
