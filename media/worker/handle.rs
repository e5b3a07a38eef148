//! The control plane's end of the media workers: commands down, events up, both bounded.

use crate::codec::{Candidate, IceCredentials};
use crate::command::{MediaCommand, MediaEvent};
use crate::worker::wake::Waker;
use rand::Rng;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Commands that may wait for one worker; beyond it `send` refuses, and the caller ends the session that asked.
pub const CONTROL_TO_WORKER_CAPACITY: usize = 16_384;
/// Events that may wait for the control plane; beyond it a worker drops speaker and quality events and blocks on none.
pub const WORKER_TO_CONTROL_CAPACITY: usize = 65_536;

/// The media plane refused a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendCommandError {
    /// The worker is too far behind.
    #[error("media worker {worker} has {CONTROL_TO_WORKER_CAPACITY} commands waiting")]
    Busy {
        /// Its index.
        worker: usize,
    },
    /// The worker has ended.
    #[error("media worker {worker} has ended")]
    Ended {
        /// Its index.
        worker: usize,
    },
}

/// One worker as the control plane sees it.
#[derive(Debug)]
pub(crate) struct WorkerLink {
    pub(crate) commands: mpsc::Sender<MediaCommand>,
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) waker: Option<Waker>,
}

/// Every media worker of this node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct MediaPlane {
    pub(crate) workers: Arc<Vec<WorkerLink>>,
    pub(crate) fingerprint: Arc<str>,
}

impl MediaPlane {
    /// Number of workers.
    #[must_use]
    pub fn worker_count(&self) -> usize {
        self.workers.len()
    }

    /// SHA-256 fingerprint of the node's DTLS certificate, upper-case hex pairs joined by colons.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The addresses under which clients reach a worker; empty for an unknown worker.
    #[must_use]
    pub fn candidates(&self, worker: usize) -> &[Candidate] {
        self.workers.get(worker).map_or(&[], |link| &link.candidates)
    }

    /// Makes ICE credentials whose fragment leads datagrams and TCP connections to `worker`.
    #[must_use]
    pub fn new_credentials(&self, worker: usize) -> IceCredentials {
        let mut random = rand::rng();
        let mut text = |length: usize| -> String {
            (0..length).map(|_| char::from(random.sample(rand::distr::Alphanumeric))).collect()
        };
        IceCredentials { ufrag: format!("{}{}", worker_prefix(worker), text(10)), pwd: text(24) }
    }

    /// Hands a command to a worker without waiting. Data is refused from half of the capacity on.
    ///
    /// # Errors
    /// [`SendCommandError`] when the worker is too far behind or gone.
    pub fn send(&self, worker: usize, command: MediaCommand) -> Result<(), SendCommandError> {
        let link = self.workers.get(worker).ok_or(SendCommandError::Ended { worker })?;
        // Data of one client must not crowd out the commands of all others: half of the queue is not for it.
        let is_data = matches!(command, MediaCommand::SendData { .. });
        if is_data && link.commands.capacity() < CONTROL_TO_WORKER_CAPACITY / 2 {
            return Err(SendCommandError::Busy { worker });
        }
        link.commands.try_send(command).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => SendCommandError::Busy { worker },
            mpsc::error::TrySendError::Closed(_) => SendCommandError::Ended { worker },
        })?;
        if let Some(waker) = &link.waker {
            waker.wake();
        }
        Ok(())
    }

    /// A media plane without threads or sockets, for tests of the control plane: the receivers see every
    /// command, and events are made by the test.
    #[must_use]
    pub fn without_workers(workers: usize) -> (Self, Vec<mpsc::Receiver<MediaCommand>>) {
        let (links, receivers) = (0..workers)
            .map(|_| {
                let (commands, receiver) = mpsc::channel(CONTROL_TO_WORKER_CAPACITY);
                (WorkerLink { commands, candidates: Vec::new(), waker: None }, receiver)
            })
            .unzip();
        (Self { workers: Arc::new(links), fingerprint: "00".into() }, receivers)
    }
}

/// First character of every local ufrag of a worker; routes ICE-TCP connections before any peer is known.
#[must_use]
pub(crate) fn worker_prefix(worker: usize) -> char {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    char::from(ALPHABET[worker % ALPHABET.len()])
}

/// The worker that made a local ufrag.
#[must_use]
pub(crate) fn worker_of_ufrag(ufrag: &[u8], workers: usize) -> Option<usize> {
    let first = *ufrag.first()?;
    (0..workers.min(62)).find(|worker| worker_prefix(*worker) as u32 == u32::from(first))
}

/// Where a worker puts its events.
pub type EventSender = mpsc::Sender<MediaEvent>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Channel;
    use crate::id::PeerId;

    #[test]
    fn data_leaves_half_of_the_queue_to_other_commands() {
        let (plane, _commands) = MediaPlane::without_workers(1);
        let data = || MediaCommand::SendData { peers: vec![], channel: Channel::Lossy, payload: bytes::Bytes::new() };
        let taken = (0..CONTROL_TO_WORKER_CAPACITY).filter(|_| plane.send(0, data()).is_ok()).count();
        assert!(taken <= CONTROL_TO_WORKER_CAPACITY / 2 + 1);
        assert_eq!(plane.send(0, MediaCommand::ClosePeer { peer: PeerId(1) }), Ok(()));
    }
}
