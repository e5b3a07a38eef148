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
/// One chitchat message after decompression, bytes: chitchat makes none that UDP would not carry.
pub const FACT_MESSAGE_BYTES_MAX: usize = 65_507;
/// Datagrams between the UDP socket and chitchat, each way; more are dropped and counted: gossip repeats itself.
pub const FACT_DATAGRAMS_QUEUED: usize = 64;

/// Longest time for one look-up of a seed's name; then its last addresses stand.
pub const SEED_LOOKUP_TIME: Duration = Duration::from_secs(3);
/// Names of seeds are looked up this often while this node is alone …
pub const SEED_LOOKUP_ALONE: Duration = Duration::from_secs(5);
/// … and this often otherwise.
pub const SEED_LOOKUP_JOINED: Duration = Duration::from_secs(60);
/// Addresses that are asked who is there, in one round; more are left out. As many as foca announces to.
pub const ASKED_ADDRESSES_MAX: usize = 64;
/// Between two rounds of asking at the start, so that nodes that start together find each other at once.
pub const ASK_AT_START: Duration = Duration::from_millis(200);
/// Between two rounds of asking while this node serves alone …
pub const ASK_ALONE: Duration = Duration::from_secs(1);
/// … and otherwise: seeds that are no members, for two clusters may have grown apart.
pub const ASK_JOINED: Duration = Duration::from_secs(10);
/// Longest time of one round: a silent host does not keep the others' answers waiting.
pub const ASK_ROUND_TIME: Duration = Duration::from_secs(2);
/// After the first welcome the others have this long to say that the node id is in use.
pub const ASK_AFTER_WELCOME: Duration = Duration::from_millis(150);
/// A node id in use may be that of this node's last life, whose link nobody missed yet; asked again for this long.
pub const DUPLICATE_PATIENCE: Duration = Duration::from_secs(2);
/// Attempts to find one free port for UDP and TCP when any will do.
pub const PORT_ATTEMPTS: usize = 16;
/// Members that come within this time are saved together.
pub const SAVE_DELAY: Duration = Duration::from_millis(300);
/// Members are saved at most this often.
pub const SAVE_INTERVAL: Duration = Duration::from_secs(5);
/// Longest time that leaving takes; then the node is gone without it.
pub const LEAVE_TIME: Duration = Duration::from_millis(500);
/// Datagrams that are read before timers run: after a stall the answers to probes are among them. As many as a socket
/// buffer of ordinary size holds; the rest waits for the next turn.
pub const DATAGRAMS_BEFORE_TIMERS: usize = 256;
/// Rest after an error of the UDP socket, so that a broken one does not spin.
pub const SOCKET_ERROR_PAUSE: Duration = Duration::from_millis(10);
/// Requests to the cluster's task that wait; each is answered within one turn of its loop.
pub const COMMANDS_QUEUED: usize = 64;
/// Link events that wait for the cluster's task; the link shell waits for room.
pub const LINK_EVENTS_QUEUED: usize = 256;

const _: () = assert!(LINK_SILENCE.as_millis() < DUPLICATE_PATIENCE.as_millis());
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
