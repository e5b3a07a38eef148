//! Data between participants: who sent it is ours to say, where it goes is the sender's, and nothing reliable comes
//! twice or is missed by somebody who joins or resumes in this moment.

use crate::legacy;
use crate::limits;
use crate::room::state::{RoomEffect, RoomState};
use bytes::Bytes;
use prost::Message as _;
use starling_media::codec::Channel;
use starling_media::command::MediaCommand;
use starling_media::id::PeerId;
use starling_protocol::livekit as lk;
use starling_protocol::livekit::data_packet::Value;
use starling_protocol::livekit::participant_info::Kind;
use std::collections::VecDeque;
use std::time::Instant;

/// One kept reliable message.
#[derive(Debug)]
struct Kept {
    at: Instant,
    sender: String,
    sequence: u32,
    destinations: Destinations,
    payload: Bytes,
}

/// Who is meant; both empty = everybody.
#[derive(Clone, Debug, Default)]
struct Destinations {
    identities: Vec<String>,
    sids: Vec<String>,
}

impl Destinations {
    fn include(&self, sid: &str, identity: &str) -> bool {
        (self.identities.is_empty() && self.sids.is_empty())
            || self.identities.iter().any(|wanted| wanted == identity)
            || self.sids.iter().any(|wanted| wanted == sid)
    }
}

/// Reliable messages of the last two seconds.
#[derive(Debug, Default)]
pub(crate) struct DataRouter {
    kept: VecDeque<Kept>,
    bytes: usize,
}

impl DataRouter {
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    fn prune(&mut self, now: Instant) {
        while let Some(oldest) = self.kept.front() {
            let is_old = now.saturating_duration_since(oldest.at) > limits::RELIABLE_CACHE_AGE;
            let is_over =
                self.kept.len() > limits::RELIABLE_CACHE_MESSAGES || self.bytes > limits::RELIABLE_CACHE_BYTES;
            if !is_old && !is_over {
                break;
            }
            self.bytes -= oldest.payload.len();
            self.kept.pop_front();
        }
    }

    fn keep(&mut self, kept: Kept, now: Instant) {
        self.bytes += kept.payload.len();
        self.kept.push_back(kept);
        self.prune(now);
    }
}

/// Why a data message goes nowhere; the label of the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dropped {
    Malformed,
    NotAllowed,
    Repeated,
    NotForParticipants,
    TooManyDestinations,
}

impl Dropped {
    fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::NotAllowed => "not_allowed",
            Self::Repeated => "repeated",
            Self::NotForParticipants => "not_for_participants",
            Self::TooManyDestinations => "too_many_destinations",
        }
    }
}

impl RoomState {
    /// A participant sent a message.
    pub(crate) fn data_from(&mut self, sid: &str, channel: Channel, payload: &Bytes, now: Instant) {
        if let Err(dropped) = self.route(sid, channel, payload, now) {
            metrics::counter!("starling_actors_data_dropped_total", "reason" => dropped.label()).increment(1);
        }
    }

    fn route(&mut self, sid: &str, channel: Channel, payload: &Bytes, now: Instant) -> Result<(), Dropped> {
        let member = self.members.get_mut(sid).ok_or(Dropped::NotAllowed)?;
        if !member.permission.can_publish_data || channel == Channel::DataTrack {
            return Err(Dropped::NotAllowed);
        }
        let mut packet = lk::DataPacket::decode(payload.clone()).map_err(|_| Dropped::Malformed)?;
        let is_agent = member.info.kind == Kind::Agent as i32;
        if channel == Channel::Reliable && packet.sequence > 0 {
            if packet.sequence <= member.reliable_sequence {
                return Err(Dropped::Repeated);
            }
            member.reliable_sequence = packet.sequence;
        }
        match &packet.value {
            Some(Value::Metrics(_)) | None => return Err(Dropped::NotForParticipants),
            Some(Value::Transcription(_)) if !is_agent => return Err(Dropped::NotAllowed),
            #[expect(deprecated, reason = "who speaks is ours to say, and said by SpeakersChanged")]
            Some(Value::Speaker(_)) => return Err(Dropped::NotAllowed),
            Some(Value::User(user)) if !user.nonce.is_empty() => {
                if member.nonces.contains(&user.nonce) {
                    return Err(Dropped::Repeated);
                }
                member.nonces.push_back(user.nonce.clone());
                if member.nonces.len() > limits::NONCES_MAX {
                    member.nonces.pop_front();
                }
            }
            Some(_) => {}
        }
        stamp(&mut packet, sid, &member.info.identity, is_agent);
        let destinations = destinations(&packet)?;
        let payload = Bytes::from(packet.encode_to_vec());
        self.send_to(Some(sid), channel, destinations, packet.sequence, payload, now);
        Ok(())
    }

