//! Every number of placement: unit, reason, what happens beyond it. "Model" is the measured one of cluster.md §5.4.

use std::time::Duration;

/// An unanswered Locate goes out again after this (model: 1.5 s).
pub const LOCATE_RETRY: Duration = Duration::from_millis(1_500);
/// An owner that asked to be asked again is, after this: views differ for at most 0.8 s after a change.
pub const LOCATE_ASK_AGAIN: Duration = Duration::from_millis(250);
/// A Locate without an answer ends as unavailable after this: longer than a death (5.2 s), a settle window and five tries.
pub const LOCATE_TIMEOUT: Duration = Duration::from_secs(15);
/// Locates of this node under way; beyond it a further one is unavailable at once.
pub const LOCATES_MAX: usize = 16_384;
/// Owners that pass a Locate on before it is to be asked again (model: 3).
pub const HOPS_MAX: u8 = 3;

/// After a change of who is alive or drains, an owner waits so long for hosts before it places (model: 600 ms).
pub const SETTLE: Duration = Duration::from_millis(600);
/// Locates that wait at an owner, for the settle window, an assignment or a probe; beyond it they are to ask again.
pub const WAITING_MAX: usize = 65_536;
/// A host that has not acknowledged an assignment after this is passed over (model: 800 ms).
pub const ASSIGN_TIMEOUT: Duration = Duration::from_millis(800);
/// Hosts that an owner tries for one room (model: 5); then its Locates are unavailable.
pub const ASSIGN_TRIES_MAX: usize = 5;
/// Times that one assignment is repeated above a floor; each raises the epoch, so a second is rare and a fifth a bug.
pub const TOO_LOW_MAX: usize = 5;
/// Directory entries of one owner; beyond it registrations leave their epoch only. 40 nodes of full tables.
pub const ENTRIES_MAX: usize = 400_000;
/// An entry that its host has not confirmed for this long is dropped: hosts confirm each second.
pub const ENTRY_STALE: Duration = Duration::from_secs(15);
/// A decision that the loser has not followed is told again under its epoch for this long, then decided afresh.
pub const DECISION_FRESH: Duration = Duration::from_secs(2);

/// A probed host that nobody heard for this long has failed (model: 500 ms).
pub const PROBE_TIMEOUT: Duration = Duration::from_millis(500);
/// Third nodes that probe too (model: 2).
pub const PROBE_VIA: usize = 2;
/// Hosts probed at once; beyond it a complaint is answered as if there were none.
pub const PROBES_MAX: usize = 64;
/// A failed host gets no rooms and its entries count for nothing for this long, or until it is heard
/// (model: 6 s, longer than foca takes to declare it Down).
pub const FAILED_HOST: Duration = Duration::from_secs(6);

/// A target that has no copy of a room after this is given up: a room document is a few hundred kilobytes, and what
/// takes longer than a second over a link of the cluster takes longer than the drain may.
pub const PREPARE_TIMEOUT: Duration = Duration::from_secs(2);
/// A frozen room's last delta is to be delivered within this (cluster.md §5.3): people notice more.
pub const FREEZE: Duration = Duration::from_millis(200);
/// From asking for the freeze, an owner commits up to this: [`FREEZE`] and the way there and back.
pub const HAND_TIMEOUT: Duration = Duration::from_millis(300);
/// A frozen room that hears nothing thaws after this: a commit of the last moment may still be on its way to it.
pub const FROZEN_MAX: Duration = Duration::from_millis(400);
/// Rooms of one node frozen at once, whoever asks; beyond it a freeze is refused and the move tried again later.
pub const FROZEN_ROOMS_MAX: usize = 5;
/// A copy that nobody committed is dropped after this: the owner has given up long before.
pub const PREPARED_MAX: Duration = Duration::from_secs(5);
/// A source that thawed remembers its offer for this long: as long as the target may keep its copy.
pub const OFFER_KEPT: Duration = PREPARED_MAX;
/// Rooms that one owner moves away from one draining node at a time (cluster.md §5.3).
pub const MOVES_PER_SOURCE: usize = 5;
/// Moves of one owner, and moves that one node's operators wait for; beyond it a move is refused.
pub const MOVES_MAX: usize = 1_024;
/// A room whose move failed is not drained again before this: what stood in the way takes seconds to go.
pub const MOVE_REST: Duration = Duration::from_secs(3);
/// An operator's move without an answer ends after this: longer than the owner takes to give up.
pub const MOVE_TIMEOUT: Duration = Duration::from_secs(4);

