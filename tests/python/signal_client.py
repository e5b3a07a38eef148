"""A bare signalling client: LiveKit's frames over a WebSocket, without WebRTC, for sending what no SDK would send."""

import base64
import time

from livekit.protocol import rtc as proto
from websockets.sync.client import connect

FRAME_S = 5


class Session:
    """One open WebSocket that has received its join."""

    def __init__(self, node, token: str, path: str = "/rtc?auto_subscribe=1&protocol=17&sdk=js") -> None:
        self.socket = connect(f"ws://{node.address}{path}", additional_headers={"Authorization": f"Bearer {token}"},
                              open_timeout=FRAME_S, close_timeout=2, max_size=None, compression=None)
        self.join = self.receive("join").join

    def send(self, **message) -> None:
        self.socket.send(proto.SignalRequest(**message).SerializeToString())

    def receive(self, kind: str | None = None, seconds: float = FRAME_S) -> proto.SignalResponse:
        """The next message, or the next of one kind."""
        end = time.monotonic() + seconds
        while True:
            body = self.socket.recv(timeout=max(0.01, end - time.monotonic()))
            response = proto.SignalResponse.FromString(body)
            if kind is None or response.WhichOneof("message") == kind:
                return response

    def answers(self) -> bool:
        """Whether the session still answers a ping."""
        self.send(ping_req=proto.Ping(timestamp=7, rtt=0))
        while self.receive("pong_resp").pong_resp.last_ping_timestamp != 7:
            pass  # the answer to an earlier ping
        return True

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.socket.close()


def join_request(request: proto.JoinRequest | bytes, compression: int = 0) -> str:
    """The `join_request` query value of /rtc/v1."""
    body = request if isinstance(request, bytes) else request.SerializeToString()
    wrapped = proto.WrappedJoinRequest(compression=compression, join_request=body)
    return base64.urlsafe_b64encode(wrapped.SerializeToString()).decode()
