//! Reads the attributes of one section that have a grammar of their own.

use crate::sdp::SdpError;
use crate::sdp::model::{Format, Section};
use crate::sdp::parse::{MAX_FEEDBACK, MAX_GROUP_MEMBERS, MAX_MSIDS, MAX_RIDS, MAX_SSRCS, at_most, is_rid, is_token};

/// Payload types that need no `a=rtpmap` (RFC 3551 §6).
pub(super) fn static_format(pt: u8) -> Format {
    let (name, clock_rate) = match pt {
        0 => ("PCMU", 8_000),
        8 => ("PCMA", 8_000),
        _ => ("", 0),
    };
    Format { pt, name: name.to_owned(), clock_rate, channels: 1, ..Format::default() }
}

fn format_of<'a>(section: &'a mut Section, word: &str) -> Option<&'a mut Format> {
    let pt = word.parse::<u8>().ok()?;
    section.formats.iter_mut().find(|format| format.pt == pt)
}

pub(super) fn rtpmap(section: &mut Section, value: &str, line: usize) -> Result<(), SdpError> {
    let (pt, encoding) = value.split_once(' ').unwrap_or((value, ""));
    // Without a listed format the line concerns nobody.
    let Some(format) = format_of(section, pt) else { return Ok(()) };
    let mut parts = encoding.trim().split('/');
    let (name, clock_rate) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default().parse());
    let (true, Ok(clock_rate)) = (is_token(name), clock_rate) else {
        return Err(SdpError::Malformed { line, reason: "a=rtpmap needs a name and a clock rate" });
    };
    name.clone_into(&mut format.name);
    format.clock_rate = clock_rate;
    format.channels = parts.next().and_then(|channels| channels.parse().ok()).unwrap_or(1);
    Ok(())
}

pub(super) fn fmtp(section: &mut Section, value: &str, line: usize) -> Result<(), SdpError> {
    let Some((pt, parameters)) = value.split_once(' ') else {
        return Err(SdpError::Malformed { line, reason: "a=fmtp needs parameters" });
    };
    if let Some(format) = format_of(section, pt) {
        parameters.trim().clone_into(&mut format.fmtp);
    }
    Ok(())
}

pub(super) fn feedback(section: &mut Section, value: &str, line: usize) -> Result<(), SdpError> {
    let Some((pt, message)) = value.split_once(' ') else {
        return Err(SdpError::Malformed { line, reason: "a=rtcp-fb needs a message" });
    };
    let list = match pt {
        "*" => &mut section.feedback,
        _ => match format_of(section, pt) {
            Some(format) => &mut format.feedback,
            None => return Ok(()),
        },
    };
    at_most("feedback messages of a format", list.len() + 1, MAX_FEEDBACK)?;
    list.push(message.split_ascii_whitespace().collect::<Vec<_>>().join(" "));
    Ok(())
}

pub(super) fn rid(section: &mut Section, value: &str, line: usize) -> Result<(), SdpError> {
    let mut words = value.split_ascii_whitespace();
    let (Some(id), Some(direction)) = (words.next(), words.next()) else {
        return Err(SdpError::Malformed { line, reason: "a=rid needs an id and a direction" });
    };
    if !is_rid(id) {
        return Err(SdpError::Malformed { line, reason: "id of a=rid has other characters than RFC 8851 allows" });
    }
    if direction == "send" && !section.rids.iter().any(|known| known == id) {
        at_most("rids of a section", section.rids.len() + 1, MAX_RIDS)?;
        section.rids.push(id.to_owned());
    }
    Ok(())
}

/// `send q;~h,x;f recv …` (RFC 8853 §5.1): streams by `;`, alternatives by `,`, paused ones with `~`.
pub(super) fn simulcast(section: &mut Section, value: &str, line: usize) -> Result<(), SdpError> {
    let words: Vec<&str> = value.split_ascii_whitespace().collect();
    for pair in words.chunks(2) {
        let [direction, streams] = pair else {
            return Err(SdpError::Malformed { line, reason: "a=simulcast needs streams after its direction" });
        };
        if *direction != "send" {
            continue;
        }
        section.simulcast.clear();
        for stream in streams.split(';') {
            let first = stream.split(',').next().unwrap_or_default();
            let id = first.strip_prefix('~').unwrap_or(first);
            if !is_rid(id) {
                return Err(SdpError::Malformed { line, reason: "a=simulcast names something that is no rid" });
            }
            at_most("simulcast streams of a section", section.simulcast.len() + 1, MAX_RIDS)?;
            if !section.simulcast.iter().any(|known| known == id) {
                section.simulcast.push(id.to_owned());
            }
        }
    }
    Ok(())
}

pub(super) fn push_msid(section: &mut Section, stream: &str, track: &str) -> Result<(), SdpError> {
    if !section.msids.iter().any(|(s, t)| s == stream && t == track) {
        at_most("a=msid of a section", section.msids.len() + 1, MAX_MSIDS)?;
        section.msids.push((stream.to_owned(), track.to_owned()));
    }
    Ok(())
}

pub(super) fn ssrc(section: &mut Section, value: &str, line: usize) -> Result<(), SdpError> {
    let (id, attribute) = value.split_once(' ').unwrap_or((value, ""));
    let Ok(id) = id.parse::<u32>() else {
        return Err(SdpError::Malformed { line, reason: "a=ssrc is no number" });
    };
    if !section.ssrcs.contains(&id) {
        at_most("SSRCs of a section", section.ssrcs.len() + 1, MAX_SSRCS)?;
        section.ssrcs.push(id);
    }
    if let (true, Some(msid)) = (section.msids.is_empty(), attribute.trim().strip_prefix("msid:")) {
        let mut words = msid.split_ascii_whitespace();
        if let Some(stream) = words.next() {
            push_msid(section, stream, words.next().unwrap_or_default())?;
        }
    }
    Ok(())
}

pub(super) fn ssrc_group(section: &mut Section, value: &str, line: usize) -> Result<(), SdpError> {
    let mut words = value.split_ascii_whitespace();
    let semantics = words.next().unwrap_or_default().to_owned();
    let Ok(members) = words.map(str::parse::<u32>).collect::<Result<Vec<_>, _>>() else {
        return Err(SdpError::Malformed { line, reason: "a=ssrc-group has a member that is no number" });
    };
    at_most("members of a=ssrc-group", members.len(), MAX_GROUP_MEMBERS)?;
    at_most("SSRC groups of a section", section.ssrc_groups.len() + 1, MAX_SSRCS)?;
    section.ssrc_groups.push((semantics, members));
    Ok(())
}
