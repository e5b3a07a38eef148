//! Performs what one link's [`PeerState`] decides: one lock around it, so that envelopes leave in the order of their
//! numbers, and one timer.

use crate::clock;
use crate::gateway::envelope::Envelope;
use crate::gateway::state::{Dropped, Effect, InboundCall, PeerState};
use crate::gateway::transport::Transport;
use crate::gateway::{LinkNews, News};
use crate::member::MemberId;
use crate::metrics;
use crate::peers::{CallError, CastError, Hear, Inbound, Topic, Urgency};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc, oneshot};

/// The answer to a call, sooner or later.
pub(crate) type Answer = oneshot::Receiver<Result<Bytes, CallError>>;

/// One link's way in and out.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) member: MemberId,
    pub(crate) link: u64,
    inner: Mutex<Inner>,
    timer: Notify,
    hear: Arc<dyn Hear>,
    news: mpsc::UnboundedSender<News>,
}

#[derive(Debug)]
struct Inner {
    state: PeerState,
    /// `None` until the peer's gateway is found.
    transport: Option<Box<dyn Transport>>,
    /// Envelopes for it; the window bounds them.
    held: Vec<Bytes>,
    callers: BTreeMap<u64, oneshot::Sender<Result<Bytes, CallError>>>,
    /// What the timer waits for.
    sleeps_until: Option<Instant>,
    ended: bool,
}

/// A message for this node, handed over once the lock is free: whoever hears may send at once.
type Heard = (Topic, Bytes, Option<InboundCall>);

impl Door {
    /// A door whose timer runs until [`Door::end`].
    pub(crate) fn open(
        member: MemberId,
        link: u64,
        hear: Arc<dyn Hear>,
        news: mpsc::UnboundedSender<News>,
    ) -> Arc<Self> {
        let state = PeerState::new(member.clone(), link, clock::now());
        let callers = BTreeMap::new();
        let inner = Inner { state, transport: None, held: Vec::new(), callers, sleeps_until: None, ended: false };
        let door = Arc::new(Self { member, link, inner: Mutex::new(inner), timer: Notify::new(), hear, news });
        tokio::spawn(run_timer(Arc::clone(&door)));
        door
    }

    /// The peer's gateway is found. False when it was before.
    pub(crate) fn attach(&self, transport: Box<dyn Transport>) -> bool {
        let mut inner = self.lock();
        if inner.transport.is_some() || inner.ended {
            return false;
        }
        for envelope in std::mem::take(&mut inner.held) {
            transport.send(envelope);
        }
        inner.transport = Some(transport);
        true
    }

    pub(crate) fn is_attached(&self) -> bool {
        self.lock().transport.is_some()
    }

    pub(crate) fn cast(&self, topic: Topic, urgency: Urgency, body: Bytes) -> Result<(), CastError> {
        let mut inner = self.lock();
        let (now, mut effects) = (clock::now(), Vec::new());
        let result = inner.state.cast(topic, urgency, body, now, &mut effects);
        self.perform(&mut inner, effects);
        result
    }

    pub(crate) fn call(&self, topic: Topic, body: Bytes, timeout: Duration) -> Result<Answer, CastError> {
        let mut inner = self.lock();
        if inner.ended {
            return Err(CastError::NoLink(self.member.clone()));
        }
        let (now, mut effects) = (clock::now(), Vec::new());
        let call = inner.state.call(topic, body, timeout, now, &mut effects);
        let answer = call.map(|call| {
            let (caller, answer) = oneshot::channel();
            inner.callers.insert(call, caller);
            answer
        });
        self.perform(&mut inner, effects);
        answer
    }

