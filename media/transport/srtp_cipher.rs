//! The two SRTP ciphers over aws-lc-rs: session keys from master keys, and one packet in place. Knows no indices but
//! those it is given.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_128, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::{constant_time, hmac};

use super::error::SrtpError;
use super::srtp::SrtpProfile;

const GCM_TAG: usize = 16;
const SHA1_TAG: usize = 10;
const RTCP_HEADER: usize = 8;
const RTCP_TRAILER: usize = 4;

/// Which of a direction's session keys: the first label of RFC 3711 §4.3.2.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    Rtp = 0,
    Rtcp = 3,
}

/// Session keys of one direction and purpose.
pub(super) enum Cipher {
    /// AEAD_AES_128_GCM.
    Gcm { key: LessSafeKey, salt: [u8; 12] },
    /// AES_CM_128_HMAC_SHA1_80.
    Cm { key: EncryptingKey, salt: [u8; 14], authentication: hmac::Key },
}

impl std::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Gcm { .. } => "Gcm",
            Self::Cm { .. } => "Cm",
        })
    }
}

fn counter_mode(key: &[u8; 16]) -> EncryptingKey {
    UnboundCipherKey::new(&AES_128, key).and_then(EncryptingKey::ctr).expect("an AES-128 key has 16 bytes")
}

fn apply_counter_mode(key: &EncryptingKey, iv: [u8; 16], data: &mut [u8]) {
    if !data.is_empty() {
        let context = EncryptionContext::Iv128((&iv).into());
        key.less_safe_encrypt(data, context).expect("counter mode takes any length");
    }
}

/// AES-CM key derivation with a key derivation rate of 0 (RFC 3711 §4.3.1); shorter salts are padded (RFC 7714 §11).
pub(super) fn derive_key(master: &EncryptingKey, salt: &[u8], label: u8, out: &mut [u8]) {
    let mut iv = [0; 16];
    iv[..salt.len()].copy_from_slice(salt);
    iv[7] ^= label;
    out.fill(0);
    apply_counter_mode(master, iv, out);
}

impl Cipher {
    pub(super) fn derive(profile: SrtpProfile, key: &[u8; 16], salt: &[u8], purpose: Purpose) -> Self {
        let master = counter_mode(key);
        let label = purpose as u8;
        let mut session = [0; 16];
        derive_key(&master, salt, label, &mut session);
        match profile {
            SrtpProfile::AeadAes128Gcm => {
                let mut session_salt = [0; 12];
                derive_key(&master, salt, label + 2, &mut session_salt);
                let key = UnboundKey::new(&AES_128_GCM, &session).expect("an AES-128 key has 16 bytes");
                Self::Gcm { key: LessSafeKey::new(key), salt: session_salt }
            }
            SrtpProfile::Aes128CmSha1_80 => {
                let (mut session_salt, mut authentication) = ([0; 14], [0; 20]);
                derive_key(&master, salt, label + 1, &mut authentication);
                derive_key(&master, salt, label + 2, &mut session_salt);
                let authentication = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &authentication);
                Self::Cm { key: counter_mode(&session), salt: session_salt, authentication }
            }
        }
    }

    /// Seals an RTP payload and writes its tag.
    pub(super) fn seal_rtp(&self, header: &[u8], payload: &mut [u8], tag: &mut [u8], ssrc: u32, index: u64) {
        match self {
            Self::Gcm { key, salt } => {
                let sealed = key
                    .seal_in_place_separate_tag(gcm_nonce(salt, ssrc, index), Aad::from(header), payload)
                    .expect("a packet is shorter than the AEAD's limit");
                tag.copy_from_slice(sealed.as_ref());
            }
            Self::Cm { key, salt, authentication } => {
                apply_counter_mode(key, cm_iv(salt, ssrc, index), payload);
                let rollover = ((index >> 16) as u32).to_be_bytes();
                tag.copy_from_slice(&sha1_tag(authentication, &[header, payload, &rollover]));
            }
        }
    }

    /// Opens an RTP payload that ends with its tag.
    pub(super) fn open_rtp(&self, header: &[u8], sealed: &mut [u8], ssrc: u32, index: u64) -> Result<(), SrtpError> {
        match self {
            Self::Gcm { key, salt } => {
                key.open_in_place(gcm_nonce(salt, ssrc, index), Aad::from(header), sealed)
                    .map_err(|_| SrtpError::Unauthenticated)?;
            }
            Self::Cm { key, salt, authentication } => {
                let at = sealed.len().checked_sub(SHA1_TAG).ok_or(SrtpError::TooShort(sealed.len()))?;
                let (payload, tag) = sealed.split_at_mut(at);
                let rollover = ((index >> 16) as u32).to_be_bytes();
                check(&sha1_tag(authentication, &[header, payload, &rollover]), tag)?;
                apply_counter_mode(key, cm_iv(salt, ssrc, index), payload);
            }
        }
        Ok(())
    }

    /// Where the E bit and the index of an SRTCP packet of `length` bytes are: last, or before the tag.
    pub(super) const fn rtcp_trailer_offset(&self, length: usize) -> usize {
        match self {
            Self::Gcm { .. } => length - RTCP_TRAILER,
            Self::Cm { .. } => length - RTCP_TRAILER - SHA1_TAG,
        }
    }

    /// Seals an RTCP packet; `word` is the E bit and the index.
    pub(super) fn seal_rtcp(&self, packet: &mut Vec<u8>, ssrc: u32, word: u32) {
        let trailer = word.to_be_bytes();
        let index = u64::from(word & 0x7fff_ffff);
        let payload = RTCP_HEADER..packet.len();
        match self {
            Self::Gcm { key, salt } => {
                let aad = rtcp_aad(packet, trailer);
                let tag = key
                    .seal_in_place_separate_tag(gcm_nonce(salt, ssrc, index), Aad::from(aad), &mut packet[payload])
                    .expect("a packet is shorter than the AEAD's limit");
                packet.extend_from_slice(tag.as_ref());
                packet.extend_from_slice(&trailer);
            }
            Self::Cm { key, salt, authentication } => {
                apply_counter_mode(key, cm_iv(salt, ssrc, index), &mut packet[payload]);
                packet.extend_from_slice(&trailer);
                let tag = sha1_tag(authentication, &[packet]);
                packet.extend_from_slice(&tag);
            }
        }
    }

    /// Opens an SRTCP packet whose first `plain` bytes are the RTCP packet.
    pub(super) fn open_rtcp(&self, packet: &mut [u8], plain: usize, ssrc: u32, word: u32) -> Result<(), SrtpError> {
        let index = u64::from(word & 0x7fff_ffff);
        match self {
            Self::Gcm { key, salt } => {
                let aad = rtcp_aad(packet, word.to_be_bytes());
                let sealed = &mut packet[RTCP_HEADER..plain + GCM_TAG];
                key.open_in_place(gcm_nonce(salt, ssrc, index), Aad::from(aad), sealed)
                    .map_err(|_| SrtpError::Unauthenticated)?;
            }
            Self::Cm { key, salt, authentication } => {
                let (message, tag) = packet.split_at_mut(plain + RTCP_TRAILER);
                check(&sha1_tag(authentication, &[message]), tag)?;
                apply_counter_mode(key, cm_iv(salt, ssrc, index), &mut message[RTCP_HEADER..plain]);
            }
        }
        Ok(())
    }
}

