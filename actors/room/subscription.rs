//! Who receives which track: wishes of subscribers, audiences of publishers, and tracks that are still to come.

use crate::config::Limits;
use crate::limits;
use crate::participant::ToParticipant;
use crate::room::state::{Member, RoomState, Subscribed};
use crate::signal::Message;
use starling_media::codec::Kind;
use starling_protocol::livekit as lk;
use std::time::Instant;

impl RoomState {
    /// A client (un)subscribes, by track or by participant.
    pub(crate) fn update_subscription(&mut self, sid: &str, request: &lk::UpdateSubscription, now: Instant) {
        let by_participant = request.participant_tracks.iter().flat_map(|tracks| tracks.track_sids.iter());
        let wanted: Vec<String> =
            request.track_sids.iter().chain(by_participant).take(limits::TRACK_CHOICES_MAX).cloned().collect();
        for track_sid in wanted {
            let owner = self.owner_of(&track_sid);
            let Some(member) = self.members.get_mut(sid) else { return };
            if member.choices.len() >= limits::TRACK_CHOICES_MAX && !member.choices.contains_key(&track_sid) {
                metrics::counter!("starling_actors_subscriptions_refused_total").increment(1);
                continue;
            }
            member.choices.insert(track_sid.clone(), request.subscribe);
            match owner {
                Some(owner) => self.reconcile(sid, &owner, &track_sid),
                None if request.subscribe => {
                    member.awaited.entry(track_sid).or_insert(now + limits::SUBSCRIPTION_WAIT);
                }
                None => {
                    member.awaited.remove(&track_sid);
                    member.choices.remove(&track_sid);
                }
            }
        }
    }

    /// A publisher says who may have its tracks.
    pub(crate) fn set_audience(&mut self, sid: &str, audience: lk::SubscriptionPermission) {
        let Some(member) = self.members.get_mut(sid) else { return };
        if audience.track_permissions.len() > limits::TRACK_CHOICES_MAX {
            metrics::counter!("starling_actors_subscriptions_refused_total").increment(1);
            return;
        }
        member.audience = audience;
        let tracks: Vec<String> = member.tracks.keys().cloned().collect();
        for track_sid in tracks {
            self.reconcile_track(sid, &track_sid);
        }
    }

    /// Checks every track for one subscriber.
    pub(crate) fn reconcile_subscriber(&mut self, sid: &str) {
        let tracks: Vec<(String, String)> = self
            .members
            .iter()
            .flat_map(|(owner, member)| member.tracks.keys().map(|track| (owner.clone(), track.clone())))
            .collect();
        for (owner, track_sid) in tracks {
            self.reconcile(sid, &owner, &track_sid);
        }
    }

    /// Checks every subscriber of one track.
    pub(crate) fn reconcile_track(&mut self, owner: &str, track_sid: &str) {
        let sids: Vec<String> = self.members.keys().cloned().collect();
        for sid in sids {
            self.reconcile(&sid, owner, track_sid);
        }
    }

    /// Brings one possible subscription to what is wanted and allowed.
    fn reconcile(&mut self, sid: &str, owner: &str, track_sid: &str) {
        if sid == owner {
            return;
        }
        let Some(publisher) = self.members.get(owner) else { return };
        let Some(track) = publisher.tracks.get(track_sid) else { return };
        let facts = track.facts.clone();
        let Some(subscriber) = self.members.get(sid) else { return };
        let allowed = is_allowed(&publisher.audience, sid, &subscriber.info.identity, track_sid);
        let limits = self.config.limits.clone();
        let Some(member) = self.members.get_mut(sid) else { return };
        member.awaited.remove(track_sid);
        let wanted = wants(member, track_sid);
        let has = member.subscribed.contains_key(track_sid);
        let fits = has || has_place(member, facts.kind, &limits);
        let was_refused = member.refused.contains(track_sid);
        let is_refused = wanted && !allowed;
        if is_refused {
            member.refused.insert(track_sid.into());
        } else {
            member.refused.remove(track_sid);
        }
        let subscribe = wanted && allowed && fits;
        if subscribe {
            let subscribed = Subscribed { publisher: owner.into(), kind: facts.kind };
            member.subscribed.insert(track_sid.into(), subscribed);
        } else {
            member.subscribed.remove(track_sid);
        }
        if wanted && allowed && !fits {
            member.crowded_out.insert(track_sid.into());
        } else {
            member.crowded_out.remove(track_sid);
        }
        if is_refused != was_refused {
            let update = lk::SubscriptionPermissionUpdate {
                participant_sid: owner.into(),
                track_sid: track_sid.into(),
                allowed,
            };
            self.to(sid, ToParticipant::Signal(Message::SubscriptionPermissionUpdate(update)));
        }
        match (has, subscribe) {
            (false, true) => self.to(sid, ToParticipant::Subscribe(Box::new(facts))),
            (true, false) => {
                self.to(sid, ToParticipant::Unsubscribe { track_sid: track_sid.into() });
                self.fill_places(sid);
            }
            _ => {}
        }
    }

