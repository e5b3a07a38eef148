//! The v0 subscriber peer connection: the server offers.

use crate::codec::{Codec, ExtensionIds, Kind, Payload, RemoteTransport, SendSection};
use crate::id::TrackKey;
use crate::sdp::answer::MAX_TRACKS;
use crate::sdp::codecs::{self, Accepted};
use crate::sdp::compose::{Head, LocalBody, LocalPayload, LocalSection, LocalSource, compose, session_id};
use crate::sdp::model::{Description, Direction, Media};
use crate::sdp::parse::{MAX_SECTIONS, parse};
use crate::sdp::{CodecPolicy, LocalTransport, Negotiated, SdpError, SubscribedTrack, extensions};
use std::collections::BTreeMap;

/// One section of our offers. It never goes away and never changes its kind.
#[derive(Debug)]
struct Offered {
    mid: String,
    media: Media,
    track: Option<SubscribedTrack>,
    /// What the last offer said here.
    payloads: Vec<LocalPayload>,
    /// The last offer said that we send, or its answer is not here yet: no other track may follow in the next offer,
    /// for browsers raise no `track` event for a section that goes from one track to the next.
    busy: bool,
    /// The last offer said that we send.
    said: bool,
    /// The last offer carried the present track.
    carried: bool,
    /// What the client takes of the present track.
    answered: Vec<Payload>,
    /// The client refused the section (port 0); it stays so.
    dead: bool,
    /// Another track was here before the present one.
    used_before: bool,
}

/// The v0 subscriber peer connection: the server offers.
#[derive(Debug)]
pub struct Offerer {
    policy: CodecPolicy,
    sections: Vec<Offered>,
    /// Subscriptions without a section, oldest first.
    waiting: Vec<SubscribedTrack>,
    /// Subscriptions that the client refused.
    refused: Vec<SubscribedTrack>,
    remote: Option<RemoteTransport>,
    outstanding: bool,
    changed: bool,
    session_id: Option<u64>,
    version: u64,
}

impl Offerer {
    /// A connection whose first offer has a data section and whatever is subscribed by then.
    #[must_use]
    pub const fn new(policy: CodecPolicy) -> Self {
        Self {
            policy,
            sections: Vec::new(),
            waiting: Vec::new(),
            refused: Vec::new(),
            remote: None,
            outstanding: false,
            changed: false,
            session_id: None,
            version: 1,
        }
    }

    /// Adds a subscription; one of the same [`TrackKey`] is replaced and keeps its section. Beyond [`MAX_TRACKS`]
    /// waiting ones it is ignored.
    pub fn subscribe(&mut self, track: SubscribedTrack) {
        self.refused.retain(|known| known.track != track.track);
        if offered_payloads(&track, &self.policy).is_empty() {
            self.unsubscribe(track.track);
            self.refused.push(track);
            return;
        }
        let held = self.sections.iter_mut().filter_map(|section| section.track.as_mut());
        if let Some(known) = held.chain(&mut self.waiting).find(|known| known.track == track.track) {
            *known = track;
        } else if self.waiting.len() < MAX_TRACKS {
            self.waiting.push(track);
        }
        self.changed = true;
    }

    /// Ends a subscription; its section becomes inactive and may be used again for the same kind.
    pub fn unsubscribe(&mut self, track: TrackKey) {
        self.waiting.retain(|known| known.track != track);
        self.refused.retain(|known| known.track != track);
        for section in &mut self.sections {
            if section.track.take_if(|known| known.track == track).is_some() {
                section.answered.clear();
                section.used_before |= section.carried;
                section.carried = false;
                self.changed = true;
            }
        }
    }

    /// Asks for an offer even without changes (first offer, ICE restart).
    pub const fn force(&mut self) {
        self.changed = true;
    }

    /// Forgets that an offer is unanswered and makes another one due: the client resumed and one of the two messages
    /// was lost with the old connection.
    pub const fn abandon(&mut self) {
        self.changed = self.changed || self.outstanding;
        self.outstanding = false;
    }

    /// Subscriptions that the client refused, because it has none of their codecs.
    #[must_use]
    pub fn incompatible(&self) -> Vec<TrackKey> {
        self.refused.iter().map(|track| track.track).collect()
    }

