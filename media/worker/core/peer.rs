//! One WebRTC connection as the worker keeps it, and its end.

use super::allocate::Trial;
use super::{TICK, WorkerCore};
use crate::codec::{ExtensionIds, SendSection};
use crate::command::{MediaEvent, PeerEnd, Preference};
use crate::egress::LinkState;
use crate::forward::quality::QualityJudge;
use crate::id::{PeerId, RoomKey, TrackKey};
use crate::ingress::Ingress;
use crate::transport::Transport;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// Where a peer's subscription lives: in its track's list, found again by SSRC.
#[derive(Clone, Copy, Debug)]
pub(super) struct SubscriptionRef {
    /// Index of the track.
    pub(super) track: usize,
    pub(super) ssrc: u32,
    pub(super) rtx_ssrc: u32,
}

/// One peer.
pub(super) struct Peer {
    pub(super) id: PeerId,
    pub(super) room: RoomKey,
    pub(super) transport: Transport,
    pub(super) ingress: Ingress,
    /// By ingress stream: (track index, source index).
    pub(super) sources: Vec<Option<(usize, usize)>>,
    /// Local ufrags under which checks find this peer.
    pub(super) ufrags: Vec<Box<[u8]>>,
    pub(super) send_extensions: ExtensionIds,
    pub(super) senders: Vec<SendSection>,
    pub(super) subscriptions: Vec<SubscriptionRef>,
    /// Indices of the tracks whose publisher it is.
    pub(super) published: Vec<usize>,
    pub(super) preferences: BTreeMap<TrackKey, Preference>,
    pub(super) muted: Vec<TrackKey>,
    /// Whether congestion may pause its subscriptions, where its client said.
    pub(super) allow_pause: Option<bool>,
    /// SSRCs that we have sealed under: a second numbering of one would repeat indices.
    pub(super) spent_ssrcs: BTreeSet<u32>,
    /// What an import brought for the link, until there is a path to make it for.
    pub(super) imported_link: Option<LinkState>,
    pub(super) trial: Trial,
    /// Its handshake datagrams that wait for their turn.
    pub(super) handshakes_waiting: usize,
    /// When the tick has to visit this peer.
    pub(super) due: Instant,
    pub(super) next_report: Instant,
    pub(super) next_allocation: Instant,
    pub(super) next_quality: Instant,
    /// When a moved client that still uses its old address is asked again.
    pub(super) next_take_over: Instant,
    pub(super) quality: QualityJudge,
}

impl Peer {
    pub(super) fn new(id: PeerId, room: RoomKey, transport: Transport, ufrags: Vec<Box<[u8]>>, now: Instant) -> Self {
        Self {
            id,
            room,
            transport,
            ingress: Ingress::new(now),
            sources: Vec::new(),
            ufrags,
            send_extensions: ExtensionIds::default(),
            senders: Vec::new(),
            subscriptions: Vec::new(),
            published: Vec::new(),
            preferences: BTreeMap::new(),
            muted: Vec::new(),
            allow_pause: None,
            spent_ssrcs: BTreeSet::new(),
            imported_link: None,
            trial: Trial::default(),
            handshakes_waiting: 0,
            due: now,
            next_report: now,
            next_allocation: now,
            next_quality: now,
            next_take_over: now,
            quality: QualityJudge::new(now),
        }
    }

    /// Asks for a visit within one tick; returns when.
    pub(super) fn wake_now(&mut self, now: Instant) -> Instant {
        self.due = self.due.min(now + TICK);
        self.due
    }

    /// Asks for a visit when the transport's timers want one, within one tick at the earliest; returns when.
    pub(super) fn wake_for_transport(&mut self, now: Instant) -> Instant {
        if let Some(due) = self.transport.poll_timeout() {
            self.due = self.due.min(due.max(now + TICK));
        }
        self.due
    }
}

impl WorkerCore {
    /// Forgets a peer; `end` is told to the control plane unless that asked for it.
    pub(super) fn end_peer(&mut self, index: usize, end: Option<PeerEnd>) {
        let Some(peer) = self.peers.try_remove(index) else { return };
        self.by_id.remove(&peer.id);
        for ufrag in &peer.ufrags {
            self.by_ufrag.remove(ufrag);
        }
        self.by_path.retain(|_, owner| *owner != index);
        self.forwarding.forget_peer(index);
        if let Some(link) = self.links.get_mut(index) {
            *link = None;
        }
        for subscription in &peer.subscriptions {
            self.remove_subscriber(subscription.track, index, subscription.ssrc);
        }
        for track in peer.published {
            self.end_published(track);
        }
        self.forget_room_if_empty(peer.room);
        if let Some(end) = end {
            self.events.push_back(MediaEvent::PeerEnded { peer: peer.id, end });
        }
    }
}
