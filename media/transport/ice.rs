//! ICE of a server (RFC 8445): answers authenticated checks and follows nominations like an ICE-lite agent; where the
//! peer leaves it the lead (it answered our offer), and after a take-over, it checks and nominates itself. Gathers no candidates and keeps no pairs that have not proved themselves.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use aws_lc_rs::rand;

use super::TransportEvent;
use super::limits;
use super::stun::{Message, MessageType, Writer};
use crate::codec::IceCredentials;
use crate::command::PeerEnd;
use crate::id::Path;

/// Priority of our own requests' would-be candidate: a host candidate's of the highest local preference (RFC 8445
/// §5.1.2.1). Each take-over adds one, for libwebrtc switches to a strictly higher priority only.
const OWN_PRIORITY: u32 = 2_130_706_431;
/// Our tie-breaker: the role that we want is the role that we get.
const TIE_BREAKER: u64 = u64::MAX;
/// ERROR-CODE of a role conflict.
const ROLE_CONFLICT: u16 = 487;

/// A path that carried an authentic check.
#[derive(Clone, Copy, Debug)]
struct KnownPath {
    path: Path,
    last: Instant,
}

/// An own request that awaits its answer.
#[derive(Clone, Copy, Debug)]
struct Request {
    transaction: [u8; 12],
    path: Path,
    controlling: bool,
}

/// What another node must know to go on.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct IceState {
    pub(super) local: IceCredentials,
    pub(super) previous: Option<IceCredentials>,
    pub(super) remote: Option<IceCredentials>,
    pub(super) controlling: bool,
    pub(super) tie_breaker: u64,
    pub(super) nomination: u32,
    /// Remote UDP addresses that proved themselves, the selected one first.
    pub(super) remotes: Vec<SocketAddr>,
}

/// The ICE part of a transport.
#[derive(Debug)]
pub(super) struct Ice {
    local: IceCredentials,
    /// Credentials before a restart: they serve until the first nomination with the new ones.
    previous: Option<IceCredentials>,
    remote: Option<IceCredentials>,
    controlling: bool,
    tie_breaker: u64,
    nomination: u32,
    paths: Vec<KnownPath>,
    selected: Option<Path>,
    /// Whether the selected path was nominated under `local`.
    nominated: bool,
    /// Remote addresses that are known from before an import.
    remotes: Vec<SocketAddr>,
    requests: VecDeque<Request>,
    targets: Vec<Path>,
    rounds: u32,
    next_round: Option<Instant>,
    next_keepalive: Option<Instant>,
    last_consent: Option<Instant>,
    pub(super) out: VecDeque<(Path, Vec<u8>)>,
    pub(super) events: VecDeque<TransportEvent>,
    /// Messages that were ignored.
    pub(super) dropped: u64,
}

impl Ice {
    pub(super) fn new(local: IceCredentials) -> Self {
        Self::import(
            IceState {
                local,
                previous: None,
                remote: None,
                controlling: false,
                tie_breaker: TIE_BREAKER,
                nomination: 0,
                remotes: Vec::new(),
            },
            None,
        )
    }

    /// Goes on from another node's state; without consent within its lifetime after `now` the transport ends.
    pub(super) fn import(state: IceState, now: Option<Instant>) -> Self {
        Self {
            local: state.local,
            previous: state.previous,
            remote: state.remote,
            controlling: state.controlling,
            tie_breaker: state.tie_breaker,
            nomination: state.nomination,
            paths: Vec::new(),
            selected: None,
            nominated: false,
            remotes: state.remotes,
            requests: VecDeque::new(),
            targets: Vec::new(),
            rounds: 0,
            next_round: None,
            next_keepalive: None,
            last_consent: now,
            out: VecDeque::new(),
            events: VecDeque::new(),
            dropped: 0,
        }
    }

