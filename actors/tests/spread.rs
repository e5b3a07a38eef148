//! A room that outgrows one media worker.

use super::{Signer, facts, join, settle};
use crate::config::RoomsConfig;
use crate::{ClusterDoor, Rooms};
use starling_media::command::MediaCommand;
use starling_media::worker::MediaPlane;
use starling_protocol::join::Dialect;
use std::sync::Arc;
use tokio::sync::mpsc;

#[tokio::test(start_paused = true)]
async fn whoever_joins_a_large_room_goes_to_the_worker_with_the_least_to_do() {
    let mut config = RoomsConfig::new(Arc::new(Signer));
    config.spread_peers = 4;
    let (media, mut receivers) = MediaPlane::without_workers(3);
    let (_events, receiver) = mpsc::channel(64);
    let rooms = Rooms::start(config, media, receiver, ClusterDoor::alone(facts("ND_1"))).await.unwrap();
    let mut sessions = Vec::new();
    for number in 0..10 {
        let mut one = join("room", &format!("p{number}"));
        one.parameters.dialect = Dialect::SinglePeer;
        sessions.push(rooms.join(one).await.unwrap());
        settle().await;
    }
    let home = rooms.snapshot().await.rooms[0].worker;
    let commands: Vec<Vec<MediaCommand>> =
        receivers.iter_mut().map(|receiver| std::iter::from_fn(|| receiver.try_recv().ok()).collect()).collect();
    let opened = |worker: usize| {
        commands[worker].iter().filter(|command| matches!(command, MediaCommand::OpenPeer { .. })).count()
    };
    assert_eq!((opened(home), opened((home + 1) % 3), opened((home + 2) % 3)), (4, 3, 3));
    for worker in (0..3).filter(|worker| *worker != home) {
        let first = commands[worker].first();
        assert!(matches!(first, Some(MediaCommand::SetHome { worker, .. }) if *worker == home), "{first:?}");
    }
}
