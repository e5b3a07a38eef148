"""Two clients of the Python SDK meet on one node."""

import asyncio
import contextlib
import time

import pytest
from livekit import rtc

from node import token
from person import Person

PATIENCE_S = 15


async def until(what: str, probe, seconds: float = PATIENCE_S):
    """Polls `probe` until it answers something truthy."""
    end = time.monotonic() + seconds
    while True:
        answer = probe()
        if answer:
            return answer
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def people(node, room_name: str, single: bool, *identities: str, grants: dict | None = None):
    """Joined participants, all of whom see each other; they leave at the end."""
    everyone = [Person() for _ in identities]
    try:
        await asyncio.gather(*(
            person.join(f"ws://{node.address}", token(room_name, identity, grants), single)
            for person, identity in zip(everyone, identities, strict=True)))
        for person in everyone:
            await until("everybody is there", lambda person=person: len(person.room.remote_participants) == len(identities) - 1)
        yield everyone
    finally:
        for person in everyone:
            for task in list(person.tasks):
                task.cancel()
            await person.leave()


async def test_audio_and_video_arrive_with_energy_and_light(node, room_name, single):
    async with people(node, room_name, single, "ada", "bob") as (ada, bob):
        for person in (ada, bob):
            await person.publish_audio()
            await person.publish_video()
        for person, other in ((ada, "bob"), (bob, "ada")):
            heard = await until("a tone is heard", lambda p=person, o=other: p.audio.get(o, {}).get("loudest", 0) > 0.05 and p.audio[o])
            assert heard["frames"] > 0
            seen = await until("twenty frames are seen", lambda p=person, o=other: p.video.get(o, {}).get("frames", 0) >= 20 and p.video[o])
            assert (seen["width"], seen["height"]) == (320, 180)
            assert seen["brightest"] > 100


async def test_a_remote_call_is_answered_and_its_errors_arrive(node, room_name, single):
    async with people(node, room_name, single, "ada", "bob") as (ada, bob):
        @bob.room.local_participant.register_rpc_method("fail")
        async def fail(_data: rtc.RpcInvocationData) -> str:
            raise rtc.RpcError(code=101, message="not today", data="why")

        assert await ada.call("bob", "shout", "starling") == "STARLING"
        assert await bob.call("ada", "shout", "x" * 10_000) == "X" * 10_000
        with pytest.raises(rtc.RpcError) as refused:
            await ada.call("bob", "fail", "")
        assert (refused.value.code, refused.value.message, refused.value.data) == (101, "not today", "why")
        with pytest.raises(rtc.RpcError) as unknown:
            await ada.call("bob", "nothing", "")
        assert unknown.value.code == rtc.RpcError.ErrorCode.UNSUPPORTED_METHOD


async def test_text_streams_arrive_whole_in_many_chunks(node, room_name, single):
    async with people(node, room_name, single, "ada", "bob") as (ada, bob):
        long = "Star ★ ling " * 5_000
        await ada.send_text("short")
        await ada.send_text(long)
        writer = await ada.room.local_participant.stream_text(topic="chat", attributes={"part": "many"})
        for word in ("one ", "two ", "three"):
            await writer.write(word)
        await writer.aclose()
        await until("three texts", lambda: len(bob.texts) == 3)
        assert {text["text"] for text in bob.texts} == {"short", long, "one two three"}
        assert {text["from"] for text in bob.texts} == {"ada"}


async def test_byte_streams_arrive_whole_and_only_where_they_are_sent(node, room_name, single):
    async with people(node, room_name, single, "ada", "bob", "cid") as (ada, bob, cid):
        got: dict[str, list] = {"bob": [], "cid": []}
        for name, person in (("bob", bob), ("cid", cid)):
            async def read(reader, identity, name=name):
                body = b"".join([chunk async for chunk in reader])
                got[name].append((identity, reader.info.name, body))

            person.room.register_byte_stream_handler("files", lambda reader, identity, read=read, person=person: person.spawn(read(reader, identity)))
        body = bytes(range(256)) * 400
        writer = await ada.room.local_participant.stream_bytes("all.bin", total_size=len(body), topic="files")
        await writer.write(body)
        await writer.aclose()
        writer = await ada.room.local_participant.stream_bytes("bob.bin", topic="files", destination_identities=["bob"])
        await writer.write(b"secret")
        await writer.aclose()
        await until("bob has both", lambda: len(got["bob"]) == 2)
        await until("cid has one", lambda: len(got["cid"]) == 1)
        assert sorted(got["bob"], key=lambda each: each[1]) == [("ada", "all.bin", body), ("ada", "bob.bin", b"secret")]
        assert got["cid"] == [("ada", "all.bin", body)]


