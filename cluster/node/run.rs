//! The one task that owns foca, the roster and the UDP socket. Decides nothing: it carries between them.
#![expect(clippy::disallowed_methods, reason = "the shell tells its cores the time")]

use super::error::JoinError;
use super::report::tell_operator;
use super::saved;
use crate::facts::{Datagram, FactsPort, LoadPace, NodeFacts, Told, quantised};
use crate::identity::SavedMembers;
use crate::key::ClusterKeys;
use crate::limits::{DATAGRAM_BYTES_MAX, DATAGRAMS_BEFORE_TIMERS, SAVE_DELAY, SAVE_INTERVAL, SOCKET_ERROR_PAUSE};
use crate::link::{LinkEvent, Links};
use crate::member::{MemberFacts, MemberId};
use crate::membership::{Membership, Output};
use crate::metrics;
use crate::roster::{Effect, Input, Roster};
use crate::seal::{Kind, Opener, Sealer};
use crate::view::View;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot, watch};

/// What the rest of the node asks of this task.
#[derive(Debug)]
pub(super) enum Command {
    /// These have welcomed this node: foca may announce it there, and again whenever it is alone.
    Announce { to: Vec<SocketAddr>, seeds: Vec<SocketAddr> },
    /// Tell the others and end.
    Leave { done: oneshot::Sender<()> },
}

/// What the task is made of.
pub(super) struct Parts {
    pub(super) cluster_name: String,
    pub(super) keys: ClusterKeys,
    pub(super) address: SocketAddr,
    pub(super) data_dir: Option<PathBuf>,
    pub(super) udp: UdpSocket,
    pub(super) own: watch::Receiver<MemberFacts>,
    pub(super) facts: Box<dyn NodeFacts>,
    pub(super) told: watch::Receiver<Arc<Told>>,
    pub(super) port: FactsPort,
    pub(super) links: Links,
    pub(super) link_events: mpsc::Receiver<LinkEvent>,
    pub(super) commands: mpsc::Receiver<Command>,
}

pub(super) struct Runner {
    inputs: Inputs,
    core: Core,
}

/// What wakes the task.
struct Inputs {
    own: watch::Receiver<MemberFacts>,
    told: watch::Receiver<Arc<Told>>,
    port: FactsPort,
    link_events: mpsc::Receiver<LinkEvent>,
    commands: mpsc::Receiver<Command>,
    received: Vec<u8>,
}

/// What it carries between.
struct Core {
    me: MemberId,
    udp: UdpSocket,
    sealer: Sealer,
    opener: Opener,
    membership: Membership,
    roster: Roster,
    facts: Box<dyn NodeFacts>,
    links: Links,
    views: watch::Sender<Arc<View>>,
    told_facts: MemberFacts,
    load: LoadPace,
    saving: Option<Saving>,
    sealed: Vec<u8>,
    effects: Vec<Effect>,
}

/// Keeps the members on disk up to date, without haste.
struct Saving {
    folder: PathBuf,
    saved: Option<SavedMembers>,
    earliest: Instant,
    is_due: bool,
}

enum Turn {
    GoOn,
    End,
}

impl Runner {
    pub(super) fn new(parts: Parts) -> Result<Self, JoinError> {
        let now = Instant::now();
        let told_facts = parts.own.borrow().clone();
        let me = told_facts.member.clone();
        let roster = Roster::new(told_facts.clone(), parts.address);
        let core = Core {
            sealer: Sealer::new(&parts.keys, &parts.cluster_name, &me)?,
            opener: Opener::new(&parts.keys, &parts.cluster_name).refusing(&me),
            membership: Membership::new(me.clone(), parts.address, rand::random(), now),
            views: watch::Sender::new(roster.view()),
            roster,
            udp: parts.udp,
            facts: parts.facts,
            links: parts.links,
            load: LoadPace::new(told_facts.load, now),
            told_facts,
            me,
            saving: parts.data_dir.map(|folder| Saving { folder, saved: None, earliest: now, is_due: false }),
            sealed: Vec::new(),
            effects: Vec::new(),
        };
        let inputs = Inputs {
            own: parts.own,
            told: parts.told,
            port: parts.port,
            link_events: parts.link_events,
            commands: parts.commands,
            received: vec![0; DATAGRAM_BYTES_MAX],
        };
        Ok(Self { inputs, core })
    }

