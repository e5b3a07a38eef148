//! Every word that crosses a wire. Leaf crate: no sockets, no clock, no other crate of ours.

pub mod frame;
pub mod fuzz;
pub mod id;
pub mod join;
pub mod keys;
pub mod limits;
pub mod token;

/// LiveKit's protobuf types of the client and server API.
pub use livekit_protocol as livekit;
