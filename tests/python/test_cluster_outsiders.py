"""Who has not the cluster's key: nothing is answered, nothing is learned, nothing grows."""

import os
import select
import socket
import ssl
import threading
import time

import pytest

from cluster import Cluster, address, cluster_of, metric, serving, until
from node import free_port

CLOSED_S = 3.0
SLACK_S = 0.7
SILENT = 1_000
GROWTH_BYTES = 24 * 1024 * 1024


@pytest.fixture(scope="module")
def two():
    with cluster_of("alpha-node", "beta-node") as cluster:
        yield cluster


def port_of(node) -> tuple[str, int]:
    host, port = address(node).rsplit(":", 1)
    return host, int(port)


def test_datagrams_of_outsiders_are_not_answered(two):
    node = two.nodes["alpha-node"]
    dropped = metric(node, "starling_cluster_datagrams_dropped_total")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outsider:
        outsider.connect(port_of(node))
        bodies = [b"", b"\x00", bytes(9), b"starling", os.urandom(64), os.urandom(1200), bytes([1, 1, 0]) + os.urandom(200), bytes([1, 2, 0]) + os.urandom(200)]
        for body in bodies * 20:
            outsider.send(body)
        outsider.settimeout(1)
        with pytest.raises(TimeoutError):
            outsider.recv(2048)
    until("all are counted", lambda: metric(node, "starling_cluster_datagrams_dropped_total") - dropped >= 20 * (len(bodies) - 1))
    assert serving(node) == set(two.nodes)


def closed_after(stream: socket.socket, limit: float = 10) -> tuple[float, bytes]:
    """Seconds until the other side closes, and what it sent before."""
    started, got = time.monotonic(), b""
    stream.settimeout(limit)
    while True:
        try:
            part = stream.recv(4096)
        except (ConnectionResetError, ssl.SSLError):
            part = b""
        if not part:
            return time.monotonic() - started, got
        got += part


def test_streams_without_the_key_are_closed_in_time(two):
    target = port_of(two.nodes["alpha-node"])
    with socket.create_connection(target) as silent:
        took, got = closed_after(silent)
        assert took <= CLOSED_S + SLACK_S and got == b"", (took, got)
    with socket.create_connection(target) as garbage:
        garbage.sendall(os.urandom(300))
        took, _ = closed_after(garbage)
        assert took <= CLOSED_S + SLACK_S
    # TLS itself proves nothing: without the key it leads nowhere.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    started = time.monotonic()
    try:
        with socket.create_connection(target) as plain, context.wrap_socket(plain) as stream:
            stream.sendall(os.urandom(32))
            closed_after(stream)
    except (ssl.SSLError, ConnectionResetError):
        pass
    assert time.monotonic() - started <= CLOSED_S + SLACK_S


def test_a_node_with_the_wrong_key_learns_nothing_and_hurts_nobody(two):
    said = two.refused("gamma", "--cluster-key-file", str(two.new_key("wrong.key")))
    assert "key" in said.splitlines()[-1], said
    for secret in ("beta-node",):
        assert secret not in said, "the members are not told to strangers"
    assert serving(two.nodes["alpha-node"]) == set(two.nodes)


def test_a_thousand_silent_connections_cost_no_memory(two, say):
    node = two.nodes["alpha-node"]
    target, before = port_of(node), node.rss()
    peak, streams = before, []
    try:
        for _ in range(SILENT):
            stream = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            stream.setblocking(False)
            stream.connect_ex(target)
            streams.append(stream)
            peak = max(peak, node.rss())
        end = time.monotonic() + CLOSED_S + SLACK_S
        while time.monotonic() < end:
            peak = max(peak, node.rss())
            time.sleep(0.1)
        say(f"memory under {SILENT} silent connections: {before / 1e6:.1f} MB before, {peak / 1e6:.1f} MB at most")
        assert peak - before < GROWTH_BYTES
        # Insiders get in meanwhile.
        two.start("late-node")
        two.await_all()
    finally:
        for stream in streams:
            stream.close()


class Wire:
    """A relay before one node's cluster port, UDP and TCP, that keeps every datagram towards it."""

    def __init__(self, port: int) -> None:
        self.port, self.target = port, None
        self.datagrams: list[bytes] = []
        self.stream_bytes = bytearray()
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", port))
        self.tcp = socket.create_server(("127.0.0.1", port))
        self.out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for work in (self._datagrams, self._streams):
            threading.Thread(target=work, daemon=True).start()

    def _datagrams(self) -> None:
        while True:
            try:
                body, _ = self.udp.recvfrom(65536)
            except OSError:
                return
            self.datagrams.append(body)
            if self.target:
                self.out.sendto(body, self.target)

    def _streams(self) -> None:
        while True:
            try:
                client, _ = self.tcp.accept()
                server = socket.create_connection(self.target)
            except OSError:
                return
            threading.Thread(target=self._pump, args=(client, server), daemon=True).start()

    def _pump(self, client: socket.socket, server: socket.socket) -> None:
        pair = {client: server, server: client}
        while True:
            for stream in select.select(list(pair), [], [])[0]:
                try:
                    part = stream.recv(65536)
                    if part:
                        pair[stream].sendall(part)
                except OSError:
                    part = b""
                if not part:
                    client.close()
                    server.close()
                    return
                self.stream_bytes += part

    def close(self) -> None:
        for each in (self.udp, self.tcp, self.out):
            each.close()


def test_what_passes_on_the_wire_is_sealed_and_a_replay_is_dropped():
    cluster, wire = Cluster(("--cluster-name", "plain-name-of-cluster", "--region", "plain-region")), None
    try:
        wire = Wire(free_port(socket.SOCK_STREAM))
        # The first node is reached through the wire alone: that is the address which it tells.
        inner = free_port(socket.SOCK_STREAM)
        wire.target = ("127.0.0.1", inner)
        first = cluster.start("plain-node-one", "--cluster-port", str(inner), "--advertise", f"127.0.0.1:{wire.port}")
        cluster.start("plain-node-two", seeds=[f"127.0.0.1:{wire.port}"])
        cluster.start("plain-node-three", seeds=[f"127.0.0.1:{wire.port}"])
        cluster.await_all()
        until("datagrams of both kinds", lambda: len(wire.datagrams) > 20 and len({body[1] for body in wire.datagrams}) == 2)
        for seen in (b"".join(wire.datagrams), bytes(wire.stream_bytes)):
            for plain in (b"plain-n", b"plain-region", b"127.0.0.1", b"transcode"):
                assert plain not in seen, plain
        assert wire.stream_bytes, "links passed through the wire"
        dropped = metric(first, "starling_cluster_datagrams_dropped_total", reason="replayed")
        wire.out.sendto(wire.datagrams[-1], wire.target)
        until("the replay is counted", lambda: metric(first, "starling_cluster_datagrams_dropped_total", reason="replayed") > dropped)
        assert serving(first) == set(cluster.nodes)
    finally:
        cluster.stop()
        if wire:
            wire.close()
