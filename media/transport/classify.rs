//! Tells datagrams apart before anything is known of their sender.

use super::{record, stun};

/// What a datagram is, by its first bytes (RFC 7983, RFC 5761 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatagramClass {
    /// STUN.
    Stun,
    /// DTLS.
    Dtls,
    /// SRTP.
    Rtp,
    /// SRTCP.
    Rtcp,
    /// Nothing that a transport takes.
    Unknown,
}

/// Tells what a datagram is without looking inside.
#[must_use]
pub fn classify(datagram: &[u8]) -> DatagramClass {
    match (datagram.first(), datagram.get(1)) {
        (Some(0..=3), _) if stun::is_stun(datagram) => DatagramClass::Stun,
        (Some(20..=63), _) if datagram.len() >= record::HEADER => DatagramClass::Dtls,
        (Some(128..=191), Some(192..=223)) if datagram.len() >= 8 => DatagramClass::Rtcp,
        (Some(128..=191), Some(_)) if datagram.len() >= 12 => DatagramClass::Rtp,
        _ => DatagramClass::Unknown,
    }
}

/// Reads our user name fragment out of a STUN request's USERNAME: for routing only, nothing is authenticated.
#[must_use]
pub fn local_ufrag(datagram: &[u8]) -> Option<&[u8]> {
    stun::local_ufrag(datagram)
}

#[cfg(test)]
mod tests {
    use super::stun::{MessageType, Writer};
    use super::*;

    #[test]
    fn datagrams_are_told_apart_by_their_first_bytes() {
        let with = |first: u8, second: u8| {
            let mut bytes = [0; 40];
            bytes[..2].copy_from_slice(&[first, second]);
            classify(&bytes)
        };
        assert_eq!(with(22, 254), DatagramClass::Dtls);
        assert_eq!(with(0x80, 96), DatagramClass::Rtp);
        assert_eq!(with(0x90, 0x80 | 111), DatagramClass::Rtp);
        assert_eq!(with(0x80, 200), DatagramClass::Rtcp);
        assert_eq!(with(0x81, 205), DatagramClass::Rtcp);
        assert_eq!(with(0, 1), DatagramClass::Unknown);
        assert_eq!(with(200, 1), DatagramClass::Unknown);
        assert_eq!(classify(&[]), DatagramClass::Unknown);
        assert_eq!(classify(&Writer::new(MessageType::Request, [0; 12]).finish("x")), DatagramClass::Stun);
    }
}
