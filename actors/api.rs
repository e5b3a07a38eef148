//! What the server API asks of rooms. An unknown room or participant is `None` or `false`.

use crate::limits::CALL_TIMEOUT;
use crate::room::{RoomCommand, RoomMessage};
use crate::rooms::Rooms;
use ractor::RpcReplyPort;
use ractor::rpc::CallResult;
use starling_media::codec::Channel;
use starling_protocol::livekit as lk;

/// What a participant becomes; `None` leaves as is, an attribute with an empty value is deleted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ParticipantChange {
    /// Display name.
    pub name: Option<String>,
    /// Metadata.
    pub metadata: Option<String>,
    /// Attributes to set or delete.
    pub attributes: Vec<(String, String)>,
    /// Everything that it may do.
    pub permission: Option<Box<lk::ParticipantPermission>>,
}

impl Rooms {
    /// Changes a participant and tells everybody.
    pub async fn update_participant(
        &self,
        room: &str,
        identity: &str,
        change: ParticipantChange,
    ) -> Option<lk::ParticipantInfo> {
        let ParticipantChange { name, metadata, attributes, permission } = change;
        let identity = identity.to_owned();
        let command =
            |reply| RoomCommand::UpdateParticipant { identity, name, metadata, attributes, permission, reply };
        self.command(room, command).await.flatten()
    }

    /// Mutes a track; unmuting needs `room.enable_remote_unmute`.
    pub async fn mute_track(&self, room: &str, identity: &str, track_sid: &str, muted: bool) -> Option<lk::TrackInfo> {
        let (identity, track_sid) = (identity.to_owned(), track_sid.to_owned());
        self.command(room, |reply| RoomCommand::MuteTrack { identity, track_sid, muted, reply }).await.flatten()
    }

    /// Sends a participant away with PARTICIPANT_REMOVED.
    pub async fn remove_participant(&self, room: &str, identity: &str) -> bool {
        let identity = identity.to_owned();
        self.command(room, |reply| RoomCommand::RemoveParticipant { identity, reply }).await.unwrap_or(false)
    }

    /// Changes a room's metadata and tells everybody at once.
    pub async fn update_room_metadata(&self, room: &str, metadata: String) -> Option<lk::Room> {
        self.command(room, |reply| RoomCommand::UpdateMetadata { metadata, reply }).await
    }

    /// Subscribes or unsubscribes a participant.
    pub async fn update_subscriptions(&self, room: &str, identity: &str, request: lk::UpdateSubscription) -> bool {
        let identity = identity.to_owned();
        self.command(room, |reply| RoomCommand::UpdateSubscriptions { identity, request, reply }).await.unwrap_or(false)
    }

    /// Sends data as the server; returns whether the room is there.
    pub async fn send_data(&self, room: &str, packet: lk::DataPacket, channel: Channel) -> bool {
        self.tell(room, RoomCommand::SendData { packet: Box::new(packet), channel }).await
    }

    /// Ends a room with ROOM_DELETED; returns whether it was there.
    pub async fn delete_room(&self, room: &str) -> bool {
        self.tell(room, RoomCommand::Close { reason: lk::DisconnectReason::RoomDeleted }).await
    }

    async fn tell(&self, room: &str, command: RoomCommand) -> bool {
        let Some(actor) = self.room(room).await else { return false };
        actor.cast(RoomMessage::Api(Box::new(command))).is_ok()
    }

    async fn command<T: Send + 'static>(
        &self,
        room: &str,
        command: impl FnOnce(RpcReplyPort<T>) -> RoomCommand,
    ) -> Option<T> {
        let actor = self.room(room).await?;
        let answer = actor.call(|reply| RoomMessage::Api(Box::new(command(reply))), Some(CALL_TIMEOUT)).await;
        match answer {
            Ok(CallResult::Success(answer)) => Some(answer),
            Ok(CallResult::Timeout | CallResult::SenderError) | Err(_) => None,
        }
    }
}