    /// Makes the next offer, or `None` while one is unanswered or when nothing has changed.
    pub fn create_offer(&mut self, local: &LocalTransport) -> Option<String> {
        if self.outstanding || !self.changed {
            return None;
        }
        if self.sections.is_empty() {
            self.sections.push(Offered::new(0, Media::Application));
        }
        let waiting = std::mem::take(&mut self.waiting);
        for track in waiting {
            self.assign(track);
        }
        let sections: Vec<LocalSection> = self.sections.iter_mut().map(|s| s.compose(&self.policy)).collect();
        self.changed = false;
        self.outstanding = true;
        self.version += 1;
        let head = Head {
            local,
            setup: "actpass",
            session_id: *self.session_id.get_or_insert_with(|| session_id(&local.ice.ufrag)),
            version: self.version,
            allow_mixed: true,
            bundle: true,
        };
        Some(compose(&head, &sections))
    }

    fn assign(&mut self, track: SubscribedTrack) {
        let media = Media::of(track.kind);
        let count = self.sections.len();
        let section = match self.sections.iter_mut().find(|section| section.free(media)) {
            Some(section) => section,
            None if count < MAX_SECTIONS => {
                self.sections.push(Offered::new(count, media));
                &mut self.sections[count]
            }
            None => {
                self.waiting.push(track);
                return;
            }
        };
        section.answered.clear();
        section.track = Some(track);
    }

    /// What the last offer says, mid → `TR_…`: `SessionDescription.mid_to_track_id` of the offer. A browser's track keeps
    /// its old id where a section is used again, so the client has to take the id from this map.
    #[must_use]
    pub fn mid_to_track_id(&self) -> BTreeMap<String, String> {
        let carried = self.sections.iter().filter(|section| section.carried);
        carried.filter_map(|section| Some((section.mid.clone(), section.track.as_ref()?.track_sid.clone()))).collect()
    }

    /// Applies the answer to the last offer.
    ///
    /// # Errors
    /// [`SdpError`]; the offer stays unanswered.
    pub fn apply_answer(&mut self, sdp: &str) -> Result<Negotiated, SdpError> {
        if !self.outstanding {
            return Err(SdpError::Mismatch { reason: "no offer is unanswered" });
        }
        let answer = parse(sdp)?;
        if answer.sections.len() != self.sections.len() {
            return Err(SdpError::Mismatch { reason: "the number of sections differs" });
        }
        for (theirs, ours) in answer.sections.iter().zip(&self.sections) {
            if theirs.media != ours.media {
                return Err(SdpError::Mismatch { reason: "a section has another kind of media" });
            }
            if theirs.mid != ours.mid && !(theirs.rejected && theirs.mid.is_empty()) {
                return Err(SdpError::Mismatch { reason: "a section has another a=mid" });
            }
        }
        let remote = answer.remote()?;
        let ice_restart = self.remote.as_ref().is_some_and(|before| before.ice != remote.ice);
        self.outstanding = false;
        for index in 0..self.sections.len() {
            self.settle(&answer, index);
        }
        // What waited for a section to end can be offered now.
        let free = |kind| self.sections.iter().any(|section| section.free(Media::of(kind)));
        self.changed |= self.waiting.iter().any(|track| free(track.kind));
        self.remote = Some(remote.clone());
        Ok(self.negotiated(&answer, remote, ice_restart))
    }

    fn settle(&mut self, answer: &Description, index: usize) {
        let (theirs, ours) = (&answer.sections[index], &mut self.sections[index]);
        let refused = theirs.rejected || (theirs.media.kind().is_some() && !answer.bundled(index));
        ours.busy = ours.said;
        ours.dead |= refused;
        if !ours.carried {
            return;
        }
        ours.answered.clear();
        if !refused && theirs.direction.receives() {
            let usable = codecs::usable(theirs, &self.policy);
            ours.answered = ours.payloads.iter().filter_map(|offered| answered_payload(offered, &usable)).collect();
        }
        if ours.answered.is_empty() {
            // The client has no decoder for it, or does not want it: asking again would not help.
            self.refused.extend(ours.track.take());
            ours.carried = false;
            self.changed |= !refused;
        }
    }