    /// A subscription ended: a track that had no place may take its one.
    pub(crate) fn fill_places(&mut self, sid: &str) {
        let Some(member) = self.members.get(sid) else { return };
        let waiting: Vec<String> = member.crowded_out.iter().cloned().collect();
        for track_sid in waiting {
            match self.owner_of(&track_sid) {
                Some(owner) => self.reconcile(sid, &owner, &track_sid),
                None => {
                    if let Some(member) = self.members.get_mut(sid) {
                        member.crowded_out.remove(&track_sid);
                    }
                }
            }
        }
    }

    /// Published and subscribed tracks.
    pub(crate) fn track_count(&self) -> usize {
        self.track_owners.len() + self.members.values().map(|member| member.subscribed.len()).sum::<usize>()
    }

    /// Gives up waiting for tracks that never came.
    pub(crate) fn end_waits(&mut self, now: Instant) {
        let mut missing = Vec::new();
        for (sid, member) in &mut self.members {
            let due: Vec<String> =
                member.awaited.iter().filter(|(_, at)| **at <= now).map(|(track, _)| track.clone()).collect();
            for track_sid in due {
                member.awaited.remove(&track_sid);
                member.choices.remove(&track_sid);
                missing.push((sid.clone(), track_sid));
            }
        }
        for (sid, track_sid) in missing {
            let err = lk::SubscriptionError::SeTrackNotfound as i32;
            let response = lk::SubscriptionResponse { track_sid, err };
            self.to(&sid, ToParticipant::Signal(Message::SubscriptionResponse(response)));
        }
    }

    /// Media of a subscription is negotiated; the first time, its publisher is told.
    pub(crate) fn first_subscribed(&mut self, sid: &str, track_sid: &str) {
        let Some(subscribed) = self.members.get(sid).and_then(|member| member.subscribed.get(track_sid)) else {
            return;
        };
        let owner = subscribed.publisher.clone();
        let track = self.members.get_mut(&owner).and_then(|member| member.tracks.get_mut(track_sid));
        if let Some(track) = track.filter(|track| !track.subscribed_once) {
            track.subscribed_once = true;
            let message = Message::TrackSubscribed(lk::TrackSubscribed { track_sid: track_sid.into() });
            self.to(&owner, ToParticipant::Signal(message));
        }
    }

    fn owner_of(&self, track_sid: &str) -> Option<String> {
        let owner = self.members.iter().find(|(_, member)| member.tracks.contains_key(track_sid));
        owner.map(|(sid, _)| sid.clone())
    }
}

/// Whether one more track fits into the limits.
fn has_place(member: &Member, kind: Kind, limits: &Limits) -> bool {
    let of_kind = member.subscribed.values().filter(|subscribed| subscribed.kind == kind).count();
    let kind_limit = match kind {
        Kind::Audio => limits.audio_subscriptions,
        Kind::Video => limits.video_subscriptions,
    };
    let total_limit = limits.subscriptions_per_participant;
    (kind_limit == 0 || of_kind < kind_limit) && (total_limit == 0 || member.subscribed.len() < total_limit)
}

fn wants(member: &Member, track_sid: &str) -> bool {
    member.permission.can_subscribe && member.choices.get(track_sid).copied().unwrap_or(member.auto_subscribe)
}

fn is_allowed(audience: &lk::SubscriptionPermission, sid: &str, identity: &str, track_sid: &str) -> bool {
    audience.all_participants
        || audience.track_permissions.iter().any(|permission| {
            let names = permission.participant_sid == sid || permission.participant_identity == identity;
            names && (permission.all_tracks || permission.track_sids.iter().any(|track| track == track_sid))
        })
}
