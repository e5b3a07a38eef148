//! Accepts HTTP connections within bounds: so many at once, and so long for the head of a request.

use axum::extract::ConnectInfo;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

/// Connections that speak HTTP at once; WebSockets do not count, rooms bound them. Further ones wait in the backlog.
pub(crate) const CONNECTIONS_MAX: u32 = 4096;
/// Time for the head of a request, and idle time between two; a slow sender would hold a place for ever otherwise.
pub(crate) const HEAD_TIME: Duration = Duration::from_secs(10);
/// Pause after a failed accept: out of descriptors, the next one would fail at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How much a listener takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) connections: u32,
    pub(crate) head_time: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { connections: CONNECTIONS_MAX, head_time: HEAD_TIME }
    }
}

/// Serves until `stopped` says so, then finishes the requests under way.
pub(crate) async fn serve(listener: TcpListener, routes: Router, bounds: Bounds, mut stopped: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(bounds.connections as usize));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(bounds.head_time);
    loop {
        let accepting = async {
            let place = Arc::clone(&places).acquire_owned().await.ok()?;
            Some((place, listener.accept().await))
        };
        let accepted = tokio::select! {
            accepted = accepting => accepted,
            _ = stopped.wait_for(|stop| *stop) => break,
        };
        let Some((place, accepted)) = accepted else { break };
        let (stream, remote) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "HTTP connection not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY not set");
        }
        let service = TowerToHyperService::new(routes.clone().layer(Extension(ConnectInfo(remote))));
        let connection = http.serve_connection(TokioIo::new(stream), service).with_upgrades();
        let mut stopped = stopped.clone();
        let stop = async move {
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        tokio::spawn(async move {
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = stop => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%remote, %error, "HTTP connection ended");
            }
            drop(place);
        });
    }
    drop(listener);
    // Fails only when the semaphore is closed, which nobody does.
    let _ = places.acquire_many(bounds.connections).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: node\r\nconnection: close\r\n\r\n";

    async fn listening(connections: u32, head_time: Duration) -> (SocketAddr, watch::Sender<bool>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("address");
        let (stop, stopped) = watch::channel(false);
        let routes = Router::new().route("/", axum::routing::get(async || "hello"));
        tokio::spawn(serve(listener, routes, Bounds { connections, head_time }, stopped));
        (address, stop)
    }

    async fn ask(address: SocketAddr) -> String {
        let mut stream = TcpStream::connect(address).await.expect("connection");
        stream.write_all(REQUEST).await.expect("request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("answer");
        answer
    }

    #[tokio::test]
    async fn a_slow_head_loses_its_connection_and_others_are_served_then() {
        let (address, _stop) = listening(2, Duration::from_millis(200)).await;
        let mut slow = Vec::new();
        for _ in 0..2 {
            let mut stream = TcpStream::connect(address).await.expect("connection");
            stream.write_all(b"GET / HTTP/1.1\r\nx: ").await.expect("part of a head");
            slow.push(stream);
        }
        // Both places are taken until the slow ones run out of time.
        assert!(ask(address).await.ends_with("hello"));
        for mut stream in slow {
            let mut rest = Vec::new();
            let ended = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
            assert!(ended.is_ok(), "the connection is closed");
        }
    }

    #[tokio::test]
    async fn a_stop_closes_the_port_and_idle_connections() {
        let (address, stop) = listening(8, Duration::from_secs(60)).await;
        let mut idle = TcpStream::connect(address).await.expect("connection");
        assert!(ask(address).await.contains("200 OK"));
        stop.send_replace(true);
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(5), idle.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "the idle connection is closed");
        assert!(TcpStream::connect(address).await.is_err());
    }
}
