"""Ten nodes, each in a network namespace: loss, a killed node, a partition. The clocks of the assertions are the issue's."""

import time

import pytest

from cluster import Cluster, members, metric, serving, until
from netns import Namespaces

NODES = 10
LOSS_PERCENT, LOSS_S = 20, 60
KNOWN_S, CUT_S, HEALED_S = 4.0, 20, 2.0


@pytest.fixture(scope="module")
def ten():
    spaces = Namespaces(NODES)
    cluster = Cluster(("--set", "rtc.workers=1"))
    try:
        for number in range(NODES):
            cluster.start(f"n{number}", "--bind", spaces.addresses[number], prefix=spaces.prefix(number))
        cluster.await_all(30)
        yield cluster, spaces
    finally:
        cluster.stop()
        spaces.close()


def downs(cluster) -> dict[str, float]:
    return {name: metric(node, "starling_cluster_life_changes_total", change="down") for name, node in cluster.nodes.items() if node.alive}


def test_loss_kills_nobody(ten):
    cluster, spaces = ten
    before = downs(cluster)
    spaces.lose(LOSS_PERCENT)
    try:
        time.sleep(LOSS_S)
        assert downs(cluster) == before, "a living node was declared dead"
    finally:
        spaces.heal()
    cluster.await_all()


def test_a_partition_heals_at_once(ten, say):
    cluster, spaces = ten
    names = list(cluster.nodes)
    sides = set(names[: NODES // 2]), set(names[NODES // 2 :])
    spaces.cut(NODES // 2)
    try:
        started = time.monotonic()
        for side in sides:
            for name in side:
                until(f"{name} sees its side alone", lambda name=name, side=side: serving(cluster.nodes[name]) == side, CUT_S)
        say(f"cut known to all after {time.monotonic() - started:.2f} s")
        time.sleep(max(0.0, CUT_S - (time.monotonic() - started)))
    finally:
        spaces.heal()
    started = time.monotonic()
    cluster.await_all()
    took = time.monotonic() - started
    say(f"healed {took:.2f} s after the cut ended")
    assert took < HEALED_S


def test_a_killed_node_is_known_to_all(ten, say):
    cluster, _ = ten
    victim = cluster.nodes["n4"]
    others = set(cluster.nodes) - {"n4"}
    before = downs(cluster)
    started = time.monotonic()
    victim.kill()
    for name in others:
        until(f"{name} knows it", lambda name=name: members(cluster.nodes[name])["n4"]["state"] == "dead", KNOWN_S + 5)
    took = time.monotonic() - started
    say(f"a killed node is known to all after {took:.2f} s")
    assert took < KNOWN_S
    # The counter that the story of loss relies on sees it too.
    assert all(count > before[name] for name, count in downs(cluster).items())
    assert all(serving(cluster.nodes[name]) == others for name in others)
