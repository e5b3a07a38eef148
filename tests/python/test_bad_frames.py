"""Garbage and oversized everything: the node survives, bystanders notice nothing, and memory stays bounded."""

import contextlib
import json
import os
import random
import socket
import struct
import time

import pytest
from livekit.protocol import models, rtc as proto
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from node import token
from signal_client import Session

MIB = 1024 * 1024
MEMORY = 64 * MIB  # growth allowed over one story
RANDOM = random.Random(7)


@pytest.fixture(autouse=True)
def memory_stays_bounded(node, node_survives):
    if node.pid is None:
        yield
        return
    before = node.rss()
    yield
    grown = node.rss() - before
    assert grown < MEMORY, f"resident memory grew by {grown // MIB} MiB"


@pytest.fixture
def bystander(node, room_name):
    """Somebody in the same room who must notice nothing."""
    with Session(node, token(room_name, "bystander")) as session:
        yield session
        assert session.answers()


def field(number: int, body: bytes) -> bytes:
    """A length-delimited protobuf field."""
    length, size = b"", len(body)
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    tag = number << 3 | 2
    tag_bytes = bytes([tag]) if tag < 128 else bytes([tag & 127 | 128, tag >> 7])
    return tag_bytes + length + bytes([size]) + body


def nested(depth: int) -> bytes:
    body = b""
    for _ in range(depth):
        body = field(16, body)
    return body


FRAMES = {
    "an empty frame": [b""],
    "random bytes": [RANDOM.randbytes(RANDOM.randrange(1, 400)) for _ in range(200)],
    "a truncated message": [proto.SignalRequest(offer=proto.SessionDescription(type="offer", sdp="v=0" * 50)).SerializeToString()[:-20]],
    "an unknown field": [field(4000, b"future"), field(200, b"")],
    "a length beyond the frame": [b"\x0a\xff\xff\xff\xff\x0f"],
    "deep nesting": [nested(5_000)],
    "text that is no JSON": ["hello", "{", "[]", "null", '{"offer": 3}'],
    "JSON nested 100,000 deep": ["[" * 100_000],
    "an offer that is no SDP": [proto.SignalRequest(offer=proto.SessionDescription(type="offer", sdp=sdp, id=1)).SerializeToString()
                               for sdp in ("", "nonsense", "v=0\r\n", "\0" * 1_000, "m=" * 1_000, "v=0\r\n" + "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n" * 20_000,
                                           "v=0\r\na=" + "x" * MIB)],
    "an answer nobody asked for": [proto.SignalRequest(answer=proto.SessionDescription(type="answer", sdp="v=0\r\n", id=99)).SerializeToString()],
    "candidates that are none": [proto.SignalRequest(trickle=proto.TrickleRequest(candidateInit=text, target=target)).SerializeToString()
                                 for text in ("", "{", "{}", "null", '{"candidate":"candidate:1 1 udp 1 999.1.1.1 99999 typ host","sdpMid":"0"}',
                                              json.dumps({"candidate": "x" * 100_000})) for target in (0, 1)],
    "10,000 candidates": [proto.SignalRequest(trickle=proto.TrickleRequest(
        candidateInit=json.dumps({"candidate": f"candidate:{n} 1 udp 1 127.0.0.1 {1024 + n} typ host", "sdpMid": "0", "sdpMLineIndex": 0}))).SerializeToString()
        for n in range(10_000)],
    "1,000 tracks": [proto.SignalRequest(add_track=proto.AddTrackRequest(cid=f"c{n}", name="n", type=n % 2)).SerializeToString() for n in range(1_000)],
    "a track with a name of 1 MB": [proto.SignalRequest(add_track=proto.AddTrackRequest(cid="c" * 100_000, name="n" * 1_000_000)).SerializeToString()],
    "tracks and people that do not exist": [
        proto.SignalRequest(mute=proto.MuteTrackRequest(sid="TR_none", muted=True)).SerializeToString(),
        proto.SignalRequest(subscription=proto.UpdateSubscription(track_sids=[f"TR_{n}" for n in range(5_000)], subscribe=True)).SerializeToString(),
        proto.SignalRequest(track_setting=proto.UpdateTrackSettings(track_sids=["TR_none"], width=2**32 - 1, height=0)).SerializeToString(),
        proto.SignalRequest(subscription_permission=proto.SubscriptionPermission(
            track_permissions=[proto.TrackPermission(participant_identity=f"p{n}") for n in range(5_000)])).SerializeToString(),
        proto.SignalRequest(update_video_track=proto.UpdateLocalVideoTrack(track_sid="TR_none", width=1, height=1)).SerializeToString(),
    ],
    "a state to sync that never was": [proto.SignalRequest(sync_state=proto.SyncState(
        subscription=proto.UpdateSubscription(track_sids=["TR_x"]), track_sids_disabled=["TR_y"] * 1_000)).SerializeToString()],
    "what LiveKit calls simulations": [proto.SignalRequest(simulate=proto.SimulateScenario(**{kind: value})).SerializeToString()
                                       for kind, value in (("speaker_update", 3), ("subscriber_bandwidth", 2**62), ("node_failure", False))],
    "20,000 pings": [proto.SignalRequest(ping_req=proto.Ping(timestamp=n)).SerializeToString() for n in range(20_000)],
}


