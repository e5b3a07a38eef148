//! Links to other members: accepts and dials, proves the cluster key, follows membership's wishes, carries messages.
//!
//! [`Links`] is the handle. What decides is pure: `admission` (who is let in), `state` (which links exist),
//! `crate::gateway` (what flows over one).

mod event;
mod greeting;

pub use event::{Admit, GreetError, LinkConfig, LinkEvent, LinksError, Welcome};
pub use greeting::{Greeting, PROTOCOL, ProtocolRange, Purpose, Refusal};

use crate::member::MemberId;
use crate::peers::{CallError, CastError, Reply, Topic, Urgency};
use bytes::Bytes;
use std::net::SocketAddr;
use std::time::Duration;

/// The links of this node. Cheap to clone; everything ends with [`Links::stop`].
#[derive(Clone, Debug)]
pub struct Links;

impl Links {
    /// Opens the gateway of this process and begins to accept. Once per process: ractor's registries are global.
    ///
    /// # Errors
    /// [`LinksError`] when the certificate, the loopback port of ractor or its actors cannot be made.
    pub async fn start(_config: LinkConfig) -> Result<Self, LinksError> {
        unimplemented!()
    }

    /// The members that life has, with their addresses: dials those that this node dials, keeps, closes the others.
    pub fn want(&self, _members: Vec<(MemberId, SocketAddr)>) {}

    /// Asks the node at an address who is there, before this one announces itself.
    ///
    /// # Errors
    /// [`GreetError`]: it is not there, or it does not want us.
    pub async fn greet(&self, _address: SocketAddr) -> Result<Welcome, GreetError> {
        unimplemented!()
    }

    /// Sends without waiting for an answer.
    ///
    /// # Errors
    /// [`CastError`] when it was not put on a link.
    pub fn cast(&self, to: &MemberId, _topic: Topic, _urgency: Urgency, _body: Bytes) -> Result<(), CastError> {
        Err(CastError::NoLink(to.clone()))
    }

    /// Sends and waits for the answer.
    pub fn call<'a>(
        &'a self,
        to: &'a MemberId,
        _topic: Topic,
        _body: Bytes,
        _timeout: Duration,
    ) -> Reply<'a, Result<Bytes, CallError>> {
        Box::pin(std::future::ready(Err(CallError::Cast(CastError::NoLink(to.clone())))))
    }

    /// Closes every link and accepts no more.
    pub fn stop(&self) {}
}
