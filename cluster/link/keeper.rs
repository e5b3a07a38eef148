//! Performs what [`LinkTable`] decides: one task that dials, judges arrivals, opens and closes, and tells.

use crate::clock;
use crate::gateway::{Carrier, CloseReason, LinkNews, News, Sessions};
use crate::limits;
use crate::link::admission::{OwnFacts, judge};
use crate::link::closable::{self, Closer};
use crate::link::event::{Admit, LinkEvent};
use crate::link::greeting::{Answer, Greeting, Purpose, Refusal};
use crate::link::handshake::{self, HandshakeError, Proved};
use crate::link::listener::Arrival;
use crate::link::own::Own;
use crate::link::state::{DialFailure, Effect, LinkTable};
use crate::member::MemberId;
use crate::metrics;
use std::collections::BTreeMap;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// What the handle wants.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wish {
    pub(crate) members: Vec<(MemberId, SocketAddr)>,
    pub(crate) stop: bool,
}

/// What the keeper's task hears beside wishes.
pub(crate) struct Ears {
    pub(crate) wishes: watch::Receiver<Wish>,
    pub(crate) arrivals: mpsc::Receiver<Arrival>,
    pub(crate) news: mpsc::UnboundedReceiver<News>,
}

/// The outcome of something the keeper began.
enum Outcome {
    Dialled { member: MemberId, result: Result<Proved, DialFailure> },
    Probed { member: MemberId, refused: bool },
}

/// The shell of [`LinkTable`].
pub(crate) struct Keeper {
    own: Arc<Own>,
    table: LinkTable,
    sessions: Sessions,
    admit: Admit,
    events: mpsc::Sender<LinkEvent>,
    /// Proved and not yet opened; at most one per member and one more that replaces it.
    waiting: BTreeMap<u64, Waiting>,
    open: BTreeMap<u64, Closer>,
    outcomes: mpsc::Sender<Outcome>,
    finished: mpsc::Receiver<Outcome>,
}

struct Waiting {
    member: MemberId,
    proved: Proved,
    /// We accepted it and owe the answer to its greeting.
    accepted: bool,
}

impl Keeper {
    pub(crate) fn new(
        own: Arc<Own>,
        sessions: Sessions,
        admit: Admit,
        events: mpsc::Sender<LinkEvent>,
        seed: u64,
    ) -> Self {
        let table = LinkTable::new(own.me.clone(), seed);
        let (outcomes, finished) = mpsc::channel(limits::LINK_COMMANDS_MAX);
        Self {
            own,
            table,
            sessions,
            admit,
            events,
            waiting: BTreeMap::new(),
            open: BTreeMap::new(),
            outcomes,
            finished,
        }
    }