    pub(super) fn export(&self) -> IceState {
        let mut remotes: Vec<SocketAddr> = self.selected.and_then(udp_remote).into_iter().collect();
        let known = self.paths.iter().filter_map(|known| udp_remote(known.path));
        for remote in known.chain(self.remotes.iter().copied()) {
            if !remotes.contains(&remote) && remotes.len() < limits::MAX_PATHS {
                remotes.push(remote);
            }
        }
        IceState {
            local: self.local.clone(),
            previous: self.previous.clone(),
            remote: self.remote.clone(),
            controlling: self.controlling,
            tie_breaker: self.tie_breaker,
            nomination: self.nomination,
            remotes,
        }
    }

    pub(super) fn set_remote(&mut self, remote: IceCredentials) {
        if self.remote.as_ref() != Some(&remote) {
            // Answers to requests of the generation before would be checked with the wrong password.
            self.requests.clear();
            self.remote = Some(remote);
            self.nominate_early();
        }
    }

    /// A check may come before the peer's description; where we lead, its path is nominated as soon as we can.
    fn nominate_early(&mut self) {
        let heard = self.paths.iter().max_by_key(|known| known.last).copied();
        if let Some(known) = heard.filter(|_| self.controlling && !self.nominated && self.next_round.is_none()) {
            self.nominate_at(known.last, vec![known.path]);
        }
    }

    pub(super) fn local_ufrag(&self) -> &str {
        &self.local.ufrag
    }

    pub(super) fn local_ufrags(&self) -> impl Iterator<Item = &str> {
        self.previous.iter().chain([&self.local]).map(|credentials| credentials.ufrag.as_str())
    }

    pub(super) fn path_heard(&self, path: Path) -> Option<Instant> {
        self.paths.iter().find(|known| known.path == path).map(|known| known.last)
    }

    pub(super) fn local(&self) -> &IceCredentials {
        &self.local
    }

    pub(super) fn knows_remote(&self) -> bool {
        self.remote.is_some()
    }

    pub(super) fn restart(&mut self, local: IceCredentials) {
        let before = std::mem::replace(&mut self.local, local);
        // After a second restart without a nomination the peer still uses the first ones.
        if self.nominated || self.previous.is_none() {
            self.previous = Some(before);
        }
        self.nominated = false;
    }

    pub(super) fn selected(&self) -> Option<Path> {
        self.selected
    }

    /// The path that was heard last, for replies before any nomination.
    pub(super) fn latest(&self) -> Option<Path> {
        self.paths.iter().max_by_key(|known| known.last).map(|known| known.path)
    }

    pub(super) fn handle(&mut self, now: Instant, path: Path, datagram: &[u8]) {
        let handled = Message::parse(datagram).and_then(|message| match message.kind {
            MessageType::Request => self.handle_request(now, path, &message),
            MessageType::Success | MessageType::Error => self.handle_response(now, path, &message),
            MessageType::Indication => None,
        });
        if handled.is_none() {
            self.dropped += 1;
        }
    }

    fn handle_request(&mut self, now: Instant, path: Path, request: &Message<'_>) -> Option<()> {
        let ufrag = request.username?.split(|byte| *byte == b':').next()?;
        let current = ufrag == self.local.ufrag.as_bytes();
        let previous = self.previous.as_ref().filter(|previous| previous.ufrag.as_bytes() == ufrag);
        let credentials = if current { &self.local } else { previous? };
        let password = credentials.pwd.clone();
        if !request.is_authentic(&password) {
            return None;
        }
        self.touch(now, path);
        if self.conflicts(request) {
            let reply = Writer::new(MessageType::Error, request.transaction).role_conflict();
            self.out.push_back((path, reply.finish(&password)));
            return Some(());
        }
        let reply = Writer::new(MessageType::Success, request.transaction).xor_mapped_address(path.remote());
        self.out.push_back((path, reply.finish(&password)));
        if self.controlling {
            if current {
                self.previous = None;
            }
            self.reconsider(now, path, current);
        } else if request.use_candidate && (current || self.selected.is_none()) {
            self.select(path, current);
        }
        Some(())
    }

