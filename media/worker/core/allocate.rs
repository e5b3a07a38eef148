//! Which layer every subscriber gets, who speaks, how well it goes.

use super::track::{Subscriber, Track};
use super::{PeerLink, WorkerCore};
use crate::codec::Kind;
use crate::command::{MediaEvent, SpeakerLevel};
use crate::forward::allocation::{Demand, allocate};
use crate::forward::layer::{SourceLayers, options};
use crate::forward::quality::StreamWindow;
use crate::forward::speaker::{SpeakerMeter, SpeakerReporter};
use crate::id::{RoomKey, TrackKey};
use crate::packet::SourcePacket;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Milliseconds of audio that a packet is taken to carry: libwebrtc's default frame.
const AUDIO_PACKET_MS: u32 = 20;
/// A layer flows if its newest packet is not older than the track's newest by more than this.
const FLOWING: Duration = Duration::from_millis(1500);
/// Audio tracks metered in one room; beyond it a track is not counted as speaking.
const METERS_MAX: usize = 1024;
/// Spatial layers that allocation knows.
const LAYERS: usize = 3;

/// Pause before a subscriber whose tracks are all too large for the estimate is tried again; doubles with each failure.
const TRIAL_WAIT: Duration = Duration::from_secs(5);
/// Longest such pause.
const TRIAL_WAIT_MAX: Duration = Duration::from_secs(60);
/// Length of a trial: the estimate triples in it where the path carries the lowest layer.
const TRIAL: Duration = Duration::from_secs(6);

/// When a subscriber that congestion has paused gets its lowest layers again for a while: where nothing is sent nothing
/// is acknowledged, and the estimate would stay as it is for ever.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Trial {
    next: Option<Instant>,
    until: Option<Instant>,
    failures: u32,
}

impl Trial {
    fn runs(&mut self, now: Instant) -> bool {
        if self.next.is_some_and(|next| next <= now) {
            *self = Self { next: None, until: Some(now + TRIAL), failures: self.failures.saturating_add(1) };
        }
        self.until.is_some_and(|until| now < until)
    }

    /// Hears what was allocated outside a trial.
    fn settle(&mut self, now: Instant, paused: bool) {
        if paused {
            let wait = TRIAL_WAIT.saturating_mul(1 << self.failures.min(10)).min(TRIAL_WAIT_MAX);
            self.next.get_or_insert(now + wait);
        } else {
            *self = Self::default();
        }
    }
}

/// Loudness of one room's tracks.
pub(super) struct RoomAudio {
    meters: BTreeMap<TrackKey, SpeakerMeter>,
    reporter: SpeakerReporter,
    /// Who speaks at other workers, as they said last; kept at the room's home only.
    elsewhere: BTreeMap<usize, Vec<SpeakerLevel>>,
}

impl RoomAudio {
    pub(super) fn new(now: Instant) -> Self {
        Self { meters: BTreeMap::new(), reporter: SpeakerReporter::new(now), elsewhere: BTreeMap::new() }
    }

    /// When speakers are reported next.
    pub(super) fn due(&self) -> Instant {
        self.reporter.due()
    }

    /// Takes who speaks at another worker.
    pub(super) fn hear_elsewhere(&mut self, worker: usize, levels: Vec<SpeakerLevel>) {
        if levels.is_empty() {
            self.elsewhere.remove(&worker);
        } else {
            self.elsewhere.insert(worker, levels);
        }
    }

    /// Another worker has begun anew.
    pub(super) fn forget_elsewhere(&mut self, worker: usize) {
        self.elsewhere.remove(&worker);
    }

    /// Nobody speaks, and everybody has heard that.
    fn is_over(&self) -> bool {
        self.meters.is_empty() && self.elsewhere.is_empty() && !self.reporter.spoke()
    }
}

/// Bytes of one source by spatial layer, and the bit rate made of them.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct SourceRate {
    bytes: [u64; LAYERS],
    rates_bps: [f64; LAYERS],
    #[serde(skip)]
    measured_at: Option<Instant>,
    #[serde(skip)]
    pub(super) last_packet: Option<Instant>,
    spatial_seen: u8,
    temporal_seen: u8,
}

