"""Clusters of real node processes on loopback, and what a test asks of them."""

import contextlib
import http.client
import json
import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from node import BINARY, Node, sign

PATIENCE_S = 15
ANSWER_S = 10
POLL_S = 0.02


def until(what: str, probe, seconds: float = PATIENCE_S):
    """Polls `probe` until it answers something truthy, and returns it."""
    end = time.monotonic() + seconds
    while True:
        answer = probe()
        if answer:
            return answer
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(POLL_S)


def get(node, path: str, token: str | None = None) -> tuple[int, str, dict]:
    """Status, body and headers of a `GET`."""
    connection = http.client.HTTPConnection(node.address, timeout=ANSWER_S)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
        response = connection.getresponse()
        return response.status, response.read().decode(), {name.lower(): value for name, value in response.getheaders()}
    finally:
        connection.close()


def lister() -> str:
    """A token of the development key that may list rooms."""
    return sign({"iss": "devkey", "exp": int(time.time()) + 600, "video": {"roomList": True}})


def admin(node, part: str) -> dict:
    """What the admin API says of `cluster` or `rooms`."""
    status, body, _ = get(node, f"/admin/api/v1/{part}", lister())
    assert status == 200, body
    return json.loads(body)


def members(node) -> dict[str, dict]:
    return {member["node_id"]: member for member in admin(node, "cluster")["members"]}


def serving(node) -> set[str]:
    """Ids of the members that may be given rooms, as that node sees them."""
    return {name for name, member in members(node).items() if member["state"] == "serving" and member["ready"]}


def rooms(node) -> dict[str, dict]:
    """Rooms of the whole cluster by name; a name twice is a failure."""
    listed = admin(node, "rooms")["rooms"]
    names = [room["name"] for room in listed]
    assert len(names) == len(set(names)), f"a room is listed twice: {sorted(names)}"
    return {room["name"]: room for room in listed}


def metric(node, name: str, **labels: str) -> float:
    """The sum of a metric's series with these labels."""
    status, body, _ = get(node, "/metrics")
    assert status == 200, body
    total = 0.0
    for line in body.splitlines():
        if match := re.match(rf"{name}(?:{{(.*)}})? (\S+)$", line):
            found = dict(re.findall(r'(\w+)="([^"]*)"', match[1] or ""))
            if all(found.get(label) == value for label, value in labels.items()):
                total += float(match[2])
    return total


class Cluster:
    """Nodes that share a key file; every one has a data folder that outlives it."""

    def __init__(self, args: tuple[str, ...] = ()) -> None:
        if "STARLING_E2E_URL" in os.environ:
            pytest.skip("needs nodes of its own")
        self.args = args
        self.directory = tempfile.TemporaryDirectory(prefix="starling-cluster-")
        self.key_file = self.new_key("cluster.key")
        self.nodes: dict[str, Node] = {}

    def new_key(self, name: str) -> Path:
        path = Path(self.directory.name) / name
        with path.open("wb") as file:
            subprocess.run([BINARY, "cluster-key"], stdout=file, check=True)
        return path

    def flags(self, name: str, seeds: list[str], *args: str) -> tuple[str, ...]:
        """What every node of this cluster is given; a flag of `args` replaces the one of that name."""
        common = {"--node-id": name, "--data-dir": str(Path(self.directory.name) / name), "--cluster-port": "0",
                  "--cluster-key-file": str(self.key_file)}
        kept = [part for flag, value in common.items() if flag not in args for part in (flag, value)]
        return (*kept, *(part for seed in seeds for part in ("--seed", seed)), *self.args, *args)

    def start(self, name: str, *args: str, seeds: list[str] | None = None, prefix: tuple[str, ...] = (), wait: bool = True) -> Node:
        """A node that knows one address of every node before it, or just these seeds."""
        seeds = self.seeds() if seeds is None else seeds
        node = Node(self.flags(name, seeds, *args), prefix, wait)
        node.name = name
        self.nodes[name] = node
        return node

    def seeds(self) -> list[str]:
        return [address(node) for node in self.nodes.values() if node.alive]

    def refused(self, name: str, *args: str, seeds: list[str] | None = None, prefix: tuple[str, ...] = ()) -> str:
        """Starts a node that must end with exit code 1, and returns what it said."""
        node = Node(self.flags(name, self.seeds() if seeds is None else seeds, *args), prefix, wait=False)
        try:
            assert node.process.wait(20) == 1, node.tail()
            return node.tail()
        finally:
            node.stop()

    def await_all(self, seconds: float = PATIENCE_S) -> None:
        """Until every living node sees every living node serve."""
        living = {name for name, node in self.nodes.items() if node.alive}
        for name in living:
            until(f"{name} sees {sorted(living)}", lambda name=name: serving(self.nodes[name]) == living, seconds)

    def stop(self) -> None:
        for node in self.nodes.values():
            if node.alive:
                node.ask_to_stop()
        codes = {name: node.stop() for name, node in self.nodes.items() if node.process.returncode != -9}
        tails = "\n".join(f"{name}:\n{self.nodes[name].tail()}" for name, code in codes.items() if code != 0)
        self.directory.cleanup()
        assert not tails, f"nodes ended badly: {codes}\n{tails}"


def address(node) -> str:
    """`host:port` of a node's cluster port."""
    return node.port_address("cluster")


@contextlib.contextmanager
def cluster_of(*names: str, args: tuple[str, ...] = ()):
    """Nodes one after the other, all of which see each other."""
    cluster = Cluster(args)
    try:
        for name in names:
            cluster.start(name)
        cluster.await_all()
        yield cluster
    finally:
        cluster.stop()
