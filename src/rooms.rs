//! The door into the rooms as HTTP sees it, so that HTTP can be tested without rooms.

use crate::config::{Config, ConfigError};
use starling_actors::{
    Join, JoinError, Limits, NodeIdentity, RelocateError, RoomSettings, Rooms, RoomsConfig, RoomsSnapshot,
    SessionError, SessionInput, SessionOutput, TokenSigner,
};
use starling_cluster::member::MemberFacts;
use starling_media::codec::Codec;
use starling_media::worker::Relocation;
use starling_protocol::keys::KeyRing;
use starling_protocol::livekit as lk;
use starling_protocol::token::{Claims, sign};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::mpsc;

/// A future of a trait object.
pub type Reply<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// LiveKit's version that we claim: above `1.13.6` livekit-client publishes VP9 and AV1 as simulcast by rid.
const CLAIMED_VERSION: &str = "1.13.0";

/// Where requests of one session go. Dropping it says that the WebSocket is gone.
pub trait RequestSink: std::fmt::Debug + Send {
    /// Hands over one request.
    ///
    /// # Errors
    /// [`SessionError`] when too many wait or the session is over.
    fn send(&self, request: lk::SignalRequest) -> Result<(), SessionError>;
}

impl RequestSink for SessionInput {
    fn send(&self, request: lk::SignalRequest) -> Result<(), SessionError> {
        Self::send(self, request)
    }
}

/// An accepted session.
#[derive(Debug)]
pub struct Admitted {
    /// First message.
    pub first: Box<lk::SignalResponse>,
    /// Requests of the client.
    pub requests: Box<dyn RequestSink>,
    /// Responses to the client.
    pub responses: mpsc::Receiver<SessionOutput>,
}

/// What HTTP asks of the rooms.
pub trait Door: std::fmt::Debug + Send + Sync {
    /// Checks a join without opening a session.
    fn validate<'a>(&'a self, join: &'a Join) -> Reply<'a, Result<(), JoinError>>;
    /// Joins or resumes.
    fn join(&self, join: Join) -> Reply<'_, Result<Admitted, JoinError>>;
    /// What is going on on this node, as JSON.
    fn snapshot(&self) -> Reply<'_, serde_json::Value>;
    /// The rooms of the whole cluster.
    fn overview(&self) -> Reply<'_, RoomsSnapshot>;
    /// Makes a room's actor panic, where test switches are on.
    fn crash<'a>(&'a self, room: &'a str) -> Reply<'a, ()>;
    /// Moves a room's media to another worker.
    fn relocate<'a>(&'a self, room: &'a str, worker: usize) -> Reply<'a, Result<Relocation, RelocateError>>;
}

impl Door for Rooms {
    fn validate<'a>(&'a self, join: &'a Join) -> Reply<'a, Result<(), JoinError>> {
        Box::pin(Self::validate(self, join))
    }

    fn join(&self, join: Join) -> Reply<'_, Result<Admitted, JoinError>> {
        Box::pin(async move {
            let session = Self::join(self, join).await?;
            Ok(Admitted { first: session.first, requests: Box::new(session.requests), responses: session.responses })
        })
    }

    fn snapshot(&self) -> Reply<'_, serde_json::Value> {
        Box::pin(async move { serde_json::to_value(Self::snapshot(self).await).unwrap_or_default() })
    }

    fn overview(&self) -> Reply<'_, RoomsSnapshot> {
        Box::pin(Self::overview(self))
    }

    fn crash<'a>(&'a self, room: &'a str) -> Reply<'a, ()> {
        Box::pin(self.crash_room(room))
    }

    fn relocate<'a>(&'a self, room: &'a str, worker: usize) -> Reply<'a, Result<Relocation, RelocateError>> {
        Box::pin(Self::relocate(self, room, worker))
    }
}

/// Signs refresh tokens with the key of the token that was presented, or with the first one.
#[derive(Debug)]
struct KeyRingSigner(Arc<KeyRing>);

impl TokenSigner for KeyRingSigner {
    fn sign(&self, claims: &Claims) -> String {
        let same = self.0.secret(&claims.iss).map(|secret| (claims.iss.as_str(), secret));
        let signed = same.or_else(|| self.0.first()).map(|(key, secret)| sign(claims, key, secret));
        match signed {
            Some(Ok(token)) => token,
            Some(Err(error)) => {
                tracing::warn!(%error, "refresh token not signed");
                String::new()
            }
            None => String::new(),
        }
    }
}

