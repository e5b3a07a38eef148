//! Reads a session description (RFC 8866) into the model. Unknown lines are skipped; sizes and counts are bounded.

use crate::sdp::SdpError;
use crate::sdp::lines::{feedback, fmtp, push_msid, rid, rtpmap, simulcast, ssrc, ssrc_group, static_format};
use crate::sdp::model::{Description, Direction, Media, Section, SetupAttribute, TransportAttributes};

/// Bytes of one description. 512 sections of a browser with few codecs; signalling messages end there too.
pub const MAX_BYTES: usize = 256 * 1024;
/// `m=` sections of one description: a grid of hundreds of tracks.
pub const MAX_SECTIONS: usize = 512;
/// Lines of one description.
pub(super) const MAX_LINES: usize = 16 * 1024;
/// Bytes of one line; the longest of a browser (`a=group:BUNDLE` with every mid) stays below.
pub(super) const MAX_LINE_BYTES: usize = 8 * 1024;
/// Formats of one section: there are 128 RTP payload types.
pub(super) const MAX_FORMATS: usize = 128;
/// Header extensions of one section; Chromium has 16.
pub(super) const MAX_EXTENSIONS: usize = 64;
/// RIDs of one section, sending or receiving.
pub(super) const MAX_RIDS: usize = 16;
/// SSRCs of one section, and groups of them.
pub(super) const MAX_SSRCS: usize = 64;
/// Members of one `a=ssrc-group`.
pub(super) const MAX_GROUP_MEMBERS: usize = 8;
/// Candidates of one description; they are counted and skipped, for the server waits to be called.
pub(super) const MAX_CANDIDATES: usize = 1024;
/// `a=rtcp-fb` lines of one format.
pub(super) const MAX_FEEDBACK: usize = 16;
/// `a=msid` lines of one section.
pub(super) const MAX_MSIDS: usize = 8;
/// Bytes of a mid or rid. RFC 9143 puts no bound; header extensions carry up to 255.
pub(super) const MAX_TOKEN_BYTES: usize = 64;
/// Bytes of an ICE user name fragment or password (RFC 8839 §5.4).
pub(super) const MAX_ICE_BYTES: usize = 256;

/// Reads a description.
pub(super) fn parse(sdp: &str) -> Result<Description, SdpError> {
    if sdp.len() > MAX_BYTES {
        return Err(SdpError::TooLarge { bytes: sdp.len(), limit: MAX_BYTES });
    }
    let mut reader = Reader::default();
    let mut begun = false;
    for (index, raw) in sdp.split('\n').enumerate() {
        at_most("lines", index, MAX_LINES)?;
        reader.line = index + 1;
        let text = raw.strip_suffix('\r').unwrap_or(raw);
        if text.len() > MAX_LINE_BYTES {
            return reader.malformed("longer than 8192 bytes");
        }
        if text.chars().any(char::is_control) {
            return reader.malformed("control character");
        }
        if text.trim().is_empty() {
            continue;
        }
        if !begun {
            if text.trim_end() != "v=0" {
                return reader.malformed("a description begins with v=0");
            }
            begun = true;
        } else if let Some(value) = text.strip_prefix("m=") {
            reader.section(value)?;
        } else if let Some(value) = text.strip_prefix("a=") {
            let (key, value) = value.split_once(':').unwrap_or((value, ""));
            reader.attribute(key.trim(), value.trim())?;
        }
    }
    if !begun {
        return Err(SdpError::Missing { what: "v=0" });
    }
    reader.finish()
}

pub(super) fn at_most(what: &'static str, count: usize, limit: usize) -> Result<(), SdpError> {
    if count > limit { Err(SdpError::TooMany { what, count, limit }) } else { Ok(()) }
}

/// Characters of an RFC 8866 token.
pub(super) fn is_token_char(c: char) -> bool {
    matches!(c, '!' | '#'..='\'' | '*' | '+' | '-' | '.' | '0'..='9' | 'A'..='Z' | '^'..='~')
}

/// Whether a text is a token of bounded length.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_TOKEN_BYTES && text.chars().all(is_token_char)
}

/// RID characters (RFC 8851 §10).
pub(super) fn is_rid(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_TOKEN_BYTES
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

fn is_ice(text: &str, least: usize) -> bool {
    (least..=MAX_ICE_BYTES).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic())
}

