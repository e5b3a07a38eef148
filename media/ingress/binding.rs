//! Which SSRC belongs to which stream: learnt from authenticated header extensions and from announced SSRCs.

use super::stream::{Extensions, Stream};
use super::{Ingress, Route, STREAMS_MAX};
use crate::codec::ReceiveSection;
use crate::packet::rtp::RtpHeader;

/// How long a replaced SSRC cannot come back, in microseconds: late packets must not undo the replacement.
const RETIREMENT_US: i64 = 2_000_000;
/// Replaced SSRCs remembered.
const RETIRED_MAX: usize = 32;

/// What an SSRC carries of its section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Media(u8),
    Repair(u8),
}

impl Ingress {
    /// Binds an SSRC that is not known yet, or leaves it unbound.
    pub(super) fn bind(&mut self, at_us: i64, header: &RtpHeader, extensions: &Extensions<'_>) -> Option<Route> {
        if self.retired.iter().any(|(ssrc, until)| *ssrc == header.ssrc && at_us < *until) {
            return None;
        }
        let (section, role) = self.resolve(header, extensions)?;
        match role {
            Role::Media(layer) => self.bind_media(at_us, header.ssrc, section, layer),
            Role::Repair(layer) => self.bind_repair(at_us, header.ssrc, section, layer),
        }
    }

    fn resolve(&self, header: &RtpHeader, extensions: &Extensions<'_>) -> Option<(usize, Role)> {
        let Some(mid) = extensions.mid else {
            let mut sections = self.sections.iter().enumerate();
            if let Some(found) = sections.find_map(|(index, section)| Some((index, announced(section, header.ssrc)?))) {
                return Some(found);
            }
            // Without any name, the payload type decides only if a single section accepts it.
            let mut candidates = self.sections.iter().enumerate().filter_map(|(index, section)| {
                (section.rids.is_empty() && section.ssrcs.len() <= 1)
                    .then(|| by_payload_type(section, header.payload_type))
                    .flatten()
                    .map(|role| (index, role))
            });
            let only = candidates.next()?;
            let is_shared = self
                .sections
                .iter()
                .enumerate()
                .any(|(index, section)| index != only.0 && by_payload_type(section, header.payload_type).is_some());
            return (!is_shared).then_some(only);
        };
        let index = self.sections.iter().position(|section| section.mid.as_bytes() == mid)?;
        let section = self.sections.get(index)?;
        let role = if section.rids.is_empty() {
            match announced(section, header.ssrc) {
                Some(role) => Some(role),
                None if section.ssrcs.len() > 1 => None,
                None => by_payload_type(section, header.payload_type),
            }
        } else if let Some(rid) = extensions.repaired_rid {
            layer_of(section, rid).map(Role::Repair)
        } else if let Some(rid) = extensions.rid {
            match by_payload_type(section, header.payload_type)? {
                Role::Media(_) => layer_of(section, rid).map(Role::Media),
                Role::Repair(_) => layer_of(section, rid).map(Role::Repair),
            }
        } else {
            announced(section, header.ssrc)
        };
        Some((index, role?))
    }

    fn bind_media(&mut self, at_us: i64, ssrc: u32, section: usize, layer: u8) -> Option<Route> {
        let table = self.sections.get(section)?;
        let same = |stream: &Stream| stream.mid == table.mid && stream.layer == layer;
        let taken = self.streams.iter().position(|slot| slot.as_ref().is_some_and(same));
        let free = || self.streams.iter().position(Option::is_none);
        let index = taken.or_else(free).unwrap_or(self.streams.len());
        if index >= STREAMS_MAX {
            self.counters.streams_refused += 1;
            return None;
        }
        let stream = Stream::new(at_us, ssrc, section, (table.track, layer), table.mid.clone(), table.kind);
        if index == self.streams.len() {
            self.streams.push(None);
        }
        if let Some(old) = self.remove(index) {
            self.retire(at_us, old.ssrc);
            old.rtx_ssrc.into_iter().for_each(|ssrc| self.retire(at_us, ssrc));
        }
        *self.streams.get_mut(index)? = Some(stream);
        let route = Route { stream: index, repair: false };
        self.routes.insert(ssrc, route);
        self.next_report_us.get_or_insert(at_us + super::feedback::REPORT_INTERVAL_US);
        Some(route)
    }

    fn bind_repair(&mut self, at_us: i64, ssrc: u32, section: usize, layer: u8) -> Option<Route> {
        let table = self.sections.get(section)?;
        let index = self
            .streams
            .iter()
            .position(|slot| slot.as_ref().is_some_and(|stream| stream.mid == table.mid && stream.layer == layer))?;
        let stream = self.streams.get_mut(index)?.as_mut()?;
        if let Some(old) = stream.rtx_ssrc.replace(ssrc) {
            self.retire(at_us, old);
        }
        let route = Route { stream: index, repair: true };
        self.routes.insert(ssrc, route);
        Some(route)
    }

    /// Empties a slot and forgets the routes to its stream.
    pub(super) fn remove(&mut self, index: usize) -> Option<Stream> {
        let stream = self.streams.get_mut(index)?.take()?;
        self.routes.remove(&stream.ssrc);
        if let Some(ssrc) = stream.rtx_ssrc {
            self.routes.remove(&ssrc);
        }
        Some(stream)
    }

    /// Keeps a replaced SSRC from coming back for a while.
    fn retire(&mut self, at_us: i64, ssrc: u32) {
        self.routes.remove(&ssrc);
        if self.retired.len() == RETIRED_MAX {
            self.retired.pop_front();
        }
        self.retired.push_back((ssrc, at_us + RETIREMENT_US));
    }
}

fn announced(section: &ReceiveSection, ssrc: u32) -> Option<Role> {
    (0u8..).zip(&section.ssrcs).find_map(|(layer, (media, repair))| {
        if *media == ssrc { Some(Role::Media(layer)) } else { (*repair == Some(ssrc)).then_some(Role::Repair(layer)) }
    })
}

fn by_payload_type(section: &ReceiveSection, payload_type: u8) -> Option<Role> {
    section.payloads.iter().find_map(|payload| {
        if payload.pt == payload_type {
            Some(Role::Media(0))
        } else {
            (payload.rtx_pt == Some(payload_type)).then_some(Role::Repair(0))
        }
    })
}

fn layer_of(section: &ReceiveSection, rid: &[u8]) -> Option<u8> {
    (0u8..).zip(&section.rids).find_map(|(layer, known)| (known.as_bytes() == rid).then_some(layer))
}