    /// Settles the roles (RFC 8445 §7.3.1.1); true if the request must be refused.
    fn conflicts(&mut self, request: &Message<'_>) -> bool {
        match (self.controlling, request.controlling, request.controlled) {
            (true, Some(theirs), _) if theirs > self.tie_breaker => {
                self.controlling = false;
                false
            }
            (true, Some(_), _) => true,
            // The peer answered our offer and neither is lite: we lead (RFC 8445 §6.1.1).
            (false, _, Some(_)) => {
                self.controlling = true;
                false
            }
            _ => false,
        }
    }

    /// The controlling side moves when its path is gone or of an older generation.
    fn reconsider(&mut self, now: Instant, path: Path, current: bool) {
        if self.next_round.is_some() || self.selected == Some(path) && (self.nominated || !current) {
            return;
        }
        let silent = |selected: Path| {
            let last = self.paths.iter().find(|known| known.path == selected).map(|known| known.last);
            last.is_none_or(|last| now.saturating_duration_since(last) >= limits::SILENT_PATH)
        };
        let slow = |selected: Path| matches!((selected, path), (Path::Tcp { .. }, Path::Udp { .. }));
        if current && !self.nominated || self.selected.is_none_or(|selected| silent(selected) || slow(selected)) {
            self.nominate(now, vec![path]);
        }
    }

    fn handle_response(&mut self, now: Instant, path: Path, response: &Message<'_>) -> Option<()> {
        let at = self
            .requests
            .iter()
            .position(|request| request.transaction == response.transaction && request.path == path)?;
        if !response.is_authentic(&self.remote.as_ref()?.pwd) {
            return None;
        }
        let request = self.requests.remove(at)?;
        self.touch(now, path);
        if response.kind == MessageType::Error {
            if response.error_code == Some(ROLE_CONFLICT) && request.controlling == self.controlling {
                // RFC 8445 §7.2.5.1: the other role, and again; the higher priority does the rest.
                self.controlling = !self.controlling;
                self.next_round = self.next_round.map(|_| now);
            }
            return Some(());
        }
        if self.next_round.is_some() && self.targets.contains(&path) {
            self.next_round = None;
            self.targets.clear();
            // The first path to answer is the one: later answers must not move us off it.
            self.requests.clear();
        }
        if request.controlling && self.controlling {
            // An answer does not tell whether the peer knows our new credentials: only its own check does.
            self.select(path, self.previous.is_none());
        }
        Some(())
    }

    fn touch(&mut self, now: Instant, path: Path) {
        self.last_consent = Some(now);
        if let Some(known) = self.paths.iter_mut().find(|known| known.path == path) {
            known.last = now;
            return;
        }
        if self.paths.len() >= limits::MAX_PATHS {
            let oldest = (0..self.paths.len())
                .filter(|at| Some(self.paths[*at].path) != self.selected)
                .min_by_key(|at| self.paths[*at].last);
            if let Some(at) = oldest {
                let known = self.paths.remove(at);
                self.events.push_back(TransportEvent::PathExpired(known.path));
            }
        }
        self.paths.push(KnownPath { path, last: now });
        self.events.push_back(TransportEvent::PathAuthenticated(path));
    }

    fn select(&mut self, path: Path, current: bool) {
        if current {
            self.previous = None;
            self.nominated = true;
        }
        if self.selected != Some(path) {
            self.selected = Some(path);
            self.events.push_back(TransportEvent::PathChanged(path));
        }
    }

    /// Goes on with the path that carried the datagrams at the exporter and still reaches us, until a better one is
    /// nominated.
    pub(super) fn adopt_path(&mut self, now: Instant, path: Path) {
        self.touch(now, path);
        self.select(path, false);
    }

    /// Claims the controlling role and asks the peer to move to one of the sockets that `reach` names for each of its
    /// addresses; returns the number of paths asked.
    pub(super) fn take_over(&mut self, now: Instant, reach: impl Fn(SocketAddr) -> Vec<u8>) -> usize {
        let remotes = self.export().remotes.into_iter();
        let targets = remotes.flat_map(|remote| {
            reach(remote).into_iter().map(move |socket| Path::Udp { socket, remote })
        });
        let targets = targets.take(limits::MAX_PATHS).collect();
        self.controlling = true;
        self.tie_breaker = TIE_BREAKER;
        self.nominate(now, targets);
        self.targets.len()
    }

