//! Every bound of a transport, with its unit and its reason. What happens beyond each is said where it is used.

use std::time::Duration;

/// Authenticated paths that one peer may hold; the one unused for longest gives way. A browser tries a handful of pairs.
pub const MAX_PATHS: usize = 16;
/// A path without an authenticated check for this long is forgotten; RFC 7675 §5.1 ends consent after the same time.
pub const PATH_LIFETIME: Duration = Duration::from_secs(30);
/// Consent ends after this long without an authenticated check on any path (RFC 7675 §5.1).
pub const CONSENT_LIFETIME: Duration = Duration::from_secs(30);
/// A transport that is not connected after this long is given up; browsers give up after 30 s or less.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest STUN message that is read, in bytes: a check carries a few hundred.
pub const MAX_STUN_BYTES: usize = 1500;
/// Longest ICE user name fragment or password that is used, in characters (RFC 8839 §5.4).
pub const MAX_ICE_CREDENTIAL: usize = 256;
/// Own binding requests that may await an answer; the oldest is forgotten beyond.
pub const MAX_PENDING_REQUESTS: usize = 64;
/// Own binding requests repeat at this interval until one is answered (RFC 8445 §14 allows 50 ms and more).
pub const REQUEST_INTERVAL: Duration = Duration::from_millis(50);
/// Rounds of own binding requests before a take-over rests: 2 s.
pub const REQUEST_ROUNDS: u32 = 40;
/// Rounds that ask only at the address that was selected before: 300 ms, more than most round trips.
pub const FIRST_TARGET_ROUNDS: u32 = 6;
/// Own keep-alive checks of the controlling role (libwebrtc's interval for a stable pair is 2.5 s).
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_millis(2_500);
/// A controlling side moves to another authenticated path when the selected one has been silent for this long.
pub const SILENT_PATH: Duration = Duration::from_secs(3);

/// Bytes of handshake input after which a handshake is given up; a real one brings 3.5 to 5 kB.
pub const HANDSHAKE_BYTES: usize = 64 << 10;
/// Records of handshake input after which a handshake is given up; a real one brings 9 to 11.
pub const HANDSHAKE_RECORDS: usize = 200;
/// Malformed handshake datagrams that are ignored before the handshake is given up.
pub const HANDSHAKE_ERRORS: u32 = 8;
/// Handshake datagrams that are looked at after completion: they only ask for our last flight again.
pub const LATE_HANDSHAKE_DATAGRAMS: u32 = 32;
/// Datagrams held until the peer's fingerprint is known: a hello in two fragments, and its repeat.
pub const EARLY_DATAGRAMS: usize = 4;
/// First repeat of an unanswered flight; doubles up to [`FLIGHT_REPEAT_MAX`].
pub const FLIGHT_REPEAT: Duration = Duration::from_millis(100);
/// Longest interval between repeats of a flight.
pub const FLIGHT_REPEAT_MAX: Duration = Duration::from_millis(1_600);
/// Repeats of one flight, about 17 s in all.
pub const FLIGHT_REPEATS: u32 = 14;
/// The handshake library's own interval: 7 of them outlast a browser's patience, so that our repeats decide.
pub const LIBRARY_FLIGHT_INTERVAL: Duration = Duration::from_secs(5);
/// How long the last flight is kept for a client that did not get it.
pub const LAST_FLIGHT_LIFETIME: Duration = Duration::from_secs(30);
/// Repeats of our last flight that nobody asked for, in 4.7 s. A client that lost it repeats its own at intervals that
/// double (BoringSSL: 50 ms to 12 s), so that waiting to be asked costs seconds on a lossy path.
pub const LAST_FLIGHT_REPEATS: u32 = 6;
/// DTLS handshake datagram size in bytes; the fragment size of rtc-dtls leaves out its headers.
pub const HANDSHAKE_MTU: usize = 1_100;
/// Longest ClientHello that is put together, in bytes; post-quantum key shares bring it near 2 kB.
pub const MAX_CLIENT_HELLO: usize = 8_192;
/// Fragments of a ClientHello, and datagrams held back while it is incomplete; starts over beyond.
pub const MAX_HELLO_FRAGMENTS: usize = 16;

/// SSRCs with receive state per direction and kind (RTP, RTCP); one that has rested for [`SOURCE_REST`] gives way.
pub const MAX_SOURCES: usize = 128;
/// Packets opened since a source was last heard before its place may be given to another.
pub const SOURCE_REST: u64 = 65_536;

/// Data channels per peer; LiveKit clients open two or three.
pub const MAX_CHANNELS: usize = 16;
/// SCTP streams that a peer may touch; packets for others are dropped.
pub const MAX_STREAMS: usize = 64;
/// Chunks in one SCTP packet.
pub const MAX_CHUNKS: usize = 64;
/// How far a DATA chunk may run ahead of the highest TSN: 1 MB of receive window in chunks of 52 bytes.
pub const MAX_TSN_AHEAD: u32 = 20_000;
/// How far a FORWARD-TSN may jump; rtc-sctp loops once per skipped TSN.
pub const MAX_FORWARD_TSN: u32 = 4_096;
/// Largest message in bytes, both ways, as `a=max-message-size` says; larger ones are refused or dropped.
pub const MAX_MESSAGE: usize = 256 << 10;
/// Bytes that may wait on the reliable channel before [`super::SendDataError::Full`].
pub const RELIABLE_BUFFER: usize = 4 << 20;
/// Bytes that may wait on an unreliable channel; later messages are dropped instead: they would only be late.
pub const LOSSY_BUFFER: usize = 256 << 10;
/// Datagrams that may wait for [`super::Transport::poll_transmit`]; later ones are dropped as a network would.
pub const MAX_QUEUED_DATAGRAMS: usize = 4_096;
/// Messages read from SCTP per datagram; the rest follow with the next datagram or timer.
pub const MAX_MESSAGES_PER_TURN: usize = 1_024;
