//! How a participant's own track is described to the clients and to SDP.

use crate::legacy;
use crate::participant::state::OwnTrack;
use crate::track::stream_of;
use starling_media::codec::{Codec, Kind};
use starling_media::id::TrackKey;
use starling_media::sdp::PublishedTrack;
use starling_protocol::livekit as lk;
use starling_protocol::livekit::video_layer::Mode;

/// Notes what SDP tells of a section of a track.
pub(super) fn learn_section(track: &mut OwnTrack, mid: &str, sdp_cid: &str, codecs: &[Codec], rids: &[String]) {
    let by_cid = track.info.codecs.iter().position(|known| !known.cid.is_empty() && known.cid == sdp_cid);
    let by_mid = track.info.codecs.iter().position(|known| known.mid == mid);
    let index = by_cid.or(by_mid).unwrap_or(0);
    let is_first = index == 0;
    if let Some(codec) = track.info.codecs.get_mut(index) {
        codec.mid = mid.into();
        if codec.cid != sdp_cid {
            codec.sdp_cid = sdp_cid.into();
        }
        if codec.mime_type.is_empty()
            && let Some(first) = codecs.first()
        {
            codec.mime_type = first.mime();
        }
        set_rids(&mut codec.layers, rids);
        if rids.len() > 1 && codec.video_layer_mode == Mode::MultipleSpatialLayersPerStream as i32 {
            codec.video_layer_mode = Mode::OneSpatialLayerPerStream as i32;
        }
        if is_first && track.info.mime_type.is_empty() {
            track.info.mime_type.clone_from(&codec.mime_type);
        }
    }
    if is_first {
        track.info.mid = mid.into();
        set_rids(legacy::layers_mut(&mut track.info), rids);
    }
}

fn set_rids(layers: &mut [lk::VideoLayer], rids: &[String]) {
    layers.sort_by_key(|layer| layer.quality);
    for (layer, rid) in layers.iter_mut().zip(rids) {
        layer.rid.clone_from(rid);
    }
}

/// Layers are in the order of their quality; a stream of its own has one, whatever quality that is.
pub(super) fn set_ssrc(layers: &mut [lk::VideoLayer], layer: u8, ssrc: u32) {
    let index = usize::from(layer).min(layers.len().saturating_sub(1));
    if let Some(layer) = layers.get_mut(index) {
        layer.ssrc = ssrc;
    }
}

/// Everything that a track's sections may send, the asked codec first.
pub(super) fn codecs_of(track: &OwnTrack) -> Vec<(Codec, String)> {
    let mut codecs: Vec<(Codec, String)> = Vec::new();
    for (codec, fmtp) in track.sections.values().flatten() {
        if !codecs.iter().any(|(known, other)| known == codec && other == fmtp) {
            codecs.push((*codec, fmtp.clone()));
        }
    }
    let asked = Codec::parse(&track.info.mime_type);
    codecs.sort_by_key(|(codec, _)| Some(*codec) != asked);
    codecs
}

pub(super) fn mime_of(codec: &str, kind: Kind) -> String {
    match Codec::parse(codec) {
        Some(codec) => codec.mime(),
        None if codec.is_empty() => String::new(),
        None if kind == Kind::Audio => format!("audio/{}", codec.to_ascii_lowercase()),
        None => format!("video/{}", codec.to_ascii_lowercase()),
    }
}

pub(super) fn track_info(sid: &str, request: &lk::AddTrackRequest) -> lk::TrackInfo {
    let kind = if request.r#type == lk::TrackType::Video as i32 { Kind::Video } else { Kind::Audio };
    let layers_of = |own: &[lk::VideoLayer]| if own.is_empty() { request.layers.clone() } else { own.to_vec() };
    let mut codecs: Vec<lk::SimulcastCodecInfo> = request
        .simulcast_codecs
        .iter()
        .map(|codec| {
            let layers = layers_of(&codec.layers);
            lk::SimulcastCodecInfo {
                mime_type: mime_of(&codec.codec, kind),
                cid: codec.cid.clone(),
                video_layer_mode: layer_mode(codec, kind, &layers),
                layers,
                ..Default::default()
            }
        })
        .collect();
    if codecs.is_empty() {
        codecs.push(lk::SimulcastCodecInfo {
            cid: request.cid.clone(),
            layers: request.layers.clone(),
            video_layer_mode: layer_mode(&lk::SimulcastCodec::default(), kind, &request.layers),
            ..Default::default()
        });
    }
    let layers = if request.layers.is_empty() { codecs[0].layers.clone() } else { request.layers.clone() };
    let stream = if request.stream.is_empty() {
        stream_of(lk::TrackSource::try_from(request.source).unwrap_or_default()).to_owned()
    } else {
        request.stream.clone()
    };
    let mut info = lk::TrackInfo {
        sid: sid.into(),
        r#type: request.r#type,
        name: request.name.clone(),
        muted: request.muted,
        width: request.width,
        height: request.height,
        source: request.source,
        mime_type: codecs[0].mime_type.clone(),
        codecs,
        disable_red: request.disable_red,
        encryption: request.encryption,
        stream,
        audio_features: request.audio_features.clone(),
        backup_codec_policy: request.backup_codec_policy,
        packet_trailer_features: request.packet_trailer_features.clone(),
        ..Default::default()
    };
    legacy::set_audio(&mut info, legacy::audio_of(request));
    legacy::set_layers(&mut info, layers);
    info
}

/// How layers share streams, where the client does not say: VP9 and AV1 carry them all in one, unless SDP shows several.
pub(super) fn layer_mode(codec: &lk::SimulcastCodec, kind: Kind, layers: &[lk::VideoLayer]) -> i32 {
    if kind == Kind::Audio || codec.video_layer_mode != Mode::Unused as i32 {
        return codec.video_layer_mode;
    }
    let is_scalable = matches!(Codec::parse(&codec.codec), Some(Codec::Vp9 | Codec::Av1));
    let mode = if is_scalable && layers.len() > 1 {
        Mode::MultipleSpatialLayersPerStream
    } else {
        Mode::OneSpatialLayerPerStream
    };
    mode as i32
}

pub(super) fn published_track(
    key: TrackKey,
    kind: Kind,
    request: &lk::AddTrackRequest,
    info: &lk::TrackInfo,
) -> PublishedTrack {
    // The codec that the track itself is published with is named here too: its section answers with it first.
    let named = request.simulcast_codecs.iter().filter(|codec| !codec.cid.is_empty());
    PublishedTrack {
        track: key,
        cid: request.cid.clone(),
        codec_cids: named.filter_map(|codec| Some((Codec::parse(&codec.codec)?, codec.cid.clone()))).collect(),
        kind,
        dtx: kind == Kind::Audio && !legacy::disables_dtx(info),
        stereo: legacy::is_stereo(info),
        red: kind == Kind::Audio && !request.disable_red,
    }
}
