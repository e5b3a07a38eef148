//! What a participant actor hears.

use crate::session::{Admission, SessionOutput};
use crate::signal::Message;
use crate::track::TrackFacts;
use ractor::RpcReplyPort;
use starling_media::command::MediaEvent;
use starling_protocol::join::JoinParameters;
use starling_protocol::livekit as lk;
use starling_protocol::livekit::leave_request::Action;
use starling_protocol::token::Claims;
use tokio::sync::mpsc;

/// What a participant actor hears.
#[derive(Debug)]
pub(crate) enum ParticipantMessage {
    /// The client asks for something.
    Request { sink: u64, request: Box<lk::SignalRequest>, admission: Admission },
    /// A WebSocket is gone.
    SinkClosed { sink: u64 },
    /// What the client bundled with its join (v1).
    Bundled { add_tracks: Vec<lk::AddTrackRequest>, offer: Option<lk::SessionDescription> },
    /// The client is back on a new WebSocket.
    Resumed { sink: u64, output: mpsc::Sender<SessionOutput>, resume: Box<Resume> },
    /// Its room says something.
    Room(Box<ToParticipant>),
    /// The media plane says something of one of its peers.
    Media(Box<MediaEvent>),
    /// Its peers are about to move: commands wait from here on.
    Hold { reply: RpcReplyPort<()> },
    /// Its peers are at this worker now; waiting commands go there.
    Relocated { worker: usize },
    /// A deadline of the state may have passed.
    Wake,
    /// The room's actor is dead.
    RoomFailed,
}

impl ractor::Message for ParticipantMessage {}

/// A client that is back.
#[derive(Clone, Debug)]
pub(crate) struct Resume {
    /// Claims of the token it came back with.
    pub(crate) claims: Claims,
    /// What it said.
    pub(crate) parameters: JoinParameters,
    /// What it has to hear first: everybody, then the room.
    pub(crate) updates: Vec<Message>,
}

/// What a room tells one of its participants.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ToParticipant {
    /// Pass this on to the client.
    Signal(Message),
    /// Receive this track.
    Subscribe(Box<TrackFacts>),
    /// A subscribed track changed.
    TrackChanged(Box<TrackFacts>),
    /// Receive this track no more.
    Unsubscribe { track_sid: String },
    /// What it may do changed.
    PermissionChanged(Box<lk::ParticipantPermission>),
    /// Its name, metadata or attributes changed (they go into refresh tokens).
    InfoChanged(Box<lk::ParticipantInfo>),
    /// The server mutes one of its tracks.
    MuteTrack { track_sid: String, muted: bool },
    /// The session is over.
    Leave { reason: lk::DisconnectReason, action: Action },
}
