//! A receiver that behaves as libwebrtc's: it asks at once for what is missing, again after 100 ms only (a receiving
//! connection cannot measure the round trip), and reports transport-wide arrivals every 50 ms.

use crate::packet::rtcp;
use crate::packet::rtp::RtpHeader;
use crate::packet::sequence;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// libwebrtc's default round trip, after which it asks again.
const REPEAT: Duration = Duration::from_millis(100);
/// libwebrtc asks so often for one packet.
const TRIES_MAX: u32 = 10;
const FEEDBACK_INTERVAL: Duration = Duration::from_millis(50);

#[derive(Debug)]
struct Missing {
    since: Instant,
    asked: Instant,
    tries: u32,
}

#[derive(Debug)]
pub(super) struct Browser {
    ssrc: u32,
    rtx_ssrc: u32,
    epoch: Instant,
    highest: Option<u64>,
    missing: BTreeMap<u64, Missing>,
    /// Numbers to ask for at once.
    fresh: Vec<u16>,
    /// How long each lost packet was missing.
    pub(super) waits: Vec<Duration>,
    /// Packets of media and of retransmissions that came.
    pub(super) media: usize,
    pub(super) repairs: usize,
    /// Retransmissions of what was there already.
    pub(super) needless: usize,
    arrivals: BTreeMap<u64, i64>,
    transport_highest: Option<u64>,
    /// First transport-wide number that the next feedback names.
    next_reported: Option<u64>,
    next_feedback: Instant,
    feedbacks: u8,
}

fn extended(highest: Option<u64>, number: u16) -> u64 {
    highest.map_or(sequence::first(number), |highest| sequence::unwrap(highest, number))
}

impl Browser {
    pub(super) fn new(ssrc: u32, rtx_ssrc: u32, now: Instant) -> Self {
        Self {
            ssrc,
            rtx_ssrc,
            epoch: now,
            highest: None,
            missing: BTreeMap::new(),
            fresh: Vec::new(),
            waits: Vec::new(),
            media: 0,
            repairs: 0,
            needless: 0,
            arrivals: BTreeMap::new(),
            transport_highest: None,
            next_reported: None,
            next_feedback: now,
            feedbacks: 0,
        }
    }

    /// Takes an opened packet.
    pub(super) fn take(&mut self, now: Instant, header: &RtpHeader, packet: &[u8]) {
        if let Some(&[high, low]) = header.extension(packet, 3) {
            let number = extended(self.transport_highest, u16::from_be_bytes([high, low]));
            self.transport_highest = self.transport_highest.max(Some(number));
            self.arrivals.insert(number, i64::try_from((now - self.epoch).as_micros()).unwrap());
            self.next_reported = Some(self.next_reported.map_or(number, |next| next.min(number)));
        }
        if header.ssrc == self.rtx_ssrc {
            let original = u16::from_be_bytes([packet[header.length], packet[header.length + 1]]);
            self.repairs += 1;
            match self.missing.remove(&extended(self.highest, original)) {
                Some(missing) => self.waits.push(now - missing.since),
                None => self.needless += 1,
            }
        } else if header.ssrc == self.ssrc {
            self.media += 1;
            let number = extended(self.highest, header.sequence);
            if let Some(missing) = self.missing.remove(&number) {
                self.waits.push(now - missing.since);
            }
            for gap in self.highest.map_or(number, |highest| highest + 1)..number {
                self.fresh.push(sequence::low(gap));
                self.missing.insert(gap, Missing { since: now, asked: now, tries: 1 });
            }
            self.highest = self.highest.max(Some(number));
        }
    }

    /// RTCP that is due, one datagram each.
    pub(super) fn tick(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let mut asked = std::mem::take(&mut self.fresh);
        for (number, missing) in &mut self.missing {
            if now - missing.asked >= REPEAT && missing.tries < TRIES_MAX {
                missing.tries += 1;
                missing.asked = now;
                asked.push(sequence::low(*number));
            }
        }
        let mut datagrams = Vec::new();
        if !asked.is_empty() {
            let mut nack = Vec::new();
            rtcp::nack(&mut nack, 1, self.ssrc, &asked);
            datagrams.push(nack);
        }
        if self.next_feedback <= now {
            self.next_feedback = now + FEEDBACK_INTERVAL;
            datagrams.extend(self.feedback());
        }
        datagrams
    }

    fn feedback(&mut self) -> Option<Vec<u8>> {
        let (first, last) = (self.next_reported.take()?, *self.arrivals.last_key_value()?.0);
        let arrivals: Vec<Option<i64>> = (first..=last).map(|number| self.arrivals.get(&number).copied()).collect();
        let mut feedback = Vec::new();
        let base = sequence::low(first);
        let written = rtcp::transport_feedback(&mut feedback, (1, self.ssrc), base, self.feedbacks, &arrivals, 1_150);
        self.feedbacks = self.feedbacks.wrapping_add(1);
        let next = first + written.statuses as u64;
        self.next_reported = (next <= last).then_some(next);
        self.arrivals = self.arrivals.split_off(&last.saturating_sub(500));
        // Later gaps count from here.
        self.next_reported.get_or_insert(last + 1);
        (!feedback.is_empty() && written.statuses > 0).then_some(feedback)
    }

    /// Counts from here, as after a key frame.
    pub(super) fn forget(&mut self) {
        self.missing.clear();
        self.waits.clear();
        (self.media, self.repairs, self.needless) = (0, 0, 0);
    }

    /// How long lost packets were missing, shortest first; those still missing count until `now`.
    pub(super) fn sorted_waits(&self, now: Instant) -> Vec<Duration> {
        let mut waits = self.waits.clone();
        waits.extend(self.missing.values().map(|missing| now - missing.since));
        waits.sort_unstable();
        waits
    }
}
