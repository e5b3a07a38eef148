//! One WebSocket: frames of the client into its session, responses of the session into frames.
#![expect(clippy::disallowed_methods, reason = "the shell tells the message rate the time")]

use super::rate::{MessageRate, RateError};
use crate::rooms::Admitted;
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use starling_actors::{SessionError, SessionOutput};
use starling_protocol::frame::{Encoding, Frame, FrameError, decode_binary, decode_text, encode};
use starling_protocol::livekit::{SignalRequest, SignalResponse};
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval, timeout};

/// WebSocket pings to the client, as LiveKit's server sends them.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// A client's network stack that answers no ping for this long is gone; its session then waits for a resume.
const SILENCE_MAX: Duration = Duration::from_secs(45);
/// A frame that a client does not take within this time ends its WebSocket.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// How long we wait for the client's half of the closing handshake.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// RFC 6455 §5.5: a close frame's reason holds 123 bytes.
const CLOSE_REASON_BYTES_MAX: usize = 123;

/// Why a WebSocket ends.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("session is over")]
    Finished,
    #[error("client has gone")]
    Gone,
    #[error("client is silent")]
    Silent,
    #[error("client takes no frames")]
    Stuck,
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Rate(#[from] RateError),
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error("signalling frame is larger than {} bytes", starling_protocol::limits::SIGNAL_FRAME_BYTES_MAX)]
    TooLarge,
}

impl End {
    /// The close code (RFC 6455 §7.4.1), where there is still somebody to tell.
    fn code(&self) -> Option<u16> {
        match self {
            Self::Finished | Self::Session(SessionError::Ended) => Some(1000),
            Self::Frame(FrameError::TooLong { .. }) | Self::TooLarge => Some(1009),
            Self::Frame(_) => Some(1007),
            Self::Rate(_) | Self::Session(SessionError::Busy) => Some(1008),
            Self::Gone | Self::Silent | Self::Stuck => None,
        }
    }
}

/// Serves a WebSocket until either side ends it; `notice` sees each response before its client does.
pub(super) async fn serve(
    mut socket: WebSocket,
    mut admitted: Admitted,
    messages_per_second: u32,
    notice: impl Fn(&SignalResponse),
) {
    metrics::gauge!("starling_http_websockets").increment(1);
    let end = run(&mut socket, &mut admitted, messages_per_second, notice).await;
    drop(admitted);
    metrics::gauge!("starling_http_websockets").decrement(1);
    if matches!(end, End::Frame(_) | End::Rate(_) | End::TooLarge | End::Session(SessionError::Busy)) {
        metrics::counter!("starling_http_bad_frames_total").increment(1);
    }
    tracing::debug!(reason = %end, "websocket ended");
    if let Some(code) = end.code() {
        let reason = if code == 1000 { String::new() } else { end.to_string() };
        close(&mut socket, code, reason).await;
    } else if matches!(end, End::Gone) {
        // One more read sends the answer to a closing handshake that the client began.
        let _ = timeout(CLOSE_TIMEOUT, socket.recv()).await;
    }
}

async fn run(
    socket: &mut WebSocket,
    admitted: &mut Admitted,
    messages_per_second: u32,
    notice: impl Fn(&SignalResponse),
) -> End {
    let mut encoding = Encoding::default();
    let mut rate = MessageRate::new(messages_per_second, Instant::now());
    let mut heard_at = Instant::now();
    let mut pings = interval(PING_INTERVAL);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings.reset();
    notice(&admitted.first);
    if let Err(end) = respond(socket, &admitted.first, encoding).await {
        return end;
    }
    loop {
        let step = tokio::select! {
            output = admitted.responses.recv() => match output {
                Some(SessionOutput::Signal(response)) => {
                    notice(&response);
                    respond(socket, &response, encoding).await
                }
                Some(SessionOutput::Close) | None => Err(End::Finished),
            },
            message = socket.recv() => {
                heard_at = Instant::now();
                hear(message, &mut encoding, &mut rate, heard_at)
                    .and_then(|request| request.map_or(Ok(()), |request| Ok(admitted.requests.send(request)?)))
            }
            _ = pings.tick() => {
                if heard_at.elapsed() > SILENCE_MAX { Err(End::Silent) } else { send(socket, Message::Ping(Vec::new().into())).await }
            }
        };
        if let Err(end) = step {
            return end;
        }
    }
}

/// What a WebSocket message asks for, if anything.
fn hear(
    message: Option<Result<Message, axum::Error>>,
    encoding: &mut Encoding,
    rate: &mut MessageRate,
    now: Instant,
) -> Result<Option<SignalRequest>, End> {
    let message = match message {
        Some(Ok(message)) => message,
        Some(Err(error)) if is_capacity(&error) => return Err(End::TooLarge),
        Some(Err(_)) | None => return Err(End::Gone),
    };
    rate.take(now)?;
    match message {
        Message::Binary(bytes) => {
            *encoding = Encoding::Binary;
            Ok(Some(decode_binary(&bytes)?))
        }
        Message::Text(text) => {
            *encoding = Encoding::Text;
            Ok(Some(decode_text(&text)?))
        }
        Message::Ping(_) | Message::Pong(_) => Ok(None),
        Message::Close(_) => Err(End::Gone),
    }
}

/// axum hides tungstenite's error type; its texts for frames and messages above the limit share these words.
fn is_capacity(error: &axum::Error) -> bool {
    error.to_string().contains("too long") || error.to_string().contains("Space limit exceeded")
}

async fn respond(socket: &mut WebSocket, response: &SignalResponse, encoding: Encoding) -> Result<(), End> {
    let message = match encode(response, encoding)? {
        Frame::Binary(bytes) => Message::Binary(bytes.into()),
        Frame::Text(text) => Message::Text(text.into()),
    };
    send(socket, message).await
}

async fn send(socket: &mut WebSocket, message: Message) -> Result<(), End> {
    match timeout(SEND_TIMEOUT, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End::Gone),
        Err(_) => Err(End::Stuck),
    }
}

async fn close(socket: &mut WebSocket, code: u16, mut reason: String) {
    reason.truncate(reason.floor_char_boundary(CLOSE_REASON_BYTES_MAX));
    let frame = CloseFrame { code, reason: reason.into() };
    if timeout(SEND_TIMEOUT, socket.send(Message::Close(Some(frame)))).await.is_ok_and(|sent| sent.is_ok()) {
        let _ = timeout(CLOSE_TIMEOUT, async { while let Some(Ok(_)) = socket.recv().await {} }).await;
    }
}
