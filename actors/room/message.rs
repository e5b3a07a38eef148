//! What a room actor hears.

use crate::error::{JoinError, RelocateError};
use crate::session::{Admission, Join, Session};
use crate::snapshot::RoomSnapshot;
use crate::track::TrackFacts;
use bytes::Bytes;
use ractor::RpcReplyPort;
use starling_media::codec::Channel;
use starling_media::command::{Quality, SpeakerLevel};
use starling_media::id::TrackKey;
use starling_media::worker::Relocation;
use starling_protocol::id::NodeId;
use starling_protocol::livekit as lk;

/// What a room actor hears.
#[derive(Debug)]
pub(crate) enum RoomMessage {
    /// Somebody joins or resumes; its WebSocket ends at node `entry`.
    Join { join: Box<Join>, entry: NodeId, reply: RpcReplyPort<Result<Session, JoinError>> },
    /// Would a join be refused?
    Validate { join: Box<Join>, reply: RpcReplyPort<Result<(), JoinError>> },
    /// One of its participants tells or asks something.
    From { sid: String, message: Box<FromParticipant> },
    /// A data message came from a participant.
    Data { sid: String, channel: Channel, payload: Bytes, admission: Admission },
    /// A data channel to a participant can be written.
    ChannelOpened { sid: String, channel: Channel },
    /// Who speaks.
    Speakers { levels: Vec<SpeakerLevel> },
    /// The server API asks.
    Api(Box<RoomCommand>),
    /// Its media goes on at another worker.
    Relocate { worker: usize, reply: RpcReplyPort<Result<Relocation, RelocateError>> },
    /// What is going on.
    Inspect { reply: RpcReplyPort<RoomSnapshot> },
    /// A deadline of the state may have passed.
    Wake,
    /// Dies (only with `test_faults`).
    Crash,
}

impl ractor::Message for RoomMessage {}

/// What the server API asks of a room.
#[derive(Debug)]
pub(crate) enum RoomCommand {
    /// Changes a participant; `None` leaves as is.
    UpdateParticipant {
        identity: String,
        name: Option<String>,
        metadata: Option<String>,
        attributes: Vec<(String, String)>,
        permission: Option<Box<lk::ParticipantPermission>>,
        reply: RpcReplyPort<Option<lk::ParticipantInfo>>,
    },
    /// Mutes or unmutes a published track.
    MuteTrack { identity: String, track_sid: String, muted: bool, reply: RpcReplyPort<Option<lk::TrackInfo>> },
    /// Sends a participant away.
    RemoveParticipant { identity: String, reply: RpcReplyPort<bool> },
    /// Changes the room's metadata.
    UpdateMetadata { metadata: String, reply: RpcReplyPort<lk::Room> },
    /// Subscribes or unsubscribes somebody.
    UpdateSubscriptions { identity: String, request: lk::UpdateSubscription, reply: RpcReplyPort<bool> },
    /// Sends data as the server.
    SendData { packet: Box<lk::DataPacket>, channel: Channel },
    /// Ends the room; its clients hear why and what to do.
    Close { reason: lk::DisconnectReason, action: lk::leave_request::Action },
}

/// What a participant tells or asks its room.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum FromParticipant {
    /// Its primary peer is connected.
    Connected,
    /// It is gone; its actor ends.
    Left { reason: lk::DisconnectReason },
    /// A track is announced or changed.
    TrackChanged(Box<TrackFacts>),
    /// A track is over.
    TrackUnpublished { track_sid: String },
    /// It wants tracks, or does not any more.
    UpdateSubscription(lk::UpdateSubscription),
    /// Who may subscribe to its tracks.
    SubscriptionPermission(lk::SubscriptionPermission),
    /// New name, metadata, attributes.
    UpdateMetadata(Box<lk::UpdateParticipantMetadata>),
    /// Up to which quality, in which codec, it wants a video track; `None` = not at all.
    Want { track_sid: String, codec: String, quality: Option<u8> },
    /// Its media of a subscription is negotiated.
    Subscribed { track_sid: String },
    /// A resuming client told what reliable messages it has.
    ReceiveStates(Vec<lk::DataChannelReceiveState>),
    /// Its connection quality changed.
    Quality { quality: Quality, score: f32 },
    /// Congestion paused or resumed a subscription.
    StreamPaused { track: TrackKey, paused: bool },
    /// Pretends to speak (SimulateScenario).
    SimulateSpeaker { seconds: u32 },
}
