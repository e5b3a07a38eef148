//! Puts a large message together from its parts. One at a time: a sender finishes one before it begins the next.

use crate::limits;
use bytes::{Bytes, BytesMut};

/// Bytes that the wire form of a largest body may have beyond the body.
pub(crate) const FRAMING_BYTES: usize = 64;

/// A message on its way in. Grows with what has come, not with what was announced.
#[derive(Debug, Default)]
pub(crate) struct Assembly {
    bytes: BytesMut,
    total: usize,
}

/// A part does not fit what came before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PartError {
    /// It announces too much.
    #[error("message of {total} bytes exceeds the limit of {limit}")]
    TooLarge { total: usize, limit: usize },
    /// It is not the next one.
    #[error("part at {offset} of {total} bytes where {expected} of {announced} have come")]
    Misplaced { offset: usize, total: usize, expected: usize, announced: usize },
}

impl Assembly {
    /// Takes the next part; gives the whole when it is the last.
    pub(crate) fn push(&mut self, offset: usize, total: usize, part: &[u8]) -> Result<Option<Bytes>, PartError> {
        let limit = limits::BODY_BYTES_MAX + FRAMING_BYTES;
        if total > limit {
            self.clear();
            return Err(PartError::TooLarge { total, limit });
        }
        if offset == 0 {
            self.clear();
            self.total = total;
        }
        let (expected, announced) = (self.bytes.len(), self.total);
        if offset != expected || total != announced || part.is_empty() || offset + part.len() > total {
            self.clear();
            return Err(PartError::Misplaced { offset, total, expected, announced });
        }
        self.bytes.extend_from_slice(part);
        Ok((self.bytes.len() == total).then(|| std::mem::take(self).bytes.freeze()))
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_in_order_make_the_whole() {
        let mut assembly = Assembly::default();
        assert_eq!(assembly.push(0, 5, b"ab"), Ok(None));
        assert_eq!(assembly.push(2, 5, b"cde"), Ok(Some(Bytes::from_static(b"abcde"))));
        assert_eq!(assembly.push(0, 1, b"x"), Ok(Some(Bytes::from_static(b"x"))));
    }

    #[test]
    fn a_part_that_is_not_the_next_one_is_refused_and_forgets_the_message() {
        let misplaced =
            |offset, total, expected, announced| Err(PartError::Misplaced { offset, total, expected, announced });
        let mut assembly = Assembly::default();
        assert_eq!(assembly.push(2, 5, b"c"), misplaced(2, 5, 0, 0));
        assert_eq!(assembly.push(0, 5, b"ab"), Ok(None));
        assert_eq!(assembly.push(3, 5, b"d"), misplaced(3, 5, 2, 5));
        assert_eq!(assembly.push(2, 5, b"cde"), misplaced(2, 5, 0, 0));
        assert_eq!(assembly.push(0, 2, b"abc"), misplaced(0, 2, 0, 2));
    }

    #[test]
    fn an_announced_size_costs_no_memory_and_beyond_the_limit_is_refused() {
        let mut assembly = Assembly::default();
        let limit = limits::BODY_BYTES_MAX + FRAMING_BYTES;
        assert_eq!(assembly.push(0, limit + 1, b"a"), Err(PartError::TooLarge { total: limit + 1, limit }));
        assert_eq!(assembly.push(0, limit, b"a"), Ok(None));
        assert!(assembly.bytes.capacity() < 1_024);
    }
}
