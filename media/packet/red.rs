//! Redundant audio (RFC 2198): splits a payload into its blocks; never re-codes them.

use super::PayloadInfo;
use super::opus::AUDIO;
use super::payload::{Cursor, PayloadError};

/// Blocks of one payload; libwebrtc writes at most 10, LiveKit's clients 2 or 3.
pub const BLOCKS_MAX: usize = 32;

/// One block of a redundant payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    /// Payload type of the block's own format.
    pub payload_type: u8,
    /// How much older than the packet's timestamp the block is, in clock units; 0 for the primary.
    pub timestamp_offset: u16,
    /// The block.
    pub payload: &'a [u8],
}

/// Iterates over the blocks, oldest first, the primary last.
#[derive(Clone, Debug)]
pub struct Blocks<'a> {
    headers: &'a [u8],
    data: &'a [u8],
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Block<'a>;

    fn next(&mut self) -> Option<Block<'a>> {
        let first = *self.headers.first()?;
        let payload_type = first & 0x7f;
        if first & 0x80 == 0 {
            self.headers = &[];
            return Some(Block { payload_type, timestamp_offset: 0, payload: self.data });
        }
        let (&[_, a, b, c], headers) = self.headers.split_first_chunk::<4>()?;
        let (payload, data) = self.data.split_at_checked(block_length(b, c))?;
        self.headers = headers;
        self.data = data;
        Some(Block { payload_type, timestamp_offset: u16::from_be_bytes([a, b]) >> 2, payload })
    }
}

const fn block_length(b: u8, c: u8) -> usize {
    ((b as usize & 3) << 8) | c as usize
}

/// Checks the block headers and returns the blocks.
pub fn blocks(payload: &[u8]) -> Result<Blocks<'_>, PayloadError> {
    let mut cursor = Cursor::new(payload);
    let mut redundant = 0;
    for _ in 0..BLOCKS_MAX {
        if cursor.byte()? & 0x80 == 0 {
            let (headers, data) = payload.split_at(cursor.position());
            if redundant > data.len() {
                return Err(PayloadError::Truncated { length: payload.len(), needed: cursor.position() + redundant });
            }
            return Ok(Blocks { headers, data });
        }
        let &[_, b, c] = cursor.take(3)? else { return Err(PayloadError::Malformed("a short red block header")) };
        redundant += block_length(b, c);
    }
    Err(PayloadError::Malformed("more than 32 red blocks"))
}

/// Returns the primary block: what a receiver without RED is sent.
pub fn primary(payload: &[u8]) -> Result<&[u8], PayloadError> {
    blocks(payload)?.last().map(|block| block.payload).ok_or(PayloadError::Malformed("no primary red block"))
}

/// Reads a redundant payload.
pub fn info(payload: &[u8]) -> Result<PayloadInfo, PayloadError> {
    blocks(payload).map(|_| AUDIO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_splits_into_its_blocks_and_the_primary_is_last() {
        let payload = [0x80 | 111, 0x0f, 0x00, 2, 111, 1, 2, 3, 4, 5];
        let all: Vec<_> = blocks(&payload).unwrap().collect();
        assert_eq!(all[0], Block { payload_type: 111, timestamp_offset: 960, payload: &[1, 2] });
        assert_eq!(all[1], Block { payload_type: 111, timestamp_offset: 0, payload: &[3, 4, 5] });
        assert_eq!(primary(&payload), Ok(&[3, 4, 5][..]));
    }

    #[test]
    fn a_lone_primary_needs_one_header_byte() {
        assert_eq!(primary(&[111, 9, 9]), Ok(&[9, 9][..]));
    }

    #[test]
    fn blocks_beyond_the_payload_or_the_limit_are_refused() {
        assert!(blocks(&[0x80 | 111, 0, 0, 9, 111, 1]).is_err());
        assert!(blocks(&[0x80 | 111, 0]).is_err());
        assert!(blocks(&[]).is_err());
        assert_eq!(blocks(&[0x80; 400]).err(), Some(PayloadError::Malformed("more than 32 red blocks")));
    }
}
