//! Watches every datagram that servers send to one client and fails when a nonce is used for two texts.

use crate::packet::rtp;
use crate::transport::testing::{ClientSrtp, DtlsClient};
use crate::transport::{DatagramClass, SrtpError, classify};
use std::collections::{BTreeMap, HashMap};

#[derive(Debug, Default)]
pub(super) struct Observer {
    srtp: Option<ClientSrtp>,
    /// Sent before the client had keys.
    early: Vec<Vec<u8>>,
    highest: BTreeMap<u32, u64>,
    rtp: HashMap<(u32, u64), Vec<u8>>,
    rtcp: HashMap<(u32, u32), Vec<u8>>,
    /// DTLS records of epoch 1 by explicit nonce.
    nonces: HashMap<[u8; 8], Vec<u8>>,
    /// DTLS records of epoch 1 by number.
    numbers: HashMap<[u8; 6], Vec<u8>>,
}

impl Observer {
    pub(super) fn see(&mut self, client: &DtlsClient, datagram: &[u8]) {
        match classify(datagram) {
            DatagramClass::Dtls => self.see_dtls(datagram),
            DatagramClass::Rtp | DatagramClass::Rtcp => {
                if self.srtp.is_none() && client.complete {
                    self.srtp = Some(ClientSrtp::of(client));
                }
                self.early.push(datagram.to_vec());
                if self.srtp.is_some() {
                    for datagram in std::mem::take(&mut self.early) {
                        self.see_srtp(datagram);
                    }
                }
            }
            _ => {}
        }
    }

    /// RTP packets, RTCP packets and DTLS records seen under different numbers.
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        (self.rtp.len(), self.rtcp.len(), self.numbers.len())
    }

    fn see_dtls(&mut self, mut datagram: &[u8]) {
        while let Some((header, rest)) = datagram.split_first_chunk::<13>() {
            let length = usize::from(u16::from_be_bytes([header[11], header[12]]));
            let (fragment, next) = rest.split_at(length.min(rest.len()));
            datagram = next;
            if header[3..5] != [0, 1] {
                continue;
            }
            let number: [u8; 6] = header[5..11].try_into().unwrap();
            let nonce: [u8; 8] = fragment[..8].try_into().unwrap();
            for before in [self.nonces.insert(nonce, fragment.to_vec()), self.numbers.insert(number, fragment.to_vec())]
            {
                assert!(before.is_none_or(|before| before == fragment), "DTLS record {number:?} sealed twice");
            }
        }
    }

    fn see_srtp(&mut self, datagram: Vec<u8>) {
        let srtp = self.srtp.as_mut().expect("checked by the caller");
        let mut opened = datagram.clone();
        if classify(&datagram) == DatagramClass::Rtcp {
            let ssrc = u32::from_be_bytes(datagram[4..8].try_into().unwrap());
            let index = u32::from_be_bytes(*datagram.last_chunk().unwrap());
            let before = self.rtcp.insert((ssrc, index), datagram.clone());
            assert!(before.is_none_or(|before| before == datagram), "SRTCP index {index:#x} sealed twice");
            let outcome = srtp.open_rtcp(&mut opened);
            assert!(matches!(outcome, Ok(_) | Err(SrtpError::Replayed)), "{outcome:?}");
            return;
        }
        let header = rtp::parse(&datagram).unwrap();
        let highest = self.highest.get(&header.ssrc).copied();
        let index = match highest {
            None => u64::from(header.sequence),
            // The nearest index with this sequence number (RFC 3711 appendix A).
            Some(highest) => {
                let distance = i64::from(header.sequence.wrapping_sub(highest as u16).cast_signed());
                highest.checked_add_signed(distance).expect("no index before 0")
            }
        };
        let before = self.rtp.insert((header.ssrc, index), datagram.clone());
        assert!(
            before.is_none_or(|before| before == datagram),
            "SSRC {:#x} index {index} sealed twice with different bytes",
            header.ssrc
        );
        let outcome = srtp.open_rtp(&mut opened, header.length);
        assert!(
            matches!(outcome, Ok(_) | Err(SrtpError::Replayed)),
            "ssrc {:#x} index {index}: {outcome:?}",
            header.ssrc
        );
        self.highest.insert(header.ssrc, highest.map_or(index, |highest| highest.max(index)));
    }
}
