//! What the node decides for its rooms at start: settings, limits, identity and the signer of refresh tokens.

use starling_media::codec::Codec;
use starling_protocol::token::Claims;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Everything that [`crate::Rooms`] needs to know of its node.
#[derive(Clone, Debug)]
pub struct RoomsConfig {
    /// Defaults of rooms (`room.*`).
    pub room: RoomSettings,
    /// Sizes and counts (`limit.*`).
    pub limits: Limits,
    /// Enabled codecs, most wanted first within each kind (`room.enabled_codecs`).
    pub codecs: Vec<Codec>,
    /// Seconds between a client's pings (`JoinResponse.ping_interval`); never 0.
    pub ping_interval_s: u32,
    /// Seconds of silence after which a client resumes (`JoinResponse.ping_timeout`).
    pub ping_timeout_s: u32,
    /// Seconds for which a session without WebSocket is kept for a resume.
    pub reconnect_grace_s: u32,
    /// How long a layer stays requested after its last viewer went (dynacast; LiveKit's 5 s).
    pub dynacast_pause_delay: Duration,
    /// Whether `a=ice-lite` is said to clients that do not refuse it.
    pub ice_lite: bool,
    /// Peers of one room at its home media worker from which on new ones go to other workers.
    pub spread_peers: usize,
    /// Who this node is to clients.
    pub node: NodeIdentity,
    /// STUN and TURN servers told to clients.
    pub ice_servers: Vec<starling_protocol::livekit::IceServer>,
    /// Signs refresh tokens.
    pub token_signer: Arc<dyn TokenSigner>,
    /// Accepts messages that break things on purpose (tests and chaos only).
    pub test_faults: bool,
}

impl RoomsConfig {
    /// The defaults with the given signer.
    #[must_use]
    pub fn new(token_signer: Arc<dyn TokenSigner>) -> Self {
        Self {
            room: RoomSettings::default(),
            limits: Limits::default(),
            codecs: vec![
                Codec::Vp8,
                Codec::H264,
                Codec::Vp9,
                Codec::Av1,
                Codec::H265,
                Codec::Opus,
                Codec::Red,
                Codec::Pcmu,
                Codec::Pcma,
            ],
            ping_interval_s: 2,
            ping_timeout_s: 5,
            reconnect_grace_s: 20,
            dynacast_pause_delay: Duration::from_secs(5),
            ice_lite: false,
            spread_peers: crate::room::SPREAD_PEERS,
            node: NodeIdentity::default(),
            ice_servers: Vec::new(),
            token_signer,
            test_faults: false,
        }
    }
}

/// Defaults of a room, overridden by the `roomConfig` of the token that creates it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomSettings {
    /// Whether a join creates a missing room.
    pub auto_create: bool,
    /// Seconds for which a room waits for its first participant.
    pub empty_timeout_s: u32,
    /// Seconds for which a room lingers after its last participant left.
    pub departure_timeout_s: u32,
    /// Most participants at a time; 0 = no limit.
    pub max_participants: u32,
    /// Whether the server API may unmute a track.
    pub enable_remote_unmute: bool,
    /// Metadata of new rooms.
    pub metadata: String,
}

impl Default for RoomSettings {
    fn default() -> Self {
        Self {
            auto_create: true,
            empty_timeout_s: 300,
            departure_timeout_s: 20,
            max_participants: 0,
            enable_remote_unmute: false,
            metadata: String::new(),
        }
    }
}

/// What one client or room may use; 0 = no limit. Sizes are bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Room name.
    pub room_name_bytes: usize,
    /// Participant identity.
    pub identity_bytes: usize,
    /// Participant display name.
    pub name_bytes: usize,
    /// Metadata of a participant or a room.
    pub metadata_bytes: usize,
    /// Sum of all keys and values of a participant's attributes.
    pub attributes_bytes: usize,
    /// Published tracks of one participant.
    pub tracks_per_participant: usize,
    /// Subscribed tracks of one participant.
    pub subscriptions_per_participant: usize,
    /// Subscribed video tracks of one participant (`limit.subscription_limit_video`); more wait for a free place.
    pub video_subscriptions: usize,
    /// Subscribed audio tracks of one participant (`limit.subscription_limit_audio`); more wait for a free place.
    pub audio_subscriptions: usize,
    /// Published and subscribed tracks on this node (`limit.num_tracks`); beyond it nobody new may join.
    pub tracks: usize,
    /// Rooms on this node.
    pub rooms: usize,
    /// Participants on this node.
    pub participants: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            room_name_bytes: 256,
            identity_bytes: 256,
            name_bytes: 256,
            metadata_bytes: 512 * 1024,
            attributes_bytes: 64 * 1024,
            tracks_per_participant: 64,
            subscriptions_per_participant: 1_000,
            video_subscriptions: 0,
            audio_subscriptions: 0,
            tracks: 0,
            rooms: 0,
            participants: 0,
        }
    }
}

/// `JoinResponse.server_info` of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeIdentity {
    /// Node id.
    pub node_id: String,
    /// Region, may be empty.
    pub region: String,
    /// LiveKit version that we claim: above `1.13.6` livekit-client publishes VP9 and AV1 as simulcast by rid.
    pub version: String,
}

impl Default for NodeIdentity {
    fn default() -> Self {
        Self { node_id: "ND_starling".into(), region: String::new(), version: "1.13.0".into() }
    }
}

/// Makes access tokens for this node's key; the node implements it with its first API key.
pub trait TokenSigner: fmt::Debug + Send + Sync {
    /// Signs claims; `iss` is set by the signer when empty. An empty text means that nothing can be signed.
    fn sign(&self, claims: &Claims) -> String;
}
