//! Which layers of a track a subscriber could be sent, from what it prefers and what the publisher sends.

use crate::command::Preference;
use crate::egress::LayerTarget;

/// Spatial or simulcast layers of one track at most (LiveKit's qualities).
pub const LAYERS_MAX: usize = 3;
/// Choices that allocation has for one track: each layer, and the lowest one at a reduced frame rate.
pub const OPTIONS_MAX: usize = LAYERS_MAX + 1;
/// Share of a stream's bit rate that its lowest temporal layer takes (libvpx, three layers: 40 %, two: 60 %).
const BASE_TEMPORAL_SHARE: f64 = 0.5;
/// Bit rates assumed of layers that are not measured yet: a 720p camera's 180p, 360p and 720p (LiveKit's presets).
pub const NOMINAL_BPS: [u64; LAYERS_MAX] = [160_000, 450_000, 1_700_000];

/// What a publisher sends of one track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceLayers {
    /// One stream with spatial layers inside (SVC); otherwise one stream per layer (simulcast).
    pub scalable: bool,
    /// Layers that are flowing, lowest first, with their measured bit rate in bits per second, 0 if not measured yet.
    /// SVC: the sum up to that layer.
    pub bitrates: [Option<u64>; LAYERS_MAX],
    /// Temporal layers of each stream, 1 if unknown.
    pub temporal_layers: u8,
}

/// One choice: what to send and what it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerOption {
    /// What to send.
    pub target: LayerTarget,
    /// Bits per second that it takes.
    pub bitrate_bps: u64,
}

/// The choices for one track, cheapest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayerOptions {
    places: [Option<LayerOption>; OPTIONS_MAX],
    length: usize,
}

impl LayerOptions {
    /// Returns the choices, cheapest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = LayerOption> + '_ {
        self.places[..self.length].iter().flatten().copied()
    }

    /// Returns one choice.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<LayerOption> {
        self.places.get(index).copied().flatten()
    }

    /// Number of choices.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing can or shall be sent.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Finds the choice with this target.
    #[must_use]
    pub fn position(&self, target: LayerTarget) -> Option<usize> {
        self.iter().position(|option| option.target == target)
    }

    fn push(&mut self, option: LayerOption) {
        self.places[self.length] = Some(option);
        self.length += 1;
    }
}

/// Lists what could be sent: the flowing layers up to the preferred one, or the lowest flowing one if all lie above it.
#[must_use]
pub fn options(preference: &Preference, source: &SourceLayers) -> LayerOptions {
    let mut options = LayerOptions::default();
    if !preference.enabled {
        return options;
    }
    let flowing = || source.bitrates.iter().enumerate().filter_map(|(layer, bps)| bps.map(|bps| (layer, bps)));
    let Some((lowest, _)) = flowing().next() else { return options };
    let highest = usize::from(preference.spatial_max).max(lowest);
    let temporal = if preference.temporal_max >= source.temporal_layers.saturating_sub(1) {
        LayerTarget::ALL
    } else {
        preference.temporal_max
    };
    for (layer, measured) in flowing().filter(|(layer, _)| *layer <= highest) {
        let bitrate_bps = if measured == 0 { NOMINAL_BPS[layer] } else { measured };
        // `layer` is below LAYERS_MAX.
        let make = |temporal| match source.scalable {
            true => LayerTarget::scalable(layer as u8, temporal),
            false => LayerTarget::simulcast(layer as u8, temporal),
        };
        if layer == lowest && source.temporal_layers > 1 && temporal > 0 {
            let reduced = (bitrate_bps as f64 * BASE_TEMPORAL_SHARE) as u64;
            options.push(LayerOption { target: make(0), bitrate_bps: reduced });
        }
        options.push(LayerOption { target: make(temporal), bitrate_bps });
    }
    options
}

/// The layer that a publisher must send so that every subscriber can have what it prefers (dynacast): the highest
/// preferred one, or `None` if nobody wants any.
#[must_use]
pub fn highest_wanted<'a>(preferences: impl IntoIterator<Item = &'a Preference>) -> Option<u8> {
    preferences.into_iter().filter(|it| it.enabled).map(|it| it.spatial_max.min(LAYERS_MAX as u8 - 1)).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn simulcast() -> SourceLayers {
        SourceLayers { scalable: false, bitrates: [Some(150_000), Some(400_000), Some(0)], temporal_layers: 3 }
    }

    #[test]
    fn choices_end_at_the_preferred_layer() {
        let preference = Preference { spatial_max: 1, ..Preference::default() };
        let options = options(&preference, &simulcast());
        let rates: Vec<u64> = options.iter().map(|option| option.bitrate_bps).collect();
        assert_eq!(rates, [75_000, 150_000, 400_000]);
        assert_eq!(options.get(2).unwrap().target, LayerTarget::simulcast(1, LayerTarget::ALL));
        assert_eq!(options.position(LayerTarget::simulcast(0, 0)), Some(0));
    }

    #[test]
    fn a_track_without_the_preferred_layer_still_flows() {
        let preference = Preference { spatial_max: 0, temporal_max: 0, ..Preference::default() };
        let source = SourceLayers { bitrates: [None, None, Some(900_000)], ..simulcast() };
        let options = options(&preference, &source);
        assert_eq!(options.len(), 1);
        assert_eq!(options.get(0).unwrap().target, LayerTarget::simulcast(2, 0));
        assert!(super::options(&Preference { enabled: false, ..preference }, &source).is_empty());
    }

    #[test]
    fn dynacast_follows_the_most_demanding_subscriber() {
        let low = Preference { spatial_max: 0, ..Preference::default() };
        let off = Preference { enabled: false, ..Preference::default() };
        assert_eq!(highest_wanted([&low, &off]), Some(0));
        assert_eq!(highest_wanted([&low, &Preference::default()]), Some(2));
        assert_eq!(highest_wanted([&off]), None);
    }
}
