//! RTP in, RTP out. Knows peers and tracks; has never heard of rooms' rules or of nodes.
//!
//! A packet's journey: `worker` receives a batch of datagrams and finds the peer of each; `transport` answers STUN, DTLS
//! and SCTP and opens SRTP in place; `ingress` recognises the stream, undoes RTX, drops duplicates, asks for what is
//! missing; `forward` decides which subscribers want the layer; `egress` rewrites, seals into the send arena and keeps
//! what may be asked for again; the worker sends the arena with GSO.
//!
//! Everything but `worker` is pure: it is told the time and returns what is to be sent.

pub mod bwe;
pub mod codec;
pub mod command;
pub mod egress;
pub mod forward;
pub mod id;
pub mod ingress;
pub mod packet;
pub mod sdp;
pub mod transport;
pub mod worker;
