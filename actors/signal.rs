//! Small constructors of signal messages.

use crate::limits;
use prost::Message as _;
use starling_protocol::livekit as lk;
pub(crate) use starling_protocol::livekit::signal_response::Message;

/// Wraps a message.
pub(crate) fn response(message: Message) -> Box<lk::SignalResponse> {
    Box::new(lk::SignalResponse { message: Some(message) })
}

/// Participants changed.
pub(crate) fn update(participants: Vec<lk::ParticipantInfo>) -> Message {
    Message::Update(lk::ParticipantUpdate { participants })
}

/// Participants changed, in as many messages as their size asks for.
pub(crate) fn updates(participants: Vec<lk::ParticipantInfo>) -> Vec<Message> {
    let mut messages = Vec::new();
    let mut part = Vec::new();
    let mut part_bytes = 0;
    for info in participants {
        let bytes = info.encoded_len();
        if !part.is_empty() && part_bytes + bytes > limits::UPDATE_BYTES_MAX {
            messages.push(update(std::mem::take(&mut part)));
            part_bytes = 0;
        }
        part_bytes += bytes;
        part.push(info);
    }
    if !part.is_empty() {
        messages.push(update(part));
    }
    messages
}

/// The session ends.
pub(crate) fn leave(reason: lk::DisconnectReason, action: lk::leave_request::Action) -> Message {
    Message::Leave(lk::LeaveRequest {
        can_reconnect: action != lk::leave_request::Action::Disconnect,
        reason: reason as i32,
        action: action as i32,
        ..Default::default()
    })
}

/// The answer to a request.
pub(crate) fn answer_request(
    request_id: u32,
    reason: lk::request_response::Reason,
    message: &str,
    request: Option<lk::request_response::Request>,
) -> Message {
    Message::RequestResponse(lk::RequestResponse {
        request_id,
        reason: reason as i32,
        message: message.into(),
        request,
    })
}