    /// Takes an envelope of this link. Called by the gateway actor only, so that what is heard keeps its order.
    pub(crate) fn receive(self: &Arc<Self>, envelope: Envelope) {
        let heard = {
            let mut inner = self.lock();
            if inner.ended {
                return;
            }
            let (now, mut effects) = (clock::now(), Vec::new());
            inner.state.receive(envelope, now, &mut effects);
            self.perform(&mut inner, effects)
        };
        for (topic, body, call) in heard {
            let reply = call.map(|call| self.answer_later(call));
            self.hear.hear(Inbound { from: self.member.clone(), topic, body, reply });
        }
    }

    /// The link is gone. Called by the gateway actor only: nothing is heard after it.
    pub(crate) fn end(&self) {
        {
            let mut inner = self.lock();
            if std::mem::replace(&mut inner.ended, true) {
                return;
            }
            let mut effects = Vec::new();
            inner.state.end(&mut effects);
            self.perform(&mut inner, effects);
            inner.transport = None;
        }
        self.timer.notify_one();
        self.hear.lost(&self.member);
    }

    fn answer_later(self: &Arc<Self>, call: InboundCall) -> oneshot::Sender<Result<Bytes, crate::peers::Unreadable>> {
        let (reply, answer) = oneshot::channel();
        let door = Arc::clone(self);
        tokio::spawn(async move {
            let result = tokio::time::timeout(call.timeout, answer).await.ok().and_then(Result::ok);
            let mut inner = door.lock();
            if !inner.ended {
                let (now, mut effects) = (clock::now(), Vec::new());
                inner.state.answer(call.call, result, now, &mut effects);
                door.perform(&mut inner, effects);
            }
        });
        reply
    }

    /// The only place with side effects; what is to be heard is left to the caller.
    fn perform(&self, inner: &mut MutexGuard<'_, Inner>, effects: Vec<Effect>) -> Vec<Heard> {
        let mut heard = Vec::new();
        for effect in effects {
            match effect {
                Effect::Send(envelope) => match &inner.transport {
                    Some(transport) => transport.send(envelope),
                    None => inner.held.push(envelope),
                },
                Effect::Hear { topic, body, call } => heard.push((topic, body, call)),
                Effect::Answered { call, result } => {
                    if let Some(caller) = inner.callers.remove(&call) {
                        // A caller that gave up needs no answer.
                        let _ = caller.send(result);
                    }
                }
                Effect::Silent => self.tell(LinkNews::Silent),
                Effect::Heard => self.tell(LinkNews::Heard),
                Effect::Close(reason) => self.tell(LinkNews::Useless(reason)),
                Effect::Dropped(dropped) => count(dropped),
            }
        }
        let next = inner.state.next_deadline();
        if inner.sleeps_until.is_some_and(|until| next < until) {
            self.timer.notify_one();
        }
        heard
    }

