//! What life tells the rest of the node, and how it is read off foca's table.

use super::identity::SwimIdentity;
use crate::member::MemberId;
use foca::State;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Something to do for the shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Seal the payload and send it there, once.
    Send {
        /// Where.
        to: SocketAddr,
        /// At most [`crate::limits::SWIM_PAYLOAD_BYTES_MAX`] bytes.
        payload: bytes::Bytes,
    },
    /// Tell everyone.
    Changed(MembershipChange),
}

/// Who lives has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MembershipChange {
    /// A member is there.
    Up {
        /// Who.
        id: MemberId,
        /// Where its cluster port is.
        address: SocketAddr,
    },
    /// Another process is where a member was; the old one is gone with all it had. No `Down` comes for it.
    Restarted {
        /// Who was there.
        old: MemberId,
        /// Who is there.
        new: MemberId,
        /// Where.
        address: SocketAddr,
    },
    /// The same process came back from a false death before we heard of it: nothing is lost.
    Renewed {
        /// Who.
        id: MemberId,
    },
    /// Somebody doubts that it lives.
    Suspected {
        /// Who.
        id: MemberId,
    },
    /// The doubt is gone.
    Refuted {
        /// Who.
        id: MemberId,
    },
    /// It is dead.
    Down {
        /// Who.
        id: MemberId,
    },
    /// It went by its own will.
    Left {
        /// Who.
        id: MemberId,
    },
    /// This node has lost all others: keep meetings, count on nobody.
    CutOff,
    /// This node is back after it was cut off or declared dead: register everything again, accept retirements.
    Rejoined,
}

/// A member as it was told last.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    identity: SwimIdentity,
    suspected: bool,
}

/// The living, as they were told to the rest of the node.
#[derive(Debug, Default)]
pub(super) struct ToldMembers {
    by_address: BTreeMap<SocketAddr, Told>,
}

impl ToldMembers {
    pub(super) fn iter(&self) -> impl Iterator<Item = (MemberId, SocketAddr, bool)> + '_ {
        self.by_address.values().map(|told| (told.identity.member(), told.identity.address, told.suspected))
    }

    /// Takes foca's table over and yields what that changes: who is there, then who is gone, each in the order of
    /// addresses, since foca keeps its table in random order.
    pub(super) fn follow<'a>(
        &mut self,
        table: impl Iterator<Item = &'a foca::Member<SwimIdentity>>,
    ) -> Vec<MembershipChange> {
        let (mut differs, mut gone, mut living) = (Vec::new(), Vec::new(), 0);
        for member in table {
            let identity = member.id();
            let told = self.by_address.get(&identity.address);
            if identity.is_leaving() || member.state() == State::Down {
                gone.extend(told.map(|_| (identity.address, identity.is_leaving())));
                continue;
            }
            living += 1;
            let suspected = member.state() == State::Suspect;
            if told.is_none_or(|told| told.identity != *identity || told.suspected != suspected) {
                differs.push(Told { identity: identity.clone(), suspected });
            }
        }
        differs.sort_by_key(|told| told.identity.address);
        gone.sort_unstable();
        let mut changes = Vec::new();
        for told in differs {
            let address = told.identity.address;
            changes.extend(difference(self.by_address.get(&address), &told));
            self.by_address.insert(address, told);
        }
        for (address, by_will) in gone {
            let Some(told) = self.by_address.remove(&address) else { continue };
            let id = told.identity.member();
            changes.push(if by_will { MembershipChange::Left { id } } else { MembershipChange::Down { id } });
        }
        debug_assert_eq!(self.by_address.len(), living, "foca forgets only the dead");
        changes
    }
}

fn difference(before: Option<&Told>, after: &Told) -> Vec<MembershipChange> {
    let id = after.identity.member();
    let address = after.identity.address;
    let mut changes = Vec::new();
    let mut suspected_before = false;
    match before {
        None => changes.push(MembershipChange::Up { id: id.clone(), address }),
        Some(before) if before.identity.member() != id => {
            changes.push(MembershipChange::Restarted { old: before.identity.member(), new: id.clone(), address });
        }
        Some(before) => {
            suspected_before = before.suspected;
            if before.identity.bump != after.identity.bump {
                changes.push(MembershipChange::Renewed { id: id.clone() });
            }
        }
    }
    match (suspected_before, after.suspected) {
        (false, true) => changes.push(MembershipChange::Suspected { id }),
        (true, false) => changes.push(MembershipChange::Refuted { id }),
        (false, false) | (true, true) => {}
    }
    changes
}
