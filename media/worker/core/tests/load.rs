//! What many peers, long lists and bursts of work cost a worker.

use super::*;

#[test]
fn a_peer_that_never_connects_is_visited_about_once_a_second() {
    let mut world = World::new(91);
    let client = world.join(0, 1, false);
    world.clients[client].gone = true;
    let (mut visits, mut before) = (0, None);
    for _ in 0..10_000 {
        world.step();
        let due = world.nodes[0].core.peers[client].due;
        visits += u32::from(before.replace(due) != Some(due));
    }
    assert!((9..=20).contains(&visits), "{visits} visits in 10 s");
}
