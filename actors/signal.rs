//! Small constructors of signal messages.

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
