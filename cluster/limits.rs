//! Every number of this crate that bounds something: unit, reason, what happens beyond it.

use std::time::Duration;

/// A link on which nothing was heard for this long makes its member suspect: no new rooms there (cluster.md §4.1).
pub const LINK_SILENCE: Duration = Duration::from_millis(1_500);
/// Largest body of a message to another node, bytes; a larger one is refused to its sender.
pub const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bodies above this are sent in parts, so that small messages pass between them, bytes (cluster.md §1.5).
pub const PART_BYTES: usize = 256 * 1024;
/// Messages to one peer that it has not acknowledged; beyond it casts are refused.
pub const WINDOW_MESSAGES: usize = 1_024;
/// Bytes to one peer that it has not acknowledged; beyond it casts are refused. Holds one largest body and then some.
pub const WINDOW_BYTES: usize = 16 * 1024 * 1024;
/// Clocks that differ by more than this refuse each other, milliseconds: tokens and boot ids compare wall clocks.
pub const CLOCK_SKEW_MS_MAX: u64 = 30_000;

/// A dead member stays in the view for this long, so that operators see it; then it is forgotten.
pub const DEAD_MEMBER_KEPT: Duration = Duration::from_secs(600);
/// Dead members in the view; beyond it the one that died first is forgotten.
pub const DEAD_MEMBERS_MAX: usize = 256;
/// First pause between two attempts to find what is missing (a member's facts, a node that only chitchat knows).
pub const REPAIR_FIRST: Duration = Duration::from_secs(1);
/// Longest pause between two such attempts; pauses double up to it.
pub const REPAIR_LAST: Duration = Duration::from_secs(30);

/// How often chitchat gossips (cluster.md §2.2: 10 nodes see a change after 0.35 s).
pub const FACTS_GOSSIP_INTERVAL: Duration = Duration::from_millis(200);
/// chitchat's threshold; its "dead" only means "gossip there rarely" (cluster.md §4.1 rule 2).
pub const FACTS_PHI: f64 = 8.0;
/// chitchat's prior interval between heartbeats, see [`FACTS_PHI`].
pub const FACTS_INITIAL_INTERVAL: Duration = Duration::from_secs(5);
/// How long chitchat keeps the state of a node that it hears no more.
pub const FACTS_DEAD_GRACE: Duration = Duration::from_secs(600);
/// Largest value of a fact, bytes; a larger one is refused to its writer, for chitchat would block every later key of
/// that node (cluster.md §2.3), and makes a peer's message be dropped.
pub const FACT_BYTES_MAX: usize = 1_024;
/// Longest key of a fact in a peer's message, bytes; a message with a longer one is dropped.
pub const FACT_KEY_BYTES_MAX: usize = 64;
/// Nodes in one chitchat message, and nodes whose facts are read; a message with more is dropped. Four times the
/// members that this design was measured for, times a few lives of each.
pub const FACT_NODES_MAX: usize = 512;
/// Operations in one chitchat delta; a message with more is dropped. Every key of every node, and each node's line.
pub const FACT_OPERATIONS_MAX: usize = FACT_NODES_MAX * 16;
/// Bytes of one chitchat delta after decompression; a message with more is dropped.
pub const FACT_DELTA_BYTES_MAX: usize = 512 * 1024;
/// A node tells its load at most this often.
pub const LOAD_INTERVAL: Duration = Duration::from_secs(1);
/// Thousandths of a core that load is rounded to, so that an idle node's gossip stays silent.
pub const LOAD_CPU_STEP: u32 = 50;
/// Megabits per second that load is rounded to.
pub const LOAD_EGRESS_STEP: u32 = 5;
/// Datagrams between the UDP socket and chitchat, each way; more are dropped and counted: gossip repeats itself.
pub const FACT_DATAGRAMS_QUEUED: usize = 64;

const _: () = assert!(PART_BYTES < BODY_BYTES_MAX && BODY_BYTES_MAX < WINDOW_BYTES);
