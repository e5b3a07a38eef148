"""Wrong tokens and wrong joins: every row of the table is answered with its status and text, before any upgrade."""

import base64
import gzip
import hashlib
import http.client
import json
import time

import pytest
from livekit.protocol import rtc as proto

from node import SECRET, claims, sign, token
from signal_client import Session, join_request

NOW = int(time.time())
GOOD = object()


def request(node, method: str, path: str, headers: dict | None = None) -> tuple[int, str, dict]:
    connection = http.client.HTTPConnection(node.address, timeout=10)
    try:
        connection.request(method, path, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.read().decode(errors="replace"), dict(response.getheaders())
    finally:
        connection.close()


def bearer(text: str) -> dict:
    return {"Authorization": f"Bearer {text}"}


UPGRADE = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
           "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode()}


def unsigned() -> str:
    head = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "JWT"}).encode()).rstrip(b"=").decode()
    body = base64.urlsafe_b64encode(json.dumps(claims()).encode()).rstrip(b"=").decode()
    return f"{head}.{body}."


REFUSED = {
    "no token at all": ({}, 401, ""),
    "a header that is not Bearer": ({"Authorization": "Basic YTpi"}, 401, "invalid authorization header"),
    "a token that is no JWT": (bearer("nonsense"), 401, "invalid authorization token"),
    "three parts that are no JWT": (bearer("a.b.c"), 401, "invalid authorization token"),
    "a JWT whose body is no JSON": (bearer("eyJhbGciOiJIUzI1NiJ9.AAAA.AAAA"), 401, "invalid authorization token"),
    "a token of 100 kB": (bearer("a" * 40_000 + "." + "b" * 40_000 + "." + "c" * 20_000), (400, 401, 431), ""),
    "an unknown key": (bearer(sign(claims(iss="nobody"))), 401, "invalid API key"),
    "no key": (bearer(sign(claims(iss=None))), 401, ""),
    "another secret": (bearer(sign(claims(), secret="other")), 401, ""),
    "no signature": (bearer(unsigned()), 401, ""),
    "another algorithm, HS512": (bearer(sign(claims(), {"alg": "HS512", "typ": "JWT"}, digest=hashlib.sha512)), 401, ""),
    "an expired token": (bearer(sign(claims(exp=NOW - 600))), 401, ""),
    "no expiry": (bearer(sign(claims(exp=None))), 401, ""),
    "an expiry that is no number": (bearer(sign(claims(exp="soon"))), 401, ""),
    "a token for later": (bearer(sign(claims(nbf=NOW + 600))), 401, ""),
    "no grants": (bearer(sign(claims(video=None))), 401, "permissions denied"),
    "no roomJoin grant": (bearer(token("room", "ada", {"roomJoin": False})), 401, "permissions denied"),
    "no identity": (bearer(sign(claims(sub=None))), 400, ""),
    "an empty identity": (bearer(token("room", "")), 400, ""),
    "no room": (bearer(token("", "ada")), 400, ""),
    "a room name of 257 characters": (bearer(token("r" * 257, "ada")), 400, ""),
    "an identity of 257 characters": (bearer(token("room", "i" * 257)), 400, ""),
}


@pytest.mark.parametrize("row", REFUSED)
@pytest.mark.parametrize("path", ["/rtc/validate", "/rtc/v1/validate", "/rtc", "/rtc/v1"])
def test_a_wrong_token_is_refused_with_its_reason(node, path, row):
    headers, status, text = REFUSED[row]
    upgrade = {} if path.endswith("validate") else UPGRADE
    good_join = f"?join_request={join_request(proto.JoinRequest(connection_settings=proto.ConnectionSettings(auto_subscribe=True)))}" if "v1" in path else ""
    got, body, answered = request(node, "GET", path + good_join, {**headers, **upgrade})
    assert got in (status if isinstance(status, tuple) else (status,)), body
    assert body.startswith(text), body
    if got != 431:
        assert answered.get("content-type", answered.get("Content-Type", "")).startswith("text/plain")
        assert body.strip(), "the reason is told"


@pytest.mark.parametrize("leeway", [{"exp": NOW - 30}, {"nbf": NOW + 30}], ids=["just expired", "just not yet valid"])
def test_a_minute_of_clock_difference_is_forgiven(node, leeway):
    assert request(node, "GET", "/rtc/validate", bearer(sign(claims(**{**leeway, "exp": leeway.get("exp", NOW + 600)}))))[0] == 200


