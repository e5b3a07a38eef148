"""One participant of the Python SDK, steered by JSON lines on standard input; used by the browser stories.

Each line is `{"command": name, ...}`; the answer is `{"value": ...}` or `{"error": text}`. It decides nothing by itself.
"""

import asyncio
import json
import math
import sys

import numpy as np
from livekit import rtc

SAMPLE_RATE = 48_000
FRAME_SAMPLES = SAMPLE_RATE // 100
WIDTH, HEIGHT, FPS = 320, 180, 10
COMMAND_S = 20


class Person:
    """The room, what was published, and counters of everything received."""

    def __init__(self) -> None:
        self.room = rtc.Room()
        self.tasks: set[asyncio.Task] = set()
        self.audio: dict[str, dict] = {}
        self.video: dict[str, dict] = {}
        self.data: list[dict] = []
        self.texts: list[dict] = []
        self.events: list[str] = []

    def spawn(self, coroutine) -> None:
        task = asyncio.ensure_future(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def join(self, url: str, token: str, single: bool) -> dict:
        room = self.room
        room.on("track_subscribed", self._subscribed)
        room.on("data_received", lambda packet: self.data.append(
            {"text": packet.data.decode("utf8", "replace")[:200], "bytes": len(packet.data), "topic": packet.topic,
             "from": packet.participant.identity if packet.participant else None}))
        for name in ("participant_connected", "participant_disconnected", "track_muted", "track_unmuted",
                     "reconnecting", "reconnected", "disconnected", "track_unsubscribed"):
            room.on(name, lambda *_, name=name: self.events.append(name))
        room.register_text_stream_handler("chat", lambda reader, identity: self.spawn(self._text(reader, identity)))
        await asyncio.wait_for(
            room.connect(url, token, rtc.RoomOptions(connect_timeout=8, single_peer_connection=single)), COMMAND_S)

        async def shout(data: rtc.RpcInvocationData) -> str:
            return data.payload.upper()

        room.local_participant.register_rpc_method("shout", shout)
        return {"sid": room.local_participant.sid, "identity": room.local_participant.identity}

    async def _text(self, reader: rtc.TextStreamReader, identity: str) -> None:
        self.texts.append({"from": identity, "text": await reader.read_all()})

    def _subscribed(self, track: rtc.Track, publication: rtc.RemoteTrackPublication, who: rtc.RemoteParticipant) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            self.spawn(self._listen(track, self.audio.setdefault(who.identity, {"frames": 0, "loudest": 0.0})))
        else:
            self.spawn(self._watch(track, self.video.setdefault(who.identity, {"frames": 0, "width": 0, "height": 0, "brightest": 0})))

    @staticmethod
    async def _listen(track: rtc.Track, counters: dict) -> None:
        async for event in rtc.AudioStream(track):
            samples = np.frombuffer(event.frame.data, dtype=np.int16).astype(np.float64)
            counters["frames"] += 1
            counters["loudest"] = max(counters["loudest"], float(np.sqrt(np.mean(samples**2))) / 32768)

    @staticmethod
    async def _watch(track: rtc.Track, counters: dict) -> None:
        async for event in rtc.VideoStream(track):
            counters["frames"] += 1
            counters["width"], counters["height"] = event.frame.width, event.frame.height
            luma = np.frombuffer(event.frame.data, dtype=np.uint8)[: event.frame.width * event.frame.height]
            counters["brightest"] = max(counters["brightest"], int(luma.max()))

    async def publish_audio(self) -> str:
        source = rtc.AudioSource(SAMPLE_RATE, 1)
        track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        publication = await asyncio.wait_for(self.room.local_participant.publish_track(track, options), COMMAND_S)

        async def pump() -> None:
            phase = 0
            while True:
                times = (np.arange(FRAME_SAMPLES) + phase) / SAMPLE_RATE
                tone = (np.sin(2 * math.pi * 440 * times) * 9_000).astype(np.int16)
                await source.capture_frame(rtc.AudioFrame(tone.tobytes(), SAMPLE_RATE, 1, FRAME_SAMPLES))
                phase += FRAME_SAMPLES

        self.spawn(pump())
        return publication.sid

    async def publish_video(self) -> str:
        source = rtc.VideoSource(WIDTH, HEIGHT)
        track = rtc.LocalVideoTrack.create_video_track("camera", source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_CAMERA, simulcast=False, video_codec=rtc.VideoCodec.VP8)
        publication = await asyncio.wait_for(self.room.local_participant.publish_track(track, options), COMMAND_S)

        async def pump() -> None:
            number = 0
            while True:
                picture = np.zeros((HEIGHT, WIDTH, 4), dtype=np.uint8)
                picture[:, (number * 8) % WIDTH :, :] = 200
                source.capture_frame(rtc.VideoFrame(WIDTH, HEIGHT, rtc.VideoBufferType.RGBA, picture.tobytes()))
                number += 1
                await asyncio.sleep(1 / FPS)

        self.spawn(pump())
        return publication.sid

    async def state(self) -> dict:
        remotes = {
            identity: {"sid": each.sid, "name": each.name, "metadata": each.metadata, "attributes": dict(each.attributes),
                       "tracks": {sid: {"muted": pub.muted, "source": int(pub.source)} for sid, pub in each.track_publications.items()}}
            for identity, each in self.room.remote_participants.items()}
        return {"audio": self.audio, "video": self.video, "data": self.data, "texts": self.texts, "events": self.events, "remotes": remotes}

    async def send_data(self, text: str, reliable: bool = True, topic: str = "") -> None:
        await self.room.local_participant.publish_data(text, reliable=reliable, topic=topic)

    async def send_text(self, text: str) -> None:
        await self.room.local_participant.send_text(text, topic="chat")

    async def set_attributes(self, attributes: dict) -> None:
        await self.room.local_participant.set_attributes(attributes)

    async def call(self, to: str, method: str, payload: str) -> str:
        return await self.room.local_participant.perform_rpc(destination_identity=to, method=method, payload=payload)

    async def leave(self) -> None:
        await asyncio.wait_for(self.room.disconnect(), COMMAND_S)


COMMANDS = ("join", "publish_audio", "publish_video", "state", "send_data", "send_text", "set_attributes", "call", "leave")


async def main() -> None:
    person = Person()
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        request = json.loads(line)
        name = request.pop("command")
        try:
            if name not in COMMANDS:
                raise ValueError(f"unknown command {name}")
            answer = {"value": await getattr(person, name)(**request)}
        except Exception as error:  # noqa: BLE001 - every failure is the other side's answer
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
    for task in person.tasks:
        task.cancel()
    try:
        await person.leave()
    except Exception as error:  # noqa: BLE001 - the story is over
        print(f"leave: {error}", file=sys.stderr)


if __name__ == "__main__":
    asyncio.run(main())
