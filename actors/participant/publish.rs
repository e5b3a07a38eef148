//! A participant's own tracks: announced by AddTrack, bound to sections by SDP, shown to the room when media flows.

use crate::limits;
use crate::participant::state::{OwnTrack, ParticipantState};
use crate::permission;
use crate::room::FromParticipant;
use crate::signal::Message;
use crate::track::{TrackFacts, stream_of};
use starling_media::codec::{Codec, Kind};
use starling_media::command::MediaCommand;
use starling_media::id::TrackKey;
use starling_media::sdp::{Negotiated, PublishedTrack};
use starling_protocol::livekit as lk;
use starling_protocol::livekit::request_response::{Reason, Request};
use std::collections::BTreeMap;
use std::time::Instant;

impl ParticipantState {
    /// The client announces a track, or a further codec of one.
    pub(crate) fn add_track(&mut self, request: lk::AddTrackRequest, now: Instant) {
        if let Some((reason, text)) = self.objection(&request) {
            self.refuse(reason, text, Some(Request::AddTrack(request)));
            return;
        }
        if !request.sid.is_empty() {
            self.add_codec(&request, now);
            return;
        }
        let known = self.tracks.iter().find(|(_, track)| track.request.cid == request.cid);
        match known {
            // The same announcement again, after a resume: its answer was lost.
            Some((_, track)) if track.sections.is_empty() && track.request == request => {
                let info = track.info.clone();
                self.send(Message::TrackPublished(lk::TrackPublishedResponse { cid: request.cid, track: Some(info) }));
            }
            Some(_) => {
                self.queued_tracks.push_back(request.clone());
                self.refuse(Reason::Queued, "a track with this cid is published", Some(Request::AddTrack(request)));
            }
            None => self.publish(request, now),
        }
    }

