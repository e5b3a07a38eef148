//! What time asks for: transport repeats, RTCP to publishers, reports to subscribers, allocation, quality.

use super::{TICK, WorkerCore};
use crate::worker::arena::SendArena;
use std::time::{Duration, Instant};

/// Interval of sender reports (RFC 3550 §6.2 allows less than 5 s with enough bandwidth).
const REPORT_INTERVAL: Duration = Duration::from_secs(1);
/// How often a subscriber's layers are chosen anew.
const ALLOCATION_INTERVAL: Duration = Duration::from_millis(200);
/// How much too early layers are chosen and reports sent where the worker is awake for others anyway: what has no hurry
/// shares its wake-ups.
const VISIT_SLACK: Duration = Duration::from_millis(20);
/// Peers that one tick visits too early, so that sharing makes no long turn of many short ones.
const EARLY_VISITS_MAX: usize = 64;
/// How often a peer that is not connected is visited; its own timers may ask for more.
const UNCONNECTED_INTERVAL: Duration = Duration::from_secs(1);
/// LiveKit's interval of connection quality.
const QUALITY_INTERVAL: Duration = Duration::from_secs(5);
/// Compounds that ingress may send in one tick; it stays due for the rest.
const COMPOUNDS_PER_TICK: usize = 16;
/// Sender reports in one compound packet; a further packet takes the rest.
const REPORTS_PER_COMPOUND: usize = 31;

impl WorkerCore {
    /// Does what is due. `ntp` is the wall clock as a 64-bit NTP timestamp.
    pub(crate) fn handle_timeout(&mut self, now: Instant, ntp: u64, arena: &mut SendArena) {
        self.forward_due(now, arena);
        if self.next_tick.is_none_or(|tick| tick > now) {
            return;
        }
        for index in self.due_peers(now) {
            if self.peers.contains(index) {
                self.tick_peer(now, ntp, index, arena);
            }
        }
        let speakers = self.tick_speakers(now);
        let earliest = self.peers.iter().map(|(_, peer)| peer.due).min();
        self.departures.handle_timeout(now);
        let departures = self.departures.poll_timeout();
        self.next_tick = [earliest, speakers, departures].into_iter().flatten().min().map(|due| due.max(now + TICK));
    }

    /// Peers that are due, and those whose layers would be chosen soon.
    fn due_peers(&self, now: Instant) -> Vec<usize> {
        let mut early = 0;
        let due = self.peers.iter().filter(|(_, peer)| {
            if peer.due <= now {
                return true;
            }
            let soon = peer.due <= now + VISIT_SLACK && peer.due == peer.next_allocation;
            early += usize::from(soon);
            soon && early <= EARLY_VISITS_MAX
        });
        due.map(|(index, _)| index).collect()
    }

    fn tick_peer(&mut self, now: Instant, ntp: u64, index: usize, arena: &mut SendArena) {
        self.peers[index].transport.handle_timeout(now);
        self.pump(now, index, arena);
        if !self.peers.contains(index) {
            return;
        }
        self.send_ingress_feedback(now, index, arena);
        if self.peers[index].transport.is_connected() {
            self.tick_connected(now, ntp, index, arena);
        }
        let peer = &mut self.peers[index];
        let connected = peer.transport.is_connected();
        let mut due = if connected { peer.next_allocation.max(now + TICK) } else { now + UNCONNECTED_INTERVAL };
        for part in [peer.transport.poll_timeout(), peer.ingress.poll_timeout()].into_iter().flatten() {
            due = due.min(part);
        }
        peer.due = due;
    }

    fn tick_connected(&mut self, now: Instant, ntp: u64, index: usize, arena: &mut SendArena) {
        if self.peers[index].next_allocation <= now + VISIT_SLACK {
            self.peers[index].next_allocation = now + ALLOCATION_INTERVAL;
            self.refresh_bitrates(now, index);
            self.allocate(now, index);
        }
        if self.peers[index].next_report <= now + VISIT_SLACK {
            self.peers[index].next_report = now + REPORT_INTERVAL;
            self.send_reports(now, ntp, index, arena);
            self.retry_take_over(now, index, arena);
        }
        if self.peers.get(index).is_some_and(|peer| peer.next_quality <= now) {
            self.peers[index].next_quality = now + QUALITY_INTERVAL;
            self.judge_quality(now, index);
        }
    }

    /// Receiver reports, NACKs, transport-wide feedback and key-frame requests to a publisher.
    fn send_ingress_feedback(&mut self, now: Instant, index: usize, arena: &mut SendArena) {
        let mut rtcp = std::mem::take(&mut self.rtcp);
        let requests = self.peers[index].ingress.counters().key_frame_requests;
        for _ in 0..COMPOUNDS_PER_TICK {
            rtcp.clear();
            self.peers[index].ingress.handle_timeout(now, &mut rtcp);
            if rtcp.is_empty() {
                break;
            }
            self.send_rtcp(index, &mut rtcp, arena);
        }
        self.counters.key_frame_requests += self.peers[index].ingress.counters().key_frame_requests - requests;
        self.rtcp = rtcp;
    }

    fn send_reports(&mut self, now: Instant, ntp: u64, index: usize, arena: &mut SendArena) {
        let mut rtcp = std::mem::take(&mut self.rtcp);
        let references = self.peers[index].subscriptions.clone();
        for batch in references.chunks(REPORTS_PER_COMPOUND) {
            rtcp.clear();
            for reference in batch {
                let track = self.tracks.get_mut(reference.track);
                if let Some(subscriber) = track.and_then(|track| track.subscriber_mut(index, reference.ssrc)) {
                    subscriber.subscription.sender_report(now, ntp, &mut rtcp);
                }
            }
            if !rtcp.is_empty() {
                self.send_rtcp(index, &mut rtcp, arena);
            }
        }
        self.rtcp = rtcp;
    }

    fn send_rtcp(&mut self, index: usize, rtcp: &mut Vec<u8>, arena: &mut SendArena) {
        let transport = &mut self.peers[index].transport;
        if let Some(path) = transport.selected_path()
            && transport.seal_rtcp(rtcp).is_ok()
        {
            arena.send(path, rtcp);
        }
    }
}
