//! Asks seeds and saved members who is there, before foca may announce this node, and goes on asking seeds that are no
//! members. [`judge`] is pure; the rest asks and waits.
#![expect(clippy::disallowed_methods, reason = "waits against deadlines")]

use super::run::Command;
use crate::config::ClusterConfig;
use crate::limits::{
    ASK_AFTER_WELCOME, ASK_ALONE, ASK_AT_START, ASK_JOINED, ASK_ROUND_TIME, ASKED_ADDRESSES_MAX, DUPLICATE_PATIENCE,
    SEED_ADDRESSES_MAX,
};
use crate::link::{GreetError, Links, Refusal, Welcome};
use crate::metrics;
use crate::seeds::Seeds;
use crate::view::View;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// What those who were asked said, by the address that was asked.
type Answers = BTreeMap<SocketAddr, Result<Welcome, GreetError>>;

/// What follows from the answers of one round.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Somebody welcomes this node, and nobody has its id.
    Welcome,
    /// Everyone who answered refuses it, or somebody has its id.
    Refused(GreetError),
    /// Nobody answered.
    Nobody,
}

/// Asks.
#[derive(Debug)]
pub(super) struct Joiner {
    seeds: Seeds,
    /// Members of this node's last life.
    saved: Vec<SocketAddr>,
    links: Links,
    /// Weak: asking keeps no node alive that nobody holds any more.
    commands: mpsc::WeakSender<Command>,
    views: watch::Receiver<Arc<View>>,
    /// What each address said last, so that only a change is logged.
    said: BTreeMap<SocketAddr, String>,
    /// Where the node behind an address that was asked says it is.
    behind: BTreeMap<SocketAddr, SocketAddr>,
    /// Where members that welcomed this node are: foca announces there whenever this node is alone.
    meeting_points: BTreeSet<SocketAddr>,
}

impl Joiner {
    pub(super) fn new(
        config: &ClusterConfig,
        own: SocketAddr,
        saved: Vec<SocketAddr>,
        links: Links,
        commands: mpsc::WeakSender<Command>,
        views: watch::Receiver<Arc<View>>,
    ) -> Self {
        let own = BTreeSet::from([own, config.listen]);
        let saved = saved.into_iter().filter(|address| !own.contains(address)).take(ASKED_ADDRESSES_MAX).collect();
        Self {
            seeds: Seeds::new(&config.seeds, own),
            saved,
            links,
            commands,
            views,
            said: BTreeMap::new(),
            behind: BTreeMap::new(),
            meeting_points: BTreeSet::new(),
        }
    }

    /// Asks until somebody welcomes this node and foca has brought it in, everyone refuses it, or `wait` is over.
    pub(super) async fn join(mut self, wait: Duration) -> Result<Self, GreetError> {
        let start = Instant::now();
        let deadline = start + wait;
        while self.is_alone() && !(self.seeds.is_empty() && self.saved.is_empty()) {
            let answers = self.ask(true).await;
            match judge(&answers) {
                Verdict::Welcome => self.wait_for_others(ASK_ALONE.min(wait)).await,
                Verdict::Refused(GreetError::DuplicateNodeId { .. }) if start.elapsed() < DUPLICATE_PATIENCE => {}
                Verdict::Refused(refusal) => return Err(refusal),
                Verdict::Nobody => {}
            }
            if Instant::now() >= deadline {
                break;
            }
            self.wait_for_others(ASK_AT_START).await;
        }
        if self.is_alone() && !self.seeds.is_empty() {
            tracing::warn!(waited = ?start.elapsed(), "no seed answers: this node serves alone and goes on asking");
        }
        Ok(self)
    }

    /// Goes on asking in the background until the node leaves.
    pub(super) fn go_on(mut self) {
        tokio::spawn(async move {
            while self.views.has_changed().is_ok() {
                let pause = if self.is_alone() { ASK_ALONE } else { ASK_JOINED };
                tokio::time::sleep(pause).await;
                let alone = self.is_alone();
                self.ask(alone).await;
            }
        });
    }

