//! Stands for `membership` and `link` until they are there.
#![allow(missing_docs)]

use crate::member::MemberId;
use std::net::SocketAddr;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MembershipChange {
    Up { id: MemberId, address: SocketAddr },
    Restarted { old: MemberId, new: MemberId, address: SocketAddr },
    Renewed { id: MemberId },
    Suspected { id: MemberId },
    Refuted { id: MemberId },
    Down { id: MemberId },
    Left { id: MemberId },
    CutOff,
    Rejoined,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    Up(MemberId),
    Silent(MemberId),
    Heard(MemberId),
    Lost(MemberId),
    Refused(MemberId),
}
