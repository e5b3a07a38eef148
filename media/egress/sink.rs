//! Where finished packets go: an arena of the worker that batches by destination.

/// A send arena. Packets committed one after the other to one destination may leave as one GSO message.
pub trait PacketSink {
    /// What datagrams are addressed to.
    type Destination;

    /// Returns exactly `length` writable bytes; they count only once committed.
    fn slot(&mut self, length: usize) -> &mut [u8];

    /// Queues the first `length` bytes of the last slot.
    fn commit(&mut self, destination: &Self::Destination, length: usize);
}