#[derive(Default)]
struct Reader {
    description: Description,
    session_extensions: Vec<(u8, String)>,
    session_direction: Direction,
    bundle_only: Vec<usize>,
    candidates: usize,
    other_fingerprint: bool,
    line: usize,
}

impl Reader {
    fn malformed<T>(&self, reason: &'static str) -> Result<T, SdpError> {
        Err(SdpError::Malformed { line: self.line, reason })
    }

    fn section(&mut self, value: &str) -> Result<(), SdpError> {
        at_most("sections", self.description.sections.len() + 1, MAX_SECTIONS)?;
        let mut words = value.split_ascii_whitespace();
        let (Some(media_name), Some(port), Some(protocol)) = (words.next(), words.next(), words.next()) else {
            return self.malformed("m= needs media, port and protocol");
        };
        let Ok(port) = port.split('/').next().unwrap_or_default().parse::<u16>() else {
            return self.malformed("port of m= is no number");
        };
        if !is_token(media_name) || protocol.len() > MAX_TOKEN_BYTES || !protocol.split('/').all(is_token) {
            return self.malformed("media or protocol of m= is no token");
        }
        let media = match media_name {
            "audio" => Media::Audio,
            "video" => Media::Video,
            "application" => Media::Application,
            _ => Media::Other,
        };
        let mut section = Section {
            media,
            media_name: media_name.to_owned(),
            protocol: protocol.to_owned(),
            rejected: port == 0,
            mid: String::new(),
            direction: self.session_direction,
            formats: Vec::new(),
            feedback: Vec::new(),
            extensions: Vec::new(),
            rids: Vec::new(),
            simulcast: Vec::new(),
            msids: Vec::new(),
            ssrcs: Vec::new(),
            ssrc_groups: Vec::new(),
            transport: TransportAttributes::default(),
            sctp_port: None,
        };
        if section.is_rtp() {
            for (index, word) in words.enumerate() {
                at_most("formats of a section", index + 1, MAX_FORMATS)?;
                match word.parse::<u8>() {
                    Ok(pt) if pt < 128 => {
                        if !section.formats.iter().any(|format| format.pt == pt) {
                            section.formats.push(static_format(pt));
                        }
                    }
                    _ => return self.malformed("payload type is not within 0 to 127"),
                }
            }
        }
        self.description.sections.push(section);
        Ok(())
    }

    fn attribute(&mut self, key: &str, value: &str) -> Result<(), SdpError> {
        match key {
            "ice-ufrag" | "ice-pwd" | "fingerprint" | "setup" => self.transport(key, value),
            "extmap" => self.extension(value),
            "extmap-allow-mixed" => {
                self.description.allow_mixed = true;
                Ok(())
            }
            "group" => self.group(value),
            "candidate" => {
                self.candidates += 1;
                at_most("candidates", self.candidates, MAX_CANDIDATES)
            }
            _ if value.is_empty() && Direction::parse(key).is_some() => {
                let direction = Direction::parse(key).unwrap_or_default();
                match self.description.sections.last_mut() {
                    Some(section) => section.direction = direction,
                    None => self.session_direction = direction,
                }
                Ok(())
            }
            _ => self.media_attribute(key, value),
        }
    }

    fn transport(&mut self, key: &str, value: &str) -> Result<(), SdpError> {
        let line = self.line;
        let malformed = |reason| Err(SdpError::Malformed { line, reason });
        let level = match self.description.sections.last_mut() {
            Some(section) => &mut section.transport,
            None => &mut self.description.transport,
        };
        match key {
            "ice-ufrag" if is_ice(value, 4) => level.ufrag = Some(value.to_owned()),
            "ice-pwd" if is_ice(value, 22) => level.pwd = Some(value.to_owned()),
            "ice-ufrag" => return malformed("a=ice-ufrag is not 4 to 256 characters"),
            "ice-pwd" => return malformed("a=ice-pwd is not 22 to 256 characters"),
            "fingerprint" => {
                let (hash, print) = value.split_once(' ').unwrap_or((value, ""));
                if !hash.eq_ignore_ascii_case("sha-256") {
                    self.other_fingerprint = true;
                } else if is_sha256(print) {
                    level.fingerprint = Some(print.to_ascii_uppercase());
                } else {
                    return malformed("a=fingerprint is not 32 hexadecimal pairs");
                }
            }
            _ => {
                level.setup = Some(match value {
                    "active" => SetupAttribute::Active,
                    "passive" => SetupAttribute::Passive,
                    "actpass" => SetupAttribute::ActPass,
                    "holdconn" => SetupAttribute::HoldConn,
                    _ => return malformed("unknown role in a=setup"),
                });
            }
        }
        Ok(())
    }

