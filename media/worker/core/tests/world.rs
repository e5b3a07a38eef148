//! Cores, clients and the network between them, moved on in steps of one millisecond.

use super::super::{CoreConfig, WorkerCore};
use super::client::{Client, payloads};
use super::sender::{EXTENSIONS, Stream};
use crate::codec::{Channel, IceCredentials, Kind, ReceiveSection, RemoteTransport, SendSection, Setup};
use crate::command::{MediaCommand, MediaEvent, Preference, WorkerSnapshot};
use crate::id::{Path, PeerId, RoomKey, TrackKey};
use crate::transport::testing;
use crate::worker::arena::{Destination, SendArena};
use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Simulcast rids, lowest first.
pub(super) const VIDEO_LAYERS: [&str; 3] = ["q", "h", "f"];

/// One direction of one client's line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pipe {
    pub(super) latency: Duration,
    pub(super) jitter: Duration,
    pub(super) loss: f64,
    pub(super) duplicate: f64,
    /// Bits per second of a bottleneck.
    pub(super) rate: Option<u64>,
    /// Longest time that the bottleneck's queue holds.
    pub(super) queue: Duration,
    pub(super) dropped: u64,
    pub(super) carried: u64,
    pub(super) free_at: Option<Instant>,
}

impl Default for Pipe {
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(5),
            jitter: Duration::ZERO,
            loss: 0.0,
            duplicate: 0.0,
            rate: None,
            queue: Duration::from_millis(300),
            dropped: 0,
            carried: 0,
            free_at: None,
        }
    }
}

impl Pipe {
    fn carry(&mut self, now: Instant, size: usize, random: &mut SmallRng) -> Vec<Instant> {
        if random.random::<f64>() < self.loss {
            self.dropped += 1;
            return Vec::new();
        }
        let mut leaves = now;
        if let Some(rate) = self.rate {
            let begins = self.free_at.map_or(now, |at| at.max(now));
            if begins - now > self.queue {
                self.dropped += 1;
                return Vec::new();
            }
            leaves = begins + Duration::from_secs_f64(size as f64 * 8.0 / rate as f64);
            self.free_at = Some(leaves);
        }
        self.carried += 1;
        let copies = if random.random::<f64>() < self.duplicate { 2 } else { 1 };
        (0..copies).map(|_| leaves + self.latency + self.jitter.mul_f64(random.random::<f64>())).collect()
    }
}

enum End {
    Node(usize, SocketAddr),
    Client(usize, SocketAddr),
}

