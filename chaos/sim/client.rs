//! A simulated client: it finds its room through any node, stays, follows, and comes again (rules 5, 6, 8).

use crate::node::RoomActor;
use crate::world::{Event, World};
use rand::Rng;
use starling_actors::placement_core::{AttachRefusal, Epoch, Input, LocateError, Located, RoomHints};
use starling_cluster::member::MemberId;

/// A client looks at its connection so often, milliseconds.
pub(crate) const LOOK_MS: u64 = 100;
/// It gives its connection up after this much silence, milliseconds: the signal ping timeout.
const SILENCE_MS: u64 = 2_000;
/// It tries another way when a try has no answer after this, milliseconds.
const TRY_MS: u64 = 2_500;
/// It rests so long after a refusal, milliseconds.
const REST_MS: u64 = 200;

/// A simulated client.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) room: String,
    /// Side of a partition that it is on; `None`: it reaches every node.
    pub(crate) side: Option<u8>,
    pub(crate) stage: Stage,
    /// Greatest epoch that it has seen (rule 5).
    seen: Option<Epoch>,
    failed_host: Option<MemberId>,
    entry: usize,
    tries: u64,
    pub(crate) joined: bool,
    bad_since: Option<u64>,
    pub(crate) good_at: u64,
}

/// What it is at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It comes at this time.
    Away { until: u64 },
    /// It asked its entry node.
    Locating { request: u64, until: u64 },
    /// It wants into the room at this node.
    Attaching { request: u64, host: usize, member: MemberId, until: u64 },
    /// It is there.
    There { host: usize, member: MemberId },
}

impl Client {
    pub(crate) fn new(room: String, comes_at: u64) -> Self {
        Self {
            room,
            side: None,
            stage: Stage::Away { until: comes_at },
            seen: None,
            failed_host: None,
            entry: 0,
            tries: 0,
            joined: false,
            bad_since: None,
            good_at: 0,
        }
    }
}

impl World {
    /// Whether the client's packets reach the node.
    fn client_reaches(&self, client: usize, node: usize) -> bool {
        let side = self.clients[client].side;
        self.nodes[node].runs(self.now) && side.is_none_or(|side| self.network.side[node] == side)
    }

    pub(crate) fn client_is_there(&self, client: usize) -> Option<usize> {
        let Stage::There { host, member } = &self.clients[client].stage else { return None };
        let node = &self.nodes[*host];
        let room = node.rooms.get(&self.clients[client].room)?;
        (node.up && node.member() == *member && room.people.contains(&client)).then_some(*host)
    }

    pub(crate) fn client_looks(&mut self, client: usize) {
        let now = self.now;
        self.schedule(now + LOOK_MS, Event::ClientLooks { client });
        match self.clients[client].stage.clone() {
            Stage::Away { until } if now >= until => self.client_locates(client),
            Stage::Locating { until, request } if now >= until => {
                let entry = self.clients[client].entry;
                self.input(entry, Input::Cancel { request });
                self.client_rests(client, 0);
            }
            Stage::Attaching { until, member, .. } if now >= until => {
                self.clients[client].failed_host = Some(member);
                self.client_rests(client, 0);
            }
            Stage::There { host, member } => self.client_watches(client, host, member),
            _ => {}
        }
    }

    fn client_watches(&mut self, client: usize, host: usize, member: MemberId) {
        let now = self.now;
        let entry = self.clients[client].entry;
        let relayed = entry == host || (self.client_reaches(client, entry) && self.reaches(entry, host));
        if relayed && self.client_reaches(client, host) && self.client_is_there(client).is_some() {
            self.clients[client].bad_since = None;
            self.clients[client].good_at = now;
            return;
        }
        let since = *self.clients[client].bad_since.get_or_insert(now);
        if now >= since + SILENCE_MS {
            self.leave(client, host);
            self.clients[client].failed_host = Some(member);
            self.client_rests(client, 0);
        }
    }

    fn client_rests(&mut self, client: usize, rest: u64) {
        self.clients[client].stage = Stage::Away { until: self.now + rest };
        if rest == 0 {
            self.client_locates(client);
        }
    }

    fn client_locates(&mut self, client: usize) {
        let open: Vec<usize> = (0..self.nodes.len()).filter(|node| self.client_reaches(client, *node)).collect();
        if open.is_empty() {
            self.clients[client].stage = Stage::Away { until: self.now + REST_MS };
            return;
        }
        let entry = open[self.random.random_range(0..open.len())];
        let request = self.next_request(client);
        let one = &mut self.clients[client];
        one.entry = entry;
        one.stage = Stage::Locating { request, until: self.now + TRY_MS };
        let (room, failed_host) = (one.room.clone(), one.failed_host.clone());
        self.input(entry, Input::Locate { request, room, create: true, hints: RoomHints::default(), failed_host });
    }

