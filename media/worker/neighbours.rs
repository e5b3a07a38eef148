//! What lies between the worker threads: bells that wake, and queues of what is rare. The rings are the cores' own.

use crate::worker::core::{Control, WorkerCore, ring};
use crate::worker::wake::Waker;
use rand::Rng;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tokio::sync::mpsc;

/// Messages of all other workers that may wait for one. A sender that finds it full keeps them, and keeps only the
/// newest of each kind.
const CONTROLS_MAX: usize = 4_096;
/// Messages taken in one turn, so that other workers cannot starve this one's sockets.
const CONTROLS_PER_TURN: usize = 1_024;

/// Wakes one worker, once for everything that comes before it looks.
#[derive(Debug)]
struct Bell {
    rung: AtomicBool,
    waker: Waker,
}

impl Bell {
    fn ring(&self) {
        // Both sides swap: either the worker sees what was written before, or we see that it has looked.
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.waker.wake();
        }
    }
}

/// The way to one worker.
#[derive(Clone, Debug)]
struct Door {
    bell: Arc<Bell>,
    controls: mpsc::Sender<(usize, Control)>,
}

/// The other workers, as one sees them.
#[derive(Debug)]
pub(crate) struct Neighbours {
    worker: usize,
    own: Arc<Bell>,
    controls: mpsc::Receiver<(usize, Control)>,
    /// By index of the worker; our own among them.
    doors: Vec<Door>,
}

impl Neighbours {
    /// Makes what lies between as many workers as there are wakers.
    pub(crate) fn between(wakers: &[Waker]) -> Vec<Self> {
        let (doors, receivers): (Vec<Door>, Vec<_>) = wakers
            .iter()
            .map(|waker| {
                let (controls, receiver) = mpsc::channel(CONTROLS_MAX);
                let bell = Arc::new(Bell { rung: AtomicBool::new(false), waker: waker.clone() });
                (Door { bell, controls }, receiver)
            })
            .unzip();
        let seat = |(worker, controls): (usize, mpsc::Receiver<(usize, Control)>)| {
            let own = Arc::clone(&doors[worker].bell);
            Self { worker, own, controls, doors: doors.clone() }
        };
        receivers.into_iter().enumerate().map(seat).collect()
    }

    /// From here on whoever puts something down wakes us again. Called before we look.
    pub(crate) fn listen(&self) {
        self.own.rung.swap(false, Ordering::AcqRel);
    }

    /// Takes messages; returns whether more are left.
    pub(crate) fn take_controls(&mut self, now: Instant, core: &mut WorkerCore) -> bool {
        for _ in 0..CONTROLS_PER_TURN {
            let Ok((from, control)) = self.controls.try_recv() else { return false };
            core.handle_control(now, from, control);
        }
        true
    }

    /// Wakes the workers that were handed packets.
    pub(crate) fn ring(&self, core: &mut WorkerCore) {
        while let Some(worker) = core.poll_handed() {
            if let Some(door) = self.doors.get(worker) {
                door.bell.ring();
            }
        }
    }

    /// Sends what the others have to be told, as far as they have room for it.
    pub(crate) fn send_controls(&self, core: &mut WorkerCore) {
        if !core.has_controls() {
            return;
        }
        for (worker, door) in self.doors.iter().enumerate() {
            let mut sent = false;
            while let Ok(place) = door.controls.try_reserve() {
                let Some(control) = core.poll_control(worker) else { break };
                place.send((self.worker, control));
                sent = true;
            }
            if sent {
                door.bell.ring();
            }
        }
    }
}

/// Lays a ring each way between every two workers.
pub(crate) fn connect(cores: &mut [WorkerCore]) {
    for core in cores.iter_mut() {
        core.begin_eras(rand::rng().random());
    }
    for one in 0..cores.len() {
        for other in one + 1..cores.len() {
            let ((up, up_end), (down, down_end)) = (ring(), ring());
            cores[one].connect(one, other, up, down_end);
            cores[other].connect(other, one, down, up_end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_awake(waker: &Waker) -> bool {
        let mut descriptors = vec![crate::worker::socket::readable(waker.descriptor())];
        crate::worker::socket::wait_readable(&mut descriptors, std::time::Duration::ZERO);
        descriptors[0].revents != 0
    }

    #[test]
    fn a_worker_is_woken_once_for_many_and_again_after_it_has_looked() {
        let wakers = [Waker::new().unwrap(), Waker::new().unwrap()];
        let neighbours = Neighbours::between(&wakers);
        let bell = &neighbours[0].doors[1].bell;
        bell.ring();
        assert!(is_awake(&wakers[1]) && !is_awake(&wakers[0]));
        wakers[1].reset();
        bell.ring();
        assert!(!is_awake(&wakers[1]), "it is going to look anyhow");
        neighbours[1].listen();
        bell.ring();
        assert!(is_awake(&wakers[1]));
    }
}
