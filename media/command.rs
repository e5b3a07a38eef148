//! The two conversations between control and media plane: `MediaCommand` down, `MediaEvent` up.

use crate::codec::{Channel, Codec, ExtensionIds, IceCredentials, ReceiveSection, RemoteTransport, SendSection};
use crate::id::{PeerId, RoomKey, TrackKey};
use bytes::Bytes;
use tokio::sync::oneshot;

/// What the control plane asks of the worker that serves a peer.
#[derive(Debug)]
pub enum MediaCommand {
    /// Opens a peer; it answers ICE checks under `local` at once and waits for [`MediaCommand::SetRemote`].
    OpenPeer {
        /// The new peer's id.
        peer: PeerId,
        /// The room whose tracks it may send and receive.
        room: RoomKey,
        /// Local ICE credentials; the fragment must come from the worker's handle, which routes by it.
        local: IceCredentials,
        /// Whether we open the three LiveKit data channels once SCTP is up (v0 subscriber peer).
        open_channels: bool,
        /// Whether congestion may pause what the peer receives; `None` = as the node is configured.
        allow_pause: Option<bool>,
    },
    /// Sets or replaces what the remote description says of the transport.
    SetRemote {
        /// The peer.
        peer: PeerId,
        /// Credentials, fingerprint, role.
        remote: RemoteTransport,
    },
    /// Starts a new ICE generation with fresh local credentials; the old ones serve until the first nomination.
    RestartIce {
        /// The peer.
        peer: PeerId,
        /// New local credentials.
        local: IceCredentials,
    },
    /// Replaces the whole table of what the peer sends to us. A track that is no longer named has ended.
    SetReceivers {
        /// The peer.
        peer: PeerId,
        /// Extension ids of the BUNDLE group.
        extensions: ExtensionIds,
        /// Every receiving section.
        sections: Vec<ReceiveSection>,
    },
    /// Replaces the whole table of what we send to the peer. Kept sections keep their numbering.
    SetSenders {
        /// The peer.
        peer: PeerId,
        /// Extension ids of the BUNDLE group.
        extensions: ExtensionIds,
        /// Every sending section.
        sections: Vec<SendSection>,
    },
    /// Sets what a subscriber wants of one track.
    SetPreference {
        /// The subscriber's peer.
        peer: PeerId,
        /// The subscribed track.
        track: TrackKey,
        /// Quality wanted.
        preference: Preference,
    },
    /// Stops or resumes the forwarding of a published track.
    SetMuted {
        /// The publisher's peer.
        peer: PeerId,
        /// The track.
        track: TrackKey,
        /// Whether it is muted.
        muted: bool,
    },
    /// Sends one message on the same channel of many peers.
    SendData {
        /// Receivers.
        peers: Vec<PeerId>,
        /// Channel.
        channel: Channel,
        /// Message.
        payload: Bytes,
    },
    /// Closes a peer and forgets everything about it.
    ClosePeer {
        /// The peer.
        peer: PeerId,
    },
    /// Stops sealing for a peer, answers with its whole transport state, and forgets it. What still arrives for it is
    /// kept for [`MediaCommand::RelayPeer`].
    ExportPeer {
        /// The peer.
        peer: PeerId,
        /// Receives the versioned rmp-serde state, or `None` for an unknown peer and for one in the middle of
        /// connecting, which ends by it.
        reply: oneshot::Sender<Option<Vec<u8>>>,
    },
    /// Goes on with a transport that another worker exported.
    ImportPeer {
        /// The peer's id here.
        peer: PeerId,
        /// Its room.
        room: RoomKey,
        /// State from [`MediaCommand::ExportPeer`].
        state: Vec<u8>,
        /// Receives whether the state was accepted, or why not.
        reply: oneshot::Sender<Result<(), String>>,
    },
    /// Hands late datagrams of an exported peer on to another worker of this process, until two seconds pass without any.
    RelayPeer {
        /// The peer.
        peer: PeerId,
        /// Index of the worker that imported it.
        worker: usize,
    },
    /// Says which worker a room is at home at: there its speakers are chosen. Without it, wherever its peers are.
    SetHome {
        /// The room.
        room: RoomKey,
        /// Index of the worker.
        worker: usize,
    },
    /// Carries out several commands with no datagram between them.
    Batch(Vec<MediaCommand>),
    /// Answers with the bytes that this worker has sent: cheap enough for every second, as [`Self::Inspect`] is not.
    CountSent {
        /// Receives the bytes.
        reply: oneshot::Sender<u64>,
    },
    /// Answers with counters of this worker.
    Inspect {
        /// Receives the snapshot.
        reply: oneshot::Sender<WorkerSnapshot>,
    },
    /// Drops datagrams on purpose (tests and chaos only).
    Impair {
        /// What to drop.
        impairment: Impairment,
    },
}

/// What a subscriber wants of one video track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Preference {
    /// Whether anything is wanted at all.
    pub enabled: bool,
    /// Highest spatial layer wanted: 0 low, 1 medium, 2 high.
    pub spatial_max: u8,
    /// Highest temporal layer wanted, 3 = all.
    pub temporal_max: u8,
    /// Higher is served first when bandwidth is short; LiveKit's `priority`.
    pub priority: u32,
}

impl Default for Preference {
    fn default() -> Self {
        Self { enabled: true, spatial_max: 2, temporal_max: 3, priority: 0 }
    }
}

/// Share of datagrams dropped by a test switch, 0.0 to 1.0.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Impairment {
    /// SRTP and SRTCP from clients.
    pub media_in: f64,
    /// SRTP and SRTCP to clients.
    pub media_out: f64,
    /// DTLS handshake datagrams, both ways.
    pub handshake: f64,
    /// DTLS application data (SCTP), both ways.
    pub data: f64,
}