    fn objection(&self, request: &lk::AddTrackRequest) -> Option<(Reason, &'static str)> {
        let pending = self.tracks.values().filter(|track| track.sections.is_empty()).count();
        let limit = self.config.limits.tracks_per_participant;
        if request.r#type == lk::TrackType::Data as i32 || lk::TrackType::try_from(request.r#type).is_err() {
            Some((Reason::UnsupportedType, "track type is neither audio nor video"))
        } else if !permission::may_publish(&self.permission, request.source) {
            Some((Reason::NotAllowed, "does not have permission to publish this source"))
        } else if request.cid.len() > limits::TRACK_NAME_BYTES_MAX || request.name.len() > limits::TRACK_NAME_BYTES_MAX
        {
            Some((Reason::LimitExceeded, "track cid or name exceeds 1024 bytes"))
        } else if pending + self.queued_tracks.len() >= limits::PENDING_TRACKS_MAX {
            Some((Reason::LimitExceeded, "20 tracks are pending"))
        } else if request.sid.is_empty() && limit > 0 && self.tracks.len() >= limit {
            Some((Reason::LimitExceeded, "too many published tracks"))
        } else {
            None
        }
    }

    fn publish(&mut self, mut request: lk::AddTrackRequest, now: Instant) {
        request.layers.truncate(limits::TRACK_LIST_MAX);
        request.simulcast_codecs.truncate(limits::TRACK_LIST_MAX);
        request.audio_features.truncate(limits::TRACK_LIST_MAX);
        let kind = if request.r#type == lk::TrackType::Video as i32 { Kind::Video } else { Kind::Audio };
        let key = self.numbers.track();
        let sid = self.ids.track_sid(
            lk::TrackType::try_from(request.r#type).unwrap_or_default(),
            lk::TrackSource::try_from(request.source).unwrap_or_default(),
        );
        let info = track_info(&sid, &request);
        let published = published_track(key, kind, &request, &info);
        self.answerer.publish(published.clone());
        let (sections, layers) = (BTreeMap::new(), BTreeMap::new());
        let cid = request.cid.clone();
        let track = OwnTrack { key, request, published, info: info.clone(), sections, announced: false, layers };
        self.tracks.insert(sid, track);
        self.send(Message::TrackPublished(lk::TrackPublishedResponse { cid, track: Some(info) }));
        self.apply_late_publish(now);
    }

    /// A backup codec of a published track.
    fn add_codec(&mut self, request: &lk::AddTrackRequest, now: Instant) {
        let Some(track) = self.tracks.get_mut(&request.sid) else {
            self.refuse(Reason::NotFound, "no such track", Some(Request::AddTrack(request.clone())));
            return;
        };
        for codec in request.simulcast_codecs.iter().take(limits::TRACK_LIST_MAX) {
            let mime_type = mime_of(&codec.codec, track.published.kind);
            let layers = if codec.layers.is_empty() { request.layers.clone() } else { codec.layers.clone() };
            let count = track.info.codecs.len();
            let known = track.info.codecs.iter_mut().find(|known| known.mime_type.eq_ignore_ascii_case(&mime_type));
            match known {
                Some(known) => {
                    known.cid.clone_from(&codec.cid);
                    if !layers.is_empty() {
                        known.layers = layers;
                    }
                }
                None if count < limits::TRACK_LIST_MAX => {
                    track.info.codecs.push(lk::SimulcastCodecInfo {
                        mime_type,
                        cid: codec.cid.clone(),
                        layers,
                        video_layer_mode: codec.video_layer_mode,
                        ..Default::default()
                    });
                }
                None => {}
            }
            if let Some(parsed) = Codec::parse(&codec.codec) {
                track.published.codec_cids.retain(|(known, _)| *known != parsed);
                track.published.codec_cids.push((parsed, codec.cid.clone()));
            }
        }
        let (published, info) = (track.published.clone(), track.info.clone());
        self.answerer.publish(published);
        self.send(Message::TrackPublished(lk::TrackPublishedResponse { cid: request.cid.clone(), track: Some(info) }));
        self.tell_track(&request.sid, now);
        self.apply_late_publish(now);
    }

    /// An offer may have come before its AddTrack; its section gets its track now.
    fn apply_late_publish(&mut self, now: Instant) {
        if let Some(negotiated) = self.answerer.current() {
            let known: usize = self.tracks.values().map(|track| track.sections.len()).sum();
            if negotiated.published.len() > known {
                self.set_receivers(&negotiated, now);
            }
        }
    }

    /// Gives the media plane its table, and learns which tracks have which sections.
    pub(crate) fn set_receivers(&mut self, negotiated: &Negotiated, now: Instant) {
        self.media(MediaCommand::SetReceivers {
            peer: self.publisher.peer,
            extensions: negotiated.extensions,
            sections: negotiated.receivers.clone(),
        });
        let mut changed = Vec::new();
        let mut ended = Vec::new();
        for (sid, track) in &mut self.tracks {
            let before = std::mem::take(&mut track.sections);
            let key = track.key;
            for section in negotiated.published.iter().filter(|section| section.track == key) {
                let payloads = negotiated.receivers.iter().find(|receiver| receiver.mid == section.mid);
                let fmtp = |codec: Codec| {
                    let payload = payloads?.payloads.iter().find(|payload| payload.codec == codec)?;
                    Some(payload.fmtp.clone())
                };
                let codecs = section.codecs.iter().map(|codec| (*codec, fmtp(*codec).unwrap_or_default()));
                track.sections.insert(section.mid.clone(), codecs.collect());
                learn_section(track, &section.mid, &section.sdp_cid, &section.codecs, &section.rids);
            }
            if track.sections.is_empty() && !before.is_empty() {
                ended.push(sid.clone());
            } else if track.sections != before {
                changed.push((sid.clone(), before.is_empty()));
            }
        }
        for sid in ended {
            self.unpublish(&sid);
        }
        for (sid, is_new) in changed {
            let muted = self.tracks.get(&sid).filter(|track| track.info.muted && is_new).map(|track| track.key);
            if let Some(track) = muted {
                self.media(MediaCommand::SetMuted { peer: self.publisher.peer, track, muted: true });
            }
            self.tell_track(&sid, now);
        }
        let queued = std::mem::take(&mut self.queued_tracks);
        for request in queued {
            if self.tracks.values().any(|track| track.request.cid == request.cid) {
                self.queued_tracks.push_back(request);
            } else {
                self.add_track(request, now);
            }
        }
    }

    /// A track is over: its section ended, or it is not allowed any more.
    pub(crate) fn unpublish(&mut self, track_sid: &str) {
        let Some(track) = self.tracks.remove(track_sid) else { return };
        self.answerer.unpublish(track.key);
        if let Some(current) = self.answerer.current() {
            self.media(MediaCommand::SetReceivers {
                peer: self.publisher.peer,
                extensions: current.extensions,
                sections: current.receivers,
            });
        }
        if track.announced {
            self.room(FromParticipant::TrackUnpublished { track_sid: track_sid.into() });
        }
    }

    /// The first packet of a layer came.
    pub(crate) fn layer_started(&mut self, key: TrackKey, codec: Codec, layer: u8, ssrc: u32, now: Instant) {
        let Some((sid, track)) = self.tracks.iter_mut().find(|(_, track)| track.key == key) else { return };
        let mime = codec.mime();
        if track.layers.is_empty() {
            track.info.mime_type.clone_from(&mime);
        }
        track.layers.insert(layer, ssrc);
        track.announced = true;
        // The client may send another codec than it asked for first.
        let is_listed = track.info.codecs.iter().any(|known| known.mime_type.eq_ignore_ascii_case(&mime));
        if let [only] = &mut track.info.codecs[..]
            && !is_listed
        {
            only.mime_type.clone_from(&mime);
        }
        let of_codec = track.info.codecs.iter_mut().find(|known| known.mime_type.eq_ignore_ascii_case(&mime));
        if let Some(known) = of_codec {
            set_ssrc(&mut known.layers, layer, ssrc);
        }
        if track.info.mime_type == mime {
            set_ssrc(&mut track.info.layers, layer, ssrc);
        }
        let sid = sid.clone();
        self.tell_track(&sid, now);
    }

    /// Tells the room how a track is, once it is announced; a muted one is announced by its section alone, since no
    /// packet of it may ever come.
    pub(crate) fn tell_track(&mut self, track_sid: &str, now: Instant) {
        let unix_micro = self.calendar.unix_ms(now).saturating_mul(1_000);
        let publisher_sid = self.sid.clone();
        let Some(track) = self.tracks.get_mut(track_sid) else { return };
        track.announced |= track.info.muted && !track.sections.is_empty();
        if !track.announced {
            return;
        }
        let ticks = match &track.info.version {
            Some(version) if version.unix_micro == unix_micro => version.ticks + 1,
            _ => 0,
        };
        track.info.version = Some(lk::TimedVersion { unix_micro, ticks });
        let facts = TrackFacts {
            key: track.key,
            kind: track.published.kind,
            publisher_sid,
            info: track.info.clone(),
            codecs: codecs_of(track),
        };
        self.room(FromParticipant::TrackChanged(Box::new(facts)));
    }

    pub(crate) fn update_audio_track(&mut self, mut request: lk::UpdateLocalAudioTrack, now: Instant) {
        request.features.truncate(limits::TRACK_LIST_MAX);
        match self.tracks.get_mut(&request.track_sid) {
            Some(track) => {
                let has = |feature: lk::AudioTrackFeature| request.features.contains(&(feature as i32));
                track.info.stereo = has(lk::AudioTrackFeature::TfStereo);
                track.info.disable_dtx = has(lk::AudioTrackFeature::TfNoDtx);
                track.info.audio_features = request.features;
                self.tell_track(&request.track_sid, now);
            }
            None => self.refuse(Reason::NotFound, "no such track", Some(Request::UpdateAudioTrack(request))),
        }
    }

    pub(crate) fn update_video_track(&mut self, request: lk::UpdateLocalVideoTrack, now: Instant) {
        match self.tracks.get_mut(&request.track_sid) {
            Some(track) => {
                track.info.width = request.width;
                track.info.height = request.height;
                self.tell_track(&request.track_sid, now);
            }
            None => self.refuse(Reason::NotFound, "no such track", Some(Request::UpdateVideoTrack(request))),
        }
    }
}

