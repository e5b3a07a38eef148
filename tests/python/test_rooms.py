"""Rooms seen by bare signalling clients: crashes, resumes, limits and timeouts, without WebRTC."""

import base64
import contextlib
import json
import time
import urllib.parse
import urllib.request

import pytest
from livekit.protocol import models, rtc as proto
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from node import claims, sign, token
from signal_client import FRAME_S, Session

LARGE_ROOM = 50  # participants beyond which listeners are told of in batches
BATCH_S = 3
QUERY = "/rtc?auto_subscribe=1&protocol=17&sdk=js"


def debug(node) -> dict:
    if node.pid is None:
        pytest.skip("needs /debug of Starling")
    with urllib.request.urlopen(f"http://{node.address}/debug/rooms", timeout=FRAME_S) as answer:
        return json.load(answer)


def has(node, text: str) -> bool:
    return text in json.dumps(debug(node))


def crash(node, room: str) -> None:
    if node.pid is None:
        pytest.skip("needs test switches of Starling")
    query = urllib.parse.urlencode({"room": room})
    request = urllib.request.Request(f"http://{node.address}/debug/crash?{query}", method="POST")
    assert urllib.request.urlopen(request, timeout=FRAME_S).status == 200


class Resumed(Session):
    """A WebSocket that asks to go on with an earlier session; `first` is the answer."""

    def __init__(self, node, token_text: str, sid: str) -> None:
        self.socket = connect(f"ws://{node.address}{QUERY}&reconnect=1&sid={sid}",
                              additional_headers={"Authorization": f"Bearer {token_text}"},
                              open_timeout=FRAME_S, close_timeout=2, max_size=None, compression=None)
        self.first = self.receive()


def is_refused(response: proto.SignalResponse) -> bool:
    leave = response.leave
    return (response.WhichOneof("message") == "leave" and leave.reason == models.STATE_MISMATCH
            and leave.action == proto.LeaveRequest.RECONNECT)


def closes(session: Session, seconds: float = FRAME_S) -> int:
    """The code with which the server closes the WebSocket."""
    end = time.monotonic() + seconds
    while True:
        try:
            session.socket.recv(timeout=max(0.01, end - time.monotonic()))
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006


def sid(session: Session) -> str:
    return session.join.participant.sid


def test_a_crash_of_one_room_tells_its_clients_why_and_touches_no_other(node, room_name):
    with Session(node, token(room_name, "ada")) as ada, Session(node, token(f"{room_name}-whole", "eve")) as eve:
        crash(node, room_name)
        leave = ada.receive("leave")
        assert is_refused(leave) and leave.leave.can_reconnect
        assert closes(ada) == 1000
        assert eve.answers()
        with Session(node, token(room_name, "ada")) as again:
            assert again.join.room.sid != ada.join.room.sid and sid(again) != sid(ada)
            assert again.answers()
        assert not has(node, sid(ada)), "nothing is left of the old session"


def test_ten_crashes_leave_nothing_behind(node, room_name):
    for number in range(10):
        with Session(node, token(f"{room_name}-{number}", "ada")) as ada:
            crash(node, f"{room_name}-{number}")
            assert is_refused(ada.receive("leave"))
    end = time.monotonic() + FRAME_S
    while has(node, room_name):
        assert time.monotonic() < end, "crashed rooms are remembered"
        time.sleep(0.1)


def test_a_resume_closes_the_websocket_before_it(node, room_name):
    with Session(node, token(room_name, "ada")) as ada, Session(node, token(room_name, "eve")) as eve:
        with Resumed(node, token(room_name, "ada"), sid(ada)) as back:
            assert back.first.WhichOneof("message") == "reconnect"
            update = back.receive("update").update.participants
            assert {each.sid for each in update} == {sid(ada), sid(eve)}, "everybody, itself included"
            assert back.receive("room_update").room_update.room.sid == ada.join.room.sid
            assert closes(ada) == 1000
            assert back.answers()
            with Resumed(node, token(room_name, "ada"), sid(ada)) as later:
                assert later.first.WhichOneof("message") == "reconnect"
                assert closes(back) == 1000
                assert later.answers()
        assert eve.answers()


def test_nobody_resumes_a_session_that_is_not_theirs(node, room_name):
    with Session(node, token(room_name, "ada")) as ada, Session(node, token(room_name, "eve")) as eve:
        for identity, room, session in [("eve", room_name, sid(ada)), ("sam", room_name, sid(ada)),
                                        ("ada", f"{room_name}-other", sid(ada)), ("ada", room_name, "PA_unknown")]:
            with Resumed(node, token(room, identity), session) as refused:
                assert is_refused(refused.first), (identity, room)
                assert closes(refused) == 1000
        assert ada.answers() and eve.answers()