    /// A request number that leads back to the client.
    fn next_request(&mut self, client: usize) -> u64 {
        self.clients[client].tries += 1;
        self.clients[client].tries << 16 | client as u64
    }

    pub(crate) fn located(&mut self, entry: usize, request: u64, result: Result<Located, LocateError>) {
        let client = client_of(request);
        let current = matches!(self.clients[client].stage, Stage::Locating { request: asked, .. } if asked == request);
        if !current || self.clients[client].entry != entry {
            return;
        }
        self.clients[client].failed_host = None;
        match result {
            Ok(Located { host, epoch }) => self.client_attaches(client, &host, epoch),
            Err(_) => self.client_rests(client, REST_MS),
        }
    }

    /// The entry node relays: over its link to the host, as any message.
    fn client_attaches(&mut self, client: usize, member: &MemberId, epoch: Epoch) {
        let Some(host) = self.nodes.iter().position(|node| node.node_id == member.node_id) else { return };
        let request = self.next_request(client);
        let until = self.now + TRY_MS;
        let entry = self.clients[client].entry;
        self.clients[client].stage = Stage::Attaching { request, host, member: member.clone(), until };
        let boot = member.boot_id.number();
        self.relay(
            entry,
            host,
            boot,
            Input::Attach { request, room: self.clients[client].room.clone(), epoch: Some(epoch) },
        );
    }

    pub(crate) fn attached(&mut self, at: usize, request: u64, result: Result<Epoch, AttachRefusal>) {
        let client = client_of(request);
        let current = matches!(&self.clients[client].stage,
            Stage::Attaching { request: asked, host, .. } if *asked == request && *host == at);
        if !current {
            return;
        }
        match result {
            Ok(epoch) => self.client_enters(client, at, epoch),
            Err(AttachRefusal::Moved { winner, epoch }) => self.client_is_sent(client, winner, epoch),
            Err(AttachRefusal::NotHere) => self.client_rests(client, REST_MS),
        }
    }

    /// The entry node could not put it on a link, or the link broke under it: the entry knows, and so does the client.
    pub(crate) fn not_attached(&mut self, input: &Input) {
        let Input::Attach { request, .. } = input else { return };
        let client = client_of(*request);
        let Stage::Attaching { request: asked, member, .. } = self.clients[client].stage.clone() else { return };
        if asked == *request {
            self.clients[client].failed_host = Some(member);
            self.clients[client].stage = Stage::Away { until: self.now + REST_MS };
        }
    }

    fn client_enters(&mut self, client: usize, host: usize, epoch: Epoch) {
        let now = self.now;
        let member = self.nodes[host].member();
        let one = &mut self.clients[client];
        one.seen = one.seen.take().max(Some(epoch));
        one.stage = Stage::There { host, member };
        one.bad_since = None;
        if one.joined {
            let outage = now - one.good_at;
            self.report.outages_ms.push(outage);
        }
        one.joined = true;
        one.good_at = now;
        let room = self.clients[client].room.clone();
        let actor = self.nodes[host].rooms.entry(room.clone());
        let actor = actor.or_insert_with(|| RoomActor { people: std::collections::BTreeSet::new(), empty_since: now });
        actor.people.insert(client);
        self.tell_load(host, &room);
    }

    /// Rule 5: only towards a strictly greater epoch; otherwise it asks the directory.
    pub(crate) fn client_is_sent(&mut self, client: usize, winner: MemberId, epoch: Epoch) {
        if let Stage::There { host, .. } = self.clients[client].stage {
            self.leave(client, host);
        }
        if self.clients[client].seen.as_ref().is_some_and(|seen| epoch <= *seen) {
            self.client_rests(client, REST_MS);
            return;
        }
        self.clients[client].seen = Some(epoch.clone());
        self.client_attaches(client, &winner, epoch);
    }

    /// The host notices by its own means; here at once when it runs.
    fn leave(&mut self, client: usize, host: usize) {
        let room = self.clients[client].room.clone();
        let now = self.now;
        if let Some(actor) = self.nodes[host].rooms.get_mut(&room) {
            actor.people.remove(&client);
            if actor.people.is_empty() {
                actor.empty_since = now;
            }
        }
        if self.nodes[host].runs(now) {
            self.tell_load(host, &room);
        }
    }
}

pub(crate) fn client_of(request: u64) -> usize {
    usize::try_from(request & 0xffff).unwrap_or_default()
}
