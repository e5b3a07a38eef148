//! Published tracks: their source layers with the payload history that all subscribers share, and the subscribers.

use super::WorkerCore;
use super::allocate::SourceRate;
use super::spread::{Listener, SourceReport};
use crate::codec::{Codec, Kind, SendSection};
use crate::command::Preference;
use crate::egress::{History, Subscription};
use crate::id::TrackKey;
use std::time::Instant;

/// One incoming stream of a track: a simulcast layer of one codec.
pub(super) struct Source {
    pub(super) layer: u8,
    pub(super) codec: Codec,
    /// Which numbering its sequences belong to, unique among the workers.
    pub(super) era: u64,
    /// Highest sequence so far, 0 = none.
    pub(super) newest: u64,
    pub(super) history: History,
    pub(super) rate: SourceRate,
    /// The publisher's last sender report of it.
    pub(super) report: Option<SourceReport>,
}

impl Source {
    /// A source of which nothing has come yet.
    pub(super) fn new(layer: u8, codec: Codec, kind: Kind, era: u64) -> Self {
        let (history, rate) = (History::new(kind), SourceRate::default());
        Self { layer, codec, era, newest: 0, history, rate, report: None }
    }
}

/// One subscription of a track.
pub(super) struct Subscriber {
    /// Index of the subscribing peer.
    pub(super) peer: usize,
    /// The codec that it gets; `None` = whatever the track carries (audio).
    pub(super) codec: Option<Codec>,
    pub(super) preference: Preference,
    pub(super) subscription: Subscription,
    /// Congestion has paused it.
    pub(super) congested: bool,
    /// Share of its packets that the subscriber last reported as lost, 0.0 to 1.0.
    pub(super) reported_loss: Option<f32>,
    /// Packets that the last judgement of the subscriber had counted as sent.
    pub(super) judged_packets: u64,
    /// The era of the source that it was sent when it, or its publisher, moved.
    pub(super) counts_by: Option<u64>,
}

impl Subscriber {
    /// A subscription of which nothing has been sent yet.
    pub(super) fn new(peer: usize, codec: Option<Codec>, preference: Preference, subscription: Subscription) -> Self {
        Self {
            peer,
            codec,
            preference,
            subscription,
            congested: false,
            reported_loss: None,
            judged_packets: 0,
            counts_by: None,
        }
    }
}

/// One published track. It exists as long as somebody publishes or subscribes it.
pub(super) struct Track {
    pub(super) key: TrackKey,
    pub(super) kind: Kind,
    pub(super) publisher: Option<usize>,
    /// The worker that has the publisher, as far as it is another one and known.
    pub(super) origin: Option<usize>,
    /// Other workers with subscribers, while the publisher is here.
    pub(super) listeners: Vec<Listener>,
    /// When listeners were last told of rates.
    pub(super) facts_at: Option<Instant>,
    pub(super) muted: bool,
    pub(super) sources: Vec<Source>,
    /// Egress records of all subscribers, walked for every packet; sorted by peer and SSRC.
    pub(super) subscribers: Vec<Subscriber>,
    /// Packets that wait to be forwarded: (source index, sequence).
    pub(super) pending: Vec<(u8, u64)>,
}

impl Track {
    /// Where a subscription is among the subscribers, or where it would have to be.
    pub(super) fn place_of(&self, peer: usize, ssrc: u32) -> Result<usize, usize> {
        self.subscribers.binary_search_by_key(&(peer, ssrc), |one| (one.peer, one.subscription.ssrc()))
    }

    /// One peer's subscription.
    pub(super) fn subscriber(&self, peer: usize, ssrc: u32) -> Option<&Subscriber> {
        self.place_of(peer, ssrc).ok().and_then(|place| self.subscribers.get(place))
    }

    /// One peer's subscription, to change it.
    pub(super) fn subscriber_mut(&mut self, peer: usize, ssrc: u32) -> Option<&mut Subscriber> {
        self.place_of(peer, ssrc).ok().and_then(|place| self.subscribers.get_mut(place))
    }

    /// Every subscription of one peer.
    pub(super) fn subscribers_of(&mut self, peer: usize) -> &mut [Subscriber] {
        let first = self.subscribers.partition_point(|one| one.peer < peer);
        let count = self.subscribers[first..].partition_point(|one| one.peer == peer);
        &mut self.subscribers[first..first + count]
    }

    /// Files a subscription, in the place of one with the same peer and SSRC.
    pub(super) fn add_subscriber(&mut self, subscriber: Subscriber) {
        match self.place_of(subscriber.peer, subscriber.subscription.ssrc()) {
            Ok(place) => self.subscribers[place] = subscriber,
            Err(place) => self.subscribers.insert(place, subscriber),
        }
    }

    /// The codec for a subscriber: the first of its payloads that the track carries.
    pub(super) fn codec_for(&self, section: &SendSection) -> Option<Codec> {
        match self.kind {
            Kind::Audio => None,
            Kind::Video => section
                .payloads
                .iter()
                .map(|payload| payload.codec)
                .find(|codec| self.sources.iter().any(|source| source.codec == *codec))
                .or(section.payloads.first().map(|payload| payload.codec)),
        }
    }

    /// Stops or resumes the forwarding to every subscriber.
    pub(super) fn set_muted(&mut self, muted: bool) {
        if std::mem::replace(&mut self.muted, muted) == muted {
            return;
        }
        for subscriber in &mut self.subscribers {
            if muted {
                subscriber.subscription.pause();
            } else {
                subscriber.subscription.resume();
            }
        }
    }

    /// The era of the source that a subscriber is being sent.
    pub(super) fn era_of(&self, subscriber: &Subscriber) -> Option<u64> {
        let layer = subscriber.subscription.newest_source()?.0;
        let sent =
            |source: &&Source| source.layer == layer && subscriber.codec.is_none_or(|codec| codec == source.codec);
        self.sources.iter().find(sent).map(|source| source.era)
    }

