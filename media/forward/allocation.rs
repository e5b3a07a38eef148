//! Shares one subscriber's bandwidth among its tracks. Lowers layers before it pauses anything, and does not flap.

use super::layer::LayerOptions;

/// A step up must fit with this much to spare; staying needs nothing to spare.
const RAISE_MARGIN: f64 = 1.10;
/// A paused track comes back only with this much to spare.
const RESUME_MARGIN: f64 = 1.25;

/// One track that a subscriber wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// What could be sent of it.
    pub options: LayerOptions,
    /// Choice now in force; `None` if it is paused or new.
    pub current: Option<usize>,
    /// The track was paused by allocation before, so it comes back with a margin.
    pub was_paused: bool,
    /// Higher is served first.
    pub priority: u32,
    /// Screen share, or pinned: served first within its priority.
    pub prominent: bool,
}

/// What one subscriber gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// Chosen option of each demand, `None` = paused (or nothing to choose from).
    pub choices: Vec<Option<usize>>,
    /// Bits per second of the choices, audio included.
    pub used_bps: u64,
    /// Bits per second that the best choices of all would take, audio included; feeds `SendSide::set_wanted`.
    pub wanted_bps: u64,
}

/// Shares `estimate_bps`, of which audio takes `audio_bps` first. With `may_pause` false every track keeps at least its
/// lowest choice (LiveKit's default; also right before the estimate is confirmed).
#[must_use]
pub fn allocate(estimate_bps: u64, audio_bps: u64, demands: &[Demand], may_pause: bool) -> Allocation {
    let mut order: Vec<usize> = (0..demands.len()).collect();
    order.sort_by_key(|&index| {
        let demand = &demands[index];
        (std::cmp::Reverse(demand.priority), !demand.prominent, index)
    });
    let mut left = estimate_bps.saturating_sub(audio_bps) as f64;
    let mut choices = vec![None; demands.len()];
    for &index in &order {
        let demand = &demands[index];
        let Some(lowest) = demand.options.get(0) else { continue };
        let margin = if demand.was_paused { RESUME_MARGIN } else { 1.0 };
        let cost = lowest.bitrate_bps as f64;
        if !may_pause || cost * margin <= left {
            choices[index] = Some(0);
            left -= cost;
        }
    }
    // Equals rise together, one step each in turn; a higher class is satisfied before the next one rises.
    for class in order.chunk_by(|a, b| class(&demands[*a]) == class(&demands[*b])) {
        let mut rising = true;
        while rising {
            rising = false;
            for &index in class {
                rising |= raise(&demands[index], &mut choices[index], &mut left);
            }
        }
    }
    let video: u64 = demands.iter().zip(&choices).map(|(demand, choice)| cost(demand, *choice)).sum();
    let best: u64 = demands.iter().map(|demand| cost(demand, demand.options.len().checked_sub(1))).sum();
    Allocation { choices, used_bps: audio_bps + video, wanted_bps: audio_bps + best }
}

fn class(demand: &Demand) -> (u32, bool) {
    (demand.priority, demand.prominent)
}

fn cost(demand: &Demand, choice: Option<usize>) -> u64 {
    choice.and_then(|index| demand.options.get(index)).map_or(0, |option| option.bitrate_bps)
}

/// Takes one step up if it fits.
fn raise(demand: &Demand, choice: &mut Option<usize>, left: &mut f64) -> bool {
    let Some(now) = *choice else { return false };
    let Some(next) = demand.options.get(now + 1) else { return false };
    let margin = if demand.current.is_some_and(|current| now < current) { 1.0 } else { RAISE_MARGIN };
    let more = next.bitrate_bps as f64 - cost(demand, *choice) as f64;
    let spare = next.bitrate_bps as f64 * (margin - 1.0);
    if more + spare > *left {
        return false;
    }
    *left -= more;
    *choice = Some(now + 1);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Preference;
    use crate::forward::layer::{SourceLayers, options};
    use proptest::prelude::*;

    fn demand(priority: u32, prominent: bool) -> Demand {
        let source = SourceLayers {
            scalable: false,
            bitrates: [Some(150_000), Some(450_000), Some(1_700_000)],
            temporal_layers: 1,
        };
        Demand {
            options: options(&Preference::default(), &source),
            current: None,
            was_paused: false,
            priority,
            prominent,
        }
    }

    #[test]
    fn enough_for_all_gives_the_best() {
        let allocation = allocate(10_000_000, 100_000, &[demand(0, false), demand(0, false)], true);
        assert_eq!(allocation.choices, [Some(2), Some(2)]);
        assert_eq!((allocation.used_bps, allocation.wanted_bps), (3_500_000, 3_500_000));
    }

    #[test]
    fn the_prominent_track_rises_first_and_others_keep_their_lowest() {
        let demands = [demand(0, false), demand(0, true), demand(0, false)];
        let allocation = allocate(900_000, 50_000, &demands, true);
        assert_eq!(allocation.choices, [Some(0), Some(1), Some(0)]);
        assert_eq!(allocate(2_300_000, 50_000, &demands, true).choices, [Some(0), Some(2), Some(0)]);
    }

    #[test]
    fn pausing_is_the_last_resort_and_follows_priority() {
        let demands = [demand(0, false), demand(5, false), demand(0, false)];
        assert_eq!(allocate(350_000, 40_000, &demands, true).choices, [Some(0), Some(0), None]);
        assert_eq!(allocate(180_000, 0, &demands, true).choices, [None, Some(0), None]);
        assert_eq!(allocate(10_000, 0, &demands, false).choices, [Some(0); 3], "nothing is paused if it must not be");
    }

    #[test]
    fn a_layer_is_kept_where_it_would_not_be_taken_anew() {
        let fresh = demand(0, false);
        let kept = Demand { current: Some(1), ..fresh };
        assert_eq!(allocate(460_000, 0, &[fresh], true).choices, [Some(0)]);
        assert_eq!(allocate(460_000, 0, &[kept], true).choices, [Some(1)]);
        let paused = Demand { was_paused: true, ..fresh };
        assert_eq!(allocate(160_000, 0, &[fresh], true).choices, [Some(0)]);
        assert_eq!(allocate(160_000, 0, &[paused], true).choices, [None]);
    }

    proptest! {
        #[test]
        fn the_estimate_is_never_exceeded(estimate in 0_u64..8_000_000, audio in 0_u64..200_000, count in 0_usize..12) {
            let demands: Vec<Demand> = (0..count).map(|it| demand(it as u32 % 3, it % 4 == 0)).collect();
            let allocation = allocate(estimate, audio, &demands, true);
            prop_assert!(allocation.used_bps <= estimate.max(audio));
            prop_assert!(allocation.used_bps <= allocation.wanted_bps);
        }
    }
}
