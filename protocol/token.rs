//! LiveKit access tokens: HS256 JWTs with grants (livekit-compat §2).

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The claims of an access token.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Claims {
    /// API key.
    pub iss: String,
    /// Participant identity.
    pub sub: String,
    /// Expiry, seconds since the epoch.
    pub exp: i64,
    /// Not before, seconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// Issued at, seconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iat: Option<i64>,
    /// Older tokens carry the identity here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// Display name.
    pub name: String,
    /// `standard`, `ingress`, `egress`, `sip`, `agent`, `connector`, `bridge`; empty = standard.
    pub kind: String,
    /// Details of the kind.
    pub kind_details: Vec<String>,
    /// Participant metadata.
    pub metadata: String,
    /// Participant attributes.
    pub attributes: BTreeMap<String, String>,
    /// Named room preset.
    pub room_preset: String,
    /// Settings for a room that this join creates (protojson `RoomConfiguration`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_config: Option<serde_json::Value>,
    /// Room grants.
    pub video: VideoGrants,
}

/// The `video` claim.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VideoGrants {
    /// May create rooms by API, or by joining where automatic creation is off.
    pub room_create: bool,
    /// May list rooms.
    pub room_list: bool,
    /// May record.
    pub room_record: bool,
    /// May administer `room`.
    pub room_admin: bool,
    /// May join `room`.
    pub room_join: bool,
    /// The room.
    pub room: String,
    /// Absent = true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish: Option<bool>,
    /// Absent = true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_subscribe: Option<bool>,
    /// Absent = `can_publish`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish_data: Option<bool>,
    /// `camera`, `microphone`, `screen_share`, `screen_share_audio`; empty = all.
    pub can_publish_sources: Vec<String>,
    /// Absent = false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_update_own_metadata: Option<bool>,
    /// May administer ingresses.
    pub ingress_admin: bool,
    /// Not announced to others.
    pub hidden: bool,
    /// A recorder.
    pub recorder: bool,
    /// An agent.
    pub agent: bool,
    /// Absent = false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_subscribe_metrics: Option<bool>,
    /// Absent = false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_manage_agent_session: Option<bool>,
    /// Where a participant may be moved.
    pub destination_room: String,
}
