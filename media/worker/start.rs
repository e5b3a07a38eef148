//! Starts the media workers: binds sockets, finds addresses, makes threads.

use crate::codec::Candidate;
use crate::command::{MediaCommand, MediaEvent};
use crate::transport::Certificate;
use crate::worker::arena::SendArena;
use crate::worker::config::{MediaConfig, MediaStartError};
use crate::worker::core::{CoreConfig, WorkerCore};
use crate::worker::event_loop::EventLoop;
use crate::worker::external::{external_addresses, external_tcp_candidates};
use crate::worker::handle::{CONTROL_TO_WORKER_CAPACITY, MediaPlane, WORKER_TO_CONTROL_CAPACITY, WorkerLink};
use crate::worker::neighbours::{self, Neighbours};
use crate::worker::socket::BatchSocket;
use crate::worker::tcp::{CONNECTIONS_TO_WORKER_CAPACITY, ConnectionInput, ConnectionSink, accept};
use crate::worker::wake::Waker;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// Starts one worker thread per UDP port. The workers end when every clone of the [`MediaPlane`] is dropped.
///
/// Must be called within a tokio runtime, which carries the ICE-TCP connections.
///
/// # Errors
/// [`MediaStartError`] names the address or resource that could not be had.
pub async fn start(config: MediaConfig) -> Result<(MediaPlane, mpsc::Receiver<MediaEvent>), MediaStartError> {
    if config.bind.is_empty() {
        return Err(MediaStartError::NoAddress);
    }
    if config.udp_ports.is_empty() {
        return Err(MediaStartError::NoPort);
    }
    if !config.left_out().is_empty() {
        tracing::warn!(addresses = ?config.left_out(), "too many local addresses, media is not bound to these");
    }
    let certificate = Certificate::generate()
        .map(Arc::new)
        .map_err(|error| MediaStartError::Certificate { reason: error.to_string() })?;
    let (listeners, tcp_candidates) = listen(&config).await?;
    let (events, event_receiver) = mpsc::channel(WORKER_TO_CONTROL_CAPACITY);
    let mut bound = Vec::new();
    for port in &config.udp_ports {
        bound.push(bind(config.bound(), *port)?);
    }
    let (mut links, mut sinks, mut seats) = (Vec::new(), Vec::new(), Vec::new());
    let external = external_addresses(&bound, &config.stun_servers).await;
    for (sockets, external) in bound.iter().zip(&external) {
        let mut candidates = udp_candidates(&config, sockets, external);
        candidates.extend(tcp_candidates.iter().cloned());
        candidates.extend(external_tcp_candidates(&tcp_candidates, external));
        let (link, sink, seat) = seat(candidates)?;
        links.push(link);
        sinks.push(sink);
        seats.push(seat);
    }
    let sinks = Arc::new(sinks);
    let arenas = arenas(bound).map_err(MediaStartError::Worker)?;
    let mut cores: Vec<WorkerCore> =
        seats.iter().map(|_| WorkerCore::new(core_config(&config, certificate.clone()))).collect();
    neighbours::connect(&mut cores);
    let wakers: Vec<Waker> = seats.iter().map(|seat| seat.waker.clone()).collect();
    let places = cores.into_iter().zip(Neighbours::between(&wakers));
    for (index, ((seat, arena), (core, neighbours))) in seats.into_iter().zip(arenas).zip(places).enumerate() {
        let event_loop = EventLoop {
            core,
            neighbours,
            arena,
            commands: seat.commands,
            connections: seat.connections,
            workers: sinks.clone(),
            events: events.clone(),
            waker: seat.waker,
        };
        std::thread::Builder::new()
            .name(format!("media-{index}"))
            .spawn(move || event_loop.run())
            .map_err(MediaStartError::Worker)?;
    }
    for listener in listeners {
        tokio::spawn(accept(listener, sinks.clone()));
    }
    let plane = MediaPlane { workers: Arc::new(links), fingerprint: certificate.fingerprint().into() };
    Ok((plane, event_receiver))
}

