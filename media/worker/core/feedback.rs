//! RTCP from peers: reports of publishers, and the feedback of subscribers on what they are sent.

use super::WorkerCore;
use super::peer::SubscriptionRef;
use super::spread::SourceReport;
use crate::bwe::Cargo;
use crate::packet::rtcp::{self, ReportBlock, RtcpItem};
use crate::worker::arena::SendArena;
use std::cell::Cell;
use std::time::Instant;

/// NACKed sequence numbers answered of one RTCP datagram; the rest waits for the repeat.
const NACKS_PER_DATAGRAM_MAX: usize = 512;
/// Transport feedback packets heeded of one RTCP datagram; clients send one, the rest is ignored.
const FEEDBACKS_PER_DATAGRAM_MAX: usize = 8;
/// Report blocks heeded of one RTCP datagram; the rest is ignored and comes again with the next report.
const BLOCKS_PER_DATAGRAM_MAX: usize = 64;

/// What one RTCP datagram may still ask for.
struct Allowance {
    nacks: usize,
    feedbacks: usize,
    blocks: usize,
}

/// What is to be sent again.
#[derive(Clone, Copy)]
enum Again {
    /// A sequence number of a NACK.
    Asked(u16),
    /// A packet that feedback has shown as lost.
    Lost(Cargo),
}

/// Takes one of what is left; `false` if nothing is.
fn take_one(left: &mut usize) -> bool {
    let rest = left.checked_sub(1);
    *left = rest.unwrap_or(0);
    rest.is_some()
}

impl WorkerCore {
    /// Opens one SRTCP compound packet and acts on it.
    pub(super) fn handle_rtcp(&mut self, now: Instant, index: usize, datagram: &mut [u8], arena: &mut SendArena) {
        let Ok(length) = self.peers[index].transport.open_rtcp(datagram) else {
            self.counters.datagrams_refused += 1;
            return;
        };
        let compound = &datagram[..length];
        let mut allowance = Allowance {
            nacks: NACKS_PER_DATAGRAM_MAX,
            feedbacks: FEEDBACKS_PER_DATAGRAM_MAX,
            blocks: BLOCKS_PER_DATAGRAM_MAX,
        };
        let visited = rtcp::visit(compound, |item| self.handle_rtcp_item(now, index, item, &mut allowance, arena));
        if visited.is_err() {
            self.counters.datagrams_refused += 1;
        }
        arena.flush_if_full();
    }

    fn handle_rtcp_item(
        &mut self,
        now: Instant,
        index: usize,
        item: RtcpItem<'_>,
        allowance: &mut Allowance,
        arena: &mut SendArena,
    ) {
        match item {
            RtcpItem::SenderReport { ssrc, ntp, rtp, .. } => self.handle_sender_report(now, index, ssrc, ntp, rtp),
            RtcpItem::Bye { ssrc } => self.peers[index].ingress.handle_bye(ssrc),
            RtcpItem::Nack { media_ssrc, lost } => {
                if let Some(subscription) = self.subscription(index, media_ssrc) {
                    for sequence in lost.take(allowance.nacks) {
                        allowance.nacks -= 1;
                        self.send_again(now, index, subscription, Again::Asked(sequence), arena);
                    }
                }
            }
            RtcpItem::Pli { media_ssrc } => self.key_frame_asked(now, index, media_ssrc),
            RtcpItem::Fir { ssrc, .. } => self.key_frame_asked(now, index, ssrc),
            RtcpItem::ReportBlock { block, .. } => {
                if take_one(&mut allowance.blocks) {
                    self.handle_report_block(now, index, &block);
                }
            }
            RtcpItem::TransportFeedback(feedback) => {
                if take_one(&mut allowance.feedbacks)
                    && let Some(link) = self.links.get_mut(index).and_then(Option::as_mut)
                {
                    link.bwe.on_feedback(feedback.statuses(), now);
                    self.repair_lost(now, index, arena);
                }
            }
            RtcpItem::Remb { bitrate_bps } => {
                if let Some(link) = self.links.get_mut(index).and_then(Option::as_mut) {
                    link.bwe.on_remb(bitrate_bps);
                }
            }
            RtcpItem::Other => {}
        }
    }

