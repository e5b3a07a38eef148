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
/// Connections to the cluster port that have not proved the key, at a time; one more is closed at once. Each costs a
/// socket and a TLS session, some 40 KB.
pub const HANDSHAKES_MAX: usize = 64;
/// Of those, from one IP address: one host cannot keep the others out.
pub const HANDSHAKES_PER_IP_MAX: usize = 32;
/// At most one warning about a wrong key in this time; the others are only counted. Strangers fill no log.
pub const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);
/// Time for TLS and the proof of the key, and again for the greeting after it; then the connection is closed.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(3);
/// Time for a TCP connection to be made.
pub const CONNECT_TIME: Duration = Duration::from_secs(3);
/// Unacknowledged data makes TCP give up after this long; measured: 4.3 s instead of 938 s (cluster.md §1.2).
pub const TCP_USER_TIMEOUT: Duration = Duration::from_secs(4);
/// Idle time before TCP asks whether the other side is there, and between its questions.
pub const TCP_KEEPALIVE: Duration = Duration::from_secs(2);
/// A greeting, bytes; a longer one ends the connection.
pub const GREETING_BYTES_MAX: usize = 4 * 1024;
/// An answer to a greeting with the known members, bytes.
pub const WELCOME_BYTES_MAX: usize = 16 * 1024;
/// Members in a welcome; the joiner learns of the others by gossip.
pub const WELCOME_MEMBERS_MAX: usize = 128;
/// A proved link must carry messages within this; otherwise it is closed and dialled again.
pub const LINK_OPEN_TIME: Duration = Duration::from_secs(3);
/// The old link to a member must have ended within this before its replacement is opened; otherwise that is closed.
pub const LINK_REPLACE_TIME: Duration = Duration::from_secs(2);
/// First wait before a failed dial is repeated; doubles.
pub const DIAL_BACKOFF_FIRST: Duration = Duration::from_millis(50);
/// Longest wait before a failed dial is repeated.
pub const DIAL_BACKOFF_MAX: Duration = Duration::from_secs(2);
/// A refused dial or probe within this time after a link ended hints that the process is gone; later it hints nothing.
pub const REFUSAL_HINT_TIME: Duration = Duration::from_secs(5);
/// Probes of a member that ended its link, by the side that does not dial: a dying process closes its port last.
pub const PROBES_MAX: u32 = 4;
/// Messages to the task that keeps the links which wait; handshakes wait for room, the bound is their number.
pub const LINK_COMMANDS_MAX: usize = 256;
/// Something is sent on an idle link this often, so that silence means something.
pub const PING_INTERVAL: Duration = Duration::from_millis(500);
/// What was handled is acknowledged at the latest after this time …
pub const ACK_DELAY: Duration = Duration::from_millis(50);
/// … or this many messages …
pub const ACK_MESSAGES: u64 = 64;
/// … or bytes.
pub const ACK_BYTES: usize = PART_BYTES / 2;
/// Parts of large bodies on their way to one peer; the others wait here, so that small messages pass between them.
pub const PARTS_IN_FLIGHT: usize = 4;
/// A peer whose window stays full for this long gets its link closed: it is frozen or drowned.
pub const WINDOW_STALL: Duration = Duration::from_secs(10);
/// Calls to one peer that wait for an answer, and calls of one peer that wait for ours; one more is refused.
pub const CALLS_MAX: usize = 1_024;
/// Longest time a call may wait for its answer; a longer one is cut to it.
pub const CALL_TIME_MAX: Duration = Duration::from_secs(60);

const _: () = assert!(HANDSHAKES_PER_IP_MAX < HANDSHAKES_MAX);
const _: () = assert!(PARTS_IN_FLIGHT * PART_BYTES < WINDOW_BYTES / 2 && ACK_BYTES < PARTS_IN_FLIGHT * PART_BYTES);
const _: () = assert!(PING_INTERVAL.as_millis() * 2 < LINK_SILENCE.as_millis());
const _: () = assert!((ACK_MESSAGES as usize) * 4 < WINDOW_MESSAGES);
const _: () = assert!(PART_BYTES < BODY_BYTES_MAX && BODY_BYTES_MAX < WINDOW_BYTES);
