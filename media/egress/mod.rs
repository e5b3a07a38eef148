//! RTP out: one compact record per subscription rewrites, seals into the send arena and answers NACKs.
//!
//! Not here: who wants which layer (`forward`), how much the path carries (`bwe`), sockets and GSO (`worker`).

mod header;
mod history;
mod link;
mod numbering;
mod packetize;
mod picture;
#[cfg(test)]
mod property;
mod report;
mod resend;
mod retransmit;
mod sink;
mod state;
#[cfg(test)]
mod stories;
mod subscription;
mod target;
#[cfg(test)]
pub(crate) mod testing;
mod window;

pub use history::{AUDIO_HISTORY_PACKETS, History, MAX_PACKET_BYTES, VIDEO_HISTORY_PACKETS};
pub use link::{LinkState, PeerLink};
pub use report::Reported;
pub use sink::PacketSink;
pub use state::{ImportError, SubscriptionState};
pub use subscription::{Forwarded, Subscription};
pub use target::LayerTarget;