    fn is_alone(&self) -> bool {
        self.views.borrow().living().nth(1).is_none()
    }

    async fn wait_for_others(&mut self, at_most: Duration) {
        let others = self.views.wait_for(|view| view.living().nth(1).is_some());
        // Either end of it is fine: the caller looks itself.
        let _ = tokio::time::timeout(at_most, others).await;
    }

    /// One round: asks whoever is no member, notes what they say and lets foca announce this node where it is welcome.
    async fn ask(&mut self, alone: bool) -> Answers {
        let addresses = self.addresses(alone).await;
        let answers = self.gather(addresses).await;
        for (address, answer) in &answers {
            self.note(*address, answer);
        }
        if judge(&answers) != Verdict::Welcome {
            return answers;
        }
        let welcomes: Vec<&Welcome> = answers.values().flatten().collect();
        let to: Vec<SocketAddr> = welcomes.iter().map(|welcome| welcome.address).collect();
        let members = welcomes.iter().flat_map(|welcome| welcome.members.iter().map(|(_, address)| *address));
        for point in to.iter().copied().chain(members) {
            if self.meeting_points.len() < SEED_ADDRESSES_MAX {
                self.meeting_points.insert(point);
            }
        }
        let seeds = self.meeting_points.iter().copied().collect();
        if let Some(commands) = self.commands.upgrade() {
            // An error means that the task has ended, and with it this one.
            let _ = commands.send(Command::Announce { to, seeds }).await;
        }
        answers
    }

    async fn addresses(&mut self, alone: bool) -> Vec<SocketAddr> {
        let seeds = self.seeds.addresses(alone, Instant::now()).await;
        let saved = if alone { self.saved.as_slice() } else { &[] };
        let view = self.views.borrow();
        let members: BTreeSet<SocketAddr> = view.living().map(|member| member.address).collect();
        let is_member = |address: &SocketAddr| members.contains(self.behind.get(address).unwrap_or(address));
        let mut all: Vec<SocketAddr> = seeds.iter().chain(saved).copied().filter(|it| !is_member(it)).collect();
        all.sort();
        all.dedup();
        all.truncate(ASKED_ADDRESSES_MAX);
        all
    }

    /// Asks all at once. Ends when all have answered, soon after the first welcome, or when the round's time is over.
    async fn gather(&self, addresses: Vec<SocketAddr>) -> Answers {
        let mut asking = JoinSet::new();
        for address in addresses {
            let links = self.links.clone();
            asking.spawn(async move { (address, links.greet(address).await) });
        }
        let mut answers = Answers::new();
        let mut end = Instant::now() + ASK_ROUND_TIME;
        while let Ok(Some(Ok((address, answer)))) = tokio::time::timeout_at(end.into(), asking.join_next()).await {
            if answer.is_ok() {
                end = end.min(Instant::now() + ASK_AFTER_WELCOME);
            }
            answers.insert(address, answer);
        }
        answers
    }

    fn note(&mut self, address: SocketAddr, answer: &Result<Welcome, GreetError>) {
        let text = match answer {
            Ok(welcome) => {
                self.behind.insert(address, welcome.address);
                format!("welcomed by {}", welcome.member)
            }
            Err(GreetError::Ourselves { .. }) => return self.seeds.leave_out(address),
            Err(error) => {
                metrics::join_refused(label(error));
                error.to_string()
            }
        };
        if self.said.get(&address) != Some(&text) {
            match answer {
                Ok(_) => tracing::info!(%address, "{text}"),
                Err(error) if is_hard(error) => tracing::error!(%address, %error, "refused by a node of a cluster"),
                Err(error) => tracing::warn!(%address, %error, "node does not answer"),
            }
        }
        // Addresses of names come and go; those that are asked no more need no memory.
        if self.said.len() > ASKED_ADDRESSES_MAX * 2 {
            self.said.clear();
            self.behind.clear();
        }
        self.said.insert(address, text);
    }
}

