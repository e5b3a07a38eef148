//! The node: wiring and IO, no decisions. The binary, the tests and the chaos harness start the same [`Node`].
//!
//! `config` says what is wanted, `media` and `rooms` start what the other crates decide, `http` is the only listener.

mod capacity;
mod cluster;
pub mod config;
pub mod http;
mod load;
mod local_address;
pub mod media;
mod node;
pub mod rooms;
pub mod telemetry;

pub use cluster::AdvertiseError;
pub use node::{Node, StartError};

/// Version of this software.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
