//! What the server API asks of rooms, on whatever node they are. An unknown room or participant is `None` or `false`.

use crate::relay::{self, CHANNELS, RoomAnswer, RoomCall, blob_of};
use crate::room::{RoomCommand, RoomMessage};
use crate::rooms::{Rooms, ask};
use ractor::{ActorRef, RpcReplyPort};
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
        let permission = permission.map(|permission| blob_of(&*permission));
        let identity = identity.to_owned();
        let call = RoomCall::UpdateParticipant { identity, name, metadata, attributes, permission };
        self.call(room, call).await.message()
    }

    /// Mutes a track; unmuting needs `room.enable_remote_unmute`.
    pub async fn mute_track(&self, room: &str, identity: &str, track_sid: &str, muted: bool) -> Option<lk::TrackInfo> {
        let (identity, track_sid) = (identity.to_owned(), track_sid.to_owned());
        self.call(room, RoomCall::MuteTrack { identity, track_sid, muted }).await.message()
    }

    /// Sends a participant away with PARTICIPANT_REMOVED.
    pub async fn remove_participant(&self, room: &str, identity: &str) -> bool {
        self.call(room, RoomCall::RemoveParticipant { identity: identity.to_owned() }).await.is_done()
    }

    /// Changes a room's metadata and tells everybody at once.
    pub async fn update_room_metadata(&self, room: &str, metadata: String) -> Option<lk::Room> {
        self.call(room, RoomCall::UpdateMetadata { metadata }).await.message()
    }

    /// Subscribes or unsubscribes a participant.
    pub async fn update_subscriptions(&self, room: &str, identity: &str, request: lk::UpdateSubscription) -> bool {
        let (identity, request) = (identity.to_owned(), blob_of(&request));
        self.call(room, RoomCall::UpdateSubscriptions { identity, request }).await.is_done()
    }

    /// Sends data as the server; returns whether the room is there.
    pub async fn send_data(&self, room: &str, packet: lk::DataPacket, channel: Channel) -> bool {
        let number = CHANNELS.iter().position(|other| *other == channel).and_then(|number| u8::try_from(number).ok());
        let Some(channel) = number else { return false };
        self.call(room, RoomCall::SendData { packet: blob_of(&packet), channel }).await.is_done()
    }

    /// Ends a room with ROOM_DELETED; returns whether it was there.
    pub async fn delete_room(&self, room: &str) -> bool {
        self.call(room, RoomCall::Delete).await.is_done()
    }

    /// Asks the room's node.
    async fn call(&self, room: &str, call: RoomCall) -> RoomAnswer {
        if let Some(actor) = self.room(room).await {
            return carry_out(&actor, call).await;
        }
        match self.host_of(room).await {
            Some(host) => relay::call_room(self.relay(), &host, room, call).await,
            None => RoomAnswer::Nothing,
        }
    }

    /// Does for another node what it asks of a room of this one.
    pub(crate) async fn perform(&self, room: &str, call: RoomCall) -> RoomAnswer {
        match self.room(room).await {
            Some(actor) => carry_out(&actor, call).await,
            None => RoomAnswer::Nothing,
        }
    }
}

/// A part that cannot be read is refused as if its subject were unknown.
async fn carry_out(room: &ActorRef<RoomMessage>, call: RoomCall) -> RoomAnswer {
    match call {
        RoomCall::UpdateParticipant { identity, name, metadata, attributes, permission } => {
            let Ok(permission) = permission.map(|permission| permission.read().map(Box::new)).transpose() else {
                return RoomAnswer::Nothing;
            };
            let command =
                |reply| RoomCommand::UpdateParticipant { identity, name, metadata, attributes, permission, reply };
            RoomAnswer::of(command_of(room, command).await.flatten())
        }
        RoomCall::MuteTrack { identity, track_sid, muted } => {
            let command = |reply| RoomCommand::MuteTrack { identity, track_sid, muted, reply };
            RoomAnswer::of(command_of(room, command).await.flatten())
        }
        RoomCall::RemoveParticipant { identity } => {
            let removed = command_of(room, |reply| RoomCommand::RemoveParticipant { identity, reply }).await;
            RoomAnswer::done(removed.unwrap_or(false))
        }
        RoomCall::UpdateMetadata { metadata } => {
            RoomAnswer::of(command_of(room, |reply| RoomCommand::UpdateMetadata { metadata, reply }).await)
        }
        RoomCall::UpdateSubscriptions { identity, request } => {
            let Ok(request) = request.read() else { return RoomAnswer::Nothing };
            let updated = command_of(room, |reply| RoomCommand::UpdateSubscriptions { identity, request, reply }).await;
            RoomAnswer::done(updated.unwrap_or(false))
        }
        RoomCall::SendData { packet, channel } => {
            let (Ok(packet), Some(channel)) = (packet.read(), CHANNELS.get(usize::from(channel)).copied()) else {
                return RoomAnswer::Nothing;
            };
            tell(room, RoomCommand::SendData { packet: Box::new(packet), channel })
        }
        RoomCall::Delete => {
            let (reason, action) = (lk::DisconnectReason::RoomDeleted, lk::leave_request::Action::Disconnect);
            tell(room, RoomCommand::Close { reason, action })
        }
    }
}

fn tell(room: &ActorRef<RoomMessage>, command: RoomCommand) -> RoomAnswer {
    RoomAnswer::done(room.cast(RoomMessage::Api(Box::new(command))).is_ok())
}

async fn command_of<T: Send + 'static>(
    room: &ActorRef<RoomMessage>,
    command: impl FnOnce(RpcReplyPort<T>) -> RoomCommand,
) -> Option<T> {
    ask(room, |reply| RoomMessage::Api(Box::new(command(reply)))).await
}