    pub(super) fn views(&self) -> watch::Receiver<Arc<View>> {
        self.core.views.subscribe()
    }

    /// Runs until the node leaves or every handle is gone.
    pub(super) async fn run(mut self) {
        metrics::view(&self.core.roster.view());
        while let Turn::GoOn = self.turn().await {
            self.core.settle();
        }
        tracing::info!(node = %self.core.me, "left the cluster");
    }

    async fn turn(&mut self) -> Turn {
        let Self { inputs, core } = self;
        let deadline = core.next_deadline();
        tokio::select! {
            biased;
            command = inputs.commands.recv() => match command {
                Some(Command::Announce { to, seeds }) => core.announce(&to, seeds),
                Some(Command::Leave { done }) => {
                    core.leave();
                    let _ = done.send(());
                    return Turn::End;
                }
                None => return Turn::End,
            },
            () = tokio::time::sleep_until(deadline.into()) => {
                core.receive_waiting(&mut inputs.received, &inputs.port);
                core.tick();
            }
            Some(event) = inputs.link_events.recv() => core.roster_input(Input::Link(event)),
            Ok(()) = inputs.own.changed() => core.own_changed(&inputs.own.borrow_and_update().clone()),
            Ok(()) = inputs.told.changed() => core.roster_input(Input::Told(inputs.told.borrow_and_update().clone())),
            Some(Datagram { peer, payload }) = inputs.port.next() => core.send(Kind::Chitchat, peer, &payload),
            result = core.udp.recv_from(&mut inputs.received) => match result {
                Ok((length, from)) => core.datagram(&inputs.received[..length], from, &inputs.port),
                Err(error) => {
                    tracing::debug!(%error, "cluster port does not receive");
                    metrics::datagram_dropped("receive_failed");
                    tokio::time::sleep(SOCKET_ERROR_PAUSE).await;
                }
            },
        }
        Turn::GoOn
    }
}

impl Core {
    fn next_deadline(&self) -> Instant {
        let saving = self.saving.as_ref().filter(|saving| saving.is_due).map(|saving| saving.earliest);
        let deadlines =
            [self.membership.next_deadline(), self.roster.next_deadline(), self.load.next_deadline(), saving];
        // foca always has something to do until it leaves, and then nobody asks.
        deadlines.into_iter().flatten().min().unwrap_or_else(|| Instant::now() + SAVE_INTERVAL)
    }

    fn tick(&mut self) {
        let now = Instant::now();
        self.membership.tick(now);
        metrics::membership(self.membership.counts());
        if let Some(load) = self.load.due(now) {
            let facts = MemberFacts { load, ..self.told_facts.clone() };
            self.tell(facts);
        }
        if let Some(saving) = &mut self.saving {
            saving.save_if_due(&self.roster.view(), now);
        }
        self.roster_input(Input::Tick);
    }

    /// Reads what waits at the socket, without waiting for more.
    fn receive_waiting(&mut self, buffer: &mut [u8], port: &FactsPort) {
        for _ in 0..DATAGRAMS_BEFORE_TIMERS {
            let Ok((length, from)) = self.udp.try_recv_from(buffer) else { return };
            self.datagram(&buffer[..length], from, port);
        }
    }

    /// Whatever does not open is counted and never answered.
    fn datagram(&mut self, datagram: &[u8], from: SocketAddr, port: &FactsPort) {
        let now = Instant::now();
        let opened = match self.opener.open(datagram, now) {
            Ok(opened) => opened,
            Err(error) => {
                tracing::debug!(%from, %error, "datagram dropped");
                metrics::datagram_dropped(error.label());
                return;
            }
        };
        match opened.kind {
            Kind::Foca => {
                metrics::gossip("in", "foca", datagram.len());
                if let Err(error) = self.membership.datagram(opened.payload, now) {
                    tracing::debug!(%from, %error, "datagram of foca dropped");
                    metrics::datagram_dropped("foca_refused");
                }
            }
            Kind::Chitchat => {
                metrics::gossip("in", "chitchat", datagram.len());
                port.deliver(Datagram { peer: from, payload: opened.payload.to_vec() });
            }
        }
    }