    /// The paths that we ask the peer to move to.
    pub(super) fn targets(&self) -> &[Path] {
        &self.targets
    }

    fn nominate(&mut self, now: Instant, targets: Vec<Path>) {
        if self.remote.is_some() && !targets.is_empty() {
            self.nominate_at(now, targets);
            self.send_due(now);
        }
    }

    fn nominate_at(&mut self, at: Instant, targets: Vec<Path>) {
        self.nomination = self.nomination.saturating_add(1);
        self.targets = targets;
        self.rounds = 0;
        self.next_round = Some(at);
        self.next_keepalive = None;
    }

    fn send_due(&mut self, now: Instant) {
        if self.next_round.is_some_and(|at| at <= now) {
            // Two nominated paths would make the peer change twice: the others are asked once the first is silent.
            let asked = if self.rounds < limits::FIRST_TARGET_ROUNDS { 1 } else { self.targets.len() };
            for path in self.targets.clone().into_iter().take(asked) {
                self.send_request(path);
            }
            self.rounds += 1;
            self.next_round = (self.rounds < limits::REQUEST_ROUNDS).then(|| now + limits::REQUEST_INTERVAL);
        }
        if !self.controlling || self.next_round.is_some() {
            self.next_keepalive = None;
            return;
        }
        if self.next_keepalive.is_some_and(|at| at <= now)
            && let Some(path) = self.selected
        {
            self.send_request(path);
            self.next_keepalive = None;
        }
        self.next_keepalive.get_or_insert(now + limits::KEEPALIVE_INTERVAL);
    }

    fn send_request(&mut self, path: Path) {
        let Some(remote) = &self.remote else { return };
        let mut transaction = [0; 12];
        if rand::fill(&mut transaction).is_err() {
            return;
        }
        let name = format!("{}:{}", remote.ufrag, self.local.ufrag);
        let request = Writer::new(MessageType::Request, transaction)
            .username(&name)
            .priority(OWN_PRIORITY.saturating_add(self.nomination).min(i32::MAX as u32));
        let request = if self.controlling {
            request.controlling(self.tie_breaker).nominate(self.nomination)
        } else {
            request.controlled(self.tie_breaker)
        };
        if self.requests.len() >= limits::MAX_PENDING_REQUESTS {
            self.requests.pop_front();
        }
        self.out.push_back((path, request.finish(&remote.pwd)));
        self.requests.push_back(Request { transaction, path, controlling: self.controlling });
    }

    /// Forgets a path whose connection is gone.
    pub(super) fn close_path(&mut self, path: Path) {
        self.paths.retain(|known| known.path != path);
        self.targets.retain(|target| *target != path);
        if self.selected == Some(path) {
            self.selected = None;
            if let Some(latest) = self.latest() {
                self.select(latest, false);
            }
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let expiry = self.paths.iter().map(|known| known.last + limits::PATH_LIFETIME);
        let consent = self.last_consent.map(|last| last + limits::CONSENT_LIFETIME);
        expiry.chain(consent).chain(self.next_round).chain(self.next_keepalive).min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        let gone = |last: Instant, lifetime| now.saturating_duration_since(last) >= lifetime;
        if self.last_consent.is_some_and(|last| gone(last, limits::CONSENT_LIFETIME)) {
            self.last_consent = None;
            self.events.push_back(TransportEvent::Closed(PeerEnd::ConsentExpired));
            return;
        }
        let expired: Vec<Path> =
            self.paths.iter().filter(|known| gone(known.last, limits::PATH_LIFETIME)).map(|known| known.path).collect();
        for path in expired {
            self.close_path(path);
            self.events.push_back(TransportEvent::PathExpired(path));
        }
        self.send_due(now);
    }
}

/// The address of a UDP path: a TCP connection cannot be moved.
fn udp_remote(path: Path) -> Option<SocketAddr> {
    matches!(path, Path::Udp { .. }).then(|| path.remote())
}

#[cfg(test)]
#[path = "ice_test.rs"]
mod tests;
