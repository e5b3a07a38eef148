//! DTLS 1.2 records of epoch 1 under TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 (RFC 6347 §4.1, RFC 5288), made from the
//! session's secrets alone, so that a session can go on in another process. Does no handshake.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{hmac, rand};

use super::replay::ReplayWindow;

/// Record header: type, version, epoch, sequence number, length.
pub(super) const HEADER: usize = 13;
/// The part of the nonce that a record carries.
const EXPLICIT_NONCE: usize = 8;
const TAG: usize = 16;
const VERSION: [u8; 2] = [254, 253];
/// Record numbers are 48 bits wide.
pub(super) const SEQUENCE_LIMIT: u64 = 1 << 48;
/// Content types (RFC 5246 §6.2.1).
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const APPLICATION_DATA: u8 = 23;
/// `close_notify` at level warning.
pub(super) const CLOSE_NOTIFY: [u8; 2] = [1, 0];

/// All that the keys of a session are made from.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Secrets {
    pub(super) master: Vec<u8>,
    pub(super) client_random: [u8; 32],
    pub(super) server_random: [u8; 32],
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(..)")
    }
}

impl Secrets {
    /// Keying material for a label of RFC 5705, without context.
    pub(super) fn export_keying_material(&self, label: &str, length: usize) -> Vec<u8> {
        self.pseudo_random(label, &self.client_random, &self.server_random, length)
    }

    /// P_SHA256 of RFC 5246 §5.
    fn pseudo_random(&self, label: &str, first: &[u8], second: &[u8], length: usize) -> Vec<u8> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.master);
        let seed = [label.as_bytes(), first, second].concat();
        let mut step = hmac::sign(&key, &seed);
        let mut out = Vec::with_capacity(length + 32);
        while out.len() < length {
            let block = [step.as_ref(), &seed].concat();
            out.extend_from_slice(hmac::sign(&key, &block).as_ref());
            step = hmac::sign(&key, step.as_ref());
        }
        out.truncate(length);
        out
    }
}

/// One record taken apart, without its contents decrypted.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawRecord<'a> {
    pub(super) content_type: u8,
    pub(super) epoch: u16,
    sequence: u64,
    header: &'a [u8],
    pub(super) fragment: &'a [u8],
}

/// Iterates over the records of a datagram; ends at the first that is cut off.
pub(super) fn records(mut datagram: &[u8]) -> impl Iterator<Item = RawRecord<'_>> {
    std::iter::from_fn(move || {
        let (header, rest) = datagram.split_at_checked(HEADER)?;
        let length = usize::from(u16::from_be_bytes([header[11], header[12]]));
        let (fragment, rest) = rest.split_at_checked(length)?;
        datagram = rest;
        let number = u64::from_be_bytes(*header[3..11].first_chunk()?);
        Some(RawRecord {
            content_type: header[0],
            epoch: (number >> 48) as u16,
            sequence: number & (SEQUENCE_LIMIT - 1),
            header,
            fragment,
        })
    })
}

struct Direction {
    key: LessSafeKey,
    implicit: [u8; 4],
}

impl Direction {
    fn new(key: &[u8], implicit: &[u8]) -> Self {
        let key = UnboundKey::new(&AES_128_GCM, key).expect("the key block gives 16 bytes");
        Self { key: LessSafeKey::new(key), implicit: *implicit.first_chunk().expect("the key block gives 4 bytes") }
    }

    fn nonce(&self, explicit: [u8; EXPLICIT_NONCE]) -> Nonce {
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&self.implicit);
        nonce[4..].copy_from_slice(&explicit);
        Nonce::assume_unique_for_key(nonce)
    }
}

/// Additional data of RFC 5246 §6.2.3.3: epoch and sequence, type, version, plain length.
fn additional_data(header: &[u8], length: usize) -> [u8; HEADER] {
    let mut data = [0; HEADER];
    data[..8].copy_from_slice(&header[3..11]);
    data[8..11].copy_from_slice(&header[..3]);
    data[11..].copy_from_slice(&(length as u16).to_be_bytes());
    data
}

/// The record layer of the server after the handshake.
pub(super) struct Record {
    inbound: Direction,
    outbound: Direction,
    /// Number of the next record that we send.
    pub(super) next_sequence: u64,
    /// Records that were received.
    pub(super) window: ReplayWindow,
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record").field("next_sequence", &self.next_sequence).finish_non_exhaustive()
    }
}

impl Record {
    /// Makes the server's keys (RFC 5246 §6.3).
    pub(super) fn new(secrets: &Secrets, next_sequence: u64, window: ReplayWindow) -> Self {
        let block = secrets.pseudo_random("key expansion", &secrets.server_random, &secrets.client_random, 40);
        Self {
            inbound: Direction::new(&block[..16], &block[32..36]),
            outbound: Direction::new(&block[16..32], &block[36..]),
            next_sequence,
            window,
        }
    }

    /// Seals one record; `None` when the record numbers are used up or the payload does not fit a record.
    pub(super) fn seal(&mut self, content_type: u8, payload: &[u8]) -> Option<Vec<u8>> {
        if self.next_sequence >= SEQUENCE_LIMIT || payload.len() > 1 << 14 {
            return None;
        }
        // A random explicit nonce: even a repeated record number is then no repeated nonce.
        let mut explicit = [0; EXPLICIT_NONCE];
        rand::fill(&mut explicit).ok()?;
        let mut record = Vec::with_capacity(HEADER + EXPLICIT_NONCE + payload.len() + TAG);
        record.push(content_type);
        record.extend_from_slice(&VERSION);
        record.extend_from_slice(&(1 << 48 | self.next_sequence).to_be_bytes());
        self.next_sequence += 1;
        let data = additional_data(&[&record[..], &[0, 0]].concat(), payload.len());
        record.extend_from_slice(&((EXPLICIT_NONCE + payload.len() + TAG) as u16).to_be_bytes());
        record.extend_from_slice(&explicit);
        record.extend_from_slice(payload);
        let sealed = &mut record[HEADER + EXPLICIT_NONCE..];
        let nonce = self.outbound.nonce(explicit);
        let tag = self.outbound.key.seal_in_place_separate_tag(nonce, Aad::from(data), sealed).ok()?;
        record.extend_from_slice(tag.as_ref());
        Some(record)
    }

    /// Opens one record of epoch 1; `None` if it is replayed or not authentic.
    pub(super) fn open(&mut self, record: &RawRecord<'_>) -> Option<Vec<u8>> {
        if record.epoch != 1 || !self.window.is_fresh(record.sequence) {
            return None;
        }
        let (explicit, sealed) = record.fragment.split_first_chunk::<EXPLICIT_NONCE>()?;
        let plain = sealed.len().checked_sub(TAG)?;
        let mut bytes = sealed.to_vec();
        let data = additional_data(record.header, plain);
        self.inbound.key.open_in_place(self.inbound.nonce(*explicit), Aad::from(data), &mut bytes).ok()?;
        self.window.accept(record.sequence);
        bytes.truncate(plain);
        Some(bytes)
    }
}
