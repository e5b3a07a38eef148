//! What this node says of itself on a connection, and with what it proves that it may.

use crate::clock;
use crate::key::ClusterKeys;
use crate::link::greeting::{Greeting, PROTOCOL, Purpose};
use crate::link::tls::Tls;
use crate::member::MemberId;
use std::net::SocketAddr;

/// This node on its connections.
#[derive(Debug)]
pub(crate) struct Own {
    pub(crate) me: MemberId,
    pub(crate) cluster: String,
    pub(crate) advertise: SocketAddr,
    pub(crate) version: String,
    pub(crate) keys: ClusterKeys,
    pub(crate) tls: Tls,
}

impl Own {
    pub(crate) fn greeting(&self, purpose: Purpose) -> Greeting {
        Greeting {
            protocol: PROTOCOL,
            cluster: self.cluster.clone(),
            member: self.me.clone(),
            address: self.advertise,
            unix_ms: clock::unix_ms(),
            version: self.version.clone(),
            purpose,
        }
    }
}
