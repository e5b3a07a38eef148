//! How long a lost packet stays missing at a browser when its requests and repairs are lost as well.

use super::browser::Browser;
use super::*;
use crate::codec::Kind;
use std::time::Duration;

/// What browsers of several worlds saw.
#[derive(Debug, Default)]
struct Seen {
    waits: Vec<Duration>,
    media: usize,
    repairs: usize,
    needless: usize,
    sent_again: u64,
    forwarded: u64,
}

impl Seen {
    fn share_longer_than(&self, millis: u64) -> f64 {
        let longer = self.waits.iter().filter(|wait| **wait > Duration::from_millis(millis)).count();
        longer as f64 / self.waits.len().max(1) as f64
    }

    fn at(&self, share: f64) -> Duration {
        self.waits[((self.waits.len() - 1) as f64 * share) as usize]
    }

    fn sent_again_share(&self) -> f64 {
        self.sent_again as f64 / self.forwarded as f64
    }

    fn summary(&self) -> String {
        let [p50, p90, p99, max] = [0.5, 0.9, 0.99, 1.0].map(|share| self.at(share).as_millis());
        format!(
            "{} lost of {}: missing p50 {p50} p90 {p90} p99 {p99} max {max} ms, over 100 ms {:.2} %, sent again {:.1} %, \
             came {} of which needless {}",
            self.waits.len(),
            self.media,
            100.0 * self.share_longer_than(100),
            100.0 * self.sent_again_share(),
            self.repairs,
            self.needless,
        )
    }
}

/// A browser watches one video with loss both ways, ten seconds of which count, once for each seed.
fn watch(seeds: std::ops::Range<u64>, loss: f64, jitter: u64) -> Seen {
    let mut seen = Seen::default();
    for seed in seeds {
        let mut world = World::new(seed);
        world.connected(2);
        world.publish_video(0, 11, &VIDEO_LAYERS);
        let ssrc = world.subscribe(1, 11, Kind::Video);
        world.clients[1].browser = Some(Browser::new(ssrc, ssrc + 0x20_0000, world.now));
        world.run(4_000);
        let (up, down) = &mut world.pipes[1];
        for pipe in [up, down] {
            (pipe.loss, pipe.latency) = (loss, Duration::from_millis(15));
            pipe.jitter = Duration::from_millis(jitter);
        }
        // The estimate and the layers settle.
        world.run(4_000);
        if let Some(browser) = &mut world.clients[1].browser {
            browser.forget();
        }
        let before = world.inspect(0);
        world.run(10_000);
        let after = world.inspect(0);
        let browser = world.clients[1].browser.as_ref().unwrap();
        seen.waits.extend(browser.sorted_waits(world.now));
        seen.media += browser.media;
        seen.repairs += browser.repairs;
        seen.needless += browser.needless;
        seen.forwarded += after.packets_forwarded - before.packets_forwarded;
        let again = |snapshot: &crate::command::WorkerSnapshot| -> u64 {
            snapshot.peer_details.iter().flat_map(|peer| &peer.subscriptions).map(|one| one.retransmissions).sum()
        };
        seen.sent_again += again(&after) - again(&before);
    }
    seen.waits.sort_unstable();
    println!("loss {loss} jitter {jitter} ms: {}", seen.summary());
    seen
}

#[test]
fn at_five_per_cent_both_ways_hardly_a_packet_waits_for_the_second_request() {
    let seen = watch(300..308, 0.05, 0);
    assert!(seen.waits.len() > 300, "{}", seen.summary());
    assert!(seen.share_longer_than(100) < 0.04, "{}", seen.summary());
    assert!(seen.sent_again_share() < 0.15, "{}", seen.summary());
}

#[test]
fn at_twenty_per_cent_both_ways_repairs_come_sooner_than_requests_repeat() {
    let seen = watch(320..324, 0.20, 0);
    assert!(seen.at(0.99) < Duration::from_secs(3), "{}", seen.summary());
    assert!(seen.sent_again_share() < 0.6, "{}", seen.summary());
}

#[test]
fn at_twenty_five_per_cent_repairs_are_no_storm() {
    let seen = watch(340..343, 0.25, 0);
    assert!(seen.sent_again_share() < 0.8, "{}", seen.summary());
}

#[test]
fn packets_that_are_only_late_are_not_repaired_unasked() {
    // What a browser asks for too early is its own wish; feedback may not add to it.
    let seen = watch(360..363, 0.0, 12);
    let asked = seen.waits.len() as f64;
    assert!(seen.sent_again as f64 <= asked * 1.05, "{}", seen.summary());
}
