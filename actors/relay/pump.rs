//! Brings the frames of one direction of a session from its queue onto the link.

use crate::clock;
use crate::relay::Relay;
use crate::relay::blob::Blob;
use crate::relay::outlet::{Outlet, Verdict};
use crate::relay::wire::Cast;
use starling_cluster::member::MemberId;
use starling_cluster::peers::CastError;
use tokio::sync::mpsc;

/// What a queue holds.
pub(crate) enum Queued {
    /// The next frame.
    Frame(Blob),
    /// Nothing follows.
    End,
}

/// Why a pump stopped, and after how many frames.
pub(crate) enum Stopped {
    /// The queue ended by a word in it.
    Ended { frames: u64 },
    /// Whoever fills the queue is gone.
    Deserted { frames: u64 },
    /// The link does not take frames.
    Stuck { frames: u64, error: CastError },
}

/// Runs until the queue ends or the link does. `read` says what an item of the queue is, `cast` wraps a batch.
pub(crate) async fn pump<T: Send>(
    relay: &Relay,
    to: &MemberId,
    queue: &mut mpsc::Receiver<T>,
    read: impl Fn(T) -> Queued,
    cast: impl Fn(u64, Vec<Blob>) -> Cast,
) -> Stopped {
    let mut outlet = Outlet::default();
    loop {
        let Some(item) = queue.recv().await else { return Stopped::Deserted { frames: outlet.sent() } };
        let mut ended = take(&mut outlet, read(item));
        while !ended && outlet.has_room() {
            let Ok(item) = queue.try_recv() else { break };
            ended = take(&mut outlet, read(item));
        }
        if let Err(error) = flush(relay, to, &mut outlet, &cast).await {
            return Stopped::Stuck { frames: outlet.sent(), error };
        }
        if ended {
            return Stopped::Ended { frames: outlet.sent() };
        }
    }
}

/// Whether it was the end.
fn take(outlet: &mut Outlet, queued: Queued) -> bool {
    match queued {
        Queued::Frame(frame) => {
            outlet.push(frame);
            false
        }
        Queued::End => true,
    }
}

async fn flush(
    relay: &Relay,
    to: &MemberId,
    outlet: &mut Outlet,
    cast: impl Fn(u64, Vec<Blob>) -> Cast,
) -> Result<(), CastError> {
    while !outlet.is_empty() {
        let (first, frames) = outlet.batch();
        let result = relay.cast(to, &cast(first, frames));
        match outlet.cast(result, clock::now()) {
            Verdict::Sent => {}
            Verdict::RetryAt(at) => {
                metrics::counter!("starling_relay_window_full_total").increment(1);
                tokio::time::sleep_until(at.into()).await;
            }
            Verdict::End(error) => return Err(error),
        }
    }
    Ok(())
}