@pytest.mark.parametrize("row", FRAMES)
@pytest.mark.parametrize("path", ["/rtc?protocol=17", "/rtc/v1"], ids=["v0", "v1"])
def test_a_bad_frame_ends_at_most_its_own_session(node, room_name, bystander, path, row):
    if path == "/rtc/v1":
        from signal_client import join_request
        path = f"/rtc/v1?join_request={join_request(proto.JoinRequest(connection_settings=proto.ConnectionSettings(auto_subscribe=True)))}"
    with Session(node, token(room_name, "mallory"), path) as session, contextlib.suppress(ConnectionClosed):
        for frame in FRAMES[row]:
            session.socket.send(frame)
            with contextlib.suppress(TimeoutError):
                while True:
                    session.socket.recv(timeout=0)
        # a text frame switches the dialect of the session to JSON, so its pings can no longer be read as protobuf
        if isinstance(FRAMES[row][0], bytes):
            assert session.answers(), "neither ended nor answering"
    assert bystander.answers()


@pytest.mark.parametrize("size", [2 * MIB + 1, 16 * MIB], ids=["2 MiB + 1", "16 MiB"])
def test_a_frame_above_2_mib_ends_its_session(node, room_name, bystander, size):
    with Session(node, token(room_name, "mallory")) as session:
        with pytest.raises((ConnectionClosed, ConnectionError, TimeoutError)) as ended:
            session.socket.send(bytes(size))
            while True:
                session.socket.recv(timeout=5)
        assert not isinstance(ended.value, TimeoutError), "the session was not ended"
    assert bystander.answers()


LIMITS = {
    "metadata of 512 KiB + 1": proto.UpdateParticipantMetadata(request_id=5, metadata="m" * (512 * 1024 + 1)),
    "attributes of 64 KiB + 1": proto.UpdateParticipantMetadata(request_id=5, attributes={"a": "v" * (64 * 1024 + 1)}),
    "a name of 257 characters": proto.UpdateParticipantMetadata(request_id=5, name="n" * 257),
}


@pytest.mark.parametrize("row", LIMITS)
def test_beyond_a_limit_the_request_is_refused_by_name(node, room_name, bystander, row):
    with Session(node, token(room_name, "ada", {"canUpdateOwnMetadata": True})) as session:
        session.send(update_metadata=LIMITS[row])
        answer = session.receive("request_response").request_response
        assert (answer.request_id, answer.reason) == (5, proto.RequestResponse.LIMIT_EXCEEDED)
        assert session.answers()


REFUSED = {
    "metadata without the permission": {"update_metadata": proto.UpdateParticipantMetadata(request_id=6, metadata="mine")},
    "publishing without the permission": {"add_track": proto.AddTrackRequest(cid="c", type=models.TrackType.AUDIO, source=models.TrackSource.MICROPHONE)},
    "a data track": {"publish_data_track_request": proto.PublishDataTrackRequest(pub_handle=1, name="d")},
}


@pytest.mark.parametrize("row", REFUSED)
def test_what_is_not_allowed_is_answered_so(node, room_name, row):
    with Session(node, token(room_name, "ada", {"canPublish": False, "canUpdateOwnMetadata": False})) as session:
        session.send(**REFUSED[row])
        answer = session.receive("request_response").request_response
        assert answer.reason == proto.RequestResponse.NOT_ALLOWED, answer
        assert session.answers()


def test_more_tracks_pending_than_the_limit_are_refused(node, room_name):
    with Session(node, token(room_name, "ada")) as session:
        for number in range(25):
            session.send(add_track=proto.AddTrackRequest(cid="same", name=f"{number}", type=models.TrackType.AUDIO))
        reasons = []
        with contextlib.suppress(TimeoutError):
            while len(reasons) < 24:
                reasons.append(session.receive("request_response", 2).request_response.reason)
        assert proto.RequestResponse.QUEUED in reasons
        assert proto.RequestResponse.LIMIT_EXCEEDED in reasons


def test_a_pong_is_sent_for_both_kinds_of_ping(node, room_name):
    with Session(node, token(room_name, "ada")) as session:
        session.send(ping=int(time.time() * 1000))
        assert session.receive("pong").pong > 0
        assert session.answers()


def raw(node, payload: bytes, seconds: float = 3) -> bytes:
    """Bytes straight to the HTTP port, and what came back."""
    host, port = node.address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=seconds) as connection:
        answer = b""
        with contextlib.suppress(OSError):
            connection.sendall(payload)
            connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            while part := connection.recv(65_536):
                answer += part
        return answer


