"""One node for all Python stories of a run; a story in which it dies fails."""

import uuid

import pytest

from node import open_node


@pytest.fixture(scope="session")
def node():
    node = open_node()
    yield node
    code = node.stop()
    assert code == 0, f"the node ended with {code}:\n{node.tail()}"


@pytest.fixture(autouse=True)
def node_survives(node):
    """No input may end the node."""
    assert node.alive, "an earlier story ended the node"
    yield
    assert node.alive, f"this story ended the node:\n{node.tail()}"


@pytest.fixture
def say(capsys):
    """Prints a figure for whoever runs the tests, also when they pass."""
    def told(text: str) -> None:
        with capsys.disabled():
            print(f"\n    {text}", flush=True)
    return told


@pytest.fixture
def room_name() -> str:
    return f"room-{uuid.uuid4().hex[:8]}"


@pytest.fixture(params=["v0", "v1"])
def single(request) -> bool:
    """Whether the clients use a single peer connection (v1) or two (v0)."""
    return request.param == "v1"
