//! What a token grants, as LiveKit's `ParticipantPermission`.

use crate::legacy;
use starling_protocol::livekit as lk;
use starling_protocol::livekit::participant_info::{Kind, KindDetail};
use starling_protocol::token::{Claims, VideoGrants};

/// The permission that grants give.
pub(crate) fn from_grants(grants: &VideoGrants) -> lk::ParticipantPermission {
    let can_publish = grants.can_publish.unwrap_or(true);
    let mut permission = lk::ParticipantPermission {
        can_subscribe: grants.can_subscribe.unwrap_or(true),
        can_publish,
        can_publish_data: grants.can_publish_data.unwrap_or(can_publish),
        can_publish_sources: grants.can_publish_sources.iter().filter_map(|name| source(name)).collect(),
        hidden: grants.hidden,
        can_update_metadata: grants.can_update_own_metadata.unwrap_or(false),
        can_subscribe_metrics: grants.can_subscribe_metrics.unwrap_or(false),
        can_manage_agent_session: grants.can_manage_agent_session.unwrap_or(false),
        ..Default::default()
    };
    legacy::set_roles(&mut permission, grants.recorder, grants.agent);
    permission
}

/// Grants that give `permission`, for refresh tokens.
pub(crate) fn into_grants(permission: &lk::ParticipantPermission, grants: &mut VideoGrants) {
    grants.can_subscribe = Some(permission.can_subscribe);
    grants.can_publish = Some(permission.can_publish);
    grants.can_publish_data = Some(permission.can_publish_data);
    grants.can_publish_sources =
        permission.can_publish_sources.iter().filter_map(|source| source_name(*source)).map(Into::into).collect();
    grants.can_update_own_metadata = Some(permission.can_update_metadata);
    grants.hidden = permission.hidden;
    grants.can_subscribe_metrics = Some(permission.can_subscribe_metrics);
    grants.can_manage_agent_session = Some(permission.can_manage_agent_session);
}

/// Whether a track of this source may be published.
pub(crate) fn may_publish(permission: &lk::ParticipantPermission, source: i32) -> bool {
    let sources = &permission.can_publish_sources;
    permission.can_publish && (sources.is_empty() || sources.contains(&source))
}

/// The participant's kind.
pub(crate) fn kind(claims: &Claims) -> Kind {
    match claims.kind.to_ascii_lowercase().as_str() {
        "ingress" => Kind::Ingress,
        "egress" => Kind::Egress,
        "sip" => Kind::Sip,
        "agent" => Kind::Agent,
        "connector" => Kind::Connector,
        "bridge" => Kind::Bridge,
        _ if claims.video.agent => Kind::Agent,
        _ => Kind::Standard,
    }
}

/// Whether the participant serves others, as an agent or a recorder: a room does not stay for it, and it takes nobody's
/// place.
pub(crate) fn is_dependent(claims: &Claims) -> bool {
    claims.video.agent || claims.video.recorder || matches!(kind(claims), Kind::Agent | Kind::Egress)
}

/// Details of the kind; unknown ones are left out.
pub(crate) fn kind_details(claims: &Claims) -> Vec<i32> {
    let detail = |name: &String| KindDetail::from_str_name(&name.to_ascii_uppercase()).map(|detail| detail as i32);
    claims.kind_details.iter().filter_map(detail).collect()
}

fn source(name: &str) -> Option<i32> {
    let source = match name.to_ascii_lowercase().as_str() {
        "camera" => lk::TrackSource::Camera,
        "microphone" => lk::TrackSource::Microphone,
        "screen_share" => lk::TrackSource::ScreenShare,
        "screen_share_audio" => lk::TrackSource::ScreenShareAudio,
        _ => return None,
    };
    Some(source as i32)
}

fn source_name(source: i32) -> Option<&'static str> {
    match lk::TrackSource::try_from(source).ok()? {
        lk::TrackSource::Camera => Some("camera"),
        lk::TrackSource::Microphone => Some("microphone"),
        lk::TrackSource::ScreenShare => Some("screen_share"),
        lk::TrackSource::ScreenShareAudio => Some("screen_share_audio"),
        lk::TrackSource::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_grants_mean_publish_and_subscribe_but_not_own_metadata() {
        let permission = from_grants(&VideoGrants::default());
        assert!(permission.can_publish && permission.can_subscribe && permission.can_publish_data);
        assert!(!permission.can_update_metadata);
        let mute = from_grants(&VideoGrants { can_publish: Some(false), ..Default::default() });
        assert!(!mute.can_publish_data, "data follows publish where it is not told");
    }

    #[test]
    fn a_list_of_sources_excludes_the_others() {
        let grants = VideoGrants { can_publish_sources: vec!["microphone".into()], ..Default::default() };
        let permission = from_grants(&grants);
        assert!(may_publish(&permission, lk::TrackSource::Microphone as i32));
        assert!(!may_publish(&permission, lk::TrackSource::Camera as i32));
        let mut back = VideoGrants::default();
        into_grants(&permission, &mut back);
        assert_eq!(back.can_publish_sources, ["microphone"]);
    }
}