    fn send(&mut self, kind: Kind, to: SocketAddr, payload: &[u8]) {
        if let Err(error) = self.sealer.seal(kind, payload, &mut self.sealed) {
            tracing::error!(%to, %error, "datagram cannot be sealed");
            metrics::datagram_dropped("seal_failed");
            return;
        }
        // A full socket buffer loses a datagram, as a network does; gossip repeats itself.
        match self.udp.try_send_to(&self.sealed, to) {
            Ok(length) => metrics::gossip("out", kind_label(kind), length),
            Err(error) => {
                tracing::debug!(%to, %error, "datagram not sent");
                metrics::datagram_dropped("send_failed");
            }
        }
    }

    fn announce(&mut self, to: &[SocketAddr], seeds: Vec<SocketAddr>) {
        self.membership.set_seeds(seeds);
        for address in to {
            self.membership.announce(*address, Instant::now());
        }
    }

    fn leave(&mut self) {
        self.membership.leave(Instant::now());
        self.settle();
        if let (Some(saving), Some(members)) = (&self.saving, saved::worth_saving(&self.roster.view())) {
            saved::save(members, saving.folder.clone());
        }
    }

    /// All but the load is told at once; the load at its pace.
    fn own_changed(&mut self, own: &MemberFacts) {
        self.load.offer(own.load);
        let facts = MemberFacts { load: self.told_facts.load, ..own.clone() };
        if facts != self.told_facts {
            self.tell(facts);
        }
    }

    fn tell(&mut self, facts: MemberFacts) {
        let facts = MemberFacts { load: quantised(facts.load), ..facts };
        if let Err(error) = self.facts.tell(&facts) {
            tracing::error!(%error, "this node's facts are not told");
            return;
        }
        self.told_facts = facts.clone();
        self.roster_input(Input::Own(facts));
    }

    fn roster_input(&mut self, input: Input) {
        let mut effects = std::mem::take(&mut self.effects);
        self.roster.handle(input, Instant::now(), &mut effects);
        for effect in effects.drain(..) {
            self.carry_out(effect);
        }
        self.effects = effects;
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::View(view) => self.publish(view),
            Effect::Links(wanted) => self.links.want(wanted),
            Effect::Announce(address) => self.membership.announce(address, Instant::now()),
            Effect::Meet(address) => self.facts.meet(address),
            Effect::DownHint(member) => {
                if self.membership.down_hint(&member, Instant::now()) {
                    tracing::warn!(%member, "host refuses the link: its process is gone");
                    metrics::down_hint();
                }
            }
        }
    }

    fn publish(&mut self, view: Arc<View>) {
        metrics::view(&view);
        if let Some(saving) = &mut self.saving {
            saving.view_changed(&view, Instant::now());
        }
        self.views.send_replace(view);
    }

    /// Carries what foca wants to the socket and the roster until it wants nothing more.
    fn settle(&mut self) {
        while let Some(output) = self.membership.poll_output() {
            match output {
                Output::Send { to, payload } => self.send(Kind::Foca, to, &payload),
                Output::Changed(change) => {
                    tell_operator(&change);
                    self.roster_input(Input::Life(change));
                }
            }
        }
    }
}

impl Saving {
    /// Members come together; one file for all of them.
    fn view_changed(&mut self, view: &View, now: Instant) {
        let differs = saved::worth_saving(view).is_some_and(|worth| self.saved.as_ref() != Some(&worth));
        if differs && !self.is_due {
            self.is_due = true;
            self.earliest = self.earliest.max(now + SAVE_DELAY);
        }
    }

    fn save_if_due(&mut self, view: &View, now: Instant) {
        if !self.is_due || now < self.earliest {
            return;
        }
        self.is_due = false;
        self.earliest = now + SAVE_INTERVAL;
        if let Some(members) = saved::worth_saving(view) {
            self.saved = Some(members.clone());
            saved::save(members, self.folder.clone());
        }
    }
}

fn kind_label(kind: Kind) -> &'static str {
    match kind {
        Kind::Foca => "foca",
        Kind::Chitchat => "chitchat",
    }
}