async def test_attributes_metadata_and_name_reach_the_other(node, room_name, single):
    async with people(node, room_name, single, "ada", "bob", grants={"canUpdateOwnMetadata": True}) as (ada, bob):
        await ada.room.local_participant.set_attributes({"hand": "raised", "colour": "red"})
        await ada.room.local_participant.set_metadata("about ada")
        await ada.room.local_participant.set_name("Ada Lovelace")
        seen = bob.room.remote_participants["ada"]
        await until("the attributes", lambda: dict(seen.attributes) == {"hand": "raised", "colour": "red"})
        await until("metadata and name", lambda: (seen.metadata, seen.name) == ("about ada", "Ada Lovelace"))
        await ada.room.local_participant.set_attributes({"hand": ""})
        await until("an empty attribute is removed", lambda: dict(seen.attributes) == {"colour": "red"})


async def test_metadata_without_the_permission_is_refused(node, room_name, single):
    async with people(node, room_name, single, "ada", "bob", grants={"canUpdateOwnMetadata": False}) as (ada, bob):
        # This SDK does not raise on the refusal, it only learns that the request was answered.
        await ada.room.local_participant.set_metadata("mine")
        await ada.room.local_participant.publish_data(b"after", reliable=True)
        await until("what was sent after it arrived", lambda: bob.data)
        assert not bob.room.remote_participants["ada"].metadata


async def test_data_arrives_in_order_and_only_where_it_is_sent(node, room_name, single):
    async with people(node, room_name, single, "ada", "bob", "cid") as (ada, bob, cid):
        for number in range(50):
            await ada.send_data(f"{number}", topic="count")
        await ada.room.local_participant.publish_data("for bob", destination_identities=["bob"])
        for person in (bob, cid):
            await until("all numbers", lambda p=person: len([each for each in p.data if each["topic"] == "count"]) == 50)
            assert [each["text"] for each in person.data if each["topic"] == "count"] == [str(number) for number in range(50)]
        # lossy data may be lost before the receivers' channels are open, and these are now
        await ada.send_data("lossy", reliable=False)
        for person in (bob, cid):
            await until("lossy", lambda p=person: any(each["text"] == "lossy" for each in p.data))
        await until("bob alone", lambda: any(each["text"] == "for bob" for each in bob.data))
        assert not any(each["text"] == "for bob" for each in cid.data)
        assert {each["from"] for each in bob.data} == {"ada"}


async def test_mute_unpublish_and_leave_are_seen(node, room_name, single):
    async with people(node, room_name, single, "ada", "bob") as (ada, bob):
        sid = await ada.publish_audio()
        await until("heard", lambda: bob.audio.get("ada", {}).get("loudest", 0) > 0.05)
        track = ada.room.local_participant.track_publications[sid].track
        track.mute()
        await until("muted", lambda: "track_muted" in bob.events)
        track.unmute()
        await until("unmuted", lambda: "track_unmuted" in bob.events)
        await ada.room.local_participant.unpublish_track(sid)
        await until("unpublished", lambda: "track_unsubscribed" in bob.events and not bob.room.remote_participants["ada"].track_publications)
        await ada.leave()
        await until("gone", lambda: not bob.room.remote_participants)


async def test_a_resume_keeps_sids_and_sound(node, room_name, single):
    async with people(node, room_name, single, "ada", "bob") as (ada, bob):
        track = await ada.publish_audio()
        await until("heard", lambda: bob.audio.get("ada", {}).get("loudest", 0) > 0.05)
        sid = ada.room.local_participant.sid
        await ada.room.simulate_scenario(rtc.SimulateScenarioKind.SIMULATE_SIGNAL_RECONNECT)
        await until("reconnected", lambda: "reconnected" in ada.events)
        assert ada.room.local_participant.sid == sid
        assert track in ada.room.local_participant.track_publications
        frames = bob.audio["ada"]["frames"]
        await until("sound goes on", lambda: bob.audio["ada"]["frames"] > frames + 50)
        assert "track_unsubscribed" not in bob.events
        assert "participant_disconnected" not in bob.events
        await ada.send_data("after")
        await until("data after the resume", lambda: any(each["text"] == "after" for each in bob.data))


async def test_a_full_room_of_joins_and_leaves_ends_empty(node, room_name, single):
    async with people(node, room_name, single, "stays") as (stays,):
        for number in range(5):
            async with people_beside(node, room_name, single, f"guest-{number}") as guest:
                await guest.publish_audio()
                await until("the guest is heard", lambda n=number: stays.audio.get(f"guest-{n}", {}).get("loudest", 0) > 0.05)
            await until("the guest is gone", lambda: not stays.room.remote_participants)


@contextlib.asynccontextmanager
async def people_beside(node, room_name: str, single: bool, identity: str):
    """One more participant in a room that others are in."""
    person = Person()
    await person.join(f"ws://{node.address}", token(room_name, identity), single)
    try:
        yield person
    finally:
        for task in list(person.tasks):
            task.cancel()
        await person.leave()
