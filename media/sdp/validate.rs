//! A strict checker of what we compose. SDKs abort their whole process on a description that their parser refuses, so
//! tests and debug builds check every one before it leaves.

use std::collections::{BTreeMap, BTreeSet};

/// Attributes that we write.
const ATTRIBUTES: [&str; 30] = [
    "group",
    "ice-lite",
    "ice-options",
    "extmap-allow-mixed",
    "msid-semantic",
    "rtcp",
    "ice-ufrag",
    "ice-pwd",
    "fingerprint",
    "setup",
    "mid",
    "candidate",
    "end-of-candidates",
    "extmap",
    "sendrecv",
    "sendonly",
    "recvonly",
    "inactive",
    "msid",
    "rtcp-mux",
    "rtcp-rsize",
    "rtpmap",
    "rtcp-fb",
    "fmtp",
    "rid",
    "simulcast",
    "ssrc-group",
    "ssrc",
    "sctp-port",
    "max-message-size",
];

/// Attributes that may stand more than once in a section.
const REPEATED: [&str; 9] = ["candidate", "extmap", "rtpmap", "rtcp-fb", "fmtp", "rid", "ssrc-group", "ssrc", "msid"];

#[derive(Default)]
struct Checked<'a> {
    media: &'a str,
    rejected: bool,
    formats: Vec<&'a str>,
    connection: bool,
    attributes: Vec<(&'a str, &'a str)>,
}

impl<'a> Checked<'a> {
    fn all(&self, wanted: &'static str) -> impl Iterator<Item = &'a str> + '_ {
        self.attributes.iter().filter(move |(key, _)| *key == wanted).map(|(_, value)| *value)
    }

    fn one(&self, wanted: &'static str) -> Option<&'a str> {
        self.all(wanted).next()
    }
}

/// Checks a description that this server composed.
///
/// # Errors
/// What is wrong with it, for a developer.
pub fn validate_local(sdp: &str) -> Result<(), String> {
    if !sdp.ends_with("\r\n") {
        return Err("does not end with CRLF".to_owned());
    }
    let mut head: Vec<(&str, &str)> = Vec::new();
    let mut sections: Vec<Checked<'_>> = Vec::new();
    for (number, line) in sdp.trim_end_matches("\r\n").split("\r\n").enumerate() {
        let wrong = |why: &str| Err(format!("line {}: {why}: {line}", number + 1));
        let Some((kind, value)) = line.split_once('=') else { return wrong("no type") };
        if line.chars().any(char::is_control) || line.ends_with(' ') {
            return wrong("control character or trailing space");
        }
        let (key, text) = value.split_once(':').unwrap_or((value, ""));
        match (kind, number) {
            ("v", 0) if value == "0" => {}
            ("o", 1) if value.split(' ').count() == 6 => {}
            ("s", 2) | ("t", 3) => {}
            ("m", 4..) => sections.push(media(value).ok_or_else(|| format!("bad media line: {line}"))?),
            ("c", 4..) => match sections.last_mut() {
                Some(section) if !section.connection && section.attributes.is_empty() => section.connection = true,
                _ => return wrong("connection out of place"),
            },
            ("a", 4..) if !ATTRIBUTES.contains(&key) => return wrong("unknown attribute"),
            ("a", 4..) => match sections.last_mut() {
                None => head.push((key, text)),
                Some(section) => {
                    if section.attributes.contains(&(key, text)) || (!REPEATED.contains(&key) && section.one_of(key)) {
                        return wrong("repeated attribute");
                    }
                    section.attributes.push((key, text));
                }
            },
            _ => return wrong("unknown or misplaced line"),
        }
    }
    across(&head, &sections)?;
    sections
        .iter()
        .enumerate()
        .try_for_each(|(index, one)| section(one).map_err(|why| format!("section {index}: {why}")))
}

impl Checked<'_> {
    fn one_of(&self, key: &str) -> bool {
        self.attributes.iter().any(|(known, _)| *known == key)
    }
}

fn media(value: &str) -> Option<Checked<'_>> {
    let mut words = value.split(' ');
    let (media, port, protocol) = (words.next()?, words.next()?.parse::<u16>().ok()?, words.next()?);
    let formats: Vec<&str> = words.collect();
    // A rejected section answers in the words of its offer (RFC 3264 §6), and `udp` is a protocol (RFC 8866 §5.14).
    let protocol_is_ours = protocol.contains('/') || (port == 0 && !protocol.is_empty());
    let well = !media.is_empty() && protocol_is_ours && !formats.is_empty() && formats.iter().all(|f| !f.is_empty());
    let distinct = formats.iter().collect::<BTreeSet<_>>().len() == formats.len();
    (well && distinct).then(|| Checked { media, rejected: port == 0, formats, ..Checked::default() })
}

