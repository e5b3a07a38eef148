//! A plain STUN binding request without credentials, as asked of public servers (RFC 8489 §2). Decides nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

/// Makes a request; the answer carries the same transaction id.
#[must_use]
pub fn binding_request() -> ([u8; 20], [u8; 12]) {
    let transaction: [u8; 12] = rand::random();
    let mut request = [0; 20];
    request[..2].copy_from_slice(&BINDING_REQUEST.to_be_bytes());
    request[4..8].copy_from_slice(&COOKIE);
    request[8..].copy_from_slice(&transaction);
    (request, transaction)
}

/// Reads the mapped address of an answer to `transaction`; `None` for anything else.
#[must_use]
pub fn mapped_address(answer: &[u8], transaction: &[u8; 12]) -> Option<SocketAddr> {
    let (header, mut attributes) = answer.split_at_checked(20)?;
    if header[..2] != BINDING_SUCCESS.to_be_bytes() || header[4..8] != COOKIE || header[8..] != transaction[..] {
        return None;
    }
    while let Some((head, rest)) = attributes.split_at_checked(4) {
        let (kind, length) =
            (u16::from_be_bytes([head[0], head[1]]), usize::from(u16::from_be_bytes([head[2], head[3]])));
        let value = rest.get(..length)?;
        if kind == XOR_MAPPED_ADDRESS {
            return xor_address(value, &header[4..]);
        }
        attributes = rest.get(length.next_multiple_of(4)..)?;
    }
    None
}

/// RFC 8489 §14.2; `mask` is cookie and transaction id.
fn xor_address(value: &[u8], mask: &[u8]) -> Option<SocketAddr> {
    let port = u16::from_be_bytes([value.get(2)? ^ mask[0], value.get(3)? ^ mask[1]]);
    let unmasked = |count: usize| -> Option<Vec<u8>> {
        Some(value.get(4..4 + count)?.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect())
    };
    let address = match value.get(1)? {
        1 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(unmasked(4)?).ok()?)),
        2 => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(unmasked(16)?).ok()?)),
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The IPv4 response of RFC 5769 §2.2, attributes after XOR-MAPPED-ADDRESS left out.
    #[test]
    fn the_answer_of_rfc_5769_is_read() {
        let mut answer = vec![0x01, 0x01, 0x00, 0x0c, 0x21, 0x12, 0xa4, 0x42];
        let transaction = [0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae];
        answer.extend(transaction);
        answer.extend([0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43]);
        assert_eq!(mapped_address(&answer, &transaction), Some("192.0.2.1:32853".parse().unwrap()));
        assert_eq!(mapped_address(&answer, &[0; 12]), None);
    }

    proptest! {
        #[test]
        fn any_answer_is_read_or_refused(mut answer in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = mapped_address(&answer, &[0; 12]);
            let (mut head, _) = binding_request();
            head[..2].copy_from_slice(&BINDING_SUCCESS.to_be_bytes());
            head[8..].fill(0);
            answer.splice(..0, head);
            let _ = mapped_address(&answer, &[0; 12]);
        }
    }
}
