//! The LiveKit signal wire as a client sees it: protobuf frames over one WebSocket.

use futures_util::{SinkExt, StreamExt};
use prost::Message as _;
use starling_protocol::livekit::{self as proto, signal_request, signal_response};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// The protocol number that a bot speaks.
const PROTOCOL: u32 = 16;

/// A conversation with a node broke.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The WebSocket failed, or the node refused it.
    #[error("signal connection failed")]
    Socket(#[from] Box<SocketError>),
    /// A frame is no `SignalResponse`.
    #[error("signal frame cannot be read")]
    Frame(#[from] prost::DecodeError),
    /// The node closed the connection.
    #[error("signal connection is closed")]
    Closed,
    /// The node said something else than expected.
    #[error("expected {expected} from the node")]
    Unexpected {
        /// What was expected.
        expected: &'static str,
    },
}

impl From<SocketError> for WireError {
    fn from(error: SocketError) -> Self {
        Self::Socket(Box::new(error))
    }
}

/// One signal connection (`/rtc`, two peer connections).
#[derive(Debug)]
pub struct Wire {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Wire {
    /// Opens the WebSocket and waits for the join response.
    ///
    /// # Errors
    /// [`WireError`] when the node refuses or says something else first.
    pub async fn join(url: &str, token: &str) -> Result<(Self, proto::JoinResponse), WireError> {
        let base = url.trim_end_matches('/');
        let address =
            format!("{base}/rtc?access_token={token}&auto_subscribe=1&sdk=rust&protocol={PROTOCOL}&version=0.1.0");
        let (socket, _) = connect_async(address).await?;
        let mut wire = Self { socket };
        match wire.receive().await? {
            signal_response::Message::Join(join) => Ok((wire, join)),
            _ => Err(WireError::Unexpected { expected: "a join response first" }),
        }
    }

    /// Sends one request.
    ///
    /// # Errors
    /// [`WireError::Socket`] when the connection is gone.
    pub async fn send(&mut self, message: signal_request::Message) -> Result<(), WireError> {
        let request = proto::SignalRequest { message: Some(message) };
        Ok(self.socket.send(Message::Binary(request.encode_to_vec().into())).await?)
    }

    /// Waits for the next response. Cancel safe.
    ///
    /// # Errors
    /// [`WireError`] when the connection ends.
    pub async fn receive(&mut self) -> Result<signal_response::Message, WireError> {
        loop {
            match self.socket.next().await.ok_or(WireError::Closed)?? {
                Message::Binary(frame) => {
                    if let Some(message) = proto::SignalResponse::decode(frame)?.message {
                        return Ok(message);
                    }
                }
                Message::Close(_) => return Err(WireError::Closed),
                _ => {}
            }
        }
    }

    /// Says goodbye and closes.
    ///
    /// # Errors
    /// [`WireError::Socket`] when the connection is gone already.
    pub async fn leave(mut self) -> Result<(), WireError> {
        self.send(signal_request::Message::Leave(proto::LeaveRequest::default())).await?;
        Ok(self.socket.close(None).await?)
    }
}

/// The candidate line of a trickled candidate.
#[must_use]
pub fn candidate_of(trickle: &proto::TrickleRequest) -> Option<String> {
    let init: serde_json::Value = serde_json::from_str(&trickle.candidate_init).ok()?;
    init["candidate"].as_str().filter(|candidate| !candidate.is_empty()).map(str::to_owned)
}
