//! The media workers: the only clocks, sockets and threads of this crate.

mod arena;
mod config;
mod core;
mod event_loop;
mod external;
mod handle;
mod neighbours;
mod relocate;
mod socket;
mod start;
mod tcp;
mod wake;

pub use config::{MediaConfig, MediaStartError};
pub use handle::{CONTROL_TO_WORKER_CAPACITY, EventSender, MediaPlane, SendCommandError, WORKER_TO_CONTROL_CAPACITY};
pub use relocate::Relocation;
pub use start::start;
