//! Replays seeds: `cargo run -p starling-sim -- --seed N`, or measures many: `--seeds N [--from M]`.
#![expect(clippy::print_stdout, reason = "it is a command")]

use starling_sim::{Plan, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str| {
        let place = words.iter().position(|word| word == name)?;
        words.get(place + 1)?.parse::<u64>().ok()
    };
    let (first, count) = match (number("--seed"), number("--seeds")) {
        (Some(seed), _) => (seed, 1),
        (None, Some(count)) => (number("--from").unwrap_or(0), count),
        (None, None) => {
            println!("usage: starling-sim --seed N | --seeds N [--from M]");
            return ExitCode::FAILURE;
        }
    };
    let mut failures = 0;
    let mut totals = [0; 7];
    let (mut converged, mut outages, mut drained) = (Vec::new(), Vec::new(), Vec::new());
    let mut out = Vec::new();
    for seed in first..first + count {
        match run(seed, &Plan::of_seed(seed)) {
            Ok(report) if count == 1 => println!("{report:#?}"),
            Ok(report) => {
                converged.push(report.converged_ms);
                outages.extend(report.outages_ms);
                totals[0] += report.placed;
                totals[1] += report.replaced;
                totals[2] += report.conflicts;
                totals[3] += report.too_low;
                totals[4] += report.messages;
                totals[5] += report.moved;
                totals[6] += report.aborted;
                drained.push(report.drained_ms);
                out.push(report.drain_outage_ms);
            }
            Err(violation) => {
                failures += 1;
                println!("seed {seed}: {violation}");
            }
        }
    }
    let [placed, replaced, conflicts, too_low, messages, moved, aborted] = totals;
    println!("{placed} placed, {replaced} placed again, {conflicts} conflicts, {too_low} too low, {messages} messages");
    println!("{moved} moved, {aborted} moves given up; drained {}, longest outage {}", spread(drained), spread(out));
    println!("{count} seeds, {failures} failed; converged {}; outages {}", spread(converged), spread(outages));
    if failures > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn spread(mut values: Vec<u64>) -> String {
    values.sort_unstable();
    let at = |per_mille: usize| values.get((values.len().saturating_sub(1)) * per_mille / 1_000).copied().unwrap_or(0);
    format!("p50 {} p99 {} max {} ms (n={})", at(500), at(990), at(1_000), values.len())
}
