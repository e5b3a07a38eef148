//! What is sent to this participant, and in which quality.

use crate::legacy;
use crate::participant::state::{ParticipantState, Subscription};
use crate::room::FromParticipant;
use crate::signal::Message;
use crate::track::{TrackFacts, temporal_layer};
use starling_media::codec::{ExtensionIds, Kind, SendSection};
use starling_media::command::{MediaCommand, Preference};
use starling_media::id::{PeerId, TrackKey};
use starling_media::sdp::SubscribedTrack;
use starling_protocol::livekit as lk;
use std::time::Instant;

impl ParticipantState {
    /// The room lets this participant receive a track.
    pub(crate) fn subscribe(&mut self, facts: TrackFacts, now: Instant) {
        let track_sid = facts.info.sid.clone();
        let (ssrc, rtx_ssrc) = (self.ids.ssrc(), self.ids.ssrc());
        let track = subscribed_track(&facts, ssrc, rtx_ssrc);
        self.add_to_sdp(track);
        let subscription = Subscription {
            preference: self.preference(&facts),
            codec: facts.codec_names().first().cloned().unwrap_or_default(),
            ssrcs: (ssrc, rtx_ssrc),
            facts,
            placed: false,
            refused: false,
            wanted: None,
        };
        self.subscriptions.insert(track_sid.clone(), subscription);
        self.tell_want(&track_sid);
        self.negotiate_soon(now);
    }

    /// A received track has other layers or codecs than before.
    pub(crate) fn subscribed_track_changed(&mut self, facts: TrackFacts, now: Instant) {
        let track_sid = facts.info.sid.clone();
        let preference = self.preference(&facts);
        let Some(subscription) = self.subscriptions.get_mut(&track_sid) else {
            self.changed_while_waiting(facts);
            return;
        };
        let codecs_changed = subscription.facts.codecs != facts.codecs;
        let (ssrc, rtx_ssrc) = subscription.ssrcs;
        subscription.facts = facts;
        subscription.preference = preference;
        let facts = &subscription.facts;
        if !subscription.placed && !subscription.refused {
            subscription.codec = facts.codec_names().first().cloned().unwrap_or_default();
        }
        if codecs_changed {
            subscription.refused = false;
            let track = subscribed_track(facts, ssrc, rtx_ssrc);
            self.add_to_sdp(track);
            self.negotiate_soon(now);
        }
        self.update_preference(&track_sid);
    }

    /// The room takes a track away.
    pub(crate) fn unsubscribe(&mut self, track_sid: &str, now: Instant) {
        self.wait_no_more_for(track_sid);
        let Some(subscription) = self.subscriptions.remove(track_sid) else { return };
        let track = subscription.facts.key;
        self.senders.remove(&track);
        match &mut self.subscriber {
            Some(subscriber) => subscriber.offerer.unsubscribe(track),
            None => self.answerer.unsubscribe(track),
        }
        if subscription.facts.kind == Kind::Video {
            let message =
                FromParticipant::Want { track_sid: track_sid.into(), codec: subscription.codec, quality: None };
            self.room(message);
        }
        self.stop_sending(track);
        self.negotiate_soon(now);
    }

    /// Stops a track's packets before the client has agreed to the end of its section.
    fn stop_sending(&mut self, track: TrackKey) {
        let before = self.sections.1.len();
        self.sections.1.retain(|section| section.track != track);
        if self.sections.1.len() != before {
            let (extensions, sections) = self.sections.clone();
            let peer = self.sending_peer();
            self.media(MediaCommand::SetSenders { peer, extensions, sections });
        }
    }

    fn add_to_sdp(&mut self, track: SubscribedTrack) {
        match &mut self.subscriber {
            Some(subscriber) => subscriber.offerer.subscribe(track),
            None => self.answerer.subscribe(track),
        }
    }

    pub(crate) fn sending_peer(&self) -> PeerId {
        self.subscriber.as_ref().map_or(self.publisher.peer, |subscriber| subscriber.transport.peer)
    }

