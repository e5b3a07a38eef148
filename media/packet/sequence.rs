//! Wrapping 16-bit sequence numbers as ever-growing 64-bit ones.

/// Extended numbers start here or above, so that a packet a little older than the first one has a number too.
pub const FIRST_EXTENDED: u64 = 1 << 16;

/// Returns the extended number nearest to `highest` whose low 16 bits are `sequence`; ties count as older.
#[must_use]
pub const fn unwrap(highest: u64, sequence: u16) -> u64 {
    let ahead = sequence.wrapping_sub(low(highest));
    if ahead < 0x8000 {
        return highest.saturating_add(ahead as u64);
    }
    let behind = 0x1_0000 - ahead as u64;
    // Below zero there is nothing: count the number as one turn ahead, which stays congruent.
    if behind <= highest { highest - behind } else { highest + ahead as u64 }
}

/// Returns the first extended number of a stream that begins with `sequence`.
#[must_use]
pub const fn first(sequence: u16) -> u64 {
    FIRST_EXTENDED + sequence as u64
}

/// Returns the wire form of an extended number.
#[must_use]
pub const fn low(extended: u64) -> u16 {
    (extended & 0xffff) as u16
}

/// Tells whether `left` comes after `right`, across the wrap (RFC 1982 with 16 bits).
#[must_use]
pub const fn is_newer(left: u16, right: u16) -> bool {
    left != right && left.wrapping_sub(right) < 0x8000
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_go_on_across_the_wrap_in_both_directions() {
        assert_eq!(unwrap(first(0xfffe), 1), first(0xfffe) + 3);
        assert_eq!(unwrap(first(0xffff) + 2, 0xffff), first(0xffff));
        assert_eq!(unwrap(first(0), 0xffff), 0xffff);
        assert!(is_newer(0, 0xffff) && !is_newer(0xffff, 0) && !is_newer(5, 5));
    }

    proptest! {
        #[test]
        fn an_unwrapped_number_is_congruent_and_near(highest in FIRST_EXTENDED..1 << 40, sequence in any::<u16>()) {
            let extended = unwrap(highest, sequence);
            prop_assert_eq!(low(extended), sequence);
            prop_assert!(extended.abs_diff(highest) <= 0x8000);
        }
    }
}
