//! Stands in for the core: every living member that takes rooms has its share of the names. No message is sent.

use crate::placement::core::{
    AttachRefusal, Effect, Epoch, HostedRoom, Input, LocateError, Located, PlacementSettings, PlacementSnapshot,
};
use starling_cluster::View;
use starling_cluster::member::MemberId;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

#[derive(Debug)]
pub(crate) struct PlacementCore {
    me: MemberId,
    view: Option<Arc<View>>,
    rooms: BTreeMap<String, Room>,
    settings: PlacementSettings,
}

#[derive(Debug)]
struct Room {
    epoch: Epoch,
    runs: bool,
    participants: u32,
    located: Vec<u64>,
    attached: Vec<u64>,
}

impl PlacementCore {
    pub(crate) fn new(me: MemberId, settings: PlacementSettings, _seed: u64) -> Self {
        Self { me, view: None, rooms: BTreeMap::new(), settings }
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        None
    }

    pub(crate) fn snapshot(&self) -> PlacementSnapshot {
        let rooms = self.rooms.iter().map(|(name, room)| HostedRoom {
            room: name.clone(),
            epoch: room.epoch.clone(),
            participants: room.participants,
        });
        PlacementSnapshot { rooms: rooms.collect(), ..Default::default() }
    }

    fn host(&self, room: &str) -> Option<MemberId> {
        let view = self.view.as_ref()?;
        let hosts: Vec<_> = view.living().filter(|member| member.takes_rooms()).collect();
        let sum = room.bytes().fold(7_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        Some(hosts.get(sum % hosts.len().max(1))?.id.clone())
    }

    pub(crate) fn handle(&mut self, input: Input, _now: Instant, effects: &mut Vec<Effect>) {
        match input {
            Input::View(view) => self.view = Some(view),
            Input::Locate { request, room, create, .. } => {
                let Some(host) = self.host(&room) else {
                    let result = Err(LocateError::NoCapacity { why: "no node takes rooms".into() });
                    return effects.push(Effect::Located { request, result });
                };
                let epoch = Epoch { counter: 1, decider: host.clone() };
                if host != self.me {
                    return effects.push(Effect::Located { request, result: Ok(Located { host, epoch }) });
                }
                match self.rooms.get_mut(&room) {
                    Some(found) if found.runs => {
                        let epoch = found.epoch.clone();
                        effects.push(Effect::Located { request, result: Ok(Located { host, epoch }) });
                    }
                    Some(found) => found.located.push(request),
                    None if create => self.start(room, epoch, vec![request], Vec::new(), effects),
                    None => effects.push(Effect::Located { request, result: Err(LocateError::NotFound) }),
                }
            }
            Input::Attach { request, room, epoch } => match (self.rooms.get_mut(&room), epoch) {
                (Some(found), _) if found.runs => {
                    effects.push(Effect::Attached { request, result: Ok(found.epoch.clone()) });
                }
                (Some(found), _) => found.attached.push(request),
                (None, Some(epoch)) => self.start(room, epoch, Vec::new(), vec![request], effects),
                (None, None) => effects.push(Effect::Attached { request, result: Err(AttachRefusal::NotHere) }),
            },
            Input::RoomStarted { room, .. } => {
                let host = self.me.clone();
                let Some(found) = self.rooms.get_mut(&room) else { return };
                found.runs = true;
                for request in std::mem::take(&mut found.located) {
                    let located = Located { host: host.clone(), epoch: found.epoch.clone() };
                    effects.push(Effect::Located { request, result: Ok(located) });
                }
                for request in std::mem::take(&mut found.attached) {
                    effects.push(Effect::Attached { request, result: Ok(found.epoch.clone()) });
                }
            }
            Input::RoomRefused { room, .. } => {
                let Some(found) = self.rooms.remove(&room) else { return };
                for request in found.located {
                    let result = Err(LocateError::NoCapacity { why: "its node is full".into() });
                    effects.push(Effect::Located { request, result });
                }
                for request in found.attached {
                    effects.push(Effect::Attached { request, result: Err(AttachRefusal::NotHere) });
                }
            }
            Input::RoomLoad { room, participants } => {
                if let Some(found) = self.rooms.get_mut(&room) {
                    found.participants = participants;
                }
            }
            Input::RoomEnded { room } => {
                self.rooms.remove(&room);
            }
            Input::Cancel { .. } | Input::Heard { .. } | Input::Lost(_) | Input::Tick => {}
        }
    }

    fn start(&mut self, room: String, epoch: Epoch, located: Vec<u64>, attached: Vec<u64>, effects: &mut Vec<Effect>) {
        if self.settings.rooms_max > 0 && self.rooms.len() >= self.settings.rooms_max {
            for request in located {
                let result = Err(LocateError::NoCapacity { why: "its node is full".into() });
                effects.push(Effect::Located { request, result });
            }
            return;
        }
        let found = Room { epoch: epoch.clone(), runs: false, participants: 0, located, attached };
        self.rooms.insert(room.clone(), found);
        effects.push(Effect::StartRoom { room, epoch });
    }
}
