//! Every bound that is not configurable: what it is, why it is so large, and what happens beyond it.

use std::time::Duration;

/// How long a subscription to a track that nobody knows waits for it; then SubscriptionResponse SE_TRACK_NOTFOUND.
pub(crate) const SUBSCRIPTION_WAIT: Duration = Duration::from_secs(10);
/// Track sids that a client may have chosen or set without their tracks existing; beyond it the request is ignored.
pub(crate) const TRACK_CHOICES_MAX: usize = 4_096;
/// AddTracks of one client that wait for their section; LiveKit's number, beyond it LIMIT_EXCEEDED.
pub(crate) const PENDING_TRACKS_MAX: usize = 20;
/// How long reliable data is kept for participants that join or resume (LiveKit's 2 s).
pub(crate) const RELIABLE_CACHE_AGE: Duration = Duration::from_secs(2);
/// Reliable messages kept at most; beyond it the oldest goes first.
pub(crate) const RELIABLE_CACHE_MESSAGES: usize = 2_048;
/// Bytes of reliable messages kept at most; beyond it the oldest goes first.
pub(crate) const RELIABLE_CACHE_BYTES: usize = 8 * 1024 * 1024;
/// Nonces of user packets remembered per participant for duplicates; beyond it the oldest is forgotten.
pub(crate) const NONCES_MAX: usize = 128;
/// Data messages of one room that may wait in its mailbox; beyond it they are dropped and counted.
pub(crate) const ROOM_DATA_WAITING_MAX: usize = 8_192;
/// Destinations that one data message may name; beyond it the message is dropped.
pub(crate) const DATA_DESTINATIONS_MAX: usize = 1_024;
/// In a room with more participants than this, changes of those who publish nothing are told in batches.
pub(crate) const LARGE_ROOM_PARTICIPANTS: usize = 50;
/// Interval of these batches (LiveKit's 3 s).
pub(crate) const UPDATE_BATCH_INTERVAL: Duration = Duration::from_secs(3);
/// Participants in a batch; a full one is told at once.
pub(crate) const UPDATE_BATCH_MAX: usize = 1_024;
/// Encoded participants in one update message (LiveKit's number); more go into a further one.
pub(crate) const UPDATE_BYTES_MAX: usize = 128 * 1024;
/// Connection quality is told this often, where it changed.
pub(crate) const QUALITY_INTERVAL: Duration = Duration::from_secs(5);
/// A changed number of participants is told this late.
pub(crate) const ROOM_UPDATE_THROTTLE: Duration = Duration::from_secs(5);
/// Interval of refresh tokens.
pub(crate) const TOKEN_REFRESH_INTERVAL: Duration = Duration::from_secs(300);
/// Least validity of a refresh token, in seconds.
pub(crate) const TOKEN_VALIDITY_MIN_S: i64 = 600;
/// A session whose primary peer never connected ends after this.
pub(crate) const JOIN_TIMEOUT: Duration = Duration::from_secs(60);
/// An unanswered offer means a broken session after this (the client's own limit is the same).
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// First negotiation after a quiet time waits this long for company.
pub(crate) const NEGOTIATION_DEBOUNCE_FIRST: Duration = Duration::from_millis(10);
/// Further negotiations keep this distance.
pub(crate) const NEGOTIATION_DEBOUNCE_NEXT: Duration = Duration::from_millis(150);
/// A client that closed its transport gets this long to close its WebSocket too.
pub(crate) const PEER_CLOSED_GRACE: Duration = Duration::from_secs(5);
/// Local preference of the first candidates, and its rise with each generation (livekit-compat §1.14).
pub(crate) const LOCAL_PREFERENCE_STEP: u16 = 1_000;
/// Largest ICE candidate text that is read; a longer one is counted and ignored.
pub(crate) const CANDIDATE_BYTES_MAX: usize = 4 * 1024;
/// Layers, codecs or features that one AddTrack may list; more are cut off.
pub(crate) const TRACK_LIST_MAX: usize = 8;
/// A client id or track name, in bytes; a longer one is refused.
pub(crate) const TRACK_NAME_BYTES_MAX: usize = 1_024;
/// How long an actor may take to answer the door.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Messages of other nodes that wait to be read; beyond it they are dropped and counted. Eight peers' full windows.
pub(crate) const INBOX_MESSAGES_MAX: usize = 8 * starling_cluster::limits::WINDOW_MESSAGES;
/// Bytes of them; beyond it they are dropped and counted. Holds some largest bodies at once.
pub(crate) const INBOX_BYTES_MAX: usize = 8 * starling_cluster::limits::BODY_BYTES_MAX;
/// Sessions that one node relays as entry, and as many as host; beyond it joins are refused as unavailable.
pub(crate) const RELAY_SESSIONS_MAX: usize = 20_000;
/// Frames of one session in one message between nodes; more go into the next.
pub(crate) const RELAY_BATCH_FRAMES_MAX: usize = 64;
/// Bytes after which such a message takes no further frame: the size of a part, so that it does not block the line.
pub(crate) const RELAY_BATCH_BYTES_MAX: usize = starling_cluster::limits::PART_BYTES;
/// A full window of a link is tried again after this.
pub(crate) const RELAY_RETRY_INTERVAL: Duration = Duration::from_millis(20);
/// A session whose frames find a full window for this long ends: its client resumes (the client's own silence is 5 s).
pub(crate) const RELAY_STUCK_MAX: Duration = Duration::from_secs(3);
/// Ends of sessions that wait for a full window; beyond it the oldest is forgotten.
pub(crate) const RELAY_GOODBYES_MAX: usize = 4_096;
/// Calls of other nodes that are served at a time; beyond it they are told that this node is busy.
pub(crate) const RELAY_CALLS_MAX: usize = 1_024;
/// How long a host may take to answer a join, more than its own actors may.
pub(crate) const RELAY_OPEN_TIMEOUT: Duration = Duration::from_secs(6);
/// How long a member may take to tell its rooms, one page of them.
pub(crate) const OVERVIEW_TIMEOUT: Duration = Duration::from_secs(1);
/// Rooms in one page of a member's rooms.
pub(crate) const OVERVIEW_PAGE_ROOMS_MAX: usize = 200;
/// Participants after which such a page takes no further room (about 1 MiB).
pub(crate) const OVERVIEW_PAGE_PARTICIPANTS: usize = 2_000;
/// Pages read of one member; beyond it the member counts as missing.
pub(crate) const OVERVIEW_PAGES_MAX: usize = 256;
/// Nodes that one join tries: the host, and those that the room moved to meanwhile.
pub(crate) const JOIN_ATTEMPTS: u32 = 6;
/// Pause before a join asks the directory again, times the attempts.
pub(crate) const JOIN_PAUSE: Duration = Duration::from_millis(20);
/// A join that takes longer is refused as unavailable: more than the placement of a room may take.
pub(crate) const JOIN_DEADLINE: Duration = Duration::from_secs(20);
/// How long the placement actor may take; its core ends every question itself before.
pub(crate) const PLACEMENT_TIMEOUT: Duration = Duration::from_secs(16);
/// Messages of other nodes' placements that wait in its mailbox; beyond it they are dropped and counted.
pub(crate) const PLACEMENT_WAITING_MAX: usize = 8_192;
/// Callers that wait for placement; beyond it a further one hears that placement is busy.
pub(crate) const PLACEMENT_CALLERS_MAX: usize = 16_384;
