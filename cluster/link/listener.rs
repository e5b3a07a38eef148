//! The cluster port, TCP: accepts, keeps strangers few and short, and hands over whoever has proved the key and said
//! who it is.

use crate::clock;
use crate::key::ClusterKeys;
use crate::link::doorkeeper::{Doorkeeper, Full};
use crate::link::greeting::Greeting;
use crate::link::handshake::{self, HandshakeError, Proved};
use crate::link::tls::Tls;
use crate::metrics;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// Somebody with the key.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) proved: Proved,
    pub(crate) greeting: Greeting,
    pub(crate) from: SocketAddr,
}

/// The system may be out of sockets for a while; asking at once would only burn the processor.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Accepts until its task is ended.
pub(crate) async fn listen(listener: TcpListener, tls: Tls, keys: ClusterKeys, arrivals: mpsc::Sender<Arrival>) {
    let doorkeeper = Arc::new(Mutex::new(Doorkeeper::default()));
    loop {
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cluster port cannot accept");
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        match Place::take(&doorkeeper, from.ip()) {
            Ok(place) => {
                tokio::spawn(admit(stream, from, tls.clone(), keys.clone(), arrivals.clone(), place));
            }
            Err(Full::All) => metrics::handshake_refused("full"),
            Err(Full::ThisIp) => metrics::handshake_refused("full_for_ip"),
        }
    }
}

async fn admit(
    stream: TcpStream,
    from: SocketAddr,
    tls: Tls,
    keys: ClusterKeys,
    arrivals: mpsc::Sender<Arrival>,
    place: Place,
) {
    match handshake::accept(stream, &tls, &keys).await {
        Ok((proved, greeting)) => {
            // Nobody takes arrivals any more when links were stopped.
            let _ = arrivals.send(Arrival { proved, greeting, from }).await;
        }
        Err(error) => {
            let reason = reason(&error);
            metrics::handshake_refused(reason);
            if matches!(error, HandshakeError::WrongKey) && place.may_complain() {
                tracing::warn!(%from, "connection to the cluster port with another cluster key");
            } else {
                tracing::debug!(%from, reason, %error, "connection to the cluster port came to nothing");
            }
        }
    }
    drop(place);
}

fn reason(error: &HandshakeError) -> &'static str {
    match error {
        HandshakeError::Refused | HandshakeError::Unreachable(_) => "broken",
        HandshakeError::Silent => "silent",
        HandshakeError::WrongKey => "wrong_key",
        HandshakeError::Unreadable(_) => "unreadable",
        HandshakeError::Unwelcome(_) => "unwelcome",
    }
}

/// A place among those who have not proved the key; given back when dropped.
struct Place {
    doorkeeper: Arc<Mutex<Doorkeeper>>,
    ip: IpAddr,
}

impl Place {
    fn take(doorkeeper: &Arc<Mutex<Doorkeeper>>, ip: IpAddr) -> Result<Self, Full> {
        doorkeeper.lock().unwrap_or_else(PoisonError::into_inner).enter(ip)?;
        Ok(Self { doorkeeper: Arc::clone(doorkeeper), ip })
    }

    fn may_complain(&self) -> bool {
        self.doorkeeper.lock().unwrap_or_else(PoisonError::into_inner).may_complain(clock::now())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.doorkeeper.lock().unwrap_or_else(PoisonError::into_inner).leave(self.ip);
    }
}
