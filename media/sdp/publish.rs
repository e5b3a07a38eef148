//! Which published track a client's sending section belongs to.

use crate::codec::{Codec, Kind};
use crate::id::TrackKey;
use crate::sdp::PublishedTrack;

/// Why a section belongs to a track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binding {
    pub(super) track: TrackKey,
    /// The codec that AddTrack named for this section's client id.
    pub(super) codec: Option<Codec>,
    /// By client id; otherwise it was the first that fitted.
    pub(super) exact: bool,
}

/// The publishing side of one section.
#[derive(Clone, Debug, Default)]
pub(super) struct Publishing {
    /// The client sends here, and we took at least one codec.
    pub(super) on: bool,
    /// Track id of `a=msid`.
    pub(super) sdp_cid: String,
    pub(super) binding: Option<Binding>,
    /// Its track was unpublished; until the client changes the section nothing else may be taken for it.
    pub(super) retired: bool,
}

/// An announced track.
#[derive(Clone, Debug)]
pub(super) struct Announced {
    pub(super) track: PublishedTrack,
    /// It had a section already, so a new section without its id is not it.
    pub(super) placed: bool,
}

fn exact(tracks: &[Announced], kind: Kind, cid: &str) -> Option<Binding> {
    let of_kind = || tracks.iter().map(|announced| &announced.track).filter(|track| track.kind == kind);
    let by_codec = of_kind().find_map(|track| {
        let (codec, _) = track.codec_cids.iter().find(|(_, codec_cid)| codec_cid == cid)?;
        Some(Binding { track: track.track, codec: Some(*codec), exact: true })
    });
    let by_track = || of_kind().find(|track| track.cid == cid).map(|track| track.track);
    by_codec.or_else(|| Some(Binding { track: by_track()?, codec: None, exact: true })).filter(|_| !cid.is_empty())
}

fn set_placed(tracks: &mut [Announced], track: TrackKey, placed: bool) {
    if let Some(announced) = tracks.iter_mut().find(|announced| announced.track.track == track) {
        announced.placed = placed;
    }
}

/// Binds sections to tracks: by client id; else as before; else to the first track of the kind that never had one.
pub(super) fn bind(sections: &mut [(Kind, &mut Publishing)], tracks: &mut [Announced]) {
    for (kind, section) in sections.iter_mut() {
        if !section.on {
            section.binding = None;
            section.retired = false;
        } else if let Some(found) = exact(tracks, *kind, &section.sdp_cid) {
            // A track that was only guessed to be here waits for its own section again.
            if let Some(guessed) = section.binding.take().filter(|old| !old.exact && old.track != found.track) {
                set_placed(tracks, guessed.track, false);
            }
            section.retired = false;
            section.binding = Some(found);
        } else if section.binding.as_ref().is_some_and(|old| !tracks.iter().any(|t| t.track.track == old.track)) {
            section.binding = None;
        }
    }
    let known: Vec<TrackKey> =
        sections.iter().filter_map(|(_, s)| s.binding.as_ref().filter(|b| b.exact).map(|b| b.track)).collect();
    for (_, section) in sections.iter_mut() {
        if section.binding.as_ref().is_some_and(|guess| !guess.exact && known.contains(&guess.track)) {
            section.binding = None;
        }
    }
    let mut taken: Vec<TrackKey> = sections.iter().filter_map(|(_, s)| s.binding.as_ref().map(|b| b.track)).collect();
    for (kind, section) in sections.iter_mut() {
        if !section.on || section.retired || section.binding.is_some() {
            continue;
        }
        let waits = |t: &&Announced| t.track.kind == *kind && !t.placed && !taken.contains(&t.track.track);
        if let Some(announced) = tracks.iter().find(waits) {
            taken.push(announced.track.track);
            section.binding = Some(Binding { track: announced.track.track, codec: None, exact: false });
        }
    }
    for track in taken {
        set_placed(tracks, track, true);
    }
}

/// LiveKit's names of simulcast streams, lowest first, old and new.
const LADDERS: [[&str; 3]; 2] = [["q", "h", "f"], ["2", "1", "0"]];
/// Streams of one section that are taken.
pub(super) const MAX_LAYERS: usize = 3;

/// Sorts simulcast streams lowest first; streams with other names stay in the client's order, which is that by custom.
pub(super) fn lowest_first(mut rids: Vec<String>) -> Vec<String> {
    let rank = |ladder: &[&str; 3], rid: &str| ladder.iter().position(|name| *name == rid);
    if let Some(ladder) = LADDERS.iter().find(|ladder| rids.iter().all(|rid| rank(ladder, rid).is_some())) {
        rids.sort_by_key(|rid| rank(ladder, rid));
    }
    rids
}
