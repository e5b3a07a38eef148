//! Links to other members: accepts and dials, proves the cluster key, follows membership's wishes, carries messages.
//!
//! [`Links`] is the handle. What decides is pure: `admission` (who is let in), `state` (which links exist),
//! `crate::gateway` (what flows over one).

pub mod admission;
mod closable;
mod doorkeeper;
mod event;
mod greeting;
mod handshake;
mod keeper;
mod listener;
mod own;
mod proof;
mod state;
mod tls;

pub use event::{Admit, GreetError, LinkConfig, LinkEvent, LinksError, Welcome};
pub use greeting::{Greeting, PROTOCOL, ProtocolRange, Purpose, Refusal};

use crate::clock;
use crate::gateway::Sessions;
use crate::limits;
use crate::link::greeting::Answer;
use crate::link::handshake::HandshakeError;
use crate::link::keeper::{Ears, Keeper, Wish};
use crate::link::own::Own;
use crate::link::tls::Tls;
use crate::member::MemberId;
use crate::metrics;
use crate::peers::{CallError, CastError, Reply, Topic, Urgency};
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// ractor's registries belong to the process: two gateways in one would take each other's messages.
static RUNNING: AtomicBool = AtomicBool::new(false);

/// The links of this node. Cheap to clone; everything ends with [`Links::stop`] or when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Links {
    own: Arc<Own>,
    sessions: Sessions,
    wishes: Arc<watch::Sender<Wish>>,
    running: watch::Receiver<bool>,
}

impl Links {
    /// Opens the gateway of this process and begins to accept. One at a time in a process: ractor's registries are
    /// global.
    ///
    /// # Errors
    /// [`LinksError`] when the certificate, the loopback port of ractor or its actors cannot be made.
    pub async fn start(config: LinkConfig) -> Result<Self, LinksError> {
        let certificate = |error: tls::TlsError| LinksError::Certificate(error.to_string());
        let tls = Tls::new().map_err(certificate)?;
        let closed_port = tls::acceptor_of_nobody().map_err(certificate)?;
        if RUNNING.swap(true, Ordering::SeqCst) {
            return Err(LinksError::AlreadyRunning);
        }
        let LinkConfig { me, cluster, advertise, version, keys, listener, hear, events, admit } = config;
        let (news_sender, news) = mpsc::unbounded_channel();
        let sessions = match Sessions::start(&me, closed_port, hear, news_sender).await {
            Ok(sessions) => sessions,
            Err(error) => {
                RUNNING.store(false, Ordering::SeqCst);
                return Err(LinksError::Gateway(error.to_string()));
            }
        };
        let own = Arc::new(Own { me, cluster, advertise, version, keys, tls });
        let (arrival, arrivals) = mpsc::channel(limits::LINK_COMMANDS_MAX);
        let listening = tokio::spawn(listener::listen(listener, own.tls.clone(), own.keys.clone(), arrival));
        let (wishes, wish) = watch::channel(Wish::default());
        let keeper = Keeper::new(Arc::clone(&own), sessions.clone(), admit, events, rand::random());
        let (ran, running) = watch::channel(true);
        tokio::spawn(async move {
            keeper.run(Ears { wishes: wish, arrivals, news }).await;
            listening.abort();
            RUNNING.store(false, Ordering::SeqCst);
            let _ = ran.send(false);
        });
        Ok(Self { own, sessions, wishes: Arc::new(wishes), running })
    }

    /// The members that life has, with their addresses: dials those that this node dials, keeps, closes the others.
    pub fn want(&self, members: Vec<(MemberId, SocketAddr)>) {
        self.wishes.send_modify(|wish| wish.members = members);
    }

    /// Asks the node at an address who is there, before this one announces itself.
    ///
    /// # Errors
    /// [`GreetError`]: it is not there, or it does not want us.
    pub async fn greet(&self, address: SocketAddr) -> Result<Welcome, GreetError> {
        let greeting = self.own.greeting(Purpose::Join);
        let answer = handshake::dial(address, &self.own.tls, &self.own.keys, &greeting).await;
        match answer.map(|(_, answer)| answer).map_err(|error| greet_error(address, error))? {
            Answer::Accepted { greeting, .. } if greeting.member == self.own.me => {
                Err(GreetError::Ourselves { address })
            }
            Answer::Accepted { greeting, members } => {
                Ok(Welcome { member: greeting.member, address: greeting.address, members })
            }
            Answer::Refused(refusal) => Err(refused(address, refusal)),
        }
    }

    /// Sends without waiting for an answer.
    ///
    /// # Errors
    /// [`CastError`] when it was not put on a link.
    pub fn cast(&self, to: &MemberId, topic: Topic, urgency: Urgency, body: Bytes) -> Result<(), CastError> {
        let door = self.sessions.to(to).ok_or_else(|| CastError::NoLink(to.clone()))?;
        door.cast(topic, urgency, body)?;
        metrics::cast();
        Ok(())
    }

    /// Sends and waits for the answer, at most [`limits::CALL_TIME_MAX`].
    pub fn call<'a>(
        &'a self,
        to: &'a MemberId,
        topic: Topic,
        body: Bytes,
        timeout: Duration,
    ) -> Reply<'a, Result<Bytes, CallError>> {
        Box::pin(async move {
            let began = clock::now();
            let result = self.ask(to, topic, body, timeout).await;
            metrics::call(outcome(&result), clock::now().duration_since(began));
            result
        })
    }

    async fn ask(&self, to: &MemberId, topic: Topic, body: Bytes, timeout: Duration) -> Result<Bytes, CallError> {
        let door = self.sessions.to(to).ok_or_else(|| CastError::NoLink(to.clone()))?;
        let answer = door.call(topic, body, timeout)?;
        answer.await.unwrap_or_else(|_| Err(CallError::LinkLost(to.clone())))
    }

    /// Closes every link, accepts no more, and waits until that is done.
    pub async fn stop(&self) {
        self.wishes.send_modify(|wish| wish.stop = true);
        let mut running = self.running.clone();
        // It fails when the keeper's task is gone, which is what is waited for.
        let _ = running.wait_for(|running| !running).await;
    }
}

fn greet_error(address: SocketAddr, error: HandshakeError) -> GreetError {
    match error {
        HandshakeError::Refused => GreetError::Unreachable { address, why: "connection refused".into() },
        HandshakeError::Unreachable(error) => GreetError::Unreachable { address, why: error.to_string() },
        HandshakeError::Silent => GreetError::Silent { address },
        HandshakeError::WrongKey => GreetError::WrongKey { address },
        HandshakeError::Unreadable(why) => GreetError::Unreadable { address, why },
        HandshakeError::Unwelcome(refusal) => refused(address, refusal),
    }
}

fn refused(address: SocketAddr, refusal: Refusal) -> GreetError {
    match refusal {
        Refusal::OtherCluster { name } => GreetError::OtherCluster { address, name },
        Refusal::DuplicateNodeId { address: holder } => GreetError::DuplicateNodeId { holder },
        Refusal::ClockOff { ms } => GreetError::ClockOff { address, ms },
        refusal => GreetError::Refused { address, refusal },
    }
}

fn outcome(result: &Result<Bytes, CallError>) -> &'static str {
    match result {
        Ok(_) => "answered",
        Err(CallError::Cast(_)) => "not_sent",
        Err(CallError::Timeout { .. }) => "timeout",
        Err(CallError::LinkLost(_)) => "link_lost",
        Err(CallError::Unreadable { .. }) => "unreadable",
    }
}

#[cfg(test)]
pub(crate) use greeting::tests::member as member_for_tests;