    fn extension(&mut self, value: &str) -> Result<(), SdpError> {
        let mut words = value.split_ascii_whitespace();
        let (Some(id), Some(uri)) = (words.next(), words.next()) else {
            return self.malformed("a=extmap needs an id and a URI");
        };
        // Ids above 255 (RFC 8285 §7: 4096 and up) stand for "offered without an id"; they are of no use here.
        let Ok(id) = id.split('/').next().unwrap_or_default().parse::<u16>() else {
            return self.malformed("id of a=extmap is no number");
        };
        let list = match self.description.sections.last_mut() {
            Some(section) => &mut section.extensions,
            None => &mut self.session_extensions,
        };
        at_most("header extensions of a section", list.len() + 1, MAX_EXTENSIONS)?;
        if let Some(id) = u8::try_from(id).ok().filter(|id| *id > 0) {
            list.push((id, uri.to_owned()));
        }
        Ok(())
    }

    fn group(&mut self, value: &str) -> Result<(), SdpError> {
        let mut words = value.split_ascii_whitespace();
        if words.next() == Some("BUNDLE") && self.description.bundle.is_none() && self.description.sections.is_empty() {
            let mids: Vec<String> = words.map(str::to_owned).collect();
            at_most("mids of a=group:BUNDLE", mids.len(), MAX_SECTIONS)?;
            self.description.bundle = Some(mids);
        }
        Ok(())
    }

    fn media_attribute(&mut self, key: &str, value: &str) -> Result<(), SdpError> {
        let line = self.line;
        let malformed = |reason| Err(SdpError::Malformed { line, reason });
        let index = self.description.sections.len();
        let Some(section) = self.description.sections.last_mut() else { return Ok(()) };
        match key {
            "mid" if is_token(value) => value.clone_into(&mut section.mid),
            "mid" => return malformed("a=mid is no token of up to 64 characters"),
            "bundle-only" => self.bundle_only.push(index - 1),
            "rtpmap" => return rtpmap(section, value, line),
            "fmtp" => return fmtp(section, value, line),
            "rtcp-fb" => return feedback(section, value, line),
            "rid" => return rid(section, value, line),
            "simulcast" => return simulcast(section, value, line),
            "msid" => {
                let mut words = value.split_ascii_whitespace();
                if let Some(stream) = words.next() {
                    push_msid(section, stream, words.next().unwrap_or_default())?;
                }
            }
            "ssrc" => return ssrc(section, value, line),
            "ssrc-group" => return ssrc_group(section, value, line),
            "sctp-port" => match value.parse::<u16>() {
                Ok(port) => section.sctp_port = Some(port),
                Err(_) => return malformed("a=sctp-port is no port"),
            },
            _ => {}
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Description, SdpError> {
        for index in self.bundle_only {
            if let Some(section) = self.description.sections.get_mut(index) {
                section.rejected = false;
            }
        }
        let print = |level: &TransportAttributes| level.fingerprint.is_some();
        let sections = &mut self.description.sections;
        if self.other_fingerprint
            && !print(&self.description.transport)
            && !sections.iter().any(|s| print(&s.transport))
        {
            return Err(SdpError::Missing { what: "a=fingerprint with sha-256 (others are not supported)" });
        }
        for section in sections.iter_mut() {
            for (id, uri) in &self.session_extensions {
                if section.extensions.len() < MAX_EXTENSIONS && !section.extensions.iter().any(|(_, u)| u == uri) {
                    section.extensions.push((*id, uri.clone()));
                }
            }
        }
        let mut mids: Vec<&str> =
            sections.iter().map(|section| section.mid.as_str()).filter(|mid| !mid.is_empty()).collect();
        let named = mids.len();
        mids.sort_unstable();
        mids.dedup();
        if mids.len() != named {
            return Err(SdpError::Mismatch { reason: "two sections have the same a=mid" });
        }
        if sections.iter().any(|section| section.mid.is_empty() && !section.rejected) {
            return Err(SdpError::Missing { what: "a=mid" });
        }
        Ok(self.description)
    }
}

fn is_sha256(text: &str) -> bool {
    let mut pairs = 0;
    text.split(':').all(|pair| {
        pairs += 1;
        pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit())
    }) && pairs == 32
}
