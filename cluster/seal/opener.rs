//! Opens datagrams of others, each once.

use super::GossipKey;
use super::header::{HEADER_BYTES, Header, Kind, NoHeader, OVERHEAD_BYTES, SenderId, TAG_BYTES};
use super::replay::{ReplayWindow, Seen};
use crate::key::ClusterKeys;
use crate::limits::{DATAGRAM_BYTES_MAX, SENDER_FORGOTTEN_AFTER, SENDERS_MAX, STRANGERS_PER_SECOND_MAX};
use crate::member::MemberId;
use aws_lc_rs::aead::{Aad, LessSafeKey};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A datagram was refused. Nothing is answered to any of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum OpenError {
    /// Shorter than an empty sealed datagram.
    #[error("datagram of {0} bytes is too short")]
    TooShort(usize),
    /// Longer than any sealed datagram.
    #[error("datagram of {0} bytes is too long")]
    TooLong(usize),
    /// Another format.
    #[error("datagram of version {0}")]
    Version(u8),
    /// Nobody reads it.
    #[error("datagram of unknown kind {0}")]
    Kind(u8),
    /// Sealed under a key that this node does not have.
    #[error("datagram under unknown key {0}")]
    Key(u8),
    /// Our own datagram came back.
    #[error("datagram of this very life of this node")]
    Own,
    /// A later life of the node was heard.
    #[error("datagram of {sender} after life {newest} of that node")]
    OldLife {
        /// Who claims to have sent it.
        sender: SenderId,
        /// The latest boot id of that node.
        newest: u64,
    },
    /// It came before.
    #[error("datagram of {0} came before")]
    Replayed(SenderId),
    /// Too far behind the newest to know whether it came before.
    #[error("datagram of {0} is too old")]
    TooOld(SenderId),
    /// Too many unknown senders in this second.
    #[error("too many unknown senders")]
    Busy,
    /// Not sealed by a holder of the key in a cluster of this name, or damaged.
    #[error("datagram does not open")]
    Forged,
}

impl OpenError {
    /// The error's kind, for metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::TooShort(_) => "too_short",
            Self::TooLong(_) => "too_long",
            Self::Version(_) => "version",
            Self::Kind(_) => "kind",
            Self::Key(_) => "key",
            Self::Own => "own",
            Self::OldLife { .. } => "old_life",
            Self::Replayed(_) => "replayed",
            Self::TooOld(_) => "too_old",
            Self::Busy => "busy",
            Self::Forged => "forged",
        }
    }
}

/// An opened datagram.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened<'a> {
    /// Who reads it.
    pub kind: Kind,
    /// Who sealed it.
    pub sender: SenderId,
    /// What was sealed.
    pub payload: &'a [u8],
}

/// What was opened and refused since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenerCounts {
    /// Datagrams that opened.
    pub opened: u64,
    /// Datagrams that were refused, by [`OpenError::label`].
    pub refused: BTreeMap<&'static str, u64>,
}

/// Opens datagrams and remembers what came.
pub struct Opener {
    keys: Vec<GossipKey>,
    own: Option<SenderId>,
    /// By node: its latest life that was heard. Entries are made by datagrams that opened, only.
    senders: BTreeMap<u64, Sender>,
    strangers: Strangers,
    plain: Vec<u8>,
    counts: OpenerCounts,
}

/// The latest life of a node.
struct Sender {
    boot: u64,
    key: LessSafeKey,
    key_id: u8,
    window: ReplayWindow,
    heard: Instant,
}

/// How many unknown senders were tried in the second that began then.
#[derive(Default)]
struct Strangers {
    since: Option<Instant>,
    tried: u32,
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Opener").field("senders", &self.senders.len()).field("counts", &self.counts).finish()
    }
}

impl Opener {
    /// Opens what either key sealed for the cluster of that name.
    #[must_use]
    pub fn new(keys: &ClusterKeys, cluster_name: &str) -> Self {
        Self {
            keys: keys.iter().map(|key| GossipKey::new(key, cluster_name)).collect(),
            own: None,
            senders: BTreeMap::new(),
            strangers: Strangers::default(),
            plain: Vec::new(),
            counts: OpenerCounts::default(),
        }
    }

    /// Refuses datagrams of this life of a node: ours, sent back to us.
    #[must_use]
    pub fn refusing(mut self, me: &MemberId) -> Self {
        self.own = Some(SenderId::of(me));
        self
    }