impl SourceRate {
    /// Counts one packet.
    pub(super) fn count(&mut self, now: Instant, packet: &SourcePacket<'_>) {
        let spatial = usize::from(packet.info.spatial).min(LAYERS - 1);
        self.bytes[spatial] += packet.payload.len() as u64;
        self.spatial_seen = self.spatial_seen.max(spatial as u8);
        self.temporal_seen = self.temporal_seen.max(packet.info.temporal);
        self.last_packet = Some(now);
    }

    fn refresh(&mut self, now: Instant) {
        /// Weight of the newest interval.
        const NEWEST: f64 = 0.3;
        let Some(since) = self.measured_at.replace(now) else {
            self.bytes = [0; LAYERS];
            return;
        };
        let seconds = now.saturating_duration_since(since).as_secs_f64().max(0.001);
        for (rate, bytes) in self.rates_bps.iter_mut().zip(self.bytes) {
            let newest = bytes as f64 * 8.0 / seconds;
            *rate += (newest - *rate) * if *rate == 0.0 { 1.0 } else { NEWEST };
        }
        self.bytes = [0; LAYERS];
    }

    /// Bits per second of all its layers.
    pub(super) fn bps(&self) -> u64 {
        self.rates_bps.iter().sum::<f64>() as u64
    }
}

impl Track {
    /// What flows of the subscriber's codec.
    fn layers_for(&self, subscriber: &Subscriber) -> SourceLayers {
        let sources =
            || self.sources.iter().filter(|source| subscriber.codec.is_none_or(|codec| codec == source.codec));
        let newest = sources().filter_map(|source| source.rate.last_packet).max();
        let flows = |at: Option<Instant>| match (at, newest) {
            (Some(at), Some(newest)) => newest.saturating_duration_since(at) < FLOWING,
            _ => false,
        };
        let mut layers = SourceLayers { temporal_layers: 1, ..SourceLayers::default() };
        let single = sources().count() == 1;
        for source in sources().filter(|source| flows(source.rate.last_packet)) {
            layers.temporal_layers = layers.temporal_layers.max(source.rate.temporal_seen + 1);
            if single && source.rate.spatial_seen > 0 {
                layers.scalable = true;
                let mut sum = 0.0;
                for spatial in 0..=usize::from(source.rate.spatial_seen) {
                    sum += source.rate.rates_bps[spatial];
                    layers.bitrates[spatial] = Some(sum as u64);
                }
            } else if let Some(place) = layers.bitrates.get_mut(usize::from(source.layer)) {
                *place = Some(source.rate.bps());
            }
        }
        layers
    }
}

impl WorkerCore {
    /// Measures the layers that a peer publishes.
    pub(super) fn refresh_bitrates(&mut self, now: Instant, index: usize) {
        for track in &self.peers[index].published {
            for source in &mut self.tracks[*track].sources {
                source.rate.refresh(now);
            }
        }
        self.refresh_facts(now, index);
    }

    /// Chooses anew for every subscriber of a track: a layer has appeared.
    pub(super) fn allocate_track(&mut self, now: Instant, track: usize) {
        let mut peers: Vec<usize> = self.tracks[track].subscribers.iter().map(|subscriber| subscriber.peer).collect();
        peers.dedup();
        for peer in peers {
            self.allocate(now, peer);
        }
    }

