//! Offers and answers, and when the next one is due.

use crate::limits;
use crate::participant::state::{ParticipantState, Sink, Subscriber, Transport};
use crate::signal::Message;
use starling_media::codec::IceCredentials;
use starling_media::command::MediaCommand;
use starling_media::sdp::SdpError;
use starling_protocol::livekit as lk;
use starling_protocol::livekit::DisconnectReason;
use starling_protocol::livekit::leave_request::Action;
use std::time::Instant;

impl ParticipantState {
    /// The client offers on its publisher (v0) or only (v1) connection.
    pub(crate) fn offered(&mut self, offer: &lk::SessionDescription, now: Instant) {
        let ufrag = remote_ufrag(&offer.sdp);
        let is_restart = self.remote_ufrag.is_some() && ufrag.is_some() && ufrag != self.remote_ufrag;
        if is_restart {
            self.next_generation_of_publisher();
        }
        let local = self.publisher.local.clone();
        let (sdp, negotiated) = match self.answerer.apply_offer(&local, &offer.sdp) {
            Ok(answer) => answer,
            Err(error) => return self.negotiation_failed(&error),
        };
        self.remote_ufrag = ufrag;
        let peer = self.publisher.peer;
        if is_restart {
            self.media(MediaCommand::RestartIce { peer, local: local.ice });
        }
        self.media(MediaCommand::SetRemote { peer, remote: negotiated.remote.clone() });
        self.set_receivers(&negotiated, now);
        let mut mid_to_track_id = std::collections::HashMap::new();
        if self.subscriber.is_none() {
            self.set_senders(negotiated.extensions, negotiated.senders.clone());
            mid_to_track_id.extend(negotiated.mid_to_track_id);
        }
        let answer = lk::SessionDescription { r#type: "answer".into(), sdp, id: offer.id, mid_to_track_id };
        self.send(Message::Answer(answer));
        if self.subscriber.is_none() {
            let incompatible = self.answerer.incompatible();
            self.refuse_incompatible(&incompatible);
            self.negotiate_soon(now);
        }
    }

    /// The client answers our offer; an answer to an older one is late and means nothing.
    pub(crate) fn answered(&mut self, answer: &lk::SessionDescription, now: Instant) {
        let Some(subscriber) = &mut self.subscriber else { return };
        let is_stale = answer.id != 0 && answer.id != subscriber.offer_id;
        if is_stale || subscriber.offered_at.is_none() {
            metrics::counter!("starling_actors_answers_stale_total").increment(1);
            return;
        }
        let negotiated = match subscriber.offerer.apply_answer(&answer.sdp) {
            Ok(negotiated) => negotiated,
            Err(error) => return self.negotiation_failed(&error),
        };
        subscriber.offered_at = None;
        let peer = subscriber.transport.peer;
        let incompatible = subscriber.offerer.incompatible();
        self.media(MediaCommand::SetRemote { peer, remote: negotiated.remote });
        self.set_senders(negotiated.extensions, negotiated.senders);
        self.refuse_incompatible(&incompatible);
        self.negotiate_soon(now);
    }

    fn negotiation_failed(&mut self, error: &SdpError) {
        tracing::info!(sid = %self.sid, %error, "negotiation failed");
        metrics::counter!("starling_actors_negotiations_failed_total").increment(1);
        self.end(DisconnectReason::StateMismatch, Some(Action::Reconnect), true);
    }

    /// Negotiates after a short wait for company.
    pub(crate) fn negotiate_soon(&mut self, now: Instant) {
        let quiet = self.negotiated_at.is_none_or(|at| now >= at + limits::NEGOTIATION_DEBOUNCE_NEXT);
        let wait = if quiet { limits::NEGOTIATION_DEBOUNCE_FIRST } else { limits::NEGOTIATION_DEBOUNCE_NEXT };
        self.negotiate_at.get_or_insert(now + wait);
    }

    /// Offers (v0) or asks the client to offer (v1), where anything changed.
    pub(crate) fn negotiate(&mut self, now: Instant) {
        self.negotiate_at = None;
        if matches!(self.sink, Sink::Lost { .. }) {
            return;
        }
        let message = match &mut self.subscriber {
            Some(subscriber) => {
                let Some(sdp) = subscriber.offerer.create_offer(&subscriber.transport.local) else { return };
                subscriber.offer_id += 1;
                subscriber.offered_at = Some(now);
                let (id, r#type) = (subscriber.offer_id, "offer".to_owned());
                // A section that carries another track than before keeps its old track id in browsers: clients need
                // the map here as well.
                let mid_to_track_id = subscriber.offerer.mid_to_track_id().into_iter().collect();
                Message::Offer(lk::SessionDescription { r#type, sdp, id, mid_to_track_id })
            }
            None => {
                let Some((num_audios, num_videos)) = self.answerer.sections_requirement() else { return };
                Message::MediaSectionsRequirement(lk::MediaSectionsRequirement { num_audios, num_videos })
            }
        };
        self.negotiated_at = Some(now);
        self.send(message);
    }

    /// After a resume our next offer restarts ICE.
    pub(crate) fn restart_subscriber(&mut self, now: Instant) {
        let Some(subscriber) = &mut self.subscriber else { return };
        if subscriber.offer_id == 0 {
            return;
        }
        let ids = &mut self.ids;
        next_generation(&mut subscriber.transport, || ids.sid(""));
        let Subscriber { transport, offerer, offered_at, .. } = subscriber;
        offerer.abandon();
        offerer.force();
        *offered_at = None;
        let (peer, local) = (transport.peer, transport.local.ice.clone());
        self.media(MediaCommand::RestartIce { peer, local });
        self.negotiated_at = None;
        self.negotiate_at = None;
        self.negotiate_soon(now);
    }

    fn next_generation_of_publisher(&mut self) {
        let ids = &mut self.ids;
        next_generation(&mut self.publisher, || ids.sid(""));
    }
}

/// New credentials with the worker's first character, and candidates above all earlier ones.
fn next_generation(transport: &mut Transport, mut random: impl FnMut() -> String) {
    let local = &mut transport.local;
    let prefix: String = transport.prefix.or_else(|| local.ice.ufrag.chars().next()).into_iter().collect();
    let pwd = format!("{}{}", random(), random());
    local.ice = IceCredentials { ufrag: format!("{prefix}{}", random()), pwd };
    local.local_preference = local.local_preference.saturating_add(limits::LOCAL_PREFERENCE_STEP);
}

/// The first ICE user name fragment of a description: another one than before is an ICE restart.
fn remote_ufrag(sdp: &str) -> Option<String> {
    sdp.lines().find_map(|line| line.trim_end().strip_prefix("a=ice-ufrag:")).map(str::to_owned)
}