HTTP_JUNK = {
    "random bytes": os.urandom(4_096),
    "a TLS hello": bytes.fromhex("16030100a5010000a10303") + os.urandom(160),
    "a request line of 1 MB": b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    "a header of 1 MB": b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"a" * 1_000_000 + b"\r\n\r\n",
    "10,000 headers": b"GET / HTTP/1.1\r\nhost: x\r\n" + b"x: y\r\n" * 10_000 + b"\r\n",
    "a body of 32 MB nobody asked for": b"POST /rtc HTTP/1.1\r\nhost: x\r\ncontent-length: 33554432\r\n\r\n" + bytes(4 * MIB),
    "a negative content length": b"POST /debug/impair HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
    "a chunk of 2^64 bytes": b"POST /debug/impair HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n",
    "an HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a path that climbs": b"GET /meet/../../../../etc/passwd HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    "an encoded path that climbs": b"GET /meet/%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
}


@pytest.mark.parametrize("row", HTTP_JUNK)
def test_bad_http_is_refused(node, bystander, row):
    answer = raw(node, HTTP_JUNK[row])
    assert b"root:" not in answer
    assert not answer or b" 4" in answer.split(b"\r\n", 1)[0] or b" 5" in answer.split(b"\r\n", 1)[0], answer[:200]


def test_a_websocket_that_breaks_the_framing_rules_is_closed(node, room_name, bystander):
    frames = {"unmasked": b"\x82\x05hello", "reserved bits": b"\xf2\x80\x00\x00\x00\x00", "a control frame of 60 kB": b"\x89\xfe\xea\x60" + bytes(4) + bytes(60_000),
              "a length of 2^63": b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff" + bytes(4)}
    for name, frame in frames.items():
        head = (f"GET /rtc?access_token={token(room_name, 'mallory')} HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
                "sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n").encode()
        host, port = node.address.rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(head)
            assert b" 101 " in connection.recv(4_096)
            with contextlib.suppress(OSError):
                connection.sendall(frame)
                while connection.recv(65_536):
                    pass
            # an empty read or a reset is a close; only patience that runs out is none
            connection.settimeout(0.2)
            with contextlib.suppress(ConnectionError):
                assert connection.recv(1) == b"", name


def test_300_idle_connections_do_not_keep_others_out(node, room_name):
    host, port = node.address.rsplit(":", 1)
    with contextlib.ExitStack() as stack:
        for _ in range(300):
            connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=5))
            connection.sendall(b"GET / HTTP/1.1\r\n")
        with Session(node, token(room_name, "ada")) as session:
            assert session.answers()


def stun_request(ufrag: bytes) -> bytes:
    """A binding request with a USERNAME and no integrity."""
    padded = ufrag + bytes(-len(ufrag) % 4)
    attribute = struct.pack("!HH", 6, len(ufrag)) + padded
    return struct.pack("!HHI", 1, len(attribute), 0x2112A442) + os.urandom(12) + attribute


def test_datagrams_of_nobody_are_dropped_without_an_answer(node, room_name, bystander):
    if node.pid is None:
        pytest.skip("needs the node's UDP port")
    host, port = node.port_address("udp").rsplit(":", 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.connect((host, int(port)))
        out.settimeout(0.3)
        for number in range(20_000):
            kind = number % 5
            body = (RANDOM.randbytes(RANDOM.randrange(1, 1_400)), stun_request(b"nobody:nothing"), b"\x16\xfe\xff" + RANDOM.randbytes(200),
                    b"\x80\x60" + struct.pack("!HII", number & 0xFFFF, number, RANDOM.getrandbits(32)) + RANDOM.randbytes(100),
                    b"\x80\xc8\x00\x06" + RANDOM.randbytes(28))[kind]
            with contextlib.suppress(OSError):
                out.send(body)
        with pytest.raises((TimeoutError, ConnectionError)):
            out.recv(2_000)


def test_junk_on_the_ice_tcp_port_ends_its_own_connection(node, bystander):
    if node.pid is None or "tcp" not in node.ports:
        pytest.skip("needs the node's ICE-TCP port")
    host, port = node.port_address("tcp").rsplit(":", 1)
    for junk in (os.urandom(5_000), struct.pack("!H", 65_535) + bytes(10), struct.pack("!H", 0) * 5_000, struct.pack("!H", 20) + stun_request(b"nobody:nothing")):
        with socket.create_connection((host, int(port)), timeout=2) as connection, contextlib.suppress(OSError):
            connection.sendall(junk)
            connection.recv(1_000)
    with contextlib.ExitStack() as stack:
        for _ in range(300):
            with contextlib.suppress(OSError):
                stack.enter_context(socket.create_connection((host, int(port)), timeout=2)).sendall(b"\x01")
        assert bystander.answers()


def test_many_sessions_that_never_send_an_offer_leave_with_their_sockets(node, room_name):
    sockets = [connect(f"ws://{node.address}/rtc?access_token={token(room_name, f'p{number}')}", compression=None, max_size=None) for number in range(50)]
    for each in sockets:
        each.socket.close()
    with Session(node, token(room_name, "ada")) as session:
        assert session.answers()
