//! One peer connection whose client makes the offers: the v0 publisher, or everything in v1.

use crate::codec::{ExtensionIds, Kind, Payload, ReceiveSection, RemoteTransport, SendSection};
use crate::id::TrackKey;
use crate::sdp::codecs::{self, Accepted};
use crate::sdp::compose::{Head, LocalBody, LocalPayload, LocalSection, LocalSource, compose, session_id};
use crate::sdp::model::{Description, Direction, Section};
use crate::sdp::parse::{MAX_SECTIONS, parse};
use crate::sdp::place::{Receiving, Subscription, missing, place};
use crate::sdp::publish::{Announced, MAX_LAYERS, Publishing, bind, lowest_first};
use crate::sdp::{
    CodecPolicy, LocalTransport, Negotiated, PublishedSection, PublishedTrack, SdpError, SubscribedTrack, extensions,
};
use std::collections::BTreeMap;

/// Announced tracks of one client, and subscriptions of one client, each; more than sections can ever carry. Further
/// ones are ignored.
pub const MAX_TRACKS: usize = 2 * MAX_SECTIONS;
/// Offers without a single new section after which sections that were asked for count as never to come.
const PATIENCE: u8 = 3;

/// One section of the client's last offer and of our answer to it.
#[derive(Clone, Debug)]
pub(super) struct Answered {
    pub(super) mid: String,
    /// `None`: data, or a section that is rejected.
    pub(super) kind: Option<Kind>,
    /// What the client can send or receive here, in our order.
    pub(super) usable: Vec<Accepted>,
    pub(super) publishing: Publishing,
    pub(super) receiving: Receiving,
    /// What the last answer took.
    payloads: Vec<Payload>,
    rids: Vec<String>,
    ssrcs: Vec<(u32, Option<u32>)>,
}

/// One peer connection whose client makes the offers: the v0 publisher, or everything in v1.
#[derive(Debug)]
pub struct Answerer {
    policy: CodecPolicy,
    single: bool,
    tracks: Vec<Announced>,
    subscriptions: Vec<Subscription>,
    sections: Vec<Answered>,
    remote: Option<RemoteTransport>,
    extensions: ExtensionIds,
    data: bool,
    /// Sections asked for that no offer has brought yet.
    requested: (u32, u32),
    /// An offer was asked for that has not come yet.
    asked: bool,
    barren_offers: u8,
    session_id: Option<u64>,
    version: u64,
}

impl Answerer {
    /// `single` = one peer connection for both directions (v1): subscriptions take the client's receiving sections.
    #[must_use]
    pub const fn new(policy: CodecPolicy, single: bool) -> Self {
        Self {
            policy,
            single,
            tracks: Vec::new(),
            subscriptions: Vec::new(),
            sections: Vec::new(),
            remote: None,
            extensions: ExtensionIds {
                mid: None,
                rid: None,
                repaired_rid: None,
                transport_cc: None,
                abs_send_time: None,
                audio_level: None,
                dependency_descriptor: None,
                video_orientation: None,
                abs_capture_time: None,
                playout_delay: None,
            },
            data: false,
            requested: (0, 0),
            asked: false,
            barren_offers: 0,
            session_id: None,
            version: 1,
        }
    }

    /// Announces a track that the client will offer, or has offered already ([`Self::current`] then has it), or
    /// replaces what was announced of the same [`TrackKey`] (a backup codec's client id is new).
    pub fn publish(&mut self, track: PublishedTrack) {
        if let Some(known) = self.tracks.iter_mut().find(|known| known.track.track == track.track) {
            known.track = track;
        } else if self.tracks.len() < MAX_TRACKS {
            self.tracks.push(Announced { track, placed: false });
        }
        bind_all(&mut self.sections, &mut self.tracks);
    }

    /// Forgets a published track; its section answers `inactive` from the next answer on.
    pub fn unpublish(&mut self, track: TrackKey) {
        self.tracks.retain(|known| known.track.track != track);
        for section in &mut self.sections {
            if section.publishing.binding.take_if(|binding| binding.track == track).is_some() {
                section.publishing.retired = true;
            }
        }
    }

