//! What a roster hears and what it wants done.

use crate::facts::Told;
use crate::link::LinkEvent;
use crate::member::{MemberFacts, MemberId};
use crate::membership::MembershipChange;
use crate::view::View;
use std::net::SocketAddr;
use std::sync::Arc;

/// What a roster hears.
#[derive(Clone, Debug)]
pub enum Input {
    /// foca: who lives.
    Life(MembershipChange),
    /// chitchat: what every node that it knows says of itself, all of it at once.
    Told(Arc<Told>),
    /// A link came, went silent or ended.
    Link(LinkEvent),
    /// What this node says of itself.
    Own(MemberFacts),
    /// [`super::Roster::next_deadline`] has come.
    Tick,
}

/// What a roster wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Publish.
    View(Arc<View>),
    /// Have links to exactly these.
    Links(Vec<(MemberId, SocketAddr)>),
    /// Let foca announce this node there: chitchat knows somebody whom foca does not.
    Announce(SocketAddr),
    /// Let chitchat gossip with this address: a member's facts are missing.
    Meet(SocketAddr),
    /// Tell foca that this life is over: its host refuses the link.
    DownHint(MemberId),
}