fn judge(answers: &Answers) -> Verdict {
    let refusals = || answers.values().filter_map(|answer| answer.as_ref().err()).filter(|error| is_hard(error));
    let duplicate = refusals().find(|error| matches!(error, GreetError::DuplicateNodeId { .. }));
    if let Some(duplicate) = duplicate {
        return Verdict::Refused(duplicate.clone());
    }
    if answers.values().any(Result::is_ok) {
        return Verdict::Welcome;
    }
    refusals().next().map_or(Verdict::Nobody, |refusal| Verdict::Refused(refusal.clone()))
}

/// Whether the error will stay until the operator puts something right.
fn is_hard(error: &GreetError) -> bool {
    match error {
        GreetError::WrongKey { .. }
        | GreetError::OtherCluster { .. }
        | GreetError::DuplicateNodeId { .. }
        | GreetError::ClockOff { .. } => true,
        GreetError::Refused { refusal, .. } => match refusal {
            Refusal::OtherCluster { .. }
            | Refusal::ProtocolVersion { .. }
            | Refusal::ClockOff { .. }
            | Refusal::DuplicateNodeId { .. } => true,
            Refusal::NotAMember | Refusal::OtherWay => false,
        },
        GreetError::Unreachable { .. }
        | GreetError::Silent { .. }
        | GreetError::Unreadable { .. }
        | GreetError::Ourselves { .. } => false,
    }
}

fn label(error: &GreetError) -> &'static str {
    match error {
        GreetError::Unreachable { .. } => "unreachable",
        GreetError::Silent { .. } => "silent",
        GreetError::WrongKey { .. } => "wrong_key",
        GreetError::OtherCluster { .. } => "other_cluster",
        GreetError::DuplicateNodeId { .. } => "duplicate_node_id",
        GreetError::ClockOff { .. } => "clock_off",
        GreetError::Refused { .. } => "refused",
        GreetError::Unreadable { .. } => "unreadable",
        GreetError::Ourselves { .. } => "ourselves",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::member::{BootId, MemberId};

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 7_946))
    }

    fn welcome(last: u8) -> Result<Welcome, GreetError> {
        Ok(Welcome { member: member(), address: address(last), members: Vec::new() })
    }

    fn member() -> MemberId {
        let node_id = serde_json::from_value(serde_json::json!("n")).expect("a plain name is a node id");
        MemberId { node_id, boot_id: BootId::after(None, 1) }
    }

    fn judged<const N: usize>(answers: [Result<Welcome, GreetError>; N]) -> Verdict {
        let answers = answers.into_iter().enumerate().map(|(last, answer)| (address(last as u8), answer));
        judge(&answers.collect())
    }

    #[test]
    fn a_refusal_counts_when_nobody_else_welcomes() {
        let wrong_key = GreetError::WrongKey { address: address(1) };
        let unreachable = GreetError::Unreachable { address: address(2), why: String::new() };
        assert_eq!(
            judged([Err(unreachable.clone()), Err(wrong_key.clone())]),
            Verdict::Refused(wrong_key.clone()),
            "who did not answer has no say"
        );
        assert_eq!(judged([Err(wrong_key), welcome(3)]), Verdict::Welcome);
        assert_eq!(judged([Err(unreachable)]), Verdict::Nobody);
        assert_eq!(judged([]), Verdict::Nobody);
    }

    #[test]
    fn a_node_id_in_use_outweighs_every_welcome() {
        let duplicate = GreetError::DuplicateNodeId { holder: address(1) };
        assert_eq!(judged([welcome(3), Err(duplicate.clone())]), Verdict::Refused(duplicate));
    }

    #[test]
    fn a_node_that_is_silent_or_talks_nonsense_refuses_nobody() {
        let silent = GreetError::Silent { address: address(1) };
        let nonsense = GreetError::Unreadable { address: address(2), why: String::new() };
        assert_eq!(judged([Err(silent), Err(nonsense)]), Verdict::Nobody);
    }
}