/// Takes from a validated configuration what rooms need.
///
/// # Errors
/// [`ConfigError::Bounds`] for an unknown codec.
pub fn rooms_config(config: &Config, keys: Arc<KeyRing>, facts: &MemberFacts) -> Result<RoomsConfig, ConfigError> {
    let codecs = config.room.enabled_codecs.iter().filter(|spec| !is_rtx(&spec.mime)).map(|spec| codec(&spec.mime));
    let limit = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
    let mut rooms = RoomsConfig::new(Arc::new(KeyRingSigner(keys)));
    rooms.room = RoomSettings {
        auto_create: config.room.auto_create,
        empty_timeout_s: config.room.empty_timeout,
        departure_timeout_s: config.room.departure_timeout,
        max_participants: config.room.max_participants,
        enable_remote_unmute: config.room.enable_remote_unmute,
        ..RoomSettings::default()
    };
    rooms.limits = Limits {
        room_name_bytes: limit(config.limit.max_room_name_length),
        identity_bytes: limit(config.limit.max_participant_identity_length),
        name_bytes: limit(config.limit.max_participant_name_length),
        metadata_bytes: limit(config.limit.max_metadata_size),
        attributes_bytes: limit(config.limit.max_attributes_size),
        tracks_per_participant: limit(config.limit.max_tracks_per_participant),
        // LiveKit's files say "no limit" by 0 or a negative number.
        tracks: usize::try_from(config.limit.num_tracks).unwrap_or(0),
        video_subscriptions: usize::try_from(config.limit.subscription_limit_video).unwrap_or(0),
        audio_subscriptions: usize::try_from(config.limit.subscription_limit_audio).unwrap_or(0),
        ..rooms.limits
    };
    rooms.codecs = codecs.collect::<Result<_, _>>()?;
    rooms.ping_interval_s = config.signal.ping_interval;
    rooms.ping_timeout_s = config.signal.ping_timeout;
    rooms.dynacast_pause_delay = config.video.dynacast_pause_delay;
    rooms.ice_lite = config.rtc.use_ice_lite;
    rooms.spread_peers = match config.rtc.spread_peers {
        0 => usize::MAX,
        peers => limit(peers),
    };
    rooms.ice_servers = ice_servers(&config.rtc.stun_servers);
    rooms.node = NodeIdentity {
        node_id: facts.member.node_id.to_string(),
        region: facts.region.clone(),
        version: CLAIMED_VERSION.to_owned(),
    };
    rooms.test_faults = config.test_switches;
    Ok(rooms)
}

fn ice_servers(stun_servers: &[String]) -> Vec<lk::IceServer> {
    if stun_servers.is_empty() {
        return Vec::new();
    }
    let urls = stun_servers.iter().map(|server| format!("stun:{server}")).collect();
    vec![lk::IceServer { urls, ..lk::IceServer::default() }]
}

/// LiveKit lists retransmission among the codecs; ours needs no leave.
fn is_rtx(mime: &str) -> bool {
    mime.to_ascii_lowercase().ends_with("/rtx")
}

fn codec(mime: &str) -> Result<Codec, ConfigError> {
    match mime.to_ascii_lowercase().as_str() {
        "audio/opus" => Ok(Codec::Opus),
        "audio/red" => Ok(Codec::Red),
        "audio/pcmu" => Ok(Codec::Pcmu),
        "audio/pcma" => Ok(Codec::Pcma),
        "video/vp8" => Ok(Codec::Vp8),
        "video/h264" => Ok(Codec::H264),
        "video/vp9" => Ok(Codec::Vp9),
        "video/av1" => Ok(Codec::Av1),
        "video/h265" => Ok(Codec::H265),
        _ => Err(ConfigError::Bounds {
            name: "room.enabled_codecs",
            value: format!("{mime:?}"),
            bounds: "one of audio/{opus,red,PCMU,PCMA} and video/{VP8,H264,VP9,AV1,H265,rtx}",
        }),
    }
}
