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

const _: () = assert!(PART_BYTES < BODY_BYTES_MAX && BODY_BYTES_MAX < WINDOW_BYTES);

/// A key file's text, bytes: two keys and comments; a longer one is refused.
pub const KEY_TEXT_BYTES_MAX: usize = 4_096;
/// What a key derivation may be told besides the cluster's name, bytes: more is a bug of the caller.
pub const KEY_DERIVED_INFO_BYTES_MAX: usize = 256;

/// A sealed datagram of foca, bytes: the smallest IPv6 MTU (1280) without IPv6 and UDP headers, so that it is never
/// fragmented. Larger ones are refused.
pub const SWIM_DATAGRAM_BYTES_MAX: usize = 1_232;
/// What foca may put into a datagram, bytes.
pub const SWIM_PAYLOAD_BYTES_MAX: usize = SWIM_DATAGRAM_BYTES_MAX - crate::seal::OVERHEAD_BYTES;
/// Any sealed datagram, bytes: what UDP over IPv4 carries. More is refused to the sender.
pub const DATAGRAM_BYTES_MAX: usize = 65_507;
/// Nodes whose datagrams were opened and whose counters are remembered. Only holders of the key get an entry; beyond
/// it the one that was silent for longest is forgotten.
pub const SENDERS_MAX: usize = 1_024;
/// A sender that was silent for this long is forgotten: foca forgets its dead after the same time.
pub const SENDER_FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 3_600);
/// Datagrams per second of unknown senders for which a key is derived and tried; more are dropped unread. At ~3 µs
/// each that is 3 % of a core, and a joiner among 100,000 forgeries per second still gets in within seconds.
pub const STRANGERS_PER_SECOND_MAX: u32 = 10_000;
/// How far behind a sender's newest datagram an older one may be; those behind are dropped (cluster.md §4.2).
pub const REPLAY_WINDOW: u64 = 1_024;

/// Members that foca keeps, living and dead; datagrams that would add more are refused. Measured up to 50 living.
pub const SWIM_MEMBERS_MAX: usize = 1_024;
/// Datagrams waiting for [`crate::membership::Membership::poll_output`]; more are dropped, as a network does.
pub const SWIM_SENDS_WAITING_MAX: usize = 4_096;
/// How often a node that knows no other announces itself to all seeds (cluster.md §3.4: without it a two-node
/// partition never heals).
pub const LONELY_TICK: Duration = Duration::from_secs(1);
/// How long after it got in a node goes on asking who else is there: an answer holds about 24 members by chance, and
/// the rest of a larger cluster would be met only as it is probed.
pub const SETTLING: Duration = Duration::from_secs(5);
/// Members that fit one answer for certain; a node that knows fewer asks nobody further.
pub const SETTLED_WITH_MEMBERS: usize = 16;
/// Members asked on each [`LONELY_TICK`] while settling.
pub const SETTLING_QUESTIONS: usize = 3;
/// How often a node announces itself to seeds that are no living members: groups that started apart merge within it.
pub const SEED_REMINDER: Duration = Duration::from_secs(10);
/// Dead members that are asked whether they live when somebody comes back from the dead; the latest dead come first.
pub const HEAL_ANNOUNCEMENTS_MAX: usize = 64;
/// At least this long between two such rounds of questions: a healing cluster of 50 must not drown in them.
pub const HEAL_PAUSE: Duration = Duration::from_millis(200);
/// Seed addresses that are announced to; more are left out.
pub const SEED_ADDRESSES_MAX: usize = 64;

/// Members that are saved for the next start; more are left out, the living come first.
pub const MEMBERS_SAVED_MAX: usize = 128;
/// A state file, bytes; a longer one is refused as corrupt.
pub const STATE_FILE_BYTES_MAX: u64 = 64 * 1024;
