//! The parts that chaos and the benchmark share: participants with whole WebRTC clients on the LiveKit wire.
//!
//! Nothing here is linked into a node.

pub mod bot;