/// Notes what SDP tells of a section of a track.
fn learn_section(track: &mut OwnTrack, mid: &str, sdp_cid: &str, codecs: &[Codec], rids: &[String]) {
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
        if is_first && track.info.mime_type.is_empty() {
            track.info.mime_type.clone_from(&codec.mime_type);
        }
    }
    if is_first {
        track.info.mid = mid.into();
        set_rids(&mut track.info.layers, rids);
    }
}

fn set_rids(layers: &mut [lk::VideoLayer], rids: &[String]) {
    layers.sort_by_key(|layer| layer.quality);
    for (layer, rid) in layers.iter_mut().zip(rids) {
        layer.rid.clone_from(rid);
    }
}

fn set_ssrc(layers: &mut [lk::VideoLayer], layer: u8, ssrc: u32) {
    if let Some(layer) = layers.get_mut(usize::from(layer)) {
        layer.ssrc = ssrc;
    }
}

/// Everything that a track's sections may send, the asked codec first.
fn codecs_of(track: &OwnTrack) -> Vec<(Codec, String)> {
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

fn mime_of(codec: &str, kind: Kind) -> String {
    match Codec::parse(codec) {
        Some(codec) => codec.mime(),
        None if codec.is_empty() => String::new(),
        None if kind == Kind::Audio => format!("audio/{}", codec.to_ascii_lowercase()),
        None => format!("video/{}", codec.to_ascii_lowercase()),
    }
}

fn track_info(sid: &str, request: &lk::AddTrackRequest) -> lk::TrackInfo {
    let kind = if request.r#type == lk::TrackType::Video as i32 { Kind::Video } else { Kind::Audio };
    let layers_of = |own: &[lk::VideoLayer]| if own.is_empty() { request.layers.clone() } else { own.to_vec() };
    let mut codecs: Vec<lk::SimulcastCodecInfo> = request
        .simulcast_codecs
        .iter()
        .map(|codec| lk::SimulcastCodecInfo {
            mime_type: mime_of(&codec.codec, kind),
            cid: codec.cid.clone(),
            layers: layers_of(&codec.layers),
            video_layer_mode: codec.video_layer_mode,
            ..Default::default()
        })
        .collect();
    if codecs.is_empty() {
        codecs.push(lk::SimulcastCodecInfo {
            cid: request.cid.clone(),
            layers: request.layers.clone(),
            ..Default::default()
        });
    }
    let layers = if request.layers.is_empty() { codecs[0].layers.clone() } else { request.layers.clone() };
    let stream = if request.stream.is_empty() {
        stream_of(lk::TrackSource::try_from(request.source).unwrap_or_default()).to_owned()
    } else {
        request.stream.clone()
    };
    let has = |feature: lk::AudioTrackFeature| request.audio_features.contains(&(feature as i32));
    lk::TrackInfo {
        sid: sid.into(),
        r#type: request.r#type,
        name: request.name.clone(),
        muted: request.muted,
        width: request.width,
        height: request.height,
        simulcast: layers.len() > 1,
        disable_dtx: request.disable_dtx || has(lk::AudioTrackFeature::TfNoDtx),
        source: request.source,
        layers,
        mime_type: codecs[0].mime_type.clone(),
        codecs,
        stereo: request.stereo || has(lk::AudioTrackFeature::TfStereo),
        disable_red: request.disable_red,
        encryption: request.encryption,
        stream,
        audio_features: request.audio_features.clone(),
        backup_codec_policy: request.backup_codec_policy,
        packet_trailer_features: request.packet_trailer_features.clone(),
        ..Default::default()
    }
}

fn published_track(key: TrackKey, kind: Kind, request: &lk::AddTrackRequest, info: &lk::TrackInfo) -> PublishedTrack {
    // The codec that the track itself is published with is named here too: its section answers with it first.
    let named = request.simulcast_codecs.iter().filter(|codec| !codec.cid.is_empty());
    PublishedTrack {
        track: key,
        cid: request.cid.clone(),
        codec_cids: named.filter_map(|codec| Some((Codec::parse(&codec.codec)?, codec.cid.clone()))).collect(),
        kind,
        dtx: kind == Kind::Audio && !info.disable_dtx,
        stereo: info.stereo,
        red: kind == Kind::Audio && !request.disable_red,
    }
}
