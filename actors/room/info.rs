//! What clients are told of the node, the room and its participants, and how they change it.

use crate::config::{Limits, RoomsConfig};
use crate::participant::ToParticipant;
use crate::permission;
use crate::room::state::RoomState;
use crate::session::Join;
use crate::signal;
use starling_media::codec::{Codec, Kind};
use starling_protocol::livekit as lk;
use starling_protocol::livekit::participant_info::State;
use starling_protocol::livekit::request_response::{Reason, Request};
use std::collections::HashMap;
use std::time::Instant;

/// LiveKit's protocol number that this node speaks; 18 would mean pre-negotiated data channels.
const PROTOCOL: i32 = 17;

pub(crate) fn server_info(config: &RoomsConfig) -> lk::ServerInfo {
    lk::ServerInfo {
        edition: lk::server_info::Edition::Standard as i32,
        version: config.node.version.clone(),
        protocol: PROTOCOL,
        region: config.node.region.clone(),
        node_id: config.node.node_id.clone(),
        ..Default::default()
    }
}

/// The node's part of a join response.
pub(crate) fn join_response(config: &RoomsConfig) -> lk::JoinResponse {
    lk::JoinResponse {
        server_version: config.node.version.clone(),
        server_region: config.node.region.clone(),
        server_info: Some(server_info(config)),
        ice_servers: config.ice_servers.clone(),
        ping_interval: i32::try_from(config.ping_interval_s.max(1)).unwrap_or(i32::MAX),
        ping_timeout: i32::try_from(config.ping_timeout_s.max(1)).unwrap_or(i32::MAX),
        enabled_publish_codecs: enabled_codecs(&config.codecs),
        fast_publish: true,
        ..Default::default()
    }
}

/// Video first, in order of preference: the first is a client's fall-back.
pub(crate) fn enabled_codecs(codecs: &[Codec]) -> Vec<lk::Codec> {
    let of = |kind: Kind| codecs.iter().filter(move |codec| codec.kind() == kind);
    of(Kind::Video).chain(of(Kind::Audio)).map(|codec| lk::Codec { mime: codec.mime(), ..Default::default() }).collect()
}

/// The first `ParticipantInfo` of a session.
pub(crate) fn participant(
    sid: &str,
    join: &Join,
    permission: &lk::ParticipantPermission,
    config: &RoomsConfig,
    unix_ms: i64,
) -> lk::ParticipantInfo {
    let claims = &join.claims;
    let (metadata, attributes) = told_at_join(join);
    lk::ParticipantInfo {
        sid: sid.into(),
        identity: claims.sub.clone(),
        name: claims.name.clone(),
        state: State::Joined as i32,
        metadata,
        attributes,
        joined_at: unix_ms / 1_000,
        joined_at_ms: unix_ms,
        version: 1,
        permission: Some(permission.clone()),
        region: config.node.region.clone(),
        kind: permission::kind(claims) as i32,
        kind_details: permission::kind_details(claims),
        client_protocol: join.parameters.client.client_protocol,
        capabilities: join.parameters.client.capabilities.clone(),
        ..Default::default()
    }
}

/// Metadata and attributes of a new participant: the token's, changed by the client's where the token allows.
pub(crate) fn told_at_join(join: &Join) -> (String, HashMap<String, String>) {
    let (claims, told) = (&join.claims, &join.parameters);
    let mut attributes: HashMap<String, String> = claims.attributes.clone().into_iter().collect();
    let mut metadata = claims.metadata.clone();
    if claims.video.can_update_own_metadata == Some(true) {
        attributes.extend(told.attributes.clone());
        if !told.metadata.is_empty() {
            metadata.clone_from(&told.metadata);
        }
    }
    attributes.retain(|_, value| !value.is_empty());
    (metadata, attributes)
}

/// Adds up what attributes cost.
pub(crate) fn attributes_bytes<'a>(attributes: impl IntoIterator<Item = (&'a String, &'a String)>) -> usize {
    attributes.into_iter().map(|(key, value)| key.len() + value.len()).sum()
}

