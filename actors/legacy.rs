//! The only place that touches fields which LiveKit's protocol calls deprecated: clients of many ages still read and
//! write them, beside the ones that replaced them.

#![expect(deprecated, reason = "clients of many ages read and write LiveKit's deprecated fields")]

use starling_protocol::livekit as lk;
use starling_protocol::livekit::AudioTrackFeature::{TfNoDtx, TfStereo};

/// What an AddTrack says of its audio, by features or by the older flags: (stereo, without DTX).
pub(crate) fn audio_of(request: &lk::AddTrackRequest) -> (bool, bool) {
    let has = |feature: lk::AudioTrackFeature| request.audio_features.contains(&(feature as i32));
    (request.stereo || has(TfStereo), request.disable_dtx || has(TfNoDtx))
}

/// Replaces the audio features of a track.
pub(crate) fn set_features(info: &mut lk::TrackInfo, features: Vec<i32>) {
    info.stereo = features.contains(&(TfStereo as i32));
    info.disable_dtx = features.contains(&(TfNoDtx as i32));
    info.audio_features = features;
}

pub(crate) fn set_audio(info: &mut lk::TrackInfo, (stereo, disable_dtx): (bool, bool)) {
    (info.stereo, info.disable_dtx) = (stereo, disable_dtx);
}

pub(crate) fn is_stereo(info: &lk::TrackInfo) -> bool {
    info.stereo
}

pub(crate) fn disables_dtx(info: &lk::TrackInfo) -> bool {
    info.disable_dtx
}

/// Layers of a track's first codec.
pub(crate) fn layers(info: &lk::TrackInfo) -> &[lk::VideoLayer] {
    &info.layers
}

pub(crate) fn layers_mut(info: &mut lk::TrackInfo) -> &mut Vec<lk::VideoLayer> {
    &mut info.layers
}

/// Sets the layers of a track's first codec, and whether that makes it simulcast.
pub(crate) fn set_layers(info: &mut lk::TrackInfo, layers: Vec<lk::VideoLayer>) {
    info.simulcast = layers.len() > 1;
    info.layers = layers;
}

#[cfg(test)]
pub(crate) fn is_simulcast(info: &lk::TrackInfo) -> bool {
    info.simulcast
}

pub(crate) fn set_roles(permission: &mut lk::ParticipantPermission, recorder: bool, agent: bool) {
    (permission.recorder, permission.agent) = (recorder, agent);
}

pub(crate) fn is_recorder(permission: &lk::ParticipantPermission) -> bool {
    permission.recorder
}

/// Says who sent a user packet.
pub(crate) fn stamp(user: &mut lk::UserPacket, sid: &str, identity: &str) {
    user.participant_sid = sid.into();
    user.participant_identity = identity.into();
}

#[cfg(test)]
pub(crate) fn sender(user: &lk::UserPacket) -> &str {
    &user.participant_sid
}

/// Whom a user packet names itself: identities and sids.
pub(crate) fn destinations(user: &lk::UserPacket) -> (&[String], &[String]) {
    (&user.destination_identities, &user.destination_sids)
}

/// What a publisher hears of wanted qualities; old clients know only those of the `first` codec.
pub(crate) fn quality_update(
    track_sid: &str,
    first: Vec<lk::SubscribedQuality>,
    subscribed_codecs: Vec<lk::SubscribedCodec>,
) -> lk::SubscribedQualityUpdate {
    lk::SubscribedQualityUpdate { track_sid: track_sid.into(), subscribed_qualities: first, subscribed_codecs }
}