    fn negotiated(&self, answer: &Description, remote: RemoteTransport, ice_restart: bool) -> Negotiated {
        let live = |index: usize| self.sections.get(index).is_some_and(|section| !section.dead);
        let placed =
            || self.sections.iter().filter(|s| !s.answered.is_empty()).filter_map(|s| Some((s, s.track.as_ref()?)));
        let waiting = |kind| {
            let count = self.waiting.iter().filter(|track| track.kind == kind).count();
            u32::try_from(count).unwrap_or(u32::MAX)
        };
        Negotiated {
            remote,
            ice_restart,
            extensions: offered_ids(extensions::bundle_map(answer, live)),
            receivers: Vec::new(),
            senders: placed().map(|(section, track)| sender(section, track)).collect(),
            published: Vec::new(),
            mid_to_track_id: placed().map(|(s, t)| (s.mid.clone(), t.track_sid.clone())).collect::<BTreeMap<_, _>>(),
            unplaced: (waiting(Kind::Audio), waiting(Kind::Video)),
            data: answer.sections.iter().any(|section| section.is_data() && !section.rejected),
        }
    }
}

/// Stream ids of simulcast and levels are never offered; an answer may not bring them in.
fn offered_ids(ids: ExtensionIds) -> ExtensionIds {
    ExtensionIds { rid: None, repaired_rid: None, audio_level: None, playout_delay: None, ..ids }
}

fn sender(section: &Offered, track: &SubscribedTrack) -> SendSection {
    SendSection {
        mid: section.mid.clone(),
        track: track.track,
        kind: track.kind,
        ssrc: track.ssrc,
        rtx_ssrc: track.rtx_ssrc,
        payloads: section.answered.clone(),
    }
}

/// The client's own view of a payload type that we offered: its number may differ (RFC 3264 §6.1).
fn answered_payload(offered: &LocalPayload, usable: &[Accepted]) -> Option<Payload> {
    let of_codec = || usable.iter().filter(|accepted| accepted.payload.codec == offered.codec);
    let found = of_codec().find(|accepted| accepted.payload.pt == offered.pt).or_else(|| of_codec().next())?;
    let rtx_pt = found.payload.rtx_pt.filter(|_| offered.rtx_pt.is_some());
    Some(Payload { rtx_pt, ..found.payload.clone() })
}

/// The stream id of a track in a section that another one had: a browser keeps the id of the receiver's track, so that
/// clients read the track's sid from the stream, `PA_…|TR_…`, and nowhere else.
fn own_stream(track: &SubscribedTrack) -> String {
    let publisher = track.stream_id.split('|').next().unwrap_or_default();
    format!("{publisher}|{}", track.track_sid)
}

impl Offered {
    fn new(index: usize, media: Media) -> Self {
        Self {
            mid: index.to_string(),
            media,
            track: None,
            payloads: Vec::new(),
            busy: false,
            said: false,
            carried: false,
            answered: Vec::new(),
            dead: false,
            used_before: false,
        }
    }

    /// Whether another track may take it.
    fn free(&self, media: Media) -> bool {
        self.media == media && self.track.is_none() && !self.busy && !self.dead
    }

    fn compose(&mut self, policy: &CodecPolicy) -> LocalSection {
        let body = match self.media.kind() {
            Some(kind) if !self.dead => {
                if let Some(track) = &self.track {
                    self.payloads = offered_payloads(track, policy);
                }
                self.carried = self.track.is_some();
                self.said = self.carried;
                self.busy = self.busy || self.said;
                LocalBody::Rtp {
                    kind,
                    direction: if self.carried { Direction::SendOnly } else { Direction::Inactive },
                    extensions: extensions::offered(kind, self.payloads.iter().any(|p| has_descriptor(p.codec))),
                    payloads: self.payloads.clone(),
                    rids: Vec::new(),
                    simulcast: false,
                    source: self.track.as_ref().map(|track| LocalSource {
                        stream_id: if self.used_before { own_stream(track) } else { track.stream_id.clone() },
                        track_sid: track.track_sid.clone(),
                        ssrc: track.ssrc,
                        rtx_ssrc: track.rtx_ssrc,
                    }),
                }
            }
            None if !self.dead => LocalBody::Data,
            kind => LocalBody::Rejected {
                media: match kind {
                    Some(Kind::Audio) => "audio",
                    Some(Kind::Video) => "video",
                    None => "application",
                }
                .to_owned(),
            },
        };
        let protocol = if self.media == Media::Application { "UDP/DTLS/SCTP" } else { "UDP/TLS/RTP/SAVPF" };
        LocalSection { mid: self.mid.clone(), protocol: protocol.to_owned(), body }
    }
}

