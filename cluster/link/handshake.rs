//! From a TCP connection to one whose other side has proved the cluster key: sockets and time limits. Nothing is said
//! to a peer that has not proved it.

use crate::key::ClusterKeys;
use crate::limits;
use crate::link::greeting::{self, Answer, Greeting, Refusal};
use crate::link::proof;
use crate::link::tls::{NAME, Tls};
use serde::Serialize;
use serde::de::DeserializeOwned;
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

/// A connection whose other side has the cluster key.
#[derive(Debug)]
pub(crate) struct Proved {
    pub(crate) stream: TlsStream<TcpStream>,
    /// Number of the link that it may become; the same at both ends, known to nobody else.
    pub(crate) link: u64,
}

/// A connection came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    /// Nobody listens there; the host says so.
    #[error("connection refused")]
    Refused,
    /// No connection, or it ended before a proof was due.
    #[error("no connection: {0}")]
    Unreachable(io::Error),
    /// Nothing came in time.
    #[error("no answer in time")]
    Silent,
    /// The other side has another key, or none.
    #[error("another cluster key")]
    WrongKey,
    /// Not our protocol after a good proof.
    #[error("{0}")]
    Unreadable(String),
    /// It has the key and does not want us.
    #[error("refused: {0}")]
    Unwelcome(Refusal),
}

/// The accepting side, up to the greeting of the other.
pub(crate) async fn accept(
    stream: TcpStream,
    tls: &Tls,
    keys: &ClusterKeys,
) -> Result<(Proved, Greeting), HandshakeError> {
    set_options(&stream).map_err(HandshakeError::Unreachable)?;
    let prove = async {
        let accepted = tls.acceptor.accept(stream).await.map_err(HandshakeError::Unreachable)?;
        let (mut stream, exported, link) = exported(TlsStream::Server(accepted))?;
        let mut proofs = [0; proof::DIALLER_BYTES];
        stream.read_exact(&mut proofs).await.map_err(HandshakeError::Unreachable)?;
        let answer = proof::acceptor(keys, &exported, &proofs).ok_or(HandshakeError::WrongKey)?;
        write(&mut stream, &answer).await?;
        Ok(Proved { stream, link })
    };
    let mut proved = in_time(prove).await?;
    let greeting = receive(&mut proved, limits::GREETING_BYTES_MAX).await?;
    Ok((proved, greeting))
}

/// The dialling side, up to the answer to its greeting.
pub(crate) async fn dial(
    address: SocketAddr,
    tls: &Tls,
    keys: &ClusterKeys,
    greeting: &Greeting,
) -> Result<(Proved, Answer), HandshakeError> {
    let stream = connect(address).await?;
    set_options(&stream).map_err(HandshakeError::Unreachable)?;
    let prove = async {
        let name = ServerName::try_from(NAME).expect("a fixed valid name");
        let connected = tls.connector.connect(name, stream).await.map_err(HandshakeError::Unreachable)?;
        let (mut stream, exported, link) = exported(TlsStream::Client(connected))?;
        // Whoever closes in place of an answer did not believe the proof.
        let unbelieved = |_| HandshakeError::WrongKey;
        stream.write_all(&proof::dialler(keys, &exported)).await.map_err(unbelieved)?;
        stream.flush().await.map_err(unbelieved)?;
        let mut answer = [0; proof::PROOF_BYTES];
        stream.read_exact(&mut answer).await.map_err(unbelieved)?;
        if !proof::acceptor_is_proved(keys, &exported, &answer) {
            return Err(HandshakeError::WrongKey);
        }
        Ok(Proved { stream, link })
    };
    let mut proved = in_time(prove).await?;
    send(&mut proved, greeting).await?;
    match receive(&mut proved, limits::WELCOME_BYTES_MAX).await? {
        Answer::Refused(refusal) => Err(HandshakeError::Unwelcome(refusal)),
        accepted @ Answer::Accepted { .. } => Ok((proved, accepted)),
    }
}

/// A TCP connection, within [`limits::CONNECT_TIME`].
pub(crate) async fn connect(address: SocketAddr) -> Result<TcpStream, HandshakeError> {
    match timeout(limits::CONNECT_TIME, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Err(HandshakeError::Refused),
        Ok(Err(error)) => Err(HandshakeError::Unreachable(error)),
        Err(_) => Err(HandshakeError::Silent),
    }
}

/// Sends a greeting or an answer.
pub(crate) async fn send<T: Serialize>(proved: &mut Proved, value: &T) -> Result<(), HandshakeError> {
    in_time(write(&mut proved.stream, &greeting::encode(value))).await
}

/// Sends the last thing that is said on a connection.
pub(crate) async fn send_last<T: Serialize>(mut proved: Proved, value: &T) {
    let last = async {
        write(&mut proved.stream, &greeting::encode(value)).await?;
        proved.stream.shutdown().await.map_err(HandshakeError::Unreachable)
    };
    // Whoever does not wait for it has gone.
    let _ = in_time(last).await;
}

async fn receive<T: DeserializeOwned>(proved: &mut Proved, limit: usize) -> Result<T, HandshakeError> {
    let unreadable = |error: greeting::GreetingError| HandshakeError::Unreadable(error.to_string());
    in_time(async {
        let mut prefix = [0; greeting::LENGTH_BYTES];
        proved.stream.read_exact(&mut prefix).await.map_err(HandshakeError::Unreachable)?;
        let mut body = vec![0; greeting::length(prefix, limit).map_err(unreadable)?];
        proved.stream.read_exact(&mut body).await.map_err(HandshakeError::Unreachable)?;
        greeting::decode(&body).map_err(unreadable)
    })
    .await
}

async fn write(stream: &mut TlsStream<TcpStream>, bytes: &[u8]) -> Result<(), HandshakeError> {
    stream.write_all(bytes).await.map_err(HandshakeError::Unreachable)?;
    stream.flush().await.map_err(HandshakeError::Unreachable)
}

async fn in_time<T>(step: impl Future<Output = Result<T, HandshakeError>>) -> Result<T, HandshakeError> {
    timeout(limits::HANDSHAKE_TIME, step).await.unwrap_or(Err(HandshakeError::Silent))
}

fn set_options(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_user_timeout(Some(limits::TCP_USER_TIMEOUT))?;
    let keepalive =
        TcpKeepalive::new().with_time(limits::TCP_KEEPALIVE).with_interval(limits::TCP_KEEPALIVE).with_retries(2);
    socket.set_tcp_keepalive(&keepalive)
}

fn exported(stream: TlsStream<TcpStream>) -> Result<(TlsStream<TcpStream>, proof::Exported, u64), HandshakeError> {
    let export = |label: &[u8], output: &mut [u8]| {
        let done = match &stream {
            TlsStream::Client(client) => client.get_ref().1.export_keying_material(output, label, None).map(drop),
            TlsStream::Server(server) => server.get_ref().1.export_keying_material(output, label, None).map(drop),
        };
        done.map_err(|error| HandshakeError::Unreadable(error.to_string()))
    };
    let (mut secret, mut number) = ([0; proof::EXPORTED_BYTES], [0; 8]);
    export(proof::EXPORT_LABEL, &mut secret)?;
    export(proof::NUMBER_LABEL, &mut number)?;
    Ok((stream, secret, u64::from_be_bytes(number)))
}
