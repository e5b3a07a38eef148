//! What clients ask, one arm per message of `SignalRequest`.

use crate::limits;
use crate::participant::state::{ParticipantState, Sink};
use crate::room::FromParticipant;
use crate::signal::{self, Message};
use starling_media::command::MediaCommand;
use starling_protocol::livekit as lk;
use starling_protocol::livekit::DisconnectReason;
use starling_protocol::livekit::leave_request::Action;
use starling_protocol::livekit::request_response::{Reason, Request as Asked};
use starling_protocol::livekit::signal_request::Message as Request;
use starling_protocol::livekit::simulate_scenario::Scenario;
use std::time::Instant;

impl ParticipantState {
    /// Handles one request of the WebSocket `sink`; those of an older one are late and mean nothing.
    pub(crate) fn handle_request(&mut self, sink: u64, request: lk::SignalRequest, now: Instant) {
        if self.ended || self.sink != Sink::Open(sink) {
            return;
        }
        let Some(request) = request.message else { return };
        match request {
            Request::Offer(offer) => self.offered(&offer, now),
            Request::Answer(answer) => self.answered(&answer, now),
            Request::Trickle(trickle) => trickled(&trickle),
            Request::AddTrack(request) => self.add_track(request, now),
            Request::Mute(request) => self.mute(&request.sid, request.muted, now),
            Request::Subscription(request) => self.room(FromParticipant::UpdateSubscription(request)),
            Request::TrackSetting(request) => self.set_track(&request),
            Request::Leave(_) => self.end(DisconnectReason::ClientInitiated, None, true),
            #[expect(deprecated, reason = "old clients say what UpdateTrackSettings and dynacast know better")]
            Request::UpdateLayers(_) => {}
            Request::SubscriptionPermission(request) => self.room(FromParticipant::SubscriptionPermission(request)),
            Request::SyncState(request) => self.sync_state(&request, now),
            Request::Simulate(request) => self.simulate(&request),
            Request::Ping(_) => self.send(Message::Pong(self.calendar.unix_ms(now))),
            Request::UpdateMetadata(request) => self.room(FromParticipant::UpdateMetadata(Box::new(request))),
            Request::PingReq(ping) => self.send(Message::PongResp(lk::Pong {
                last_ping_timestamp: ping.timestamp,
                timestamp: self.calendar.unix_ms(now),
            })),
            Request::UpdateAudioTrack(request) => self.update_audio_track(request, now),
            Request::UpdateVideoTrack(request) => self.update_video_track(request, now),
            Request::PublishDataTrackRequest(request) => {
                self.refuse(Reason::NotAllowed, "data tracks are not served", Some(Asked::PublishDataTrack(request)));
            }
            Request::UnpublishDataTrackRequest(request) => {
                self.refuse(Reason::NotAllowed, "data tracks are not served", Some(Asked::UnpublishDataTrack(request)));
            }
            Request::UpdateDataSubscription(_) => self.refuse(Reason::NotAllowed, "data tracks are not served", None),
            Request::StoreDataBlobRequest(_) | Request::GetDataBlobRequest(_) => {
                self.refuse(Reason::UnsupportedType, "data blobs are not served", None);
            }
        }
    }

    pub(crate) fn refuse(&mut self, reason: Reason, text: &str, request: Option<Asked>) {
        self.send(signal::answer_request(0, reason, text, request));
    }

    /// A resuming client tells what it has.
    pub(crate) fn sync_state(&mut self, sync: &lk::SyncState, now: Instant) {
        let unknown = sync.publish_tracks.iter().filter_map(|published| published.track.as_ref());
        if unknown.map(|track| &track.sid).any(|sid| !self.tracks.contains_key(sid)) {
            self.end(DisconnectReason::StateMismatch, Some(Action::Reconnect), true);
            return;
        }
        if let Some(subscription) = &sync.subscription {
            self.room(FromParticipant::UpdateSubscription(subscription.clone()));
        }
        for track_sid in sync.track_sids_disabled.iter().take(limits::TRACK_CHOICES_MAX) {
            let mut settings = self.settings.get(track_sid).cloned().unwrap_or_default();
            settings.track_sids = vec![track_sid.clone()];
            settings.disabled = true;
            self.set_track(&settings);
        }
        self.room(FromParticipant::ReceiveStates(sync.datachannel_receive_states.clone()));
        self.negotiate_soon(now);
    }

    fn simulate(&mut self, request: &lk::SimulateScenario) {
        match &request.scenario {
            Some(Scenario::SpeakerUpdate(seconds)) => {
                let seconds = u32::try_from(*seconds).unwrap_or(0);
                self.room(FromParticipant::SimulateSpeaker { seconds });
            }
            Some(Scenario::ServerLeave(_)) => {
                self.end(DisconnectReason::ServerShutdown, Some(Action::Disconnect), true);
            }
            Some(Scenario::NodeFailure(_) | Scenario::LeaveRequestFullReconnect(_)) => {
                self.end(DisconnectReason::StateMismatch, Some(Action::Reconnect), true);
            }
            Some(Scenario::Migration(_)) => {
                self.send(signal::leave(DisconnectReason::Migration, Action::Resume));
            }
            Some(Scenario::SwitchCandidateProtocol(_)) => {
                self.send(signal::leave(DisconnectReason::UnknownReason, Action::Resume));
            }
            Some(Scenario::DisconnectSignalOnResume(_) | Scenario::DisconnectSignalOnResumeNoMessages(_)) => {
                self.disconnect_on_resume = true;
            }
            Some(Scenario::SubscriberBandwidth(_)) | None => {}
        }
    }

    /// The client says which of its subscriptions it wants how.
    pub(crate) fn set_track(&mut self, request: &lk::UpdateTrackSettings) {
        for track_sid in &request.track_sids {
            if self.settings.len() >= limits::TRACK_CHOICES_MAX && !self.settings.contains_key(track_sid) {
                metrics::counter!("starling_actors_settings_refused_total").increment(1);
                continue;
            }
            let settings = lk::UpdateTrackSettings { track_sids: Vec::new(), ..request.clone() };
            self.settings.insert(track_sid.clone(), settings);
            self.update_preference(track_sid);
        }
    }

    /// The server API mutes a track: the client is told, and has to mute itself.
    pub(crate) fn mute_by_server(&mut self, track_sid: &str, muted: bool, now: Instant) {
        if self.tracks.contains_key(track_sid) {
            self.send(Message::Mute(lk::MuteTrackRequest { sid: track_sid.into(), muted }));
            self.mute(track_sid, muted, now);
        }
    }

    pub(crate) fn mute(&mut self, track_sid: &str, muted: bool, now: Instant) {
        let Some(track) = self.tracks.get_mut(track_sid) else { return };
        track.info.muted = muted;
        let key = track.key;
        self.media(MediaCommand::SetMuted { peer: self.publisher.peer, track: key, muted });
        self.tell_track(track_sid, now);
    }
}

/// The server is passive: a client's candidates are not needed, its checks tell its addresses.
fn trickled(trickle: &lk::TrickleRequest) {
    let text = &trickle.candidate_init;
    let is_json = text.len() <= limits::CANDIDATE_BYTES_MAX && serde_json::from_str::<serde_json::Value>(text).is_ok();
    if !(is_json || trickle.r#final && text.is_empty()) {
        metrics::counter!("starling_actors_candidates_refused_total").increment(1);
    }
}