const fn has_descriptor(codec: Codec) -> bool {
    matches!(codec, Codec::Av1 | Codec::Vp9)
}

/// LiveKit's payload numbers. One number must mean one format in the whole BUNDLE group, so they are fixed.
fn numbers(codec: Codec, fmtp: &str) -> Option<(u8, Option<u8>, String)> {
    let h264 = |pt, rtx, level: &str, mode| {
        let fmtp = format!("level-asymmetry-allowed=1;packetization-mode={mode};profile-level-id={level}");
        (pt, Some(rtx), fmtp)
    };
    Some(match codec {
        Codec::Opus => (111, None, "minptime=10;useinbandfec=1".to_owned()),
        Codec::Red => (63, None, "111/111".to_owned()),
        Codec::Pcmu => (0, None, String::new()),
        Codec::Pcma => (8, None, String::new()),
        Codec::Vp8 => (96, Some(97), String::new()),
        Codec::Vp9 => match codecs::parameter(fmtp, "profile-id").unwrap_or("0") {
            "0" => (98, Some(99), "profile-id=0".to_owned()),
            "1" => (100, Some(101), "profile-id=1".to_owned()),
            _ => return None,
        },
        Codec::Av1 => (35, Some(36), String::new()),
        Codec::H265 => (116, Some(117), String::new()),
        Codec::H264 if fmtp.is_empty() => h264(108, 109, "42e01f", 1),
        Codec::H264 => match codecs::h264(fmtp) {
            (profile, 0) if profile == "4200" => h264(104, 105, "42001f", 0),
            (profile, _) if profile == "4200" => h264(102, 103, "42001f", 1),
            (profile, 0) if profile.starts_with("4d") => h264(39, 40, "4d001f", 0),
            (profile, _) if profile.starts_with("4d") => h264(106, 107, "4d001f", 1),
            (profile, _) if profile.starts_with("64") => h264(123, 124, "640032", 1),
            (_, 0) => h264(125, 126, "42e01f", 0),
            _ => h264(108, 109, "42e01f", 1),
        },
    })
}

/// What a section offers for a track: what the publisher sends, each with retransmissions; audio has RED besides.
fn offered_payloads(track: &SubscribedTrack, policy: &CodecPolicy) -> Vec<LocalPayload> {
    let mut wanted = track.codecs.clone();
    for other in [Codec::Opus, Codec::Red] {
        // Each of the two can be made of the other.
        let has = |codec| wanted.iter().any(|(known, _)| *known == codec);
        if !has(other) && (has(Codec::Opus) || has(Codec::Red)) {
            wanted.push((other, String::new()));
        }
    }
    let mut payloads: Vec<LocalPayload> = Vec::new();
    for (codec, fmtp) in wanted.iter().filter(|(codec, _)| codec.kind() == track.kind && policy.enabled.contains(codec))
    {
        let Some((pt, rtx_pt, mut parameters)) = numbers(*codec, fmtp) else { continue };
        if payloads.iter().any(|known| known.codec == *codec) {
            continue;
        }
        if *codec == Codec::Opus && track.stereo {
            parameters.push_str(";sprop-stereo=1");
        }
        let feedback = match (track.kind, codec) {
            (_, Codec::Red) => Vec::new(),
            (Kind::Audio, _) => vec!["transport-cc", "nack"],
            (Kind::Video, _) => vec!["transport-cc", "ccm fir", "nack", "nack pli"],
        };
        payloads.push(LocalPayload { pt, codec: *codec, fmtp: parameters, feedback, rtx_pt });
    }
    // RED without Opus to put into it is of no use.
    let opus = payloads.iter().any(|payload| payload.codec == Codec::Opus);
    payloads.retain(|payload| opus || payload.codec != Codec::Red);
    payloads
}