/// Why a peer is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum PeerEnd {
    /// The remote side closed DTLS.
    Closed,
    /// The DTLS handshake failed.
    HandshakeFailed,
    /// No authenticated ICE check for the consent time (RFC 7675).
    ConsentExpired,
    /// A library below panicked on this peer's input.
    Fault,
}

/// One speaking track.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpeakerLevel {
    /// The audio track.
    pub track: TrackKey,
    /// 0.0 (silence) to 1.0, LiveKit's scale.
    pub level: f32,
}

/// How well a peer's media flows, LiveKit's scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quality {
    /// Nothing arrives though something should.
    Lost,
    /// Many losses or far too little bandwidth.
    Poor,
    /// Some losses.
    Good,
    /// As wanted.
    Excellent,
}

/// What the media plane tells the control plane.
#[derive(Debug)]
pub enum MediaEvent {
    /// ICE has a path and DTLS is done.
    PeerConnected {
        /// The peer.
        peer: PeerId,
    },
    /// The peer's path changed after it was connected.
    PathChanged {
        /// The peer.
        peer: PeerId,
        /// Its new remote address.
        remote: std::net::SocketAddr,
    },
    /// The peer is gone; the worker has forgotten it.
    PeerEnded {
        /// The peer.
        peer: PeerId,
        /// Why.
        end: PeerEnd,
    },
    /// A data channel can be written.
    ChannelOpen {
        /// The peer.
        peer: PeerId,
        /// Which one.
        channel: Channel,
    },
    /// A message arrived.
    Data {
        /// The peer.
        peer: PeerId,
        /// Its channel.
        channel: Channel,
        /// The message.
        payload: Bytes,
    },
    /// The first packet of a layer of a published track arrived.
    LayerStarted {
        /// The publisher's peer.
        peer: PeerId,
        /// The track.
        track: TrackKey,
        /// What it carries.
        codec: Codec,
        /// Simulcast layer, 0 lowest.
        layer: u8,
        /// Its SSRC.
        ssrc: u32,
    },
    /// Who speaks in a room; sent each update interval while anybody does and once with nobody.
    Speakers {
        /// The room.
        room: RoomKey,
        /// Active ones, loudest first.
        levels: Vec<SpeakerLevel>,
    },
    /// A peer's connection quality changed.
    Quality {
        /// The peer.
        peer: PeerId,
        /// Its quality.
        quality: Quality,
        /// LiveKit's score, 0.0 to 5.0.
        score: f32,
    },
    /// Congestion paused or resumed a subscription.
    StreamPaused {
        /// The subscriber's peer.
        peer: PeerId,
        /// The track.
        track: TrackKey,
        /// Whether it is paused.
        paused: bool,
    },
}

/// Counters of one worker, for tests, metrics and the admin API.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct WorkerSnapshot {
    /// Live peers.
    pub peers: usize,
    /// Published tracks.
    pub tracks: usize,
    /// Subscriptions.
    pub subscriptions: usize,
    /// Addresses bound to peers.
    pub paths: usize,
    /// Datagrams received.
    pub datagrams_in: u64,
    /// RTP packets forwarded.
    pub packets_forwarded: u64,
    /// Retransmissions sent.
    pub retransmissions: u64,
    /// Key-frame requests sent to publishers.
    pub key_frame_requests: u64,
    /// Packets handed to other workers, once for each that has subscribers.
    #[serde(default)]
    pub packets_handed: u64,
    /// Packets not handed because another worker was too far behind.
    #[serde(default)]
    pub handed_overflowed: u64,
    /// Packets that came from other workers for subscribers that have gone.
    #[serde(default)]
    pub handed_stale: u64,
    /// Datagrams dropped because they did not authenticate, parse or belong to anybody.
    pub datagrams_refused: u64,
    /// Per-peer details.
    pub peer_details: Vec<PeerSnapshot>,
}

/// What is known of one peer.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct PeerSnapshot {
    /// The peer.
    pub peer: PeerId,
    /// Whether its transport is up.
    pub connected: bool,
    /// Send-side bandwidth estimate, bits per second.
    pub bandwidth_bps: u64,
    /// Round-trip time in milliseconds, where measured.
    pub rtt_ms: Option<f32>,
    /// Incoming layers.
    pub layers: Vec<LayerSnapshot>,
    /// Outgoing subscriptions.
    pub subscriptions: Vec<SubscriptionSnapshot>,
}

/// What is known of one incoming layer.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct LayerSnapshot {
    /// Its track.
    pub track: TrackKey,
    /// Layer, 0 lowest.
    pub layer: u8,
    /// Its SSRC.
    pub ssrc: u32,
    /// Distinct packets received.
    pub packets: u64,
    /// Sequence numbers that never arrived.
    pub missing: u64,
    /// Recovered by retransmission.
    pub recovered: u64,
    /// Sequence numbers asked for again.
    pub nacked: u64,
    /// Incoming bit rate, bits per second.
    pub bitrate_bps: u64,
}

/// What is known of one outgoing subscription.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SubscriptionSnapshot {
    /// Its track.
    pub track: TrackKey,
    /// Layer being sent, if any.
    pub layer: Option<u8>,
    /// Layer that allocation aims at.
    pub target: Option<u8>,
    /// Packets sent.
    pub packets: u64,
    /// Retransmissions sent.
    pub retransmissions: u64,
    /// NACKed sequence numbers received.
    pub nacks: u64,
}