def test_a_good_token_is_accepted_in_header_and_query(node):
    good = token("room", "ada")
    for path, headers in ((f"/rtc/validate?access_token={good}", {}), ("/rtc/validate", bearer(good))):
        status, body, answered = request(node, "GET", path, headers)
        assert (status, body.strip()) == (200, "success")
        assert {name.lower(): value for name, value in answered.items()}["access-control-allow-origin"] == "*"


def test_the_older_place_of_the_identity_is_accepted(node):
    assert request(node, "GET", "/rtc/validate", bearer(sign(claims(sub=None, jti="ada"))))[0] == 200


WRONG_JOINS = {
    "no join_request": ("", 400, "join_request is required"),
    "a join_request that is no base64": ("join_request=%21%21%21", 400, ""),
    "a join_request that is no protobuf": ("join_request=" + base64.urlsafe_b64encode(b"\xff" * 40).decode(), 400, ""),
    "an inner request that is no protobuf": ("join_request=" + join_request(b"\xff" * 40), 400, ""),
    "a broken gzip": ("join_request=" + join_request(b"no gzip", 1), 400, ""),
    "a gzip that grows beyond 1 MiB": ("join_request=" + join_request(gzip.compress(bytes(4 * 1024 * 1024)), 1), 400, ""),
}


@pytest.mark.parametrize("row", WRONG_JOINS)
def test_a_wrong_join_request_is_refused(node, row):
    query, status, text = WRONG_JOINS[row]
    got, body, _ = request(node, "GET", f"/rtc/v1?{query}", {**bearer(token("room", "ada")), **UPGRADE})
    assert got == status, body
    assert text in body


def test_attributes_that_are_no_map_are_refused(node):
    good = bearer(token("room", "ada", {"canUpdateOwnMetadata": True}))
    got, body, _ = request(node, "GET", "/rtc?attributes=%21", {**good, **UPGRADE})
    assert got == 400
    assert "attributes" in body


def test_a_request_that_does_not_upgrade_is_not_found(node):
    for path in ("/rtc", f"/rtc/v1?join_request={join_request(proto.JoinRequest(connection_settings=proto.ConnectionSettings(auto_subscribe=True)))}"):
        assert request(node, "GET", path, bearer(token("room", "ada")))[0] == 404


def test_health_is_told_to_get_and_head(node):
    status, body, _ = request(node, "GET", "/")
    assert (status, body.strip()) == (200, "OK")
    status, body, _ = request(node, "HEAD", "/")
    assert (status, body) == (200, "")
    assert request(node, "GET", "/no/such/page")[0] == 404


def test_unknown_query_parameters_are_ignored_and_long_requests_are_read(node, room_name):
    with Session(node, token(room_name, "ada"), "/rtc?protocol=17&future=1&" + "x=" + "y" * 14_000) as session:
        assert session.join.participant.identity == "ada"


def test_the_join_tells_what_clients_need(node, room_name):
    with Session(node, token(room_name, "ada", name="Ada", metadata="about", attributes={"a": "b"})) as session:
        join = session.join
        me = join.participant
        assert me.sid.startswith("PA_")
        assert (me.identity, me.name, me.metadata, dict(me.attributes)) == ("ada", "Ada", "about", {"a": "b"})
        assert me.permission.can_subscribe and me.permission.can_publish and me.permission.can_publish_data
        assert join.room.name == room_name
        assert join.room.sid == "" or join.room.sid.startswith("RM_")
        assert join.server_info.version and join.server_info.protocol == 17
        assert join.ping_interval > 0 and join.ping_timeout > join.ping_interval
        assert join.subscriber_primary
    with Session(node, token(room_name, "bob"), f"/rtc/v1?join_request={join_request(proto.JoinRequest(connection_settings=proto.ConnectionSettings(auto_subscribe=True)))}") as session:
        assert not session.join.subscriber_primary


def test_the_secret_is_never_told(node):
    for path in ("/rtc/validate", "/debug/rooms", "/"):
        assert SECRET not in request(node, "GET", path, bearer("nonsense"))[1]