    fn tell(&self, news: LinkNews) {
        // Nobody listens any more when links were stopped.
        let _ = self.news.send(News { link: self.link, news });
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic under the lock is a bug that ended its task; the link itself is sound enough to be closed.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn run_timer(door: Arc<Door>) {
    loop {
        let next = {
            let mut inner = door.lock();
            if inner.ended {
                return;
            }
            let next = inner.state.next_deadline();
            inner.sleeps_until = Some(next);
            next
        };
        tokio::select! {
            biased;
            () = door.timer.notified() => continue,
            () = tokio::time::sleep_until(next.into()) => {}
        }
        let mut inner = door.lock();
        if inner.ended {
            return;
        }
        let mut effects = Vec::new();
        inner.state.tick(clock::now(), &mut effects);
        door.perform(&mut inner, effects);
    }
}

fn count(dropped: Dropped) {
    match dropped {
        Dropped::Duplicate => metrics::message_dropped("duplicate"),
        Dropped::LateAnswer => metrics::message_dropped("late_answer"),
        Dropped::Answer => metrics::message_dropped("answer"),
        Dropped::Unreadable => metrics::unreadable(),
        Dropped::Congested => metrics::window_refused(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::envelope;
    use crate::limits;
    use crate::link::member_for_tests as member;
    use std::sync::OnceLock;

    const TOPIC: Topic = Topic(1);

    /// Carries to a task that stands for the other node's gateway.
    #[derive(Debug)]
    struct Wire(mpsc::UnboundedSender<Bytes>);

    impl Transport for Wire {
        fn send(&self, envelope: Bytes) {
            // The other end may have gone first.
            let _ = self.0.send(envelope);
        }
    }

    /// Answers calls with the body, and casts with a cast, from within.
    #[derive(Debug, Default)]
    struct Echo {
        door: OnceLock<Arc<Door>>,
        heard: Mutex<Vec<Bytes>>,
        lost: Notify,
    }

    impl Hear for Echo {
        fn hear(&self, inbound: Inbound) {
            match inbound.reply {
                Some(reply) if inbound.body.is_empty() => drop(reply),
                Some(reply) => drop(reply.send(Ok(inbound.body))),
                None => {
                    let first = self.heard.lock().unwrap().is_empty();
                    self.heard.lock().unwrap().push(inbound.body.clone());
                    if first {
                        self.door.get().unwrap().cast(TOPIC, Urgency::Needed, inbound.body).unwrap();
                    }
                }
            }
        }

        fn lost(&self, _: &MemberId) {
            self.lost.notify_one();
        }
    }

    fn end(name: &str) -> (Arc<Door>, Arc<Echo>, mpsc::UnboundedReceiver<News>) {
        let echo = Arc::new(Echo::default());
        let (news, told) = mpsc::unbounded_channel();
        let door = Door::open(member(name, 1), 9, Arc::clone(&echo) as Arc<dyn Hear>, news);
        echo.door.set(Arc::clone(&door)).unwrap();
        (door, echo, told)
    }

    fn join(from: &Arc<Door>, to: &Arc<Door>) {
        let (wire, mut arriving) = mpsc::unbounded_channel::<Bytes>();
        let to = Arc::clone(to);
        tokio::spawn(async move {
            while let Some(bytes) = arriving.recv().await {
                to.receive(envelope::read(&bytes).unwrap());
            }
        });
        assert!(from.attach(Box::new(Wire(wire))));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_hears_may_send_at_once_and_nothing_sent_early_is_lost() {
        let ((left, left_ears, _told), (right, right_ears, _told_too)) = (end("ND_right"), end("ND_left"));
        left.cast(TOPIC, Urgency::Needed, Bytes::from_static(b"early")).unwrap();
        let answer = left.call(TOPIC, Bytes::from_static(b"echo"), Duration::from_secs(1)).unwrap();
        join(&left, &right);
        join(&right, &left);
        assert_eq!(answer.await.unwrap(), Ok(Bytes::from_static(b"echo")));
        assert_eq!(right_ears.heard.lock().unwrap().first(), Some(&Bytes::from_static(b"early")));
        assert_eq!(left_ears.heard.lock().unwrap().first(), Some(&Bytes::from_static(b"early")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_nobody_answers_ends_by_the_timer_and_by_the_end_of_the_link() {
        let ((left, ears, mut told), (right, _ears, _told)) = (end("ND_right"), end("ND_left"));
        join(&left, &right);
        join(&right, &left);
        let timeout = Duration::from_millis(70);
        let answer = left.call(TOPIC, Bytes::new(), timeout).unwrap();
        let to = member("ND_right", 1);
        assert_eq!(answer.await.unwrap(), Err(CallError::Timeout { to: to.clone(), timeout }));
        let answer = left.call(TOPIC, Bytes::new(), limits::CALL_TIME_MAX).unwrap();
        right.end();
        assert!(matches!(told.recv().await, Some(News { link: 9, news: LinkNews::Silent })));
        left.end();
        assert_eq!(answer.await.unwrap(), Err(CallError::LinkLost(to.clone())));
        ears.lost.notified().await;
        assert!(left.call(TOPIC, Bytes::new(), timeout).is_err());
    }
}
