//! The one remotable actor of a node. Leads envelopes to the door of their link; keeps what is heard in order.

use crate::gateway::doors::Doors;
use crate::gateway::envelope;
use crate::gateway::message::GatewayMessage;
use crate::metrics;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::sync::Arc;

/// The shell of all [`crate::gateway::state::PeerState`]s.
#[derive(Debug)]
pub(crate) struct NodeGateway;

/// Where peers find the gateway of a node.
pub(crate) const SCOPE: &str = "starling";
/// Its group in that scope.
pub(crate) const GROUP: &str = "gateway";

impl Actor for NodeGateway {
    type Msg = GatewayMessage;
    type State = Arc<Doors>;
    type Arguments = Arc<Doors>;

    async fn pre_start(
        &self,
        myself: ActorRef<GatewayMessage>,
        doors: Arc<Doors>,
    ) -> Result<Arc<Doors>, ActorProcessingErr> {
        ractor::pg::join_scoped(SCOPE.into(), GROUP.into(), vec![myself.get_cell()]);
        Ok(doors)
    }

    async fn handle(
        &self,
        _myself: ActorRef<GatewayMessage>,
        message: GatewayMessage,
        doors: &mut Arc<Doors>,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            GatewayMessage::Deliver(bytes) => deliver(doors, &bytes),
            GatewayMessage::Ended { link } => {
                if let Some(door) = doors.remove(link) {
                    door.end();
                }
            }
        }
        Ok(())
    }
}

fn deliver(doors: &Doors, bytes: &[u8]) {
    let Ok(envelope) = envelope::read(bytes) else { return metrics::unreadable() };
    let Some(door) = doors.find(envelope.link) else { return metrics::message_dropped("ended_link") };
    // The peer found us, so its gateway was announced before: whoever hears this can answer at once.
    doors.attach(&door);
    door.receive(envelope);
}
