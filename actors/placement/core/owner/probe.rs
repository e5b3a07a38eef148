//! The fast path of rule 8: a host that somebody cannot reach is asked at once, directly and through others.

use super::{Owner, Probing, Waiters, answer};
use crate::placement::core::effect::{MoveRefusal, PlacementEvent, Refused};
use crate::placement::core::epoch::{Epoch, Located};
use crate::placement::core::limits::{FAILED_HOST, PROBE_TIMEOUT, PROBE_VIA, PROBES_MAX};
use crate::placement::core::message::{Locate, Message};
use crate::placement::core::turn::Turn;
use starling_cluster::member::{LinkState, MemberId, MemberState};

impl Owner {
    /// Whoever complains waits for the outcome.
    pub(super) fn probe(&mut self, turn: &mut Turn<'_>, host: MemberId, epoch: Epoch, locate: Locate) {
        let waits = self.probing.contains_key(&host) || self.probing.len() < PROBES_MAX;
        if !waits || !self.has_place_to_wait(turn) {
            answer(turn, locate, Ok(Located { host, epoch }));
            return;
        }
        if !self.probing.contains_key(&host) {
            let nonce = self.send_probes(turn, &host);
            let probing = Probing { nonce, ends_at: turn.now + PROBE_TIMEOUT, waiters: Waiters::new() };
            self.probing.insert(host.clone(), probing);
        }
        if let Some(probing) = self.probing.get_mut(&host) {
            probing.waiters.insert((locate.asker.clone(), locate.request), locate);
        }
    }

    fn send_probes(&mut self, turn: &mut Turn<'_>, host: &MemberId) -> u64 {
        self.last_nonce += 1;
        let nonce = self.last_nonce;
        let cluster = turn.cluster;
        let reachable = cluster.members().filter(|member| {
            member.state == MemberState::Serving && member.link == LinkState::Up && member.id != *host
        });
        let via: Vec<_> = reachable.map(|member| &member.id).collect();
        turn.send(host, Message::Probe { origin: turn.me.clone(), nonce });
        // Not always the same two.
        let offset = usize::try_from(nonce % via.len().max(1) as u64).unwrap_or_default();
        for third in via.iter().cycle().skip(offset).take(via.len().min(PROBE_VIA)) {
            turn.send(third, Message::ProbeVia { target: host.clone(), nonce });
        }
        nonce
    }

    /// The host lives: those who complained are to try it again.
    pub(in crate::placement::core) fn probe_answered(
        &mut self,
        turn: &mut Turn<'_>,
        from: &MemberId,
        target: &MemberId,
        nonce: u64,
    ) {
        if self.probing.get(target).is_none_or(|probing| probing.nonce != nonce) {
            turn.refuse(from, Refused::Unasked);
            return;
        }
        if let Some(probing) = self.probing.remove(target) {
            self.locate_again(turn, probing.waiters);
        }
    }

    /// Hosts that did not answer have failed, without being declared dead: no rooms there, and theirs are placed again.
    pub(super) fn end_probes(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now;
        let ended: Vec<_> = self.probing.extract_if(.., |_, probing| probing.ends_at <= now).collect();
        for (host, probing) in ended {
            self.failed.insert(host.clone(), now + FAILED_HOST);
            let why = MoveRefusal::Aborted { why: format!("{host} does not answer") };
            self.abort_where(turn, &why, |_, moving| moving.from == host || moving.to == host);
            turn.event(PlacementEvent::HostFailed { host });
            self.locate_again(turn, probing.waiters);
        }
    }

    fn locate_again(&mut self, turn: &mut Turn<'_>, mut waiters: Waiters) {
        for locate in waiters.values_mut() {
            locate.failed_host = None;
        }
        self.locate_all(turn, waiters);
    }
}
