//! A participant's own tracks: announced by AddTrack, bound to sections by SDP, shown to the room when media flows.

use crate::legacy;
use crate::limits;
use crate::participant::description::{
    codecs_of, layer_mode, learn_section, mime_of, published_track, set_ssrc, track_info,
};
use crate::participant::state::{OwnTrack, ParticipantState};
use crate::permission;
use crate::room::FromParticipant;
use crate::signal::Message;
use crate::track::TrackFacts;
use starling_media::codec::{Codec, Kind};
use starling_media::command::MediaCommand;
use starling_media::id::TrackKey;
use starling_media::sdp::Negotiated;
use starling_protocol::livekit as lk;
use starling_protocol::livekit::request_response::{Reason, Request};
use std::collections::BTreeMap;
use std::time::Instant;

impl ParticipantState {
    /// The client announces a track, or a further codec of one.
    pub(crate) fn add_track(&mut self, request: lk::AddTrackRequest, now: Instant) {
        if let Some((reason, text)) = self.objection(&request) {
            self.refuse(reason, &text, Some(Request::AddTrack(request)));
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

    /// Why a track is refused, if it is; the text names the limit.
    fn objection(&self, request: &lk::AddTrackRequest) -> Option<(Reason, String)> {
        let pending = self.tracks.values().filter(|track| track.sections.is_empty()).count();
        let limit = self.config.limits.tracks_per_participant;
        let kind = lk::TrackType::try_from(request.r#type);
        let (reason, text) = if !matches!(kind, Ok(lk::TrackType::Audio | lk::TrackType::Video)) {
            (Reason::UnsupportedType, "track type is neither audio nor video".to_owned())
        } else if !permission::may_publish(&self.permission, request.source) {
            (Reason::NotAllowed, "does not have permission to publish this source".to_owned())
        } else if let Some((what, bytes)) = too_long(request) {
            let limit = limits::TRACK_NAME_BYTES_MAX;
            (Reason::LimitExceeded, format!("track {what} of {bytes} bytes exceeds the limit of {limit}"))
        } else if pending + self.queued_tracks.len() >= limits::PENDING_TRACKS_MAX {
            (Reason::LimitExceeded, format!("{} tracks are pending, which is the limit", limits::PENDING_TRACKS_MAX))
        } else if request.sid.is_empty() && limit > 0 && self.tracks.len() >= limit {
            (Reason::LimitExceeded, format!("{limit} tracks are published, which is the limit of a participant"))
        } else {
            return None;
        };
        Some((reason, text))
    }

    fn publish(&mut self, mut request: lk::AddTrackRequest, now: Instant) {
        request.layers.truncate(limits::TRACK_LIST_MAX);
        request.simulcast_codecs.truncate(limits::TRACK_LIST_MAX);
        for codec in &mut request.simulcast_codecs {
            codec.layers.truncate(limits::TRACK_LIST_MAX);
        }
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
            let mut layers = if codec.layers.is_empty() { request.layers.clone() } else { codec.layers.clone() };
            layers.truncate(limits::TRACK_LIST_MAX);
            let video_layer_mode = layer_mode(codec, track.published.kind, &layers);
            let count = track.info.codecs.len();
            let known = track.info.codecs.iter_mut().find(|known| known.mime_type.eq_ignore_ascii_case(&mime_type));
            match known {
                Some(known) => {
                    known.cid.clone_from(&codec.cid);
                    known.video_layer_mode = video_layer_mode;
                    if !layers.is_empty() {
                        known.layers = layers;
                    }
                }
                None if count < limits::TRACK_LIST_MAX => {
                    track.info.codecs.push(lk::SimulcastCodecInfo {
                        mime_type,
                        cid: codec.cid.clone(),
                        layers,
                        video_layer_mode,
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
            set_ssrc(legacy::layers_mut(&mut track.info), layer, ssrc);
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
                legacy::set_features(&mut track.info, request.features);
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

/// The name that is too long, and its bytes.
fn too_long(request: &lk::AddTrackRequest) -> Option<(&'static str, usize)> {
    let codec_cids = request.simulcast_codecs.iter().map(|codec| ("codec cid", codec.cid.len()));
    let names = [("cid", request.cid.len()), ("name", request.name.len()), ("stream", request.stream.len())];
    names.into_iter().chain(codec_cids).find(|(_, bytes)| *bytes > limits::TRACK_NAME_BYTES_MAX)
}
