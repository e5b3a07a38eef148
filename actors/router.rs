//! Brings each media event to the actor that it concerns.

use crate::limits::ROOM_DATA_WAITING_MAX;
use crate::participant::ParticipantMessage;
use crate::registry::Shared;
use crate::room::RoomMessage;
use crate::session::Admission;
use starling_media::command::MediaEvent;
use starling_media::id::PeerId;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Runs until the media plane ends.
pub(crate) async fn run(shared: Arc<Shared>, mut events: mpsc::Receiver<MediaEvent>) {
    while let Some(event) = events.recv().await {
        route(&shared, event);
    }
}

/// Casts to actors that end in this moment fail; their events have no receiver then.
fn route(shared: &Shared, event: MediaEvent) {
    match event {
        MediaEvent::Speakers { room, levels } => {
            if let Some(entry) = shared.rooms.get(&room) {
                let _ = entry.actor.cast(RoomMessage::Speakers { levels });
            }
        }
        MediaEvent::Data { peer, channel, payload } => {
            let Some(owner) = shared.peers.get(&peer).map(|entry| entry.clone()) else { return };
            let Some(room) = shared.rooms.get(&owner.room) else { return };
            let Some(admission) = Admission::take(&room.data_waiting, ROOM_DATA_WAITING_MAX) else {
                metrics::counter!("starling_actors_data_dropped_total", "reason" => "overload").increment(1);
                return;
            };
            let _ = room.actor.cast(RoomMessage::Data { sid: owner.sid, channel, payload, admission });
        }
        MediaEvent::PeerConnected { peer }
        | MediaEvent::PathChanged { peer, .. }
        | MediaEvent::PeerEnded { peer, .. }
        | MediaEvent::ChannelOpen { peer, .. }
        | MediaEvent::LayerStarted { peer, .. }
        | MediaEvent::Quality { peer, .. }
        | MediaEvent::StreamPaused { peer, .. } => to_participant(shared, peer, event),
    }
}

fn to_participant(shared: &Shared, peer: PeerId, event: MediaEvent) {
    if let Some(owner) = shared.peers.get(&peer) {
        let _ = owner.participant.cast(ParticipantMessage::Media(Box::new(event)));
    }
}
