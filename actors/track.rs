//! What a room and its subscribers know of a published track.

use crate::legacy;
use starling_media::codec::{Codec, Kind};
use starling_media::id::TrackKey;
use starling_protocol::livekit as lk;

/// One published track as its publisher tells the room.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TrackFacts {
    /// Media-plane name.
    pub(crate) key: TrackKey,
    /// Audio or video.
    pub(crate) kind: Kind,
    /// `PA_…` of its publisher.
    pub(crate) publisher_sid: String,
    /// What clients know of it.
    pub(crate) info: lk::TrackInfo,
    /// What the publisher may send, most wanted first, each with its fmtp.
    pub(crate) codecs: Vec<(Codec, String)>,
}

impl TrackFacts {
    /// First token of the subscriber's `a=msid`: tracks of one stream name are played in sync.
    pub(crate) fn stream_id(&self) -> String {
        let stream = if self.info.stream.is_empty() { &self.info.sid } else { &self.info.stream };
        format!("{}|{stream}", self.publisher_sid)
    }

    /// The lower-case codec names of this track in the order of its `codecs`, as dynacast spells them.
    pub(crate) fn codec_names(&self) -> Vec<String> {
        let name = |mime: &str| mime.rsplit('/').next().unwrap_or(mime).to_ascii_lowercase();
        let mut names: Vec<String> =
            self.info.codecs.iter().map(|codec| name(&codec.mime_type)).filter(|name| !name.is_empty()).collect();
        if names.is_empty() && !self.info.mime_type.is_empty() {
            names.push(name(&self.info.mime_type));
        }
        names
    }

    /// The spatial layer (0 low to 2 high) that serves a wanted size best: the smallest that still satisfies it
    /// with LiveKit's tolerance of 10 %.
    pub(crate) fn layer_for_size(&self, width: u32, height: u32) -> u8 {
        if self.info.height == 0 || self.info.width == 0 {
            return 2;
        }
        let portrait = self.info.width < self.info.height;
        let (original, wanted) = if portrait { (self.info.width, width) } else { (self.info.height, height) };
        let mut sizes: Vec<u32> =
            legacy::layers(&self.info).iter().map(|layer| if portrait { layer.width } else { layer.height }).collect();
        if sizes.is_empty() {
            sizes = vec![180, 360, original];
        }
        sizes.sort_unstable();
        sizes.truncate(3);
        let wanted = u64::from(wanted) * 9 / 10;
        let last = sizes.len() - 1;
        let layer = (0..last).find(|layer| u64::from(sizes[*layer]) >= wanted && sizes[*layer] != sizes[layer + 1]);
        u8::try_from(layer.unwrap_or(last)).unwrap_or(2)
    }
}

/// LiveKit's name of the stream that a source belongs to; camera and microphone play in sync.
pub(crate) fn stream_of(source: lk::TrackSource) -> &'static str {
    match source {
        lk::TrackSource::Camera | lk::TrackSource::Microphone => "camera",
        lk::TrackSource::ScreenShare | lk::TrackSource::ScreenShareAudio => "screen",
        lk::TrackSource::Unknown => "",
    }
}

/// Highest temporal layer for a wanted frame rate; publishers are taken to send 30 frames per second in three layers.
pub(crate) fn temporal_layer(fps: u32) -> u8 {
    match fps {
        0 | 21.. => 3,
        1..=8 => 0,
        9..=15 => 1,
        16..=20 => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn camera() -> TrackFacts {
        let layer = |quality, width, height| lk::VideoLayer { quality, width, height, ..Default::default() };
        let mut info = lk::TrackInfo { sid: "TR_VC1".into(), width: 1280, height: 720, ..Default::default() };
        legacy::set_layers(&mut info, vec![layer(0, 320, 180), layer(1, 640, 360), layer(2, 1280, 720)]);
        TrackFacts { key: TrackKey(1), kind: Kind::Video, publisher_sid: "PA_a".into(), info, codecs: Vec::new() }
    }

    #[test]
    fn the_smallest_layer_that_fills_the_element_is_chosen() {
        let facts = camera();
        assert_eq!(facts.layer_for_size(200, 112), 0);
        assert_eq!(facts.layer_for_size(350, 197), 0, "ten percent too small is still good");
        assert_eq!(facts.layer_for_size(640, 360), 1);
        assert_eq!(facts.layer_for_size(1920, 1080), 2);
    }

    #[test]
    fn a_portrait_track_is_measured_by_its_width() {
        let mut facts = camera();
        facts.info.width = 720;
        facts.info.height = 1280;
        for layer in legacy::layers_mut(&mut facts.info) {
            std::mem::swap(&mut layer.width, &mut layer.height);
        }
        assert_eq!(facts.layer_for_size(180, 320), 0);
        assert_eq!(facts.layer_for_size(360, 640), 1);
    }

    #[test]
    fn the_stream_id_begins_with_the_publisher() {
        let mut facts = camera();
        assert_eq!(facts.stream_id(), "PA_a|TR_VC1");
        facts.info.stream = "camera".into();
        assert_eq!(facts.stream_id(), "PA_a|camera");
    }
}