    /// Opens a datagram and remembers it, so that it opens once.
    ///
    /// # Errors
    /// What was wrong with it; counted. Nothing may be answered.
    pub fn open(&mut self, datagram: &[u8], now: Instant) -> Result<Opened<'_>, OpenError> {
        match self.unseal(datagram, now) {
            Ok(header) => {
                self.counts.opened += 1;
                Ok(Opened { kind: header.kind, sender: header.sender, payload: &self.plain })
            }
            Err(error) => {
                *self.counts.refused.entry(error.label()).or_default() += 1;
                Err(error)
            }
        }
    }

    /// What was opened and refused since the start.
    #[must_use]
    pub fn counts(&self) -> &OpenerCounts {
        &self.counts
    }

    /// Nodes that are remembered.
    #[must_use]
    pub fn senders(&self) -> usize {
        self.senders.len()
    }

    fn unseal(&mut self, datagram: &[u8], now: Instant) -> Result<Header, OpenError> {
        if datagram.len() > DATAGRAM_BYTES_MAX {
            return Err(OpenError::TooLong(datagram.len()));
        }
        let too_short = || OpenError::TooShort(datagram.len());
        let (plain, sealed) = datagram.split_first_chunk::<HEADER_BYTES>().ok_or_else(too_short)?;
        let length = sealed.len().checked_sub(TAG_BYTES).ok_or_else(too_short)?;
        debug_assert_eq!(length + OVERHEAD_BYTES, datagram.len());
        let header = Header::read(plain).map_err(|error| match error {
            NoHeader::Version(version) => OpenError::Version(version),
            NoHeader::Kind(kind) => OpenError::Kind(kind),
        })?;
        if self.own == Some(header.sender) {
            return Err(OpenError::Own);
        }
        self.forget_if_silent(header.sender.node, now);
        self.check_before(&header)?;
        self.plain.resize(length, 0);
        let sealed = Sealed { header: &header, plain, bytes: sealed };
        match self.senders.get(&header.sender.node) {
            Some(known) if known.boot == header.sender.boot && known.key_id == header.key_id => {
                if !sealed.open(&known.key, &mut self.plain) {
                    return self.try_stranger(&sealed, now).map(|()| header);
                }
                if let Some(known) = self.senders.get_mut(&header.sender.node) {
                    known.window.take(header.counter);
                    known.heard = now;
                }
            }
            _ => self.try_stranger(&sealed, now)?,
        }
        Ok(header)
    }

    fn forget_if_silent(&mut self, node: u64, now: Instant) {
        let silent = |sender: &Sender| now.saturating_duration_since(sender.heard) >= SENDER_FORGOTTEN_AFTER;
        if self.senders.get(&node).is_some_and(silent) {
            self.senders.remove(&node);
        }
    }

    /// What can be refused before any cryptography, from what is remembered.
    fn check_before(&self, header: &Header) -> Result<(), OpenError> {
        let sender = header.sender;
        if !self.keys.iter().any(|key| key.id == header.key_id) {
            return Err(OpenError::Key(header.key_id));
        }
        let Some(known) = self.senders.get(&sender.node) else { return Ok(()) };
        if sender.boot < known.boot {
            return Err(OpenError::OldLife { sender, newest: known.boot });
        }
        if sender.boot > known.boot {
            return Ok(());
        }
        known.window.check(header.counter).map_err(|seen| match seen {
            Seen::Replayed => OpenError::Replayed(sender),
            Seen::TooOld => OpenError::TooOld(sender),
        })
    }

    /// Derives the sender's key from every cluster key with that id and remembers the sender if one opens.
    fn try_stranger(&mut self, sealed: &Sealed<'_>, now: Instant) -> Result<(), OpenError> {
        let header = sealed.header;
        let known = self.senders.get(&header.sender.node).filter(|known| known.boot == header.sender.boot);
        let only_one_key = self.keys.iter().filter(|key| key.id == header.key_id).count() == 1;
        if only_one_key && known.is_some_and(|known| known.key_id == header.key_id) {
            return Err(OpenError::Forged);
        }
        for key in self.keys.iter().filter(|key| key.id == header.key_id) {
            if !self.strangers.may_try(now) {
                return Err(OpenError::Busy);
            }
            let derived = key.for_sender(header.sender);
            if !sealed.open(&derived, &mut self.plain) {
                continue;
            }
            let window = match known {
                Some(known) => {
                    let mut window = known.window.clone();
                    window.take(header.counter);
                    window
                }
                None => ReplayWindow::starting_with(header.counter),
            };
            let sender = Sender { boot: header.sender.boot, key: derived, key_id: header.key_id, window, heard: now };
            self.remember(header.sender.node, sender);
            return Ok(());
        }
        Err(OpenError::Forged)
    }

    fn remember(&mut self, node: u64, sender: Sender) {
        self.senders.insert(node, sender);
        if self.senders.len() <= SENDERS_MAX {
            return;
        }
        let longest_silent = self
            .senders
            .iter()
            .filter(|(other, _)| **other != node)
            .min_by_key(|(_, sender)| sender.heard)
            .map(|(node, _)| *node);
        longest_silent.and_then(|node| self.senders.remove(&node));
    }
}

/// A datagram taken apart.
struct Sealed<'a> {
    header: &'a Header,
    plain: &'a [u8; HEADER_BYTES],
    bytes: &'a [u8],
}

impl Sealed<'_> {
    fn open(&self, key: &LessSafeKey, out: &mut [u8]) -> bool {
        let (cipher, tag) = self.bytes.split_at(out.len());
        key.open_separate_gather(self.header.nonce(), Aad::from(*self.plain), cipher, tag, out).is_ok()
    }
}

impl Strangers {
    fn may_try(&mut self, now: Instant) -> bool {
        let second_over = |since| now.saturating_duration_since(since) >= Duration::from_secs(1);
        if self.since.is_none_or(second_over) {
            *self = Self { since: Some(now), tried: 0 };
        }
        self.tried = self.tried.saturating_add(1);
        self.tried <= STRANGERS_PER_SECOND_MAX
    }
}