    /// Forgets the sources; subscribers remember what they counted by.
    pub(super) fn clear_sources(&mut self) {
        let eras: Vec<_> = self.subscribers.iter().map(|subscriber| self.era_of(subscriber)).collect();
        for (subscriber, era) in self.subscribers.iter_mut().zip(eras) {
            subscriber.counts_by = era.or(subscriber.counts_by);
        }
        self.sources.clear();
        self.pending.clear();
    }

    /// A source has come from elsewhere: subscribers that counted by it go on, others start over.
    pub(super) fn follow_source(&mut self, source: usize) {
        let (layer, era) = (self.sources[source].layer, self.sources[source].era);
        for subscriber in self.subscribers.iter_mut().filter(|subscriber| subscriber.counts_by != Some(era)) {
            subscriber.subscription.source_restarted(layer);
        }
    }

    /// A moved subscription finds sources here: it goes on if it counts by them, and starts over if not.
    pub(super) fn settle_subscriber(&mut self, peer: usize, ssrc: u32) {
        let Some(subscriber) = self.subscriber(peer, ssrc) else { return };
        let (Some(counts_by), Some(era)) = (subscriber.counts_by, self.era_of(subscriber)) else { return };
        if let Some(subscriber) = self.subscriber_mut(peer, ssrc).filter(|_| counts_by != era)
            && let Some((layer, _)) = subscriber.subscription.newest_source()
        {
            subscriber.subscription.source_restarted(layer);
        }
    }

    /// A publisher has moved here with a source: what was handed of it before, with its history, goes on.
    pub(super) fn adopt_source(&mut self, (layer, codec, era): (u8, Codec, u64)) -> usize {
        let known = self.sources.iter().position(|source| source.layer == layer && source.codec == codec);
        match known {
            Some(place) if self.sources[place].era == era => place,
            Some(place) => {
                self.pending.retain(|(source, _)| usize::from(*source) != place);
                self.sources[place] = Source::new(layer, codec, self.kind, era);
                self.restart_source(place);
                place
            }
            None => {
                self.sources.push(Source::new(layer, codec, self.kind, era));
                let place = self.sources.len() - 1;
                self.resettle_source(place);
                place
            }
        }
    }

    /// Subscribers that are known to count by something else start over.
    fn resettle_source(&mut self, source: usize) {
        let (layer, era) = (self.sources[source].layer, self.sources[source].era);
        let other = |subscriber: &&mut Subscriber| subscriber.counts_by.is_some_and(|counts_by| counts_by != era);
        for subscriber in self.subscribers.iter_mut().filter(other) {
            if subscriber.subscription.newest_source().is_some_and(|(current, _)| current == layer) {
                subscriber.subscription.source_restarted(layer);
            }
        }
    }

    /// A source counts anew: numbers that subscribers mapped to the old ones end.
    pub(super) fn restart_source(&mut self, source: usize) {
        let layer = self.sources[source].layer;
        for subscriber in &mut self.subscribers {
            subscriber.subscription.source_restarted(layer);
        }
    }
}

impl WorkerCore {
    /// The track's index; makes it on first mention by publisher or subscriber.
    pub(super) fn track_index(&mut self, key: TrackKey, kind: Kind) -> usize {
        if let Some(index) = self.track_by_key.get(&key) {
            return *index;
        }
        let index = self.tracks.insert(Track {
            key,
            kind,
            publisher: None,
            origin: None,
            listeners: Vec::new(),
            facts_at: None,
            muted: false,
            sources: Vec::new(),
            subscribers: Vec::new(),
            pending: Vec::new(),
        });
        self.track_by_key.insert(key, index);
        index
    }

    /// A peer publishes the track from here on.
    pub(super) fn publish(&mut self, index: usize, key: TrackKey, kind: Kind) {
        let track = self.track_index(key, kind);
        let muted = self.peers[index].muted.contains(&key);
        let entry = &mut self.tracks[track];
        let before = entry.publisher.replace(index);
        entry.set_muted(muted);
        if before == Some(index) {
            return;
        }
        self.withdraw(before, track);
        self.peers[index].published.push(track);
        self.own(track);
    }

    /// Takes a track off the list of its publisher, if that is still there.
    fn withdraw(&mut self, publisher: Option<usize>, track: usize) {
        if let Some(peer) = publisher.and_then(|publisher| self.peers.get_mut(publisher)) {
            peer.published.retain(|published| *published != track);
        }
    }

    /// Takes a subscription off a track.
    pub(super) fn remove_subscriber(&mut self, track: usize, peer: usize, ssrc: u32) {
        if let Some(entry) = self.tracks.get_mut(track)
            && let Ok(place) = entry.place_of(peer, ssrc)
        {
            entry.subscribers.remove(place);
        }
        self.wishes_changed(track);
        self.forget_track_if_unused(track);
    }

    /// The publisher is gone or no longer names the track.
    pub(super) fn end_published(&mut self, track: usize) {
        if let Some(entry) = self.tracks.get_mut(track) {
            let publisher = entry.publisher.take();
            entry.clear_sources();
            let key = entry.key;
            self.withdraw(publisher, track);
            self.forget_meter(key);
            self.disown(track);
        }
        self.forget_track_if_unused(track);
    }

    fn forget_track_if_unused(&mut self, track: usize) {
        let unused =
            self.tracks.get(track).is_some_and(|entry| entry.publisher.is_none() && entry.subscribers.is_empty());
        if unused {
            let entry = self.tracks.remove(track);
            self.track_by_key.remove(&entry.key);
        }
    }
}
