//! What a client says when it opens `/rtc` (query parameters) or `/rtc/v1` (`join_request`).

use crate::livekit as lk;

/// Which of LiveKit's two signalling dialects a session speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `/rtc`: a publisher and a subscriber peer connection.
    DualPeer,
    /// `/rtc/v1`: one peer connection, always offered by the client.
    SinglePeer,
}

/// The parameters of one join, the same for both dialects.
#[derive(Clone, Debug)]
pub struct JoinParameters {
    /// The dialect.
    pub dialect: Dialect,
    /// SDK, version, protocol number, device, capabilities.
    pub client: lk::ClientInfo,
    /// Subscribe to every track without being asked.
    pub auto_subscribe: bool,
    /// The client tells the size of its video elements.
    pub adaptive_stream: bool,
    /// The client allows congestion control to pause its subscriptions, where it said.
    pub subscriber_allow_pause: Option<bool>,
    /// Do not say `a=ice-lite`.
    pub disable_ice_lite: bool,
    /// Attributes set at join (honoured with canUpdateOwnMetadata).
    pub attributes: std::collections::HashMap<String, String>,
    /// Metadata set at join (v1; honoured with canUpdateOwnMetadata).
    pub metadata: String,
    /// This is a resume.
    pub reconnect: bool,
    /// Why the client resumes.
    pub reconnect_reason: i32,
    /// `PA_…` of the session to resume, where told.
    pub participant_sid: String,
    /// Tracks announced within the join (v1).
    pub add_tracks: Vec<lk::AddTrackRequest>,
    /// Offer bundled with the join (v1).
    pub publisher_offer: Option<lk::SessionDescription>,
    /// State told by a resuming client within the join (v1).
    pub sync_state: Option<lk::SyncState>,
}
