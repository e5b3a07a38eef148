"""Nodes in network namespaces on one bridge, with loss, cuts and their ends; needs root."""

import os
import shutil
import subprocess

import pytest

BRIDGE = "starlbr"
NET = "10.77.0"


def run(*command: str, check: bool = True, given: str | None = None) -> subprocess.CompletedProcess:
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done


def need(tool: str, package: str) -> None:
    """Installs a Debian package, or skips."""
    if shutil.which(tool):
        return
    if shutil.which("apt-get"):
        run("apt-get", "update", "-qq", check=False)
        run("apt-get", "install", "-y", "-qq", "--no-install-recommends", package, check=False)
    if not shutil.which(tool):
        pytest.skip(f"needs {tool} (Debian package {package})")


class Namespaces:
    """`count` namespaces, each with one address; this process reaches all of them from the bridge."""

    def __init__(self, count: int) -> None:
        if os.geteuid() != 0:
            pytest.skip("needs root for network namespaces")
        need("ip", "iproute2")
        need("nft", "nftables")
        self.names = [f"starl{number}" for number in range(1, count + 1)]
        self.addresses = [f"{NET}.{number}" for number in range(1, count + 1)]
        self.close()
        if run("ip", "link", "add", BRIDGE, "type", "bridge", check=False).returncode != 0:
            pytest.skip("this kernel or container makes no bridges")
        run("ip", "addr", "add", f"{NET}.254/24", "dev", BRIDGE)
        run("ip", "link", "set", BRIDGE, "up")
        for number, (name, address) in enumerate(zip(self.names, self.addresses, strict=True)):
            run("ip", "netns", "add", name)
            run("ip", "link", "add", f"starlv{number}", "type", "veth", "peer", "name", "eth0", "netns", name)
            run("ip", "link", "set", f"starlv{number}", "master", BRIDGE, "up")
            run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                run("ip", "-n", name, "link", "set", device, "up")
            self.rules(name, "")

    def prefix(self, number: int) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.names[number])

    def rules(self, name: str, rules: str) -> None:
        """Replaces what a namespace drops of that which comes in."""
        chain = f"chain input {{\ntype filter hook input priority 0;\n{rules}\n}}"
        run("ip", "netns", "exec", name, "nft", "-f", "-", given=f"add table inet starl\ndelete table inet starl\ntable inet starl {{\n{chain}\n}}\n")

    def lose(self, percent: int) -> None:
        """Every namespace loses so many of the UDP datagrams that come in."""
        rules = f"meta l4proto udp numgen random mod 100 < {percent} drop;" if percent else ""
        for name in self.names:
            self.rules(name, rules)

    def cut(self, size: int) -> None:
        """The first `size` namespaces and the others hear nothing of each other; this process hears both."""
        sides = self.addresses[:size], self.addresses[size:]
        for number, name in enumerate(self.names):
            others = ", ".join(sides[number < size])
            self.rules(name, f"ip saddr {{ {others} }} drop;")

    def heal(self) -> None:
        for name in self.names:
            self.rules(name, "")

    def close(self) -> None:
        for name in self.names:
            run("ip", "netns", "del", name, check=False)
        run("ip", "link", "del", BRIDGE, check=False)