/// What holds between sections: BUNDLE, mids, one extension map, distinct SSRCs.
fn across(head: &[(&str, &str)], sections: &[Checked<'_>]) -> Result<(), String> {
    let mids: Vec<&str> = sections.iter().filter(|s| !s.rejected).filter_map(|s| s.one("mid")).collect();
    let every: Vec<&str> = sections.iter().filter_map(|s| s.one("mid")).collect();
    if every.iter().collect::<BTreeSet<_>>().len() != every.len() {
        return Err("two sections have the same mid".to_owned());
    }
    let groups: Vec<&str> = head.iter().filter(|(key, _)| *key == "group").map(|(_, value)| *value).collect();
    let members: Option<Vec<&str>> = groups.first().map(|group| group.split(' ').skip(1).collect());
    if groups.len() > 1 || members.is_some_and(|members| members != mids) || (groups.is_empty() && mids.len() > 1) {
        return Err(format!("BUNDLE {groups:?} is not the list of mids {mids:?}"));
    }
    let mut by_id: BTreeMap<&str, &str> = BTreeMap::new();
    let mut by_uri: BTreeMap<&str, &str> = BTreeMap::new();
    for value in sections.iter().flat_map(|s| s.all("extmap")) {
        let (id, uri) = value.split_once(' ').ok_or("extmap without URI")?;
        if id.parse::<u8>().is_err() || *by_id.entry(id).or_insert(uri) != uri || *by_uri.entry(uri).or_insert(id) != id
        {
            return Err(format!("extension map differs between sections: {value}"));
        }
    }
    let mut ssrcs = BTreeSet::new();
    for section in sections {
        let own: BTreeSet<&str> = section.all("ssrc").filter_map(|value| value.split(' ').next()).collect();
        if let Some(twice) = own.iter().find(|ssrc| !ssrcs.insert(**ssrc)) {
            return Err(format!("SSRC {twice} is in two sections"));
        }
    }
    for key in ["ice-ufrag", "ice-pwd", "fingerprint", "setup"] {
        let values: BTreeSet<&str> = sections.iter().filter(|s| !s.rejected).filter_map(|s| s.one(key)).collect();
        if values.len() > 1 {
            return Err(format!("bundled sections differ in {key}"));
        }
    }
    Ok(())
}

fn section(section: &Checked<'_>) -> Result<(), String> {
    if !section.connection {
        return Err("no connection line".to_owned());
    }
    if section.rejected {
        return Ok(());
    }
    for key in ["mid", "ice-ufrag", "ice-pwd", "fingerprint", "setup"] {
        if section.one(key).is_none_or(str::is_empty) {
            return Err(format!("no {key}"));
        }
    }
    if !matches!(section.one("setup"), Some("active" | "passive" | "actpass")) {
        return Err("bad setup".to_owned());
    }
    section.all("candidate").try_for_each(candidate)?;
    if section.media == "application" {
        return section.one("sctp-port").map(|_| ()).ok_or_else(|| "no sctp-port".to_owned());
    }
    let directions = ["sendrecv", "sendonly", "recvonly", "inactive"];
    if directions.iter().filter(|key| section.one_of(key)).count() != 1 {
        return Err("not exactly one direction".to_owned());
    }
    if !section.one_of("rtcp-mux") {
        return Err("no rtcp-mux".to_owned());
    }
    formats(section)?;
    source(section)
}

fn formats(section: &Checked<'_>) -> Result<(), String> {
    let maps: Vec<&str> = section.all("rtpmap").filter_map(|value| value.split(' ').next()).collect();
    if maps != section.formats || maps.iter().any(|pt| pt.parse::<u8>().is_ok_and(|pt| pt > 127)) {
        return Err(format!("rtpmap of {maps:?}, formats {:?}", section.formats));
    }
    for value in section.all("fmtp").chain(section.all("rtcp-fb")) {
        let (pt, rest) = value.split_once(' ').ok_or("fmtp or rtcp-fb without value")?;
        let repaired = rest.strip_prefix("apt=").is_none_or(|apt| section.formats.contains(&apt));
        if !section.formats.contains(&pt) || rest.is_empty() || !repaired {
            return Err(format!("refers to no format of the section: {value}"));
        }
    }
    Ok(())
}

fn source(section: &Checked<'_>) -> Result<(), String> {
    let msids: Vec<&str> = section.all("msid").collect();
    let sending = section.one_of("sendonly") || section.one_of("sendrecv");
    if msids.len() != usize::from(sending) || msids.iter().any(|msid| msid.split(' ').count() != 2) {
        return Err(format!("msid {msids:?} in a section that {}", if sending { "sends" } else { "does not send" }));
    }
    let ssrcs: Vec<&str> = section.all("ssrc").filter_map(|value| value.split(' ').next()).collect();
    if sending == ssrcs.is_empty() || ssrcs.iter().any(|ssrc| ssrc.parse::<u32>().is_err()) {
        return Err(format!("SSRCs {ssrcs:?}"));
    }
    for group in section.all("ssrc-group") {
        let mut members = group.split(' ').skip(1).peekable();
        if members.peek().is_none() || members.any(|member| !ssrcs.contains(&member)) {
            return Err(format!("group of unknown SSRCs: {group}"));
        }
    }
    let rids: Vec<&str> = section.all("rid").filter_map(|value| value.split(' ').next()).collect();
    let streams =
        section.one("simulcast").map(|value| value.trim_start_matches("recv ").split(';').collect::<Vec<_>>());
    if streams.is_some_and(|streams| streams != rids) {
        return Err("simulcast is not the list of rids".to_owned());
    }
    Ok(())
}

fn candidate(value: &str) -> Result<(), String> {
    let words: Vec<&str> = value.split(' ').collect();
    let [_, "1", transport @ ("udp" | "tcp"), priority, ip, port, "typ", "host" | "srflx", rest @ ..] =
        words.as_slice()
    else {
        return Err(format!("bad candidate: {value}"));
    };
    let tcp = rest.ends_with(&["tcptype", "passive"]);
    let well = priority.parse::<u32>().is_ok() && ip.parse::<std::net::IpAddr>().is_ok() && port.parse::<u16>().is_ok();
    if well && tcp == (*transport == "tcp") { Ok(()) } else { Err(format!("bad candidate: {value}")) }
}
