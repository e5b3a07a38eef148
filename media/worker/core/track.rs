//! Published tracks: their source layers with the payload history that all subscribers share, and the subscribers.

use super::WorkerCore;
use super::allocate::SourceRate;
use crate::codec::{Codec, Kind, SendSection};
use crate::command::Preference;
use crate::egress::{History, Subscription};
use crate::id::TrackKey;

/// One incoming stream of a track: a simulcast layer of one codec.
pub(super) struct Source {
    pub(super) layer: u8,
    pub(super) codec: Codec,
    pub(super) history: History,
    pub(super) rate: SourceRate,
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
}

impl Subscriber {
    /// A subscription of which nothing has been sent yet.
    pub(super) fn new(peer: usize, codec: Option<Codec>, preference: Preference, subscription: Subscription) -> Self {
        Self { peer, codec, preference, subscription, congested: false, reported_loss: None, judged_packets: 0 }
    }
}

/// One published track. It exists as long as somebody publishes or subscribes it.
pub(super) struct Track {
    pub(super) key: TrackKey,
    pub(super) kind: Kind,
    pub(super) publisher: Option<usize>,
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
        self.forget_track_if_unused(track);
    }

    /// The publisher is gone or no longer names the track.
    pub(super) fn end_published(&mut self, track: usize) {
        if let Some(entry) = self.tracks.get_mut(track) {
            let publisher = entry.publisher.take();
            entry.sources.clear();
            entry.pending.clear();
            let key = entry.key;
            self.withdraw(publisher, track);
            self.forget_meter(key);
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
