//! Answers for [`PlacementState`].

use crate::placement::message::PlacementMessage;
use crate::placement::state::PlacementState;
use ractor::{Actor, ActorProcessingErr, ActorRef};

#[derive(Debug)]
pub(crate) struct PlacementActor;

impl Actor for PlacementActor {
    type Msg = PlacementMessage;
    type State = PlacementState;
    type Arguments = usize;

    async fn pre_start(
        &self,
        _myself: ActorRef<PlacementMessage>,
        rooms_max: usize,
    ) -> Result<PlacementState, ActorProcessingErr> {
        Ok(PlacementState::new(rooms_max))
    }

    async fn handle(
        &self,
        _myself: ActorRef<PlacementMessage>,
        message: PlacementMessage,
        state: &mut PlacementState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            PlacementMessage::Locate { room, create, reply } => {
                // A caller that gave up needs no answer.
                let _ = reply.send(state.locate(room, create));
            }
            PlacementMessage::Ended { room } => state.ended(&room),
        }
        Ok(())
    }
}
