"""How nodes become a cluster: by any seed, again after a restart, and never when something is wrong."""

import json
import subprocess
import time
from pathlib import Path

import pytest

from cluster import Cluster, address, admin, cluster_of, get, lister, members, metric, rooms, serving, until
from netns import need
from node import BINARY, Node, free_port, sign, token
from signal_client import Session

import socket

JOIN_S = 1.0


def run(*args: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run([BINARY, *args], capture_output=True, text=True, timeout=20, env={"PATH": "", **environment}, check=False)


def test_three_nodes_see_each_other_and_a_fourth_comes_by_any_seed(say):
    cluster = Cluster()
    try:
        for name in ("one", "two", "three"):
            cluster.start(name, seeds=cluster.seeds()[:1])
        started = time.monotonic()
        cluster.await_all()
        took = time.monotonic() - started
        say(f"three nodes see three members {took * 1000:.0f} ms after the last one's start")
        assert took < JOIN_S
        for number, seed in enumerate(("one", "two", "three")):
            name = f"fourth-by-{seed}"
            cluster.start(name, seeds=[address(cluster.nodes[seed])])
            started = time.monotonic()
            cluster.await_all()
            say(f"the {number + 4}th node by {seed}: seen by all after {(time.monotonic() - started) * 1000:.0f} ms")
    finally:
        cluster.stop()


def test_a_node_restarts_into_its_cluster_with_dead_seeds():
    with cluster_of("one", "two", "three") as cluster:
        one, two = cluster.nodes["one"], cluster.nodes["two"]
        boot = members(one)["three"]["boot_id"]
        assert cluster.nodes["three"].stop() == 0
        until("three is gone", lambda: "three" not in serving(one) and "three" not in serving(two))
        dead = [f"127.0.0.1:{free_port(socket.SOCK_STREAM)}" for _ in range(2)]
        three = cluster.start("three", seeds=dead)
        cluster.await_all()
        assert members(one)["three"]["boot_id"] > boot
        # Killed without goodbye it comes back just the same, from its data folder alone.
        three.kill()
        cluster.start("three", seeds=[])
        cluster.await_all()


def test_all_nodes_give_the_same_answers_as_any_other():
    with cluster_of("one", "two", "three") as cluster:
        nodes = list(cluster.nodes.values())
        with Session(nodes[0], token("told", "ada")), Session(nodes[1], token("told", "bob")):
            same = lambda part: len({json.dumps(part(node), sort_keys=True) for node in nodes}) == 1  # noqa: E731
            until("the same rooms", lambda: same(rooms) and len(rooms(nodes[0])["told"]["participants"]) == 2)
            # Loads travel once a second; everything else must agree at once.
            until("the same members", lambda: same(members))
            told = rooms(nodes[0])["told"]
            assert set(told) == {"name", "sid", "host", "epoch", "standby", "participants"}
            assert {each["identity"]: each["entry"] for each in told["participants"]} == {"ada": "one", "bob": "two"}
            assert told["host"] in cluster.nodes and told["sid"].startswith("RM_") and told["epoch"] >= 1
            for node in nodes:
                body = admin(node, "cluster")
                assert body["node_id"] == node.name
                assert {"node_id", "boot_id", "state", "address", "roles", "region", "version", "capacity", "load", "rooms"} <= set(body["members"][0])
                printed = run("status", "--url", f"http://{node.address}", "--dev")
                assert printed.returncode == 0, printed.stderr
                assert all(word in printed.stdout for word in ("one", "two", "three", "serving", "told")), printed.stdout
                as_json = json.loads(run("status", "--url", f"http://{node.address}", "--json", LIVEKIT_API_KEY="devkey", LIVEKIT_API_SECRET="secret").stdout)
                assert as_json["rooms"]["rooms"][0]["name"] == "told"
        wrong = sign({"iss": "devkey", "exp": int(time.time()) + 600, "video": {"roomJoin": True, "room": "told"}})
        assert get(nodes[0], "/admin/api/v1/rooms", wrong)[0] == 403
        assert get(nodes[0], "/admin/api/v1/rooms", lister()[:-2])[0] == 401


def test_what_cannot_join_says_why_and_ends():
    with cluster_of("one", "two") as cluster:
        seed = [address(cluster.nodes["one"])]
        said = cluster.refused("two", "--data-dir", str(cluster.key_file.parent / "other"), seeds=seed)
        assert "node id is in use" in said.splitlines()[-1], said
        other_key = str(cluster.new_key("other.key"))
        said = cluster.refused("three", "--cluster-key-file", other_key, seeds=seed)
        assert "key" in said.splitlines()[-1], said
        said = cluster.refused("three", "--cluster-name", "elsewhere", seeds=seed)
        assert "starling" in said.splitlines()[-1], said
        said = cluster.refused("two", seeds=seed)
        assert "in use" in said.splitlines()[-1], said
        # Nobody noticed anything.
        assert serving(cluster.nodes["one"]) == serving(cluster.nodes["two"]) == {"one", "two"}


def with_clock(offset: str) -> tuple[str, ...]:
    """What to put before a command so that its clock is off. (The wrapper `faketime` would swallow our signals.)"""
    need("faketime", "faketime")
    library = next(Path("/usr/lib").glob("**/faketime/libfaketime.so.1"), None)
    if library is None:
        pytest.skip("needs libfaketime.so.1 below /usr/lib (Debian package libfaketime)")
    return ("env", f"LD_PRELOAD={library}", f"FAKETIME={offset}")


def test_a_node_whose_clock_is_far_off_is_refused_and_one_a_little_off_is_not():
    with cluster_of("one") as cluster:
        for offset in ("+90s", "-90s"):
            said = cluster.refused("wrong", prefix=with_clock(offset))
            assert "clock differs" in said.splitlines()[-1], said
        assert metric(cluster.nodes["one"], "starling_cluster_handshakes_refused_total", reason="clock_off") >= 2
        cluster.start("right", prefix=with_clock("+10s"))
        cluster.await_all()


def test_a_node_is_ready_once_it_has_joined_or_waited():
    with cluster_of("one") as cluster:
        port, dead = free_port(socket.SOCK_STREAM), f"127.0.0.1:{free_port(socket.SOCK_STREAM)}"
        lonely = cluster.start("lonely", "--port", str(port), "--set", "cluster.join_wait=3s", seeds=[dead], wait=False)
        lonely.address = f"127.0.0.1:{port}"

        def answer(path: str):
            try:
                return get(lonely, path)
            except OSError:
                return None

        until("it lives", lambda: (answer("/live") or [0])[0] == 200)
        status, text, headers = answer("/ready")
        assert (status, text, headers["retry-after"]) == (503, "node is starting", "1")
        assert answer("/rtc/validate")[0] == 503
        lonely.await_ports()
        assert answer("/ready")[0] == 200
        assert serving(lonely) == {"lonely"}
        # The seed comes to life: the two find each other without a restart.
        late = cluster.start("late", "--cluster-port", dead.split(":")[1], seeds=[address(cluster.nodes["one"])])
        until("all three are together", lambda: serving(late) == serving(lonely) == {"one", "late", "lonely"})


def test_a_node_without_a_key_is_alone_and_opens_no_cluster_port():
    node = Node()
    try:
        assert node.ports["cluster"] == []
        assert len(members(node)) == 1
        assert "no cluster key: this node is alone" in node.log.read_text()
        assert metric(node, "starling_node_capacity_cpu_millicores") >= 1000
    finally:
        assert node.stop() == 0


def test_wrong_flags_are_named_with_what_they_may_be(tmp_path):
    for args, part in (
        (("--seed", "127.0.0.1:7946"), "starling cluster-key > cluster.key"),
        (("--seed", "nowhere"), "cluster"),
        (("--roles", "room,dance"), "dance"),
        (("--capacity", "much"), "cores"),
        (("--node-id", "a b"), "node_id"),
        (("--cluster-key-file", str(tmp_path / "missing")), "missing"),
        (("--set", "cluster.sedes=[]"), "cluster.sedes"),
    ):
        ended = run("--dev", *args)
        assert ended.returncode == 1 and part in ended.stderr, (args, ended.stderr)
    readable = tmp_path / "readable.key"
    readable.write_text(run("cluster-key").stdout)
    readable.chmod(0o644)
    ended = run("--dev", "--cluster-key-file", str(readable))
    assert ended.returncode == 1 and "chmod 600" in ended.stderr
    ports = run("ports", "--dev").stdout
    assert "TCP 7946" in ports and "UDP 7946" in ports, ports


@pytest.mark.parametrize("name", ["STARLING_CLUSTER_KEY"])
def test_the_key_may_come_by_a_variable(name, monkeypatch):
    with cluster_of("one") as cluster:
        monkeypatch.setenv(name, cluster.key_file.read_text())
        node = Node(("--node-id", "two", "--cluster-port", "0", "--seed", address(cluster.nodes["one"])))
        try:
            until("both are there", lambda: serving(node) == {"one", "two"})
        finally:
            assert node.stop() == 0
