//! The one deadline that an actor waits for; it arrives as a message to itself.

use ractor::{ActorRef, Message};
use std::time::Instant;
use tokio::task::JoinHandle;

/// Rings once, at the time that was set last.
#[derive(Debug, Default)]
pub(crate) struct Alarm(Option<(Instant, JoinHandle<()>)>);

impl Alarm {
    /// Sends `wake` to `actor` at `next`, and at no earlier set time.
    pub(crate) fn set<M: Message>(&mut self, next: Option<Instant>, actor: &ActorRef<M>, wake: fn() -> M) {
        if self.0.as_ref().map(|(at, _)| *at) == next {
            return;
        }
        self.clear();
        self.0 = next.map(|at| {
            let actor = actor.clone();
            let timer = tokio::spawn(async move {
                tokio::time::sleep_until(at.into()).await;
                // An actor that ended has no deadlines.
                let _ = actor.cast(wake());
            });
            (at, timer)
        });
    }

    /// It rang, or is not wanted any more.
    pub(crate) fn clear(&mut self) {
        if let Some((_, timer)) = self.0.take() {
            timer.abort();
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.clear();
    }
}