    /// Shares one subscriber's bandwidth among its tracks.
    pub(super) fn allocate(&mut self, now: Instant, index: usize) {
        let Some(link) = self.links.get(index).and_then(Option::as_ref) else { return };
        let (estimate, confirmed) = self.estimate(link);
        let references = self.peers[index].subscriptions.clone();
        let (mut demands, mut places, mut audio_bps) = (Vec::new(), Vec::new(), 0);
        for reference in references {
            let Some(track) = self.tracks.get(reference.track) else { continue };
            if track.kind == Kind::Audio {
                audio_bps += track.sources.iter().map(|source| source.rate.bps()).sum::<u64>();
                continue;
            }
            let Ok(place) = track.place_of(index, reference.ssrc) else { continue };
            let subscriber = &track.subscribers[place];
            let options = options(&subscriber.preference, &track.layers_for(subscriber));
            let current = subscriber.subscription.target().and_then(|target| options.position(target));
            demands.push(Demand {
                options,
                current,
                was_paused: subscriber.congested,
                priority: subscriber.preference.priority,
                prominent: false,
            });
            places.push((reference.track, place));
        }
        let allowed = self.peers[index].allow_pause.unwrap_or(self.config.allow_pause);
        let may_pause = allowed && confirmed;
        let trial = may_pause && self.peers[index].trial.runs(now);
        let allocation = allocate(estimate, audio_bps, &demands, may_pause && !trial);
        if may_pause && !trial {
            let choices = demands.iter().zip(&allocation.choices);
            let paused = choices.into_iter().any(|(demand, choice)| choice.is_none() && !demand.options.is_empty());
            self.peers[index].trial.settle(now, paused);
        }
        if let Some(link) = self.links.get_mut(index).and_then(Option::as_mut) {
            link.bwe.set_wanted(allocation.wanted_bps);
        }
        for (((track, place), demand), choice) in places.into_iter().zip(&demands).zip(&allocation.choices) {
            self.aim(now, index, (track, place), demand, *choice);
        }
    }

    fn estimate(&self, link: &PeerLink) -> (u64, bool) {
        let measured = link.extensions.transport_cc.is_some() || link.bwe.is_confirmed();
        if self.config.congestion_control && measured {
            (link.bwe.estimate_bps(), link.bwe.is_confirmed())
        } else {
            (u64::MAX, false)
        }
    }

    fn aim(
        &mut self,
        now: Instant,
        index: usize,
        (track, place): (usize, usize),
        demand: &Demand,
        choice: Option<usize>,
    ) {
        let peer = self.peers[index].id;
        let entry = &mut self.tracks[track];
        let key = entry.key;
        let subscriber = &mut entry.subscribers[place];
        let congested = choice.is_none() && !demand.options.is_empty();
        let target = choice.and_then(|choice| demand.options.get(choice)).map(|option| option.target);
        // A track whose layers are unknown yet keeps what it had; the first packet brings the choice.
        let unknown = demand.options.is_empty() && subscriber.preference.enabled;
        if !unknown && subscriber.subscription.target() != target {
            subscriber.subscription.set_target(target);
        }
        let is_remote = entry.publisher.is_none();
        let layer = subscriber.subscription.wants_key_frame(now);
        if std::mem::replace(&mut subscriber.congested, congested) != congested {
            self.events.push_back(MediaEvent::StreamPaused { peer, track: key, paused: congested });
        }
        if is_remote {
            self.interest_changed(key);
        }
        if let Some(layer) = layer {
            self.request_layers(now, track, 1 << u32::from(layer).min(31));
        }
    }

    /// Takes the level of one audio packet.
    pub(super) fn observe_audio(&mut self, now: Instant, room: RoomKey, track: TrackKey, level: u8) {
        let mut due = None;
        let audio = self.rooms.entry(room).or_insert_with(|| {
            let audio = RoomAudio::new(now);
            due = Some(audio.due());
            audio
        });
        if audio.meters.len() < METERS_MAX || audio.meters.contains_key(&track) {
            audio.meters.entry(track).or_insert_with(|| SpeakerMeter::new(now)).observe(level, AUDIO_PACKET_MS, now);
        }
        if let Some(due) = due {
            self.wake_by(due);
        }
    }

    /// Reports speakers where due; returns when the next report is due.
    pub(super) fn tick_speakers(&mut self, now: Instant) -> Option<Instant> {
        let mut events = Vec::new();
        for (room, audio) in &mut self.rooms {
            let elsewhere = audio.elsewhere.values().flatten().copied();
            let Some(levels) = audio.reporter.poll(now, &mut audio.meters, elsewhere) else { continue };
            match self.spread.home_of(*room) {
                Some(home) => self.spread.send_levels(home, *room, levels),
                None => events.push(MediaEvent::Speakers { room: *room, levels }),
            }
        }
        for event in events {
            self.push_replaceable(event);
        }
        let (rooms, peers) = (&mut self.rooms, &self.peers);
        rooms.retain(|room, audio| !audio.is_over() || peers.iter().any(|(_, peer)| peer.room == *room));
        self.rooms.values().map(|audio| audio.reporter.due()).min()
    }