/// Hosts register all their rooms so often (model: 1 s; without it 278 of 300 partitions did not heal).
pub const REGISTER_INTERVAL: Duration = Duration::from_secs(1);
/// And so often for [`REGISTER_HURRY`] after a change: owners refuse the registrations of lives that they have not seen
/// yet, and see them up to 0.8 s later than the host saw the owner (found by the simulation, seed 1474).
pub const REGISTER_HURRIED_INTERVAL: Duration = Duration::from_millis(300);
/// How long hosts hurry.
pub const REGISTER_HURRY: Duration = Duration::from_secs(2);
/// Encoded size of one batch of registrations, bytes: below a link's part size, so that it does not block the line.
pub const REGISTER_BYTES_MAX: usize = 200 * 1_000;
/// Registrations in one message; the size ends a batch earlier. A message with more is refused.
pub const REGISTRATIONS_MAX: usize = 4_096;
/// Rooms of one node; beyond it assignments are refused and another node is tried.
pub const ROOMS_MAX: usize = 10_000;
/// A host says where a room went for this long (cluster.md §5.3).
pub const REDIRECT: Duration = Duration::from_secs(600);
/// Redirects kept; beyond it the oldest is forgotten and its people locate the room again.
pub const REDIRECTS_MAX: usize = 20_000;
/// Sessions that wait for one room to start; beyond it they are told to locate it again.
pub const ATTACHES_MAX: usize = 1_024;

/// Rooms whose greatest epoch is remembered; beyond it the one not heard of for longest is forgotten.
pub const FLOORS_MAX: usize = 100_000;
/// Rooms whose peak of participants is remembered; beyond it the one not heard of for longest is forgotten.
pub const PEAKS_MAX: usize = 20_000;

/// Deadlines are looked at so often while any is pending.
pub const TICK: Duration = Duration::from_millis(50);
/// Longest room name, bytes; a message with a longer one is refused. LiveKit's default limit is 256 characters.
pub const ROOM_NAME_BYTES_MAX: usize = 4 * 1_024;
/// Largest body of a placement message, bytes; a larger one is refused.
pub const MESSAGE_BYTES_MAX: usize = 256 * 1_024;

const _: () = assert!(REGISTER_BYTES_MAX + ROOM_NAME_BYTES_MAX < MESSAGE_BYTES_MAX);
const _: () = assert!(REGISTER_HURRIED_INTERVAL.as_millis() < SETTLE.as_millis());
const _: () = assert!(ENTRY_STALE.as_millis() > 5 * REGISTER_INTERVAL.as_millis());
const _: () = assert!(DECISION_FRESH.as_millis() > REGISTER_INTERVAL.as_millis());
const _: () = assert!(FREEZE.as_millis() < HAND_TIMEOUT.as_millis());
const _: () = assert!(HAND_TIMEOUT.as_millis() < FROZEN_MAX.as_millis());
const _: () = assert!(PREPARE_TIMEOUT.as_millis() + HAND_TIMEOUT.as_millis() < MOVE_TIMEOUT.as_millis());
const _: () = assert!(MOVE_TIMEOUT.as_millis() < PREPARED_MAX.as_millis());
const _: () = assert!(TICK.as_millis() < LOCATE_ASK_AGAIN.as_millis());