    fn handle_sender_report(&mut self, now: Instant, index: usize, ssrc: u32, ntp: u64, rtp: u32) {
        self.peers[index].ingress.handle_sender_report(now, ssrc, ntp, rtp);
        let Some((track, layer)) = self.peers[index].ingress.layer_of(ssrc) else { return };
        let Some(&track) = self.track_by_key.get(&track) else { return };
        let entry = &mut self.tracks[track];
        for source in entry.sources.iter_mut().filter(|source| source.layer == layer) {
            source.report = Some(SourceReport { at: now, ntp, rtp });
        }
        for subscriber in &mut entry.subscribers {
            subscriber.subscription.handle_source_report(now, layer, ntp, rtp);
        }
    }

    /// Blocks about RTX are ignored: it is sent in bursts, and what is lost of it says little about the media.
    fn handle_report_block(&mut self, now: Instant, index: usize, block: &ReportBlock) {
        let subscription = self.subscription(index, block.ssrc).filter(|one| one.ssrc == block.ssrc);
        let Some(subscription) = subscription else { return };
        let Some(link) = self.links.get_mut(index).and_then(Option::as_mut) else { return };
        let Some(subscriber) = self.tracks[subscription.track].subscriber_mut(index, subscription.ssrc) else { return };
        let reported = subscriber.subscription.handle_report_block(now, block);
        subscriber.reported_loss = Some(reported.loss);
        if let Some(rtt) = reported.rtt {
            link.set_rtt(rtt);
            self.peers[index].ingress.observe_rtt(rtt);
        }
        link.bwe.on_report_loss(f64::from(reported.loss), now);
    }

    fn subscription(&self, index: usize, ssrc: u32) -> Option<SubscriptionRef> {
        let subscriptions = &self.peers[index].subscriptions;
        subscriptions
            .iter()
            .find(|subscription| subscription.ssrc == ssrc || subscription.rtx_ssrc == ssrc)
            .copied()
            .filter(|subscription| self.tracks.contains(subscription.track))
    }

    /// Sends again what feedback has just shown as lost: a request for it may be lost too.
    fn repair_lost(&mut self, now: Instant, index: usize, arena: &mut SendArena) {
        while let Some(lost) = self.links.get_mut(index).and_then(|link| link.as_mut()?.bwe.next_lost(now)) {
            if let Some(subscription) = self.subscription(index, lost.ssrc) {
                self.send_again(now, index, subscription, Again::Lost(lost), arena);
            }
        }
    }

    fn send_again(
        &mut self,
        now: Instant,
        index: usize,
        subscription: SubscriptionRef,
        again: Again,
        arena: &mut SendArena,
    ) {
        let Some(link) = self.links.get_mut(index).and_then(Option::as_mut) else { return };
        let track = &mut self.tracks[subscription.track];
        let Ok(place) = track.place_of(index, subscription.ssrc) else { return };
        let (sources, subscriber) = (&track.sources, &mut track.subscribers[place]);
        let codec = subscriber.codec;
        let missed = Cell::new(None);
        let history = |layer: u8, source_sequence: u64| {
            let source = sources
                .iter()
                .find(|source| source.layer == layer && codec.is_none_or(|codec| codec == source.codec))?;
            let packet = source.history.get(source_sequence);
            if packet.is_none() {
                missed.set(Some((source.era, source_sequence)));
            }
            packet
        };
        let sent = match again {
            Again::Asked(sequence) => subscriber.subscription.retransmit(now, sequence, history, link, arena),
            Again::Lost(lost) => subscriber.subscription.repair(now, lost, history, link, arena),
        };
        self.counters.retransmissions += u64::from(sent);
        if let Some((era, sequence)) = missed.get() {
            self.miss(subscription.track, era, sequence);
        }
    }

    fn key_frame_asked(&mut self, now: Instant, index: usize, ssrc: u32) {
        let Some(subscription) = self.subscription(index, ssrc) else { return };
        let layer = self.tracks[subscription.track]
            .subscriber(index, subscription.ssrc)
            .and_then(|subscriber| subscriber.subscription.snapshot().layer);
        if let Some(layer) = layer {
            self.request_layers(now, subscription.track, 1 << u32::from(layer).min(31));
        }
    }
}
