//! What a gateway hears: envelopes from other nodes, and from this one only that a link ended.

use ractor::message::{BoxedDowncastErr, SerializedMessage};

/// Name of the one variant that crosses the wire; part of the protocol.
const DELIVER: &str = "Deliver";

/// What a gateway hears.
#[derive(Debug)]
pub(crate) enum GatewayMessage {
    /// An envelope of a peer. The only one that a peer can send.
    Deliver(Vec<u8>),
    /// A link is gone.
    Ended { link: u64 },
}

impl ractor::Message for GatewayMessage {
    fn serializable() -> bool {
        true
    }

    fn serialize(self) -> Result<SerializedMessage, BoxedDowncastErr> {
        match self {
            Self::Deliver(args) => Ok(SerializedMessage::Cast { variant: DELIVER.into(), args, metadata: None }),
            Self::Ended { .. } => Err(BoxedDowncastErr),
        }
    }

    fn deserialize(message: SerializedMessage) -> Result<Self, BoxedDowncastErr> {
        match message {
            SerializedMessage::Cast { variant, args, .. } if variant == DELIVER => Ok(Self::Deliver(args)),
            _ => {
                metrics::counter!("starling_cluster_unreadable_total").increment(1);
                Err(BoxedDowncastErr)
            }
        }
    }
}