    /// Adds a subscription; it gets a section in the answer to a later offer. One of the same [`TrackKey`] is replaced
    /// and keeps its section.
    pub fn subscribe(&mut self, track: SubscribedTrack) {
        if let Some(known) = self.subscriptions.iter_mut().find(|known| known.track.track == track.track) {
            known.track = track;
            known.incompatible = false;
        } else if self.subscriptions.len() < MAX_TRACKS {
            self.subscriptions.push(Subscription { track, mid: None, incompatible: false });
        }
    }

    /// Ends a subscription; its section becomes free.
    pub fn unsubscribe(&mut self, track: TrackKey) {
        self.subscriptions.retain(|known| known.track.track != track);
    }

    /// What MediaSectionsRequirement has to say now: `Some((audios, videos))` are the sections missing beyond those
    /// asked for already ((0, 0) = "please offer again"), `None` when nothing has changed since the last answer or
    /// request. Remembers that it was asked.
    pub fn sections_requirement(&mut self) -> Option<(u32, u32)> {
        if !self.single || self.remote.is_none() {
            return None;
        }
        let wanted = missing(&self.subscriptions, &self.sections);
        let room = MAX_SECTIONS.saturating_sub(self.sections.len());
        let room = u32::try_from(room).unwrap_or(0).saturating_sub(self.requested.0 + self.requested.1);
        let audios = wanted.audios.saturating_sub(self.requested.0).min(room);
        let videos = wanted.videos.saturating_sub(self.requested.1).min(room - audios);
        if audios + videos == 0 && (self.asked || !wanted.offer) {
            return None;
        }
        self.requested = (self.requested.0 + audios, self.requested.1 + videos);
        self.asked = true;
        Some((audios, videos))
    }

    /// Subscriptions whose codecs no section of the client can receive; they are neither placed nor asked sections for.
    #[must_use]
    pub fn incompatible(&self) -> Vec<TrackKey> {
        self.subscriptions.iter().filter(|s| s.incompatible && s.mid.is_none()).map(|s| s.track.track).collect()
    }

    /// The tables of the last offer and answer with what was published since; `None` before the first offer.
    #[must_use]
    pub fn current(&self) -> Option<Negotiated> {
        let remote = self.remote.clone()?;
        let unplaced = |kind| self.subscriptions.iter().filter(|s| s.waits_for(kind)).count();
        let count = |kind| u32::try_from(unplaced(kind)).unwrap_or(u32::MAX);
        let placed = || self.subscriptions.iter().filter_map(|s| Some((s.mid.clone()?, s)));
        Some(Negotiated {
            remote,
            ice_restart: false,
            extensions: self.extensions,
            receivers: self.sections.iter().filter_map(receiver).collect(),
            senders: self.sections.iter().filter_map(|section| self.sender(section)).collect(),
            published: self.sections.iter().filter_map(published).collect(),
            mid_to_track_id: placed().map(|(mid, s)| (mid, s.track.track_sid.clone())).collect(),
            unplaced: (count(Kind::Audio), count(Kind::Video)),
            data: self.data,
        })
    }

    fn sender(&self, section: &Answered) -> Option<SendSection> {
        let subscription = self.subscriptions.iter().find(|s| s.mid.as_ref() == Some(&section.mid))?;
        let SubscribedTrack { track, kind, ssrc, rtx_ssrc, .. } = subscription.track;
        Some(SendSection { mid: section.mid.clone(), track, kind, ssrc, rtx_ssrc, payloads: section.payloads.clone() })
    }