    /// The server API sends a message.
    pub(crate) fn send_data(&mut self, packet: &lk::DataPacket, channel: Channel, now: Instant) {
        if let Ok(destinations) = destinations(packet) {
            self.send_to(None, channel, destinations, 0, Bytes::from(packet.encode_to_vec()), now);
        }
    }

    fn send_to(
        &mut self,
        sender: Option<&str>,
        channel: Channel,
        destinations: Destinations,
        sequence: u32,
        payload: Bytes,
        now: Instant,
    ) {
        let receivers = self.members.iter().filter(|(sid, member)| {
            Some(sid.as_str()) != sender
                && member.open.contains(&channel)
                && destinations.include(sid, &member.info.identity)
        });
        let peers: Vec<PeerId> = receivers.map(|(_, member)| member.data_peer).collect();
        if !peers.is_empty() {
            let command = MediaCommand::SendData { peers, channel, payload: payload.clone() };
            self.effects.push_back(RoomEffect::Media(command));
        }
        if channel == Channel::Reliable {
            let sender = sender.unwrap_or_default().to_owned();
            self.data.keep(Kept { at: now, sender, sequence, destinations, payload }, now);
        }
    }

    /// A channel to a participant can be written: what came while it joined follows.
    pub(crate) fn channel_opened(&mut self, sid: &str, channel: Channel, now: Instant) {
        let Some(member) = self.members.get_mut(sid) else { return };
        if !member.open.insert(channel) || channel != Channel::Reliable {
            return;
        }
        self.replay(sid, now, |_, _| true);
    }

    /// A resuming client told what it has; it gets the rest.
    pub(crate) fn replay_since(&mut self, sid: &str, states: &[lk::DataChannelReceiveState], now: Instant) {
        self.replay(sid, now, |sender, sequence| {
            let state = states.iter().find(|state| state.publisher_sid == sender);
            sequence > 0 && state.is_none_or(|state| sequence > state.last_seq)
        });
    }

    fn replay(&mut self, sid: &str, now: Instant, wanted: impl Fn(&str, u32) -> bool) {
        self.data.prune(now);
        let Some(member) = self.members.get(sid) else { return };
        let missed = self.data.kept.iter().filter(|kept| {
            kept.sender != sid
                && kept.destinations.include(sid, &member.info.identity)
                && wanted(&kept.sender, kept.sequence)
        });
        for kept in missed {
            self.effects.push_back(RoomEffect::Media(MediaCommand::SendData {
                peers: vec![member.data_peer],
                channel: Channel::Reliable,
                payload: kept.payload.clone(),
            }));
        }
    }
}

/// Overwrites who sent it; an agent may speak for somebody in chat, text streams and transcriptions.
fn stamp(packet: &mut lk::DataPacket, sid: &str, identity: &str, is_agent: bool) {
    let may_speak_for_others = is_agent
        && matches!(
            packet.value,
            Some(
                Value::ChatMessage(_)
                    | Value::Transcription(_)
                    | Value::StreamHeader(_)
                    | Value::StreamChunk(_)
                    | Value::StreamTrailer(_)
            )
        );
    if !may_speak_for_others || packet.participant_identity.is_empty() {
        packet.participant_identity = identity.into();
    }
    packet.participant_sid = sid.into();
    if let Some(Value::User(user)) = &mut packet.value {
        legacy::stamp(user, sid, identity);
    }
}

fn destinations(packet: &lk::DataPacket) -> Result<Destinations, Dropped> {
    let mut identities = packet.destination_identities.clone();
    let mut sids = Vec::new();
    if let Some(Value::User(user)) = &packet.value {
        let (more, by_sid) = legacy::destinations(user);
        identities.extend_from_slice(more);
        sids.extend_from_slice(by_sid);
    }
    if identities.len() + sids.len() > limits::DATA_DESTINATIONS_MAX {
        return Err(Dropped::TooManyDestinations);
    }
    Ok(Destinations { identities, sids })
}
