//! Whole clusters of placement cores in simulated time: late views, delay, broken links, crashes, pauses, partitions,
//! drains, moves. One seed is one history; after the faults everything heals and the promises are judged.
//!
//! What is not here: sockets, foca, chitchat, media. Views are made by `membership`, as late as they were measured to be.

mod client;
mod fault;
mod history;
mod judge;
mod membership;
mod moving;
mod network;
mod node;
mod plan;
mod world;

pub use judge::{Broken, Violation};
pub use plan::{Plan, Report};

/// Runs one history.
///
/// # Errors
/// [`Violation`]: the first promise that was broken, and when.
pub fn run(seed: u64, plan: &Plan) -> Result<Report, Violation> {
    world::World::new(seed, plan).run()
}

#[cfg(test)]
mod tests;