    /// Runs until the handle wishes the end or is gone.
    pub(crate) async fn run(mut self, mut ears: Ears) {
        loop {
            let deadline = self.table.next_deadline();
            let alarm = async {
                match deadline {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                changed = ears.wishes.changed() => {
                    let wish = ears.wishes.borrow_and_update().clone();
                    if changed.is_err() || wish.stop {
                        break;
                    }
                    self.table.want(wish.members, clock::now());
                }
                Some(news) = ears.news.recv() => self.hear(news),
                Some(outcome) = self.finished.recv() => self.conclude(outcome),
                Some(arrival) = ears.arrivals.recv() => self.receive(arrival),
                () = alarm => self.table.tick(clock::now()),
            }
            self.perform().await;
        }
        // Readers end when their closers are dropped; what waits for answers is told.
        for link in std::mem::take(&mut self.open).into_keys() {
            self.sessions.ended(link);
        }
        self.sessions.stop().await;
        metrics::links_up(0);
    }

    fn hear(&mut self, News { link, news }: News) {
        match news {
            LinkNews::Open => self.table.opened(link),
            LinkNews::Silent => self.table.silence(link, true),
            LinkNews::Heard => self.table.silence(link, false),
            LinkNews::Useless(reason) => {
                metrics::link_closed(match reason {
                    CloseReason::Stalled => "stalled",
                    CloseReason::Broken => "broken",
                });
                self.table.useless(link, clock::now());
            }
            LinkNews::Ended => {
                self.open.remove(&link);
                self.sessions.ended(link);
                self.table.ended(link, clock::now());
            }
        }
    }

    fn conclude(&mut self, outcome: Outcome) {
        let now = clock::now();
        match outcome {
            Outcome::Probed { member, refused } => self.table.probed(&member, refused, now),
            Outcome::Dialled { member, result } => {
                let result = result.map(|proved| {
                    let link = proved.link;
                    self.waiting.insert(link, Waiting { member: member.clone(), proved, accepted: false });
                    link
                });
                self.table.dialled(&member, result, now);
            }
        }
    }

    fn receive(&mut self, Arrival { proved, greeting, from }: Arrival) {
        let verdict = self.judge(&greeting).and_then(|()| match greeting.purpose {
            Purpose::Join => Ok(()),
            Purpose::Link => self.table.incoming(&greeting.member, proved.link, clock::now()),
        });
        match (verdict, greeting.purpose) {
            (Err(refusal), _) => {
                metrics::handshake_refused(refusal_label(&refusal));
                if matches!(refusal, Refusal::NotAMember | Refusal::OtherWay) {
                    // Membership reaches two nodes at two moments; the dial is repeated.
                    tracing::debug!(%from, member = %greeting.member, %refusal, "link refused");
                } else {
                    tracing::warn!(%from, member = %greeting.member, %refusal, "node refused");
                }
                tokio::spawn(async move { handshake::send_last(proved, &Answer::Refused(refusal)).await });
            }
            (Ok(()), Purpose::Join) => {
                let answer = self.welcome();
                tokio::spawn(async move { handshake::send_last(proved, &answer).await });
            }
            (Ok(()), Purpose::Link) => {
                let waiting = Waiting { member: greeting.member, proved, accepted: true };
                self.waiting.insert(waiting.proved.link, waiting);
            }
        }
    }

    fn judge(&self, greeting: &Greeting) -> Result<(), Refusal> {
        let own = OwnFacts {
            me: &self.own.me,
            address: self.own.advertise,
            cluster: &self.own.cluster,
            now_ms: clock::unix_ms(),
            holder: self.table.other_life(&greeting.member),
        };
        judge(greeting, &own)?;
        (self.admit)(greeting)
    }

    fn welcome(&self) -> Answer {
        let members = self.table.wanted().take(limits::WELCOME_MEMBERS_MAX).collect();
        Answer::Accepted { greeting: self.own.greeting(Purpose::Join), members }
    }

    async fn perform(&mut self) {
        while let Some(effect) = self.table.poll_effect() {
            match effect {
                Effect::Dial { member, address } => self.dial(member, address),
                Effect::Probe { member, address } => self.probe(member, address),
                Effect::Open { link } => self.open(link),
                Effect::Close { link } => {
                    self.waiting.remove(&link);
                    self.open.remove(&link);
                    self.sessions.ended(link);
                }
                Effect::Event(event) => {
                    tracing::info!(?event, "link");
                    // Nobody is told when the owner of the links is gone.
                    let _ = self.events.send(event).await;
                }
            }
        }
        metrics::links_up(self.table.links_up());
    }

    fn dial(&self, member: MemberId, address: SocketAddr) {
        let (own, outcomes) = (Arc::clone(&self.own), self.outcomes.clone());
        tokio::spawn(async move {
            let greeting = own.greeting(Purpose::Link);
            let dialled = handshake::dial(address, &own.tls, &own.keys, &greeting).await;
            let result = judge_answer(&member, dialled);
            // The keeper is gone when links were stopped.
            let _ = outcomes.send(Outcome::Dialled { member, result }).await;
        });
    }

    fn probe(&self, member: MemberId, address: SocketAddr) {
        let outcomes = self.outcomes.clone();
        tokio::spawn(async move {
            let refused = matches!(handshake::connect(address).await, Err(HandshakeError::Refused));
            let _ = outcomes.send(Outcome::Probed { member, refused }).await;
        });
    }

    fn open(&mut self, link: u64) {
        let Some(Waiting { member, mut proved, accepted }) = self.waiting.remove(&link) else { return };
        let (answer, sessions) = (self.welcome_to_link(), self.sessions.clone());
        let (closer, closed) = closable::pair();
        self.open.insert(link, closer);
        tokio::spawn(async move {
            if accepted && handshake::send(&mut proved, &answer).await.is_err() {
                return sessions.never_opened(link);
            }
            let (read, write) = closable::split(proved.stream, closed);
            sessions.open(Carrier { link, member, accepted, read, write });
        });
    }

    fn welcome_to_link(&self) -> Answer {
        Answer::Accepted { greeting: self.own.greeting(Purpose::Link), members: Vec::new() }
    }
}

/// What a dial to a member says of it.
fn judge_answer(wanted: &MemberId, dialled: Result<(Proved, Answer), HandshakeError>) -> Result<Proved, DialFailure> {
    match dialled {
        Ok((proved, Answer::Accepted { greeting, .. })) if greeting.member == *wanted => Ok(proved),
        Ok((_, Answer::Accepted { greeting, .. })) => {
            tracing::info!(member = %wanted, found = %greeting.member, "another node answers at its address");
            Err(if is_later_life(&greeting.member, wanted) { DialFailure::Gone } else { DialFailure::Other })
        }
        Err(HandshakeError::Refused) => Err(DialFailure::Gone),
        Err(HandshakeError::Unwelcome(refusal)) if !matches!(refusal, Refusal::NotAMember | Refusal::OtherWay) => {
            tracing::warn!(member = %wanted, %refusal, "member refuses a link");
            Err(DialFailure::Other)
        }
        Err(error) => {
            tracing::debug!(member = %wanted, %error, "dial failed");
            Err(DialFailure::Other)
        }
        Ok((_, Answer::Refused(_))) => Err(DialFailure::Other),
    }
}

fn is_later_life(found: &MemberId, wanted: &MemberId) -> bool {
    found.node_id == wanted.node_id && found.boot_id > wanted.boot_id
}

fn refusal_label(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::OtherCluster { .. } => "other_cluster",
        Refusal::ProtocolVersion { .. } => "protocol_version",
        Refusal::ClockOff { .. } => "clock_off",
        Refusal::DuplicateNodeId { .. } => "duplicate_node_id",
        Refusal::NotAMember => "not_a_member",
        Refusal::OtherWay => "other_way",
    }
}