pub(super) struct Node {
    pub(super) core: WorkerCore,
    pub(super) arena: SendArena,
}

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) start: Instant,
    pub(super) nodes: Vec<Node>,
    pub(super) clients: Vec<Client>,
    /// Up and down of each client.
    pub(super) pipes: Vec<(Pipe, Pipe)>,
    /// The only node that may send to each client.
    pub(super) home: Vec<Option<usize>>,
    pub(super) events: Vec<MediaEvent>,
    pub(super) random: SmallRng,
    /// Times that the cores wanted to be woken.
    pub(super) wakes: u32,
    /// What the next clients say of pauses.
    pub(super) allow_pause: Option<bool>,
    /// Messages that workers have sent each other.
    pub(super) controls: u64,
    /// Nodes that do not look into their rings.
    pub(super) asleep: Vec<usize>,
    wire: BTreeMap<(Instant, u64), (End, Vec<u8>)>,
    order: u64,
    addresses: BTreeMap<SocketAddr, usize>,
    next_ssrc: u32,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self::with(seed, 1, |_| {})
    }

    pub(super) fn with(seed: u64, nodes: usize, change: impl Fn(&mut CoreConfig)) -> Self {
        let now = crate::egress::testing::start();
        let node = |index: usize| {
            let mut config = CoreConfig {
                certificate: testing::certificate(),
                hold: Duration::from_micros(1_500),
                allow_pause: false,
                congestion_control: true,
                gcm: true,
                test_switches: true,
            };
            change(&mut config);
            let mut core = WorkerCore::new(config);
            core.begin_eras((index as u64 + 1) << 32);
            Node { core, arena: SendArena::capturing() }
        };
        Self {
            now,
            start: now,
            nodes: (0..nodes).map(node).collect(),
            clients: Vec::new(),
            pipes: Vec::new(),
            home: Vec::new(),
            events: Vec::new(),
            random: SmallRng::seed_from_u64(seed),
            wakes: 0,
            allow_pause: None,
            controls: 0,
            asleep: Vec::new(),
            wire: BTreeMap::new(),
            order: 0,
            addresses: BTreeMap::new(),
            next_ssrc: 0x2000,
        }
    }

    fn ntp(&self) -> u64 {
        let since = self.now - self.start;
        ((3_900_000_000 + since.as_secs()) << 32) | ((u64::from(since.subsec_nanos()) << 32) / 1_000_000_000)
    }

    pub(super) fn command(&mut self, node: usize, command: MediaCommand) {
        let now = self.now;
        let Node { core, arena } = &mut self.nodes[node];
        core.handle_command(now, command, arena);
        self.collect(node);
    }

    /// Opens a peer and lets its client begin.
    pub(super) fn join(&mut self, node: usize, room: u64, open_channels: bool) -> usize {
        let index = self.clients.len();
        let id = index as u64 + 1;
        let address = SocketAddr::from(([192, 0, 2, 1], 10_000 + id as u16));
        let client = Client::new(self.now, self.start, PeerId(id), RoomKey(room), address, node);
        let (local, remote) = (client.remote.clone(), self.remote_of(&client));
        self.clients.push(client);
        self.pipes.push((Pipe::default(), Pipe::default()));
        self.home.push(Some(node));
        self.addresses.insert(address, index);
        let (peer, room, allow_pause) = (PeerId(id), RoomKey(room), self.allow_pause);
        self.command(node, MediaCommand::OpenPeer { peer, room, local, open_channels, allow_pause });
        self.command(node, MediaCommand::SetRemote { peer: PeerId(id), remote });
        index
    }

    fn remote_of(&self, client: &Client) -> RemoteTransport {
        RemoteTransport {
            ice: client.local.clone(),
            fingerprint: testing::DtlsClient::fingerprint(),
            setup: Setup::Active,
            sctp_port: Some(5_000),
        }
    }

    /// Joins one client for each and waits until all are connected.
    pub(super) fn connected(&mut self, count: usize) {
        for _ in 0..count {
            self.join(0, 1, false);
        }
        assert!(self.run_until(10_000, |world| world.clients.iter().all(|client| client.srtp.is_some())));
    }

    /// New credentials on both sides.
    pub(super) fn restart_ice(&mut self, client: usize, generation: u32) {
        let peer = self.clients[client].peer;
        let name = |side: &str| IceCredentials {
            ufrag: format!("{side}{}g{generation}", peer.0),
            pwd: format!("{side}-{}-{generation}-password-of-24-chars", peer.0),
        };
        let node = self.clients[client].node;
        let now = self.now;
        self.clients[client].restart_ice(now, name("client"), name("server"));
        let remote = self.remote_of(&self.clients[client]);
        self.command(node, MediaCommand::RestartIce { peer, local: name("server") });
        self.command(node, MediaCommand::SetRemote { peer, remote });
    }

    /// The client's address changes without its knowledge.
    pub(super) fn rebind(&mut self, client: usize, port: u16) {
        let address = SocketAddr::from(([198, 51, 100, 7], port));
        self.addresses.remove(&self.clients[client].address);
        self.addresses.insert(address, client);
        self.clients[client].address = address;
    }

    pub(super) fn publish_audio(&mut self, client: usize, track: u64) {
        self.publish(client, track, Kind::Audio, &[]);
    }

    pub(super) fn publish_video(&mut self, client: usize, track: u64, rids: &[&'static str]) {
        self.publish(client, track, Kind::Video, rids);
    }

    fn publish(&mut self, client: usize, track: u64, kind: Kind, rids: &[&'static str]) {
        let mid = track.to_string();
        let names: Vec<Option<&'static str>> =
            if rids.is_empty() { vec![None] } else { rids.iter().copied().map(Some).collect() };
        for (layer, rid) in names.into_iter().enumerate() {
            let ssrc = self.fresh_ssrc();
            let stream = Stream::new(TrackKey(track), kind, &mid, rid, layer as u8, ssrc);
            self.clients[client].streams.push(stream);
        }
        self.clients[client].receivers.push(ReceiveSection {
            mid,
            track: TrackKey(track),
            kind,
            payloads: payloads(kind),
            rids: rids.iter().map(|rid| (*rid).to_owned()).collect(),
            ssrcs: Vec::new(),
        });
        self.send_receivers(client);
    }

    pub(super) fn unpublish(&mut self, client: usize, track: u64) {
        let client_state = &mut self.clients[client];
        client_state.streams.retain(|stream| stream.track != TrackKey(track));
        client_state.receivers.retain(|section| section.track != TrackKey(track));
        self.send_receivers(client);
    }

    fn send_receivers(&mut self, client: usize) {
        let Client { peer, node, receivers, .. } = &self.clients[client];
        let (peer, node, sections) = (*peer, *node, receivers.clone());
        self.command(node, MediaCommand::SetReceivers { peer, extensions: EXTENSIONS, sections });
    }

    pub(super) fn fresh_ssrc(&mut self) -> u32 {
        self.next_ssrc += 7;
        self.next_ssrc
    }

    pub(super) fn subscribe(&mut self, client: usize, track: u64, kind: Kind) -> u32 {
        let ssrc = self.fresh_ssrc();
        let rtx_ssrc = ssrc + 0x20_0000;
        let mid = format!("s{}", self.clients[client].senders.len());
        let section = SendSection { mid, track: TrackKey(track), kind, ssrc, rtx_ssrc, payloads: payloads(kind) };
        self.clients[client].senders.push(section);
        self.send_senders(client);
        ssrc
    }

    pub(super) fn unsubscribe(&mut self, client: usize, track: u64) {
        self.clients[client].senders.retain(|section| section.track != TrackKey(track));
        self.send_senders(client);
    }

    pub(super) fn send_senders(&mut self, client: usize) {
        let now = self.now;
        self.clients[client].configure_sink(now);
        let Client { peer, node, senders, .. } = &self.clients[client];
        let (peer, node, sections) = (*peer, *node, senders.clone());
        self.command(node, MediaCommand::SetSenders { peer, extensions: EXTENSIONS, sections });
    }

    pub(super) fn prefer(&mut self, client: usize, track: u64, spatial_max: u8, enabled: bool) {
        let preference = Preference { spatial_max, enabled, ..Preference::default() };
        let (peer, node) = (self.clients[client].peer, self.clients[client].node);
        self.command(node, MediaCommand::SetPreference { peer, track: TrackKey(track), preference });
    }

    pub(super) fn mute(&mut self, client: usize, track: u64, muted: bool) {
        for stream in self.clients[client].streams.iter_mut().filter(|stream| stream.track == TrackKey(track)) {
            stream.active = !muted;
            stream.key_wanted = true;
        }
        let (peer, node) = (self.clients[client].peer, self.clients[client].node);
        self.command(node, MediaCommand::SetMuted { peer, track: TrackKey(track), muted });
    }

    pub(super) fn send_data(&mut self, node: usize, clients: &[usize], channel: Channel, payload: &'static [u8]) {
        let peers = clients.iter().map(|client| self.clients[*client].peer).collect();
        self.command(node, MediaCommand::SendData { peers, channel, payload: Bytes::from_static(payload) });
    }

    pub(super) fn close(&mut self, client: usize) {
        let (peer, node) = (self.clients[client].peer, self.clients[client].node);
        self.command(node, MediaCommand::ClosePeer { peer });
        self.home[client] = None;
        self.clients[client].gone = true;
    }

    pub(super) fn export(&mut self, client: usize) -> Option<Vec<u8>> {
        let (peer, node) = (self.clients[client].peer, self.home[client]?);
        let (reply, mut answer) = oneshot::channel();
        self.command(node, MediaCommand::ExportPeer { peer, reply });
        self.home[client] = None;
        answer.try_recv().unwrap()
    }

    pub(super) fn import(&mut self, client: usize, node: usize, state: Vec<u8>) {
        let (peer, room) = (self.clients[client].peer, self.clients[client].room);
        let (reply, mut answer) = oneshot::channel();
        self.home[client] = Some(node);
        self.command(node, MediaCommand::ImportPeer { peer, room, state, reply });
        answer.try_recv().unwrap().unwrap();
    }

    /// Moves clients to another node, all at once: subscribers find the tracks of publishers moved with them.
    pub(super) fn move_all(&mut self, clients: &[usize], node: usize) {
        let states: Vec<Vec<u8>> =
            clients.iter().map(|client| self.export(*client).expect("an established peer")).collect();
        for (client, state) in clients.iter().zip(states) {
            self.import(*client, node, state);
        }
    }

    pub(super) fn inspect(&mut self, node: usize) -> WorkerSnapshot {
        let (reply, mut answer) = oneshot::channel();
        self.command(node, MediaCommand::Inspect { reply });
        answer.try_recv().unwrap()
    }

    /// A datagram from any address arrives at a node right away.
    pub(super) fn inject(&mut self, node: usize, remote: SocketAddr, mut datagram: Vec<u8>) {
        let now = self.now;
        let Node { core, arena } = &mut self.nodes[node];
        core.handle_datagram(now, Path::Udp { socket: 0, remote }, &mut datagram, arena);
        self.collect(node);
    }

    /// Hands what a node has sent to the network and takes its events.
    fn collect(&mut self, node: usize) {
        for (destination, datagram) in self.nodes[node].arena.take_captured() {
            let Destination::Udp { to, .. } = destination else { panic!("no TCP here") };
            let address = to.address();
            let Some(&client) = self.addresses.get(&address) else { continue };
            assert_eq!(self.home[client], Some(node), "a node sends to a client that is elsewhere");
            let state = &mut self.clients[client];
            state.observer.see(&state.dtls, &datagram);
            for at in self.pipes[client].1.carry(self.now, datagram.len(), &mut self.random) {
                self.order += 1;
                self.wire.insert((at, self.order), (End::Client(node, address), datagram.clone()));
            }
        }
        while let Some(event) = self.nodes[node].core.poll_event() {
            self.events.push(event);
        }
    }

    /// One millisecond.
    pub(super) fn step(&mut self) {
        self.now += Duration::from_millis(1);
        let (now, ntp) = (self.now, self.ntp());
        while let Some(entry) = self.wire.first_entry().filter(|entry| entry.key().0 <= now) {
            match entry.remove() {
                (End::Client(node, address), datagram) => {
                    if let Some(&client) = self.addresses.get(&address) {
                        self.clients[client].handle(now, node, datagram);
                    }
                }
                (End::Node(node, remote), datagram) => self.inject(node, remote, datagram),
            }
        }
        self.carry_controls();
        for index in 0..self.nodes.len() {
            let awake = !self.asleep.contains(&index);
            let Node { core, arena } = &mut self.nodes[index];
            if awake {
                core.take_handed(now, arena);
            }
            core.forward_due(now, arena);
            core.work(now, arena);
            if core.poll_timeout().is_some_and(|at| at <= now) {
                core.handle_timeout(now, ntp, arena);
                self.wakes += 1;
            }
            assert!(core.poll_timeout().is_none_or(|at| at > now), "a core that is due again at once spins");
            self.collect(index);
        }
        for index in 0..self.clients.len() {
            self.clients[index].tick(now, ntp);
            let from = self.clients[index].address;
            for (node, datagram) in std::mem::take(&mut self.clients[index].out) {
                for at in self.pipes[index].0.carry(now, datagram.len(), &mut self.random) {
                    self.order += 1;
                    self.wire.insert((at, self.order), (End::Node(node, from), datagram.clone()));
                }
            }
        }
    }

    pub(super) fn run(&mut self, millis: u64) {
        for _ in 0..millis {
            self.step();
        }
    }

    /// Steps until `done`; says whether it was done in time.
    pub(super) fn run_until(&mut self, millis: u64, done: impl Fn(&Self) -> bool) -> bool {
        for _ in 0..millis {
            if done(self) {
                return true;
            }
            self.step();
        }
        done(self)
    }

    pub(super) fn has(&self, wanted: impl Fn(&MediaEvent) -> bool) -> bool {
        self.events.iter().any(wanted)
    }

    /// Whether a node has forgotten everything.
    pub(super) fn assert_empty(&self, node: usize) {
        let core = &self.nodes[node].core;
        assert!(core.peers.is_empty() && core.tracks.is_empty() && core.rooms.is_empty());
        assert!(core.by_id.is_empty() && core.by_ufrag.is_empty() && core.by_path.is_empty());
        assert!(core.track_by_key.is_empty() && core.links.iter().all(Option::is_none));
    }
}

impl World {
    /// Gives a client an address that another one had.
    pub(super) fn adopt_address(&mut self, client: usize, address: SocketAddr) {
        self.addresses.retain(|_, owner| *owner != client);
        self.addresses.insert(address, client);
        self.clients[client].address = address;
    }
}