fn over(bytes: usize, limit: usize) -> bool {
    limit > 0 && bytes > limit
}

/// Names the limit that new values break.
fn exceeded(limits: &Limits, name: &str, metadata: &str, attributes: &HashMap<String, String>) -> Option<String> {
    let attributes = attributes_bytes(attributes);
    let checks = [
        ("name", name.len(), limits.name_bytes),
        ("metadata", metadata.len(), limits.metadata_bytes),
        ("attributes", attributes, limits.attributes_bytes),
    ];
    let (what, bytes, limit) = checks.into_iter().find(|(_, bytes, limit)| over(*bytes, *limit))?;
    Some(format!("{what} of {bytes} bytes exceeds the limit of {limit}"))
}

impl RoomState {
    /// A client changes its own name, metadata or attributes.
    pub(crate) fn update_own_metadata(&mut self, sid: &str, request: lk::UpdateParticipantMetadata, now: Instant) {
        let Some(member) = self.members.get_mut(sid) else { return };
        let mut attributes = member.info.attributes.clone();
        attributes.extend(request.attributes.clone());
        attributes.retain(|_, value| !value.is_empty());
        let (reason, text) = if !member.permission.can_update_metadata {
            (Reason::NotAllowed, "does not have permission to update own metadata".to_owned())
        } else if let Some(text) = exceeded(&self.config.limits, &request.name, &request.metadata, &attributes) {
            (Reason::LimitExceeded, text)
        } else {
            (Reason::Ok, String::new())
        };
        let accepted = reason == Reason::Ok;
        if accepted {
            member.info.attributes = attributes;
            if !request.name.is_empty() {
                member.info.name.clone_from(&request.name);
            }
            if !request.metadata.is_empty() {
                member.info.metadata.clone_from(&request.metadata);
            }
        }
        let request_id = request.request_id;
        let answer = signal::answer_request(request_id, reason, &text, Some(Request::UpdateMetadata(request)));
        self.to(sid, ToParticipant::Signal(answer));
        if accepted {
            self.announce(sid, false, now);
            self.tell_own_info(sid);
        }
    }

    /// The server API changes a participant; the answer is its new info, `None` for an unknown identity.
    pub(crate) fn update_participant(
        &mut self,
        identity: &str,
        name: Option<String>,
        metadata: Option<String>,
        attributes: Vec<(String, String)>,
        permission: Option<lk::ParticipantPermission>,
        now: Instant,
    ) -> Option<lk::ParticipantInfo> {
        let sid = self.identities.get(identity)?.clone();
        let member = self.members.get_mut(&sid)?;
        if let Some(name) = name {
            member.info.name = name;
        }
        if let Some(metadata) = metadata {
            member.info.metadata = metadata;
        }
        member.info.attributes.extend(attributes);
        member.info.attributes.retain(|_, value| !value.is_empty());
        let was_visible = member.visible();
        if let Some(permission) = permission {
            member.permission = permission.clone();
            member.info.permission = Some(permission.clone());
            self.to(&sid, ToParticipant::PermissionChanged(Box::new(permission)));
        }
        self.announce(&sid, false, now);
        self.tell_own_info(&sid);
        self.reconcile_subscriber(&sid);
        let member = self.members.get(&sid)?;
        let info = member.info.clone();
        if was_visible && !member.visible() {
            let mut gone = info.clone();
            gone.state = State::Disconnected as i32;
            self.updates.forget(&sid);
            self.broadcast(&signal::update(vec![gone]), Some(&sid));
        }
        Some(info)
    }

    /// The server API changes the room's metadata; everybody hears at once.
    pub(crate) fn update_room_metadata(&mut self, metadata: String) -> lk::Room {
        self.room.metadata = metadata;
        self.broadcast_room();
        self.room.clone()
    }

    fn tell_own_info(&mut self, sid: &str) {
        if let Some(member) = self.members.get(sid) {
            let info = Box::new(member.info.clone());
            self.to(sid, ToParticipant::InfoChanged(info));
        }
    }
}