/// RFC 7714 §9.2: the readable header, then E bit and index.
fn rtcp_aad(packet: &[u8], trailer: [u8; 4]) -> [u8; RTCP_HEADER + RTCP_TRAILER] {
    let mut aad = [0; RTCP_HEADER + RTCP_TRAILER];
    aad[..RTCP_HEADER].copy_from_slice(&packet[..RTCP_HEADER]);
    aad[RTCP_HEADER..].copy_from_slice(&trailer);
    aad
}

/// RFC 7714 §8.1 and §9.1: SSRC and 48-bit index (SRTCP: 31 bits, the rest 0), masked by the salt.
fn gcm_nonce(salt: &[u8; 12], ssrc: u32, index: u64) -> Nonce {
    let mut nonce = *salt;
    mask(&mut nonce[2..6], &ssrc.to_be_bytes());
    mask(&mut nonce[6..], &index.to_be_bytes()[2..]);
    Nonce::assume_unique_for_key(nonce)
}

/// RFC 3711 §4.1.1: salt · 2¹⁶ ⊕ SSRC · 2⁶⁴ ⊕ index · 2¹⁶.
fn cm_iv(salt: &[u8; 14], ssrc: u32, index: u64) -> [u8; 16] {
    let mut iv = [0; 16];
    iv[..14].copy_from_slice(salt);
    mask(&mut iv[4..8], &ssrc.to_be_bytes());
    mask(&mut iv[8..14], &index.to_be_bytes()[2..]);
    iv
}

fn mask(target: &mut [u8], bits: &[u8]) {
    target.iter_mut().zip(bits).for_each(|(byte, bit)| *byte ^= bit);
}

fn sha1_tag(key: &hmac::Key, parts: &[&[u8]]) -> [u8; SHA1_TAG] {
    let mut context = hmac::Context::with_key(key);
    parts.iter().for_each(|part| context.update(part));
    let tag = context.sign();
    *tag.as_ref().first_chunk().expect("HMAC-SHA1 gives 20 bytes")
}

fn check(expected: &[u8], found: &[u8]) -> Result<(), SrtpError> {
    constant_time::verify_slices_are_equal(expected, found).map_err(|_| SrtpError::Unauthenticated)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn session_keys_match_the_vectors_of_rfc_3711_b3() {
        let key = bytes("E1F97A0D3E018BE0D64FA32C06DE4139");
        let master = counter_mode(key.as_slice().try_into().unwrap());
        let salt = bytes("0EC675AD498AFEEBB6960B3AABE6");
        let derive = |label, length| {
            let mut out = vec![0; length];
            derive_key(&master, &salt, label, &mut out);
            out
        };
        assert_eq!(derive(0, 16), bytes("C61E7A93744F39EE10734AFE3FF7A087"));
        assert_eq!(derive(2, 14), bytes("30CBBC08863D8C85D49DB34A9AE1"));
        let authentication = bytes(
            "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCEE049646C43D9327AD175578EF72270986371C10C9A369AC2F94A8C5FBCDDDC256D6E919A48B610EF17C2041E474035766B68642C59BBFC2F34DB60DBDFB2DC68",
        );
        assert_eq!(derive(1, 94), authentication[..94]);
    }

    #[test]
    fn the_counter_keystream_matches_the_vector_of_rfc_3711_b2() {
        let key = bytes("2B7E151628AED2A6ABF7158809CF4F3C");
        let salt: [u8; 14] = bytes("F0F1F2F3F4F5F6F7F8F9FAFBFCFD").try_into().unwrap();
        let mut stream = [0; 32];
        apply_counter_mode(&counter_mode(key.as_slice().try_into().unwrap()), cm_iv(&salt, 0, 0), &mut stream);
        assert_eq!(stream.to_vec(), bytes("E03EAD0935C95E80E166B16DD92B4EB4D23513162B02D0F72A43A2FE4A5F97AB"));
    }
}
