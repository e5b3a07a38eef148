//! Thousands of histories, none of which breaks a promise.

use crate::{Plan, run};

/// Issue 3, Show 6.
const SEEDS: u64 = 2_000;

#[test]
fn no_history_of_faults_breaks_a_promise() {
    let mut failures = Vec::new();
    let (mut converged, mut conflicts, mut replaced) = (0, 0, 0);
    let (mut moved, mut aborted, mut drained, mut drained_rooms) = (0, 0, 0, 0);
    for seed in 0..SEEDS {
        match run(seed, &Plan::of_seed(seed)) {
            Ok(report) => {
                converged = report.converged_ms.max(converged);
                conflicts += report.conflicts;
                replaced += report.replaced;
                (moved, aborted) = (moved + report.moved, aborted + report.aborted);
                (drained, drained_rooms) = (report.drained_ms.max(drained), drained_rooms + report.drained_rooms);
            }
            Err(violation) => {
                println!("seed {seed}: {violation}; replay: cargo run -p starling-sim -- --seed {seed}");
                failures.push(seed);
            }
        }
    }
    println!("{SEEDS} seeds: converged within {converged} ms, {conflicts} conflicts, {replaced} rooms placed again");
    println!("{moved} moved, {aborted} moves given up; {drained_rooms} in the last drains, within {drained} ms");
    assert!(failures.is_empty(), "seeds {failures:?} failed");
    assert!(moved > 4 * SEEDS && aborted > SEEDS && drained_rooms > SEEDS, "the moves are too few to prove anything");
    assert!(conflicts > SEEDS && replaced > SEEDS, "the faults are too tame to prove anything");
}

#[test]
fn one_seed_is_one_history() {
    for seed in [1, 2, 3] {
        let (first, second) = (run(seed, &Plan::of_seed(seed)), run(seed, &Plan::of_seed(seed)));
        assert_eq!(first, second);
        assert!(first.is_ok());
    }
    let other = run(4, &Plan::of_seed(4)).map(|report| report.history);
    assert_ne!(run(9, &Plan::of_seed(9)).map(|report| report.history), other);
}