    /// Forgets the loudness of a track that has ended.
    pub(super) fn forget_meter(&mut self, track: TrackKey) {
        for audio in self.rooms.values_mut() {
            audio.meters.remove(&track);
        }
    }

    /// Forgets a room's loudness when its last peer is gone.
    pub(super) fn forget_room_if_empty(&mut self, room: RoomKey) {
        if self.peers.iter().any(|(_, peer)| peer.room == room) {
            return;
        }
        match self.spread.home_of(room) {
            Some(_) => {
                let spoke = self.rooms.remove(&room).is_some_and(|audio| audio.reporter.spoke());
                self.spread.forget_room(room, spoke);
            }
            // At home, others may still speak elsewhere.
            None => {
                if self.rooms.get(&room).is_some_and(|audio| audio.elsewhere.is_empty()) {
                    self.rooms.remove(&room);
                }
            }
        }
    }

    /// Judges how well a peer's media flows, both ways.
    pub(super) fn judge_quality(&mut self, now: Instant, index: usize) {
        let mut windows = self.published_windows(now, index);
        windows.extend(self.received_window(index));
        let peer = &mut self.peers[index];
        if let Some((quality, score)) = peer.quality.poll(now, windows) {
            let peer = peer.id;
            self.push_replaceable(MediaEvent::Quality { peer, quality, score });
        }
    }

    fn published_windows(&mut self, now: Instant, index: usize) -> Vec<StreamWindow> {
        let stats = self.peers[index].ingress.track_stats(now);
        let window = |stats: &crate::ingress::TrackStats| {
            let track = self.tracks.get(*self.track_by_key.get(&stats.track)?)?;
            let source = track.sources.iter().find(|source| source.layer == stats.layer)?;
            Some(StreamWindow {
                codec: source.codec,
                expected: stats.expected,
                lost: stats.lost,
                jitter: Duration::from_secs_f32(stats.jitter_ms.max(0.0) / 1000.0),
                rtt: Duration::from_secs_f32(stats.rtt_ms.unwrap_or(0.0).max(0.0) / 1000.0),
                layers_missing: 0,
                muted: track.muted,
            })
        };
        stats.iter().filter_map(window).collect()
    }

    /// What the peer receives, by its own report blocks: the loss of each stream weighs as much as was sent of it.
    pub(super) fn received_window(&mut self, index: usize) -> Option<StreamWindow> {
        let (mut expected, mut lost, mut layers_missing, mut codec) = (0, 0.0, 0, None);
        for reference in &self.peers[index].subscriptions {
            let Some(track) = self.tracks.get_mut(reference.track) else { continue };
            let carried = track.sources.first().map(|source| source.codec);
            let Some(subscriber) = track.subscriber_mut(index, reference.ssrc) else { continue };
            layers_missing = layers_missing.max(u8::from(subscriber.congested));
            let packets = subscriber.subscription.snapshot().packets;
            let sent = packets.saturating_sub(std::mem::replace(&mut subscriber.judged_packets, packets));
            let Some(loss) = subscriber.reported_loss else { continue };
            expected += sent;
            lost += sent as f64 * f64::from(loss);
            codec = codec.or(carried);
        }
        if expected == 0 && layers_missing == 0 {
            // Nothing was to be sent: silence is no loss.
            return None;
        }
        let rtt = self.links[index].as_ref().and_then(PeerLink::rtt).unwrap_or_default();
        Some(StreamWindow {
            codec: codec?,
            expected,
            lost: lost as u64,
            jitter: Duration::ZERO,
            rtt,
            layers_missing,
            muted: false,
        })
    }
}