def test_a_resume_that_tells_of_unknown_tracks_begins_anew(node, room_name):
    with Session(node, token(room_name, "ada")) as ada:
        with Resumed(node, token(room_name, "ada"), sid(ada)) as back:
            published = proto.TrackPublishedResponse(cid="x", track=models.TrackInfo(sid="TR_AMunknown"))
            back.send(sync_state=proto.SyncState(publish_tracks=[published]))
            assert is_refused(back.receive("leave"))
            assert closes(back) == 1000


def test_listeners_of_a_large_room_are_told_of_in_batches(node, room_name):
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(Session(node, token(room_name, "first")))
        crowd = [stack.enter_context(Session(node, token(room_name, f"listener-{number}")))
                 for number in range(LARGE_ROOM + 25)]
        wanted = {sid(session) for session in crowd}
        seen: list[set[str]] = []
        end = time.monotonic() + 2 * BATCH_S + FRAME_S
        while set().union(*seen) != wanted:
            assert time.monotonic() < end, f"{len(wanted - set().union(*seen))} are never told of"
            seen.append({each.sid for each in first.receive("update").update.participants})
        batches = seen[LARGE_ROOM:]
        assert len(batches) < 25 and max(map(len, seen)) > 1, [len(each) for each in seen]
        assert sum(map(len, seen)) == len(wanted), "each is told of once"
        assert len(crowd[-1].join.other_participants) == len(crowd), "who joins knows everybody at once"


def test_name_and_attributes_of_a_join_keep_the_limits(node, room_name):
    cases = [
        ({"attributes": {"k": "v" * 65_536}}, ("attributes", 65_537, 65_536)),
        ({"name": "n" * 257}, ("name", 257, 256)),
    ]
    for change, words in cases:
        with pytest.raises(InvalidStatus) as refused:
            Session(node, token(room_name, "ada", **change))
        response = refused.value.response
        body = response.body.decode()
        assert response.status_code == 400 and all(str(word) in body for word in words), body
    own = base64.urlsafe_b64encode(json.dumps({"role": "king"}).encode()).decode()
    for allowed in (False, True):
        grants = {"canUpdateOwnMetadata": allowed}
        text = token(room_name, "ada", grants, attributes={"role": "host"})
        with Session(node, text, f"{QUERY}&attributes={own}") as ada:
            assert ada.join.participant.attributes["role"] == ("king" if allowed else "host")


def test_the_room_configuration_of_a_token_is_honoured_and_unknown_fields_are_no_obstacle(node, room_name):
    config = {"departureTimeout": "1", "metadata": "hello", "egress": {"room": []}, "fromTheFuture": {"a": [1]}}
    with Session(node, token(room_name, "ada", roomConfig=config)) as ada:
        assert ada.join.room.metadata == "hello" and ada.join.room.departure_timeout == 1
        ada.send(leave=proto.LeaveRequest())
        assert closes(ada) == 1000
    end = time.monotonic() + FRAME_S
    while has(node, room_name):
        assert time.monotonic() < end, "the room stays beyond its departure timeout"
        time.sleep(0.1)
    for odd in (None, [], "text", 5):
        with Session(node, sign({**claims(room_name, "ada"), "roomConfig": odd})) as ada:
            assert ada.answers()


def test_a_hidden_recorder_shows_only_on_the_room(node, room_name):
    with Session(node, token(room_name, "ada")) as ada:
        recorder = token(room_name, "recorder", {"hidden": True, "recorder": True}, kind="egress")
        with Session(node, recorder) as seen:
            assert [each.identity for each in seen.join.other_participants] == ["ada"]
            assert ada.receive("room_update").room_update.room.active_recording
            with Session(node, token(room_name, "eve")) as eve:
                assert [each.identity for each in eve.join.other_participants] == ["ada"]
                assert eve.join.room.active_recording
            seen.send(leave=proto.LeaveRequest())
        while ada.receive("room_update").room_update.room.active_recording:
            pass  # a count of participants came between


def test_a_second_session_of_an_identity_takes_over(node, room_name):
    with Session(node, token(room_name, "ada")) as old, Session(node, token(room_name, "ada")) as new:
        leave = old.receive("leave").leave
        assert (leave.reason, leave.action) == (models.DUPLICATE_IDENTITY, proto.LeaveRequest.DISCONNECT)
        assert closes(old) == 1000
        assert new.answers()
