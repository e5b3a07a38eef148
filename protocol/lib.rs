//! Every word that crosses a wire. Leaf crate: no sockets, no clock, no other crate of ours.

pub mod join;
pub mod token;

/// LiveKit's protobuf types of the client and server API.
pub use livekit_protocol as livekit;
