//! A cluster of one: no port, no link, a view of itself. What a node without a cluster key has, and tests.

use crate::member::{LinkState, Member, MemberFacts, MemberId, MemberState};
use crate::peers::{CallError, CastError, Peers, Reply, Topic, Urgency};
use crate::view::View;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The only node there is.
#[derive(Clone, Debug)]
pub struct Alone {
    view: watch::Sender<Arc<View>>,
}

impl Alone {
    /// A cluster of the node with these facts.
    #[must_use]
    pub fn new(facts: MemberFacts) -> Self {
        let me = facts.member.clone();
        let state = if facts.draining { MemberState::Draining } else { MemberState::Serving };
        let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        let member = Member { id: me.clone(), address, state, link: LinkState::Own, facts: Some(facts) };
        let members = BTreeMap::from([(me.node_id.clone(), member)]);
        Self { view: watch::Sender::new(Arc::new(View { me, generation: 1, members })) }
    }

    /// Changes what the node says of itself.
    pub fn update(&self, change: impl FnOnce(&mut MemberFacts)) {
        self.view.send_if_modified(|view| {
            let mut changed = View::clone(view);
            let me = changed.me.node_id.clone();
            let Some(member) = changed.members.get_mut(&me) else { return false };
            let Some(facts) = member.facts.as_mut() else { return false };
            change(facts);
            let state = if facts.draining { MemberState::Draining } else { MemberState::Serving };
            if state != member.state {
                member.state = state;
                changed.generation += 1;
            }
            if **view == changed {
                return false;
            }
            *view = Arc::new(changed);
            true
        });
    }
}

impl Peers for Alone {
    fn view(&self) -> watch::Receiver<Arc<View>> {
        self.view.subscribe()
    }

    fn cast(&self, to: &MemberId, _topic: Topic, _urgency: Urgency, _body: Bytes) -> Result<(), CastError> {
        Err(CastError::NoLink(to.clone()))
    }

    fn call<'a>(
        &'a self,
        to: &'a MemberId,
        _topic: Topic,
        _body: Bytes,
        _timeout: Duration,
    ) -> Reply<'a, Result<Bytes, CallError>> {
        Box::pin(std::future::ready(Err(CallError::Cast(CastError::NoLink(to.clone())))))
    }
}
