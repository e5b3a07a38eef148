//! The media workers: the only clocks, sockets and threads of this crate.

mod handle;
mod wake;

pub use handle::{CONTROL_TO_WORKER_CAPACITY, EventSender, MediaPlane, SendCommandError, WORKER_TO_CONTROL_CAPACITY};
