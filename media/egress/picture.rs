//! VP8 picture ids of the outgoing stream: continuous over layer switches and over frames that were filtered out.
//!
//! Chromium holds back a frame of a higher temporal layer while an earlier picture id is missing, so a filtered frame
//! must not leave a hole (rtp_vp8_ref_finder.cc, `not_yet_received_frames_`).

/// Pictures remembered: 4 s at 30 frames per second.
pub(super) const PICTURE_WINDOW: u64 = 128;
const WORDS: usize = 2;
/// Picture ids count modulo 2¹⁵ (RFC 7741 §4.2).
const ID_MASK: u64 = 0x7fff;

/// Where a picture stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Picture {
    /// First packet of it.
    New,
    /// Packets of it were forwarded, or it still may be.
    Kept,
    /// It was filtered out and has no id.
    Dropped,
    /// Too old to tell.
    Unknown,
}

/// The newest picture of one segment: the source's id and the position it has here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct PictureAnchor {
    position: u64,
    id: u16,
}

impl PictureAnchor {
    /// Whether the segment has picture ids.
    pub(super) fn is_set(self) -> bool {
        self.position != 0
    }
}

/// Output ids of the newest pictures.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct PictureWindow {
    dropped: [u64; WORDS],
    newest: u64,
    /// Output id of the next picture, not yet reduced to 15 bits; `None` before the first.
    next: Option<u64>,
}

impl PictureWindow {
    pub(super) const fn new() -> Self {
        Self { dropped: [0; WORDS], newest: PICTURE_WINDOW, next: None }
    }

    pub(super) fn is_sound(&self, anchors: impl IntoIterator<Item = PictureAnchor>) -> bool {
        (PICTURE_WINDOW..1 << 60).contains(&self.newest)
            && self.next.is_none_or(|next| (PICTURE_WINDOW..1 << 60).contains(&next))
            && anchors.into_iter().all(|anchor| anchor.position <= self.newest)
    }

    /// Starts a segment at its first picture, which follows the newest one.
    pub(super) fn start(&mut self, id: u16) -> PictureAnchor {
        // The first id of all passes as it is. 2¹⁵ is added so that counting back cannot go below zero.
        let next = self.next.unwrap_or(u64::from(id) + ID_MASK + 1);
        self.next = Some(next);
        self.advance(1);
        PictureAnchor { position: self.newest, id }
    }

    /// Where the picture with this source id stands, without changing anything.
    pub(super) fn find(&self, anchor: PictureAnchor, id: u16, width: u8) -> (Picture, u64) {
        let shift = 16 - u32::from(width.clamp(1, 15));
        let delta = i64::from((id.wrapping_sub(anchor.id) << shift).cast_signed() >> shift);
        let position = anchor.position.saturating_add_signed(delta);
        let picture = if anchor.position == 0 || position + PICTURE_WINDOW <= self.newest {
            Picture::Unknown
        } else if position > self.newest {
            Picture::New
        } else if self.dropped[word(position)] & bit(position) != 0 {
            Picture::Dropped
        } else {
            Picture::Kept
        };
        (picture, position)
    }

    /// Appends a [`Picture::New`] picture that [`PictureWindow::find`] placed at `position`.
    pub(super) fn append(&mut self, anchor: &mut PictureAnchor, id: u16, position: u64, dropped: bool) {
        self.advance(position - self.newest);
        *anchor = PictureAnchor { position, id };
        if dropped {
            self.dropped[word(position)] |= bit(position);
            self.next = self.next.map(|next| next - 1);
        }
    }

    /// Output id of a picture that is neither dropped nor unknown.
    pub(super) fn output_id(&self, position: u64) -> Option<u16> {
        let kept = (position..=self.newest).filter(|at| self.dropped[word(*at)] & bit(*at) == 0).count() as u64;
        // Masked to 15 bits.
        self.next.map(|next| (next.saturating_sub(kept) & ID_MASK) as u16)
    }

    fn advance(&mut self, count: u64) {
        if count >= PICTURE_WINDOW {
            self.dropped = [0; WORDS];
        } else {
            for fresh in self.newest + 1..=self.newest + count {
                self.dropped[word(fresh)] &= !bit(fresh);
            }
        }
        self.newest += count;
        self.next = self.next.map(|next| next + count);
    }
}

fn word(position: u64) -> usize {
    (position >> 6) as usize % WORDS
}

fn bit(position: u64) -> u64 {
    1 << (position & 63)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_picture_leaves_no_hole_and_a_missing_one_does() {
        let mut window = PictureWindow::new();
        let mut anchor = window.start(32_766);
        assert_eq!(window.output_id(anchor.position), Some(32_766));
        let (picture, position) = window.find(anchor, 32_767, 15);
        assert_eq!(picture, Picture::New);
        window.append(&mut anchor, 32_767, position, true);
        let (_, next) = window.find(anchor, 1, 15);
        window.append(&mut anchor, 1, next, false);
        assert_eq!(window.output_id(next), Some(0), "32767 dropped, 0 missing keeps 32767");
        let (late, at) = window.find(anchor, 0, 15);
        assert_eq!((late, window.output_id(at)), (Picture::Kept, Some(32_767)));
        assert_eq!(window.find(anchor, 32_767, 15).0, Picture::Dropped);
    }

    #[test]
    fn seven_bit_ids_wrap() {
        let mut window = PictureWindow::new();
        let mut anchor = window.start(126);
        let first = anchor;
        for id in [127, 0, 1] {
            let (picture, position) = window.find(anchor, id, 7);
            assert_eq!(picture, Picture::New);
            window.append(&mut anchor, id, position, false);
        }
        assert_eq!(anchor.position - first.position, 3);
        let other = window.start(90);
        assert_eq!(window.output_id(other.position), Some(130), "the writer keeps seven bits");
    }
}