    /// Answers an offer.
    ///
    /// # Errors
    /// [`SdpError`]; the state is as before.
    pub fn apply_offer(&mut self, local: &LocalTransport, sdp: &str) -> Result<(String, Negotiated), SdpError> {
        let offer = parse(sdp)?;
        if offer.sections.is_empty() {
            return Err(SdpError::Missing { what: "an m= section" });
        }
        let remote = offer.remote()?;
        let ice_restart = self.remote.as_ref().is_some_and(|before| before.ice != remote.ice);

        let before: BTreeMap<String, Answered> = self.sections.drain(..).map(|s| (s.mid.clone(), s)).collect();
        self.sections = (0..offer.sections.len()).map(|index| self.take_over(&offer, index, &before)).collect();
        self.settle_requests(&before);
        bind_all(&mut self.sections, &mut self.tracks);
        place(&mut self.subscriptions, &self.sections);

        let data = offer.sections.iter().enumerate().position(|(i, s)| s.is_data() && !s.rejected && offer.bundled(i));
        self.data = data.is_some();
        let taken: Vec<bool> = self.sections.iter().map(|section| section.kind.is_some()).collect();
        self.extensions = extensions::bundle_map(&offer, |index| taken.get(index) == Some(&true));
        let mut sections = Vec::with_capacity(offer.sections.len());
        for (index, section) in offer.sections.iter().enumerate() {
            let body = if data == Some(index) { LocalBody::Data } else { self.answer_section(index, section) };
            sections.push(LocalSection { mid: section.mid.clone(), protocol: section.protocol.clone(), body });
        }

        self.version += 1;
        let head = Head {
            local,
            setup: "passive",
            session_id: *self.session_id.get_or_insert_with(|| session_id(&local.ice.ufrag)),
            version: self.version,
            allow_mixed: offer.allow_mixed,
            bundle: offer.bundle.is_some(),
        };
        let text = compose(&head, &sections);
        self.remote = Some(remote);
        let negotiated = self.current().map(|tables| Negotiated { ice_restart, ..tables });
        Ok((text, negotiated.expect("the remote transport is set above")))
    }

    /// What an offered section is to us, given what it was.
    fn take_over(&self, offer: &Description, index: usize, before: &BTreeMap<String, Answered>) -> Answered {
        let section = &offer.sections[index];
        let before = before.get(&section.mid);
        let wanted = !section.rejected && section.is_rtp() && offer.bundled(index);
        let usable = if wanted { codecs::usable(section, &self.policy) } else { Vec::new() };
        let receivable = !codecs::for_receiving(usable.clone(), None, None).is_empty();
        let on = section.direction.sends() && receivable;
        let sdp_cid = section.msid_track().to_owned();
        let same = before.filter(|b| on && b.publishing.on && b.publishing.sdp_cid == sdp_cid);
        let publishing = Publishing {
            on,
            binding: same.and_then(|b| b.publishing.binding.clone()),
            retired: same.is_some_and(|b| b.publishing.retired),
            sdp_cid,
        };
        Answered {
            mid: section.mid.clone(),
            kind: section.media.kind().filter(|_| receivable),
            receiving: Receiving {
                on: self.single && receivable && section.direction == Direction::RecvOnly,
                busy: before.is_some_and(|b| b.receiving.busy),
            },
            usable,
            publishing,
            payloads: Vec::new(),
            rids: Vec::new(),
            ssrcs: section.media_ssrcs().into_iter().take(MAX_LAYERS).collect(),
        }
    }

    /// Crosses off the sections that this offer brings of those asked for.
    fn settle_requests(&mut self, before: &BTreeMap<String, Answered>) {
        let new = |kind| {
            let fresh = |s: &&Answered| s.receiving.on && s.kind == Some(kind) && !before.contains_key(&s.mid);
            u32::try_from(self.sections.iter().filter(fresh).count()).unwrap_or(u32::MAX)
        };
        let (audios, videos) = (new(Kind::Audio), new(Kind::Video));
        self.asked = false;
        self.requested = (self.requested.0.saturating_sub(audios), self.requested.1.saturating_sub(videos));
        self.barren_offers = if audios + videos > 0 || self.requested == (0, 0) { 0 } else { self.barren_offers + 1 };
        if self.barren_offers >= PATIENCE {
            (self.requested, self.barren_offers) = ((0, 0), 0);
        }
    }

