"""Starts a Starling node for the Python stories, or points them at a server that is already there (STARLING_E2E_URL)."""

import base64
import hashlib
import hmac
import json
import os
import socket
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.environ.get("STARLING_BINARY", str(ROOT / "target/debug/starling"))
START_S = 20
STOP_S = 10
KEY, SECRET = "devkey", "secret"


def free_port(kind: socket.SocketKind) -> int:
    """A loopback port that nobody uses just now; the node tells the HTTP port that it got, media ports are ours to choose."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Node:
    """One node process on free loopback ports."""

    def __init__(self, args: tuple[str, ...] = (), prefix: tuple[str, ...] = (), wait: bool = True) -> None:
        """`prefix` runs it through another command, such as `ip netns exec`; without `wait` it may still be starting."""
        self.asked = False
        self.directory = tempfile.TemporaryDirectory(prefix="starling-e2e-")
        self.ports_file = Path(self.directory.name) / "ports.json"
        self.log = Path(self.directory.name) / "node.log"
        port = () if "--port" in args else ("--port", "0")
        command = [*prefix, BINARY, "--dev", "--test-switches", "--ports-file", str(self.ports_file), *port,
                   "--udp-port", str(free_port(socket.SOCK_DGRAM)),
                   "--set", f"rtc.tcp_port={free_port(socket.SOCK_STREAM)}", *args]
        self.process = subprocess.Popen(command, cwd=self.directory.name, stdin=subprocess.DEVNULL,
                                        stdout=self.log.open("wb"), stderr=subprocess.STDOUT,
                                        env={**os.environ, "RUST_BACKTRACE": "1"})
        if wait:
            self.await_ports()

    def await_ports(self) -> None:
        """Waits until the node takes sessions."""
        end = time.monotonic() + START_S
        while True:
            if self.process.poll() is not None:
                raise RuntimeError(f"the node ended at start with {self.process.returncode}:\n{self.tail()}")
            try:
                self.ports = json.loads(self.ports_file.read_text())
                break
            except (FileNotFoundError, json.JSONDecodeError):
                if time.monotonic() > end:
                    self.stop()
                    raise RuntimeError(f"the node wrote no ports file in {START_S} s:\n{self.tail()}") from None
                time.sleep(0.01)
        self.address = self.port_address("http")

    def port_address(self, name: str) -> str:
        """`host:port` of the first IPv4 socket of that name in the ports file."""
        value = self.ports[name]
        addresses = [str(each) for each in (value if isinstance(value, list) else [value])]
        first = next(each for each in addresses if not each.startswith("["))
        return first.replace("0.0.0.0", "127.0.0.1") if ":" in first else f"127.0.0.1:{first}"

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def rss(self) -> int:
        """Resident memory, bytes."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("no VmRSS")

    def tail(self, lines: int = 60) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def kill(self) -> None:
        """SIGKILL: no goodbye."""
        self.process.kill()
        self.process.wait()

    def ask_to_stop(self) -> None:
        """One SIGTERM; a second one would end it at once."""
        if not self.asked:
            self.asked = True
            self.process.terminate()

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        if self.alive:
            self.ask_to_stop()
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode


class ExternalNode:
    """A server that somebody else runs."""

    alive = True
    pid = None

    def __init__(self, url: str) -> None:
        self.address = url.split("//", 1)[1].rstrip("/")

    def tail(self, _lines: int = 0) -> str:
        return ""

    def stop(self) -> int:
        return 0


def open_node():
    url = os.environ.get("STARLING_E2E_URL")
    return ExternalNode(url) if url else Node()


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(claims: dict, header: dict | None = None, secret: str = SECRET, digest=hashlib.sha256) -> str:
    """A JWS of any claims, also of wrong ones."""
    head = _b64(json.dumps(header or {"alg": "HS256", "typ": "JWT"}).encode())
    text = f"{head}.{_b64(json.dumps(claims).encode())}"
    return f"{text}.{_b64(hmac.new(secret.encode(), text.encode(), digest).digest())}"


def claims(room: str = "room", identity: str = "ada", grants: dict | None = None, **changes) -> dict:
    """Good claims, with changes; a change to `None` removes the claim."""
    now = int(time.time())
    body = {"iss": KEY, "sub": identity, "nbf": now - 5, "exp": now + 3600,
            "video": {"roomJoin": True, "room": room, **(grants or {})}, **changes}
    return {name: value for name, value in body.items() if value is not None}


def token(room: str, identity: str, grants: dict | None = None, **changes) -> str:
    return sign(claims(room, identity, grants, **changes))