    /// Gives the media plane its table, and learns which subscriptions have sections.
    pub(crate) fn set_senders(&mut self, extensions: ExtensionIds, sections: Vec<SendSection>) {
        let peer = self.sending_peer();
        // What ended since the offer stays ended.
        let live = |section: &SendSection| {
            self.subscriptions.values().any(|subscription| subscription.facts.key == section.track)
        };
        let sections: Vec<SendSection> = sections.into_iter().filter(live).collect();
        self.sections = (extensions, sections.clone());
        self.media(MediaCommand::SetSenders { peer, extensions, sections: sections.clone() });
        let mut placed = Vec::new();
        for (track_sid, subscription) in &mut self.subscriptions {
            let Some(section) = sections.iter().find(|section| section.track == subscription.facts.key) else {
                subscription.placed = false;
                continue;
            };
            let names = subscription.facts.codec_names();
            let receivable: Vec<String> =
                section.payloads.iter().map(|payload| payload.codec.name().to_ascii_lowercase()).collect();
            let codec = names.iter().find(|name| receivable.contains(name)).or(receivable.first());
            if let Some(codec) = codec {
                subscription.codec.clone_from(codec);
            }
            if !std::mem::replace(&mut subscription.placed, true) {
                placed.push(track_sid.clone());
            }
        }
        self.senders = sections.iter().map(|section| section.track).collect();
        for track_sid in placed {
            self.room(FromParticipant::Subscribed { track_sid: track_sid.clone() });
            self.update_preference(&track_sid);
        }
    }

    /// Tracks whose codecs the client cannot receive.
    pub(crate) fn refuse_incompatible(&mut self, tracks: &[TrackKey]) {
        let mut refused = Vec::new();
        for (track_sid, subscription) in &mut self.subscriptions {
            if tracks.contains(&subscription.facts.key) && !subscription.refused {
                subscription.refused = true;
                // A backup codec may serve this client, if the publisher has announced one.
                if let Some(backup) = subscription.facts.codec_names().get(1) {
                    subscription.codec.clone_from(backup);
                }
                refused.push(track_sid.clone());
            }
        }
        for track_sid in refused {
            self.tell_want(&track_sid);
            let err = lk::SubscriptionError::SeCodecUnsupported as i32;
            self.send(Message::SubscriptionResponse(lk::SubscriptionResponse { track_sid, err }));
        }
    }

    /// Computes and tells what is wanted of a track.
    pub(crate) fn update_preference(&mut self, track_sid: &str) {
        let Some(facts) = self.subscriptions.get(track_sid).map(|subscription| subscription.facts.clone()) else {
            return;
        };
        let preference = self.preference(&facts);
        if let Some(subscription) = self.subscriptions.get_mut(track_sid) {
            subscription.preference = preference;
        }
        if self.senders.contains(&facts.key) {
            let peer = self.sending_peer();
            self.media(MediaCommand::SetPreference { peer, track: facts.key, preference });
        }
        self.tell_want(track_sid);
    }

    fn tell_want(&mut self, track_sid: &str) {
        let Some(subscription) = self.subscriptions.get_mut(track_sid) else { return };
        if subscription.facts.kind != Kind::Video {
            return;
        }
        let quality = subscription.preference.enabled.then_some(subscription.preference.spatial_max);
        let want = (subscription.codec.clone(), quality);
        if subscription.wanted.as_ref() != Some(&want) {
            subscription.wanted = Some(want.clone());
            let message = FromParticipant::Want { track_sid: track_sid.into(), codec: want.0, quality };
            self.room(message);
        }
    }

    /// What the client's settings mean for a track.
    fn preference(&self, facts: &TrackFacts) -> Preference {
        let Some(settings) = self.settings.get(&facts.info.sid) else {
            let spatial_max = if self.adaptive_stream && facts.kind == Kind::Video { 0 } else { 2 };
            return Preference { spatial_max, ..Preference::default() };
        };
        let spatial_max = if settings.width > 0 && settings.height > 0 {
            facts.layer_for_size(settings.width, settings.height)
        } else {
            u8::try_from(settings.quality.clamp(0, 2)).unwrap_or(2)
        };
        Preference {
            enabled: !settings.disabled && settings.quality != lk::VideoQuality::Off as i32,
            spatial_max,
            temporal_max: temporal_layer(settings.fps),
            priority: settings.priority,
        }
    }
}

fn subscribed_track(facts: &TrackFacts, ssrc: u32, rtx_ssrc: u32) -> SubscribedTrack {
    let stereo = legacy::is_stereo(&facts.info);
    SubscribedTrack {
        track: facts.key,
        track_sid: facts.info.sid.clone(),
        stream_id: facts.stream_id(),
        kind: facts.kind,
        codecs: facts.codecs.clone(),
        ssrc,
        rtx_ssrc,
        stereo,
    }
}
