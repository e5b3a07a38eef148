//! Who gets a room: filters, then the better of two drawn by capacity (power of two choices) by cost headroom.
//!
//! Measured load is late by up to a second of gossip and by the time that people take to come. Each placement is
//! therefore charged at once, and the charge decays while the real load arrives.

use super::cost::Cost;
use super::epoch::RoomHints;
use super::limits::PEAKS_MAX;
use super::neighbours::Neighbours;
use super::recent::Recent;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use starling_cluster::member::{Capacity, Load, Member, MemberId, MemberState};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A charge falls to 1/e in this time: people come and their load is measured and gossiped within seconds.
const CHARGE_DECAY: Duration = Duration::from_secs(10);
/// A room counts as standing on its host for this long after it was placed, then the gossiped number of rooms has it.
const ROOM_GOSSIP: Duration = Duration::from_secs(2);

/// Decides, remembers what it charged, and how many came to rooms of a name.
#[derive(Debug)]
pub(super) struct Choice {
    random: SmallRng,
    charges: BTreeMap<MemberId, Charge>,
    peaks: Recent<u32>,
}

#[derive(Debug)]
struct Charge {
    cost: Cost,
    at: Instant,
    /// Placed since the gossiped number of rooms can have counted them.
    rooms: u32,
    rooms_since: Instant,
}

struct Candidate<'a> {
    member: &'a Member,
    same_region: bool,
    /// How many rooms like this one it could take when idle.
    weight: f64,
    /// Utilisation with this room and the standing cost of all.
    pressure: f64,
}

impl Choice {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: SmallRng::seed_from_u64(seed), charges: BTreeMap::new(), peaks: Recent::new(PEAKS_MAX) }
    }

    /// A room of this name has so many participants.
    pub(super) fn heard_of(&mut self, room: &str, participants: u32) {
        if participants > 0 {
            self.peaks.raise(room, &participants);
        }
    }

    pub(super) fn cluster_changed(&mut self, cluster: &Neighbours) {
        self.charges.retain(|member, _| cluster.is_alive(member));
    }

    /// Chooses a host and charges it with the room.
    ///
    /// # Errors
    /// What stands in the way, when no member can take it.
    pub(super) fn choose(
        &mut self,
        room: &str,
        hints: &RoomHints,
        excluded: impl Fn(&MemberId) -> bool,
        cluster: &Neighbours,
        now: Instant,
    ) -> Result<MemberId, String> {
        let cost = Cost::of_room(hints, self.peaks.get(room).copied());
        let mut able = 0;
        let mut candidates = Vec::new();
        for member in cluster.members().filter(|member| member.takes_rooms() && !excluded(&member.id)) {
            able += 1;
            candidates.extend(self.candidate(member, cost, hints, now));
        }
        if candidates.is_empty() {
            return Err(why_none(cluster, able, cost));
        }
        if candidates.iter().any(|candidate| candidate.same_region) {
            candidates.retain(|candidate| candidate.same_region);
        }
        let first = self.draw(&mut candidates);
        let best = match self.draw(&mut candidates) {
            Some(second) if first.as_ref().is_none_or(|first| second.pressure < first.pressure) => Some(second),
            _ => first,
        };
        let chosen = best.map(|candidate| candidate.member.id.clone()).ok_or_else(|| "no candidate".to_owned())?;
        self.charge(&chosen, cost, now);
        Ok(chosen)
    }

    /// `None` when the room would put it above its declared capacity.
    fn candidate<'a>(&self, member: &'a Member, cost: Cost, hints: &RoomHints, now: Instant) -> Option<Candidate<'a>> {
        let facts = member.facts.as_ref()?;
        let pending = self.charges.get(&member.id);
        let expected = Cost::measured(&facts.load).plus(pending.map_or(Cost::default(), |charge| charge.left(now)));
        let with_room = expected.plus(cost);
        if with_room.utilisation(&facts.capacity) > 1.0 {
            return None;
        }
        let rooms = standing_rooms(&facts.load, pending, now);
        Some(Candidate {
            member,
            same_region: !hints.region.is_empty() && hints.region == facts.region,
            weight: weight(&facts.capacity, cost),
            pressure: with_room.plus(Cost::STANDING.times(rooms)).utilisation(&facts.capacity),
        })
    }

    /// Takes one out, with a probability proportional to its weight.
    fn draw<'a>(&mut self, candidates: &mut Vec<Candidate<'a>>) -> Option<Candidate<'a>> {
        let total: f64 = candidates.iter().map(|candidate| candidate.weight).sum();
        if candidates.is_empty() {
            return None;
        }
        let mut point = self.random.random::<f64>() * total;
        let drawn = candidates.iter().position(|candidate| {
            point -= candidate.weight;
            point < 0.0
        });
        Some(candidates.swap_remove(drawn.unwrap_or(candidates.len() - 1)))
    }

    fn charge(&mut self, host: &MemberId, cost: Cost, now: Instant) {
        let empty = Charge { cost: Cost::default(), at: now, rooms: 0, rooms_since: now };
        let charge = self.charges.entry(host.clone()).or_insert(empty);
        charge.cost = charge.left(now).plus(cost);
        charge.at = now;
        if now >= charge.rooms_since + ROOM_GOSSIP {
            (charge.rooms, charge.rooms_since) = (0, now);
        }
        charge.rooms += 1;
    }
}

impl Charge {
    fn left(&self, now: Instant) -> Cost {
        let age = now.saturating_duration_since(self.at).as_secs_f64();
        self.cost.times((-age / CHARGE_DECAY.as_secs_f64()).exp())
    }
}

fn standing_rooms(load: &Load, pending: Option<&Charge>, now: Instant) -> f64 {
    let placed = pending.filter(|charge| now < charge.rooms_since + ROOM_GOSSIP).map_or(0, |charge| charge.rooms);
    f64::from(load.rooms) + f64::from(placed)
}

fn weight(capacity: &Capacity, cost: Cost) -> f64 {
    let one = cost.utilisation(capacity);
    if one > 0.0 { 1.0 / one } else { 1.0 }
}

/// For the operator who reads the 503.
fn why_none(cluster: &Neighbours, able: usize, cost: Cost) -> String {
    if able > 0 {
        let (egress, cpu) = (cost.egress_mbps.ceil(), cost.cpu_millicores.ceil());
        return format!("none of {able} nodes has {egress} Mbit/s and {cpu} millicores of its capacity left for it");
    }
    let (mut draining, mut suspect, mut unfit, mut dead) = (0, 0, 0, 0);
    for member in cluster.members() {
        match member.state {
            MemberState::Dead => dead += 1,
            MemberState::Suspect => suspect += 1,
            MemberState::Draining => draining += 1,
            MemberState::Serving => unfit += 1,
        }
    }
    format!(
        "{draining} nodes drain, {suspect} are suspect, {dead} are dead, {unfit} are not ready, without link, without the role, or just failed"
    )
}