    /// Decides one section of the answer, and notes what was said.
    fn answer_section(&mut self, index: usize, offered: &Section) -> LocalBody {
        let ids = self.extensions;
        let answered = &mut self.sections[index];
        let Some(kind) = answered.kind else {
            answered.receiving.busy = false;
            return LocalBody::Rejected { media: offered.media_name.clone() };
        };
        let subscription = self.subscriptions.iter().find(|s| s.mid.as_ref() == Some(&answered.mid)).map(|s| &s.track);
        let binding = answered.publishing.binding.clone();
        let track = binding.as_ref().and_then(|b| self.tracks.iter().find(|known| known.track.track == b.track));
        let track = track.map(|announced| &announced.track);
        let list = match subscription {
            Some(subscription) => codecs::for_sending(&answered.usable, subscription),
            None => codecs::for_receiving(answered.usable.clone(), track, binding.and_then(|binding| binding.codec)),
        };
        let publishes = answered.publishing.on && !answered.publishing.retired;
        let direction = match (subscription, publishes) {
            (Some(_), _) => Direction::SendOnly,
            (None, true) => Direction::RecvOnly,
            (None, false) => Direction::Inactive,
        };
        let rids: Vec<String> =
            if publishes { offered.streams().into_iter().take(MAX_LAYERS).collect() } else { Vec::new() };
        answered.receiving.busy = subscription.is_some();
        answered.rids = lowest_first(rids.clone());
        answered.payloads = list.iter().map(|accepted| accepted.payload.clone()).collect();
        let single = self.single;
        LocalBody::Rtp {
            kind,
            direction,
            payloads: list
                .into_iter()
                .map(|accepted| local_payload(kind, accepted, track, subscription, single))
                .collect(),
            extensions: extensions::answered(offered, ids),
            rids,
            simulcast: !offered.simulcast.is_empty(),
            source: subscription.map(|track| LocalSource {
                stream_id: track.stream_id.clone(),
                track_sid: track.track_sid.clone(),
                ssrc: track.ssrc,
                rtx_ssrc: track.rtx_ssrc,
            }),
        }
    }
}

fn local_payload(
    kind: Kind,
    accepted: Accepted,
    track: Option<&PublishedTrack>,
    subscription: Option<&SubscribedTrack>,
    single: bool,
) -> LocalPayload {
    let Payload { pt, rtx_pt, codec, fmtp, .. } = accepted.payload;
    let fmtp = match (codec, subscription) {
        (crate::codec::Codec::Opus, Some(subscription)) => codecs::opus_sending_fmtp(&fmtp, subscription.stereo),
        (crate::codec::Codec::Opus, None) => {
            codecs::opus_fmtp(&fmtp, track.is_some_and(|t| t.dtx), track.is_some_and(|t| t.stereo))
        }
        _ => fmtp,
    };
    LocalPayload { pt, codec, fmtp, feedback: codecs::feedback(kind, &accepted.feedback, single), rtx_pt }
}

fn bind_all(sections: &mut [Answered], tracks: &mut [Announced]) {
    let mut list: Vec<(Kind, &mut Publishing)> =
        sections.iter_mut().filter_map(|section| Some((section.kind?, &mut section.publishing))).collect();
    bind(&mut list, tracks);
}

fn receiver(section: &Answered) -> Option<ReceiveSection> {
    let track = section.publishing.binding.as_ref()?.track;
    Some(ReceiveSection {
        mid: section.mid.clone(),
        track,
        kind: section.kind?,
        payloads: section.payloads.clone(),
        rids: section.rids.clone(),
        ssrcs: section.ssrcs.clone(),
    })
}

fn published(section: &Answered) -> Option<PublishedSection> {
    let mut codecs: Vec<crate::codec::Codec> = Vec::new();
    for payload in &section.payloads {
        if !codecs.contains(&payload.codec) {
            codecs.push(payload.codec);
        }
    }
    Some(PublishedSection {
        track: section.publishing.binding.as_ref()?.track,
        mid: section.mid.clone(),
        sdp_cid: section.publishing.sdp_cid.clone(),
        codecs,
        rids: section.rids.clone(),
    })
}
