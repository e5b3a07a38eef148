//! Moves peers from one worker of this process to another. The caller holds back every command for them meanwhile.

use crate::command::MediaCommand;
use crate::id::{PeerId, RoomKey};
use crate::worker::handle::{MediaPlane, SendCommandError};
use tokio::sync::oneshot;

/// What became of the peers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relocation {
    /// Peers that the new worker serves.
    pub moved: Vec<PeerId>,
    /// Peers that are gone: they were unknown, in the middle of connecting, or on ICE-TCP.
    pub lost: Vec<PeerId>,
}

impl MediaPlane {
    /// Moves `peers` of a room from worker `from` to worker `to`. All leave at once and arrive at once, and what comes for
    /// them meanwhile waits at the old worker, so that no packet finds its subscribers on the other side.
    ///
    /// # Errors
    /// [`SendCommandError`] when a worker is too far behind or gone. Peers that had left by then are lost.
    pub async fn relocate(
        &self,
        room: RoomKey,
        peers: &[PeerId],
        from: usize,
        to: usize,
    ) -> Result<Relocation, SendCommandError> {
        if to >= self.worker_count() {
            return Err(SendCommandError::Ended { worker: to });
        }
        let (mut exports, mut commands) = (Vec::new(), Vec::new());
        for peer in peers {
            let (reply, state) = oneshot::channel();
            commands.push(MediaCommand::ExportPeer { peer: *peer, reply });
            exports.push((*peer, state));
        }
        self.send(from, MediaCommand::Batch(commands))?;
        let (mut states, mut relocation) = (Vec::new(), Relocation::default());
        for (peer, state) in exports {
            match state.await.ok().flatten() {
                Some(state) => states.push((peer, state)),
                None => relocation.lost.push(peer),
            }
        }
        let (mut imports, mut commands) = (Vec::new(), Vec::new());
        for (peer, state) in states {
            let (reply, done) = oneshot::channel();
            commands.push(MediaCommand::ImportPeer { peer, room, state, reply });
            imports.push((peer, done));
        }
        self.send(to, MediaCommand::Batch(commands))?;
        for (peer, done) in imports {
            match done.await {
                Ok(Ok(())) => {
                    self.send(from, MediaCommand::RelayPeer { peer, worker: to })?;
                    relocation.moved.push(peer);
                }
                Ok(Err(error)) => {
                    tracing::warn!(peer = peer.0, %error, "peer not moved");
                    relocation.lost.push(peer);
                }
                Err(_) => relocation.lost.push(peer),
            }
        }
        Ok(relocation)
    }
}
