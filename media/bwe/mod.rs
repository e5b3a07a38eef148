//! How much the path to one subscriber carries, from its feedback: delay gradient, loss and acknowledged bit rate in the
//! manner of draft-ietf-rmcat-gcc-02. Not here: who gets the bandwidth (`forward::allocation`).

mod acknowledged;
mod flight;
mod send_side;
mod trendline;

pub use flight::Cargo;
pub use send_side::{ESTIMATE_MAX_BPS, ESTIMATE_MIN_BPS, ESTIMATE_START_BPS, SendSide};