fn bind(addresses: &[IpAddr], port: u16) -> Result<Vec<BatchSocket>, MediaStartError> {
    let mut port = port;
    let mut sockets = Vec::new();
    for address in addresses {
        let address = SocketAddr::new(*address, port);
        let socket =
            BatchSocket::bind(address).map_err(|source| MediaStartError::Bind { protocol: "udp", address, source })?;
        // One port number for all addresses of a worker, also where any was asked for.
        port = socket.local().port();
        sockets.push(socket);
    }
    Ok(sockets)
}

fn udp_candidates(config: &MediaConfig, sockets: &[BatchSocket], external: &[Option<SocketAddr>]) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for (socket, external) in sockets.iter().zip(external) {
        let local = socket.local();
        let told: Vec<_> = config.advertised.iter().filter(|address| address.is_ipv4() == socket.is_ipv4()).collect();
        if told.is_empty() && !local.ip().is_unspecified() {
            candidates.push(Candidate { tcp: false, address: local, reflexive: false });
        }
        for address in told {
            candidates.push(Candidate {
                tcp: false,
                address: SocketAddr::new(*address, local.port()),
                reflexive: *address != local.ip(),
            });
        }
        if let Some(address) = *external
            && !candidates.iter().any(|candidate| candidate.address == address)
        {
            candidates.push(Candidate { tcp: false, address, reflexive: true });
        }
    }
    candidates
}

async fn listen(config: &MediaConfig) -> Result<(Vec<TcpListener>, Vec<Candidate>), MediaStartError> {
    let (mut listeners, mut candidates) = (Vec::new(), Vec::new());
    let Some(mut port) = config.tcp_port else { return Ok((listeners, candidates)) };
    for address in config.bound() {
        let address = SocketAddr::new(*address, port);
        let failed = |source| MediaStartError::Bind { protocol: "tcp", address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let local = listener.local_addr().map_err(failed)?;
        port = local.port();
        let told: Vec<_> = config.advertised.iter().filter(|told| told.is_ipv4() == local.is_ipv4()).collect();
        if told.is_empty() {
            candidates.push(Candidate { tcp: true, address: local, reflexive: false });
        }
        for address in told {
            candidates.push(Candidate { tcp: true, address: SocketAddr::new(*address, port), reflexive: false });
        }
        listeners.push(listener);
    }
    Ok((listeners, candidates))
}

/// The receiving ends of one worker to be.
struct Seat {
    commands: mpsc::Receiver<MediaCommand>,
    connections: mpsc::Receiver<ConnectionInput>,
    waker: Waker,
}

fn seat(candidates: Vec<Candidate>) -> Result<(WorkerLink, ConnectionSink, Seat), MediaStartError> {
    let waker = Waker::new().map_err(MediaStartError::Worker)?;
    let (commands, command_receiver) = mpsc::channel(CONTROL_TO_WORKER_CAPACITY);
    let (inputs, connections) = mpsc::channel(CONNECTIONS_TO_WORKER_CAPACITY);
    let link = WorkerLink { commands, candidates, waker: Some(waker.clone()) };
    let sink = ConnectionSink { inputs, waker: waker.clone() };
    Ok((link, sink, Seat { commands: command_receiver, connections, waker }))
}

/// One arena for each worker: its own sockets, and handles of all others'.
fn arenas(bound: Vec<Vec<BatchSocket>>) -> std::io::Result<Vec<SendArena>> {
    let mut borrowed = Vec::new();
    for index in 0..bound.len() {
        let others = bound.iter().enumerate().filter(|(other, _)| *other != index);
        let shared = others.flat_map(|(_, sockets)| sockets).map(BatchSocket::share);
        borrowed.push(shared.collect::<std::io::Result<Vec<_>>>()?);
    }
    let arenas = bound.into_iter().zip(borrowed).map(|(own, others)| {
        let mut arena = SendArena::new(own);
        arena.borrow(others);
        arena
    });
    Ok(arenas.collect())
}

fn core_config(config: &MediaConfig, certificate: Arc<Certificate>) -> CoreConfig {
    CoreConfig {
        certificate,
        hold: config.hold,
        allow_pause: config.allow_pause,
        congestion_control: config.congestion_control,
        gcm: config.gcm,
        test_switches: config.test_switches,
    }
}
