//! Carries messages between this node and its peers: the only remotable actor, one pure state per link, and the
//! envelope around every message. Knows links by number; who may have one is decided in [`crate::link`].

mod actor;
mod door;
mod doors;
mod envelope;
mod message;
mod parts;
mod sessions;
mod state;
#[cfg(test)]
mod tests;
mod transport;
mod window;

pub(crate) use sessions::{Carrier, Sessions, session_name};
pub(crate) use state::CloseReason;

/// Something happened to a link. The queue of these has no bound of its own: a link makes one per second at most.
#[derive(Debug)]
pub(crate) struct News {
    /// Which.
    pub(crate) link: u64,
    /// What.
    pub(crate) news: LinkNews,
}

/// What happened to a link.
#[derive(Debug)]
pub(crate) enum LinkNews {
    /// Messages flow.
    Open,
    /// Nothing was heard for a while.
    Silent,
    /// Something was heard again.
    Heard,
    /// It should be closed.
    Useless(CloseReason),
    /// It is gone.
    Ended,
}
