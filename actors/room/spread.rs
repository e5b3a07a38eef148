//! Which media worker serves a new participant: a large room spreads over the workers of its node. Nobody is moved for it:
//! whoever joins once the home worker has its share goes to the worker with the least to do.

use crate::registry::Shared;
use starling_media::command::MediaCommand;
use starling_media::id::{PeerId, RoomKey};
use std::collections::BTreeMap;

/// Peers of one room at its home worker from which on new ones may go elsewhere. 50 people who hear each other and see 25
/// of them take some 250,000 packets/s, half of what one worker forwards; below it, a hand-over costs more than it saves.
pub(crate) const SPREAD_PEERS: usize = 100;

/// The worker for the next participant of a room: its home while that has fewer than `share` of the room's peers, then
/// the one with the fewest peers of all rooms, the home first and the first of equals.
pub(crate) fn worker_for(home: usize, share: usize, of_room: &[usize], of_node: &[usize]) -> usize {
    if of_room.get(home).is_none_or(|peers| *peers < share) {
        return home;
    }
    let least = of_node.iter().enumerate().min_by_key(|(worker, peers)| (**peers, *worker != home, *worker));
    least.map_or(home, |(worker, _)| worker)
}

/// Peers of a room, and of all rooms, by worker.
pub(crate) fn census(shared: &Shared, room: RoomKey) -> (Vec<usize>, Vec<usize>) {
    let workers = shared.media.worker_count();
    let (mut of_room, mut of_node) = (vec![0; workers], vec![0; workers]);
    for entry in &shared.peers {
        if let (Some(here), Some(all)) = (of_room.get_mut(entry.worker), of_node.get_mut(entry.worker)) {
            *here += usize::from(entry.room == room);
            *all += 1;
        }
    }
    (of_room, of_node)
}

/// Every peer of a room by the worker that serves it.
pub(crate) fn peers_by_worker(shared: &Shared, room: RoomKey) -> BTreeMap<usize, Vec<PeerId>> {
    let mut peers: BTreeMap<usize, Vec<PeerId>> = BTreeMap::new();
    for entry in shared.peers.iter().filter(|entry| entry.room == room) {
        peers.entry(entry.worker).or_default().push(*entry.key());
    }
    peers
}

/// Sends a room's command: data goes to the worker of each receiver, in the order in which it came.
pub(crate) fn send(shared: &Shared, home: usize, command: MediaCommand) {
    let MediaCommand::SendData { peers, channel, payload } = command else {
        // `send` counts what a full worker refuses.
        let _ = shared.send(home, command);
        return;
    };
    let mut receivers: BTreeMap<usize, Vec<PeerId>> = BTreeMap::new();
    for peer in peers {
        let worker = shared.peers.get(&peer).map_or(home, |entry| entry.worker);
        receivers.entry(worker).or_default().push(peer);
    }
    for (worker, peers) in receivers {
        let payload = payload.clone();
        // A data message that finds its worker full is dropped; `send` counts it.
        let _ = shared.send(worker, MediaCommand::SendData { peers, channel, payload });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_room_stays_at_its_home_however_busy_that_is() {
        assert_eq!(worker_for(1, 10, &[0, 9, 0], &[0, 900, 0]), 1);
        assert_eq!(worker_for(0, 10, &[], &[]), 0);
    }

    #[test]
    fn a_large_room_grows_where_least_is_to_do() {
        assert_eq!(worker_for(1, 10, &[0, 10, 0], &[5, 10, 4]), 2);
        assert_eq!(worker_for(1, 10, &[0, 10, 0], &[12, 10, 12]), 1, "which may be at home");
        assert_eq!(worker_for(1, 10, &[0, 10, 0], &[10, 10, 10]), 1);
        assert_eq!(worker_for(2, 10, &[0, 0, 10], &[3, 3, 10]), 0);
    }

    #[test]
    fn joins_fill_the_workers_evenly() {
        let mut peers = vec![0; 4];
        for _ in 0..400 {
            let worker = worker_for(0, 40, &peers, &peers);
            peers[worker] += 1;
        }
        assert_eq!(peers, [100; 4]);
    }
}
