//! Which receiving section of the client each subscription of a single peer connection takes.

use crate::codec::Kind;
use crate::sdp::SubscribedTrack;
use crate::sdp::answer::Answered;
use crate::sdp::codecs;
use std::collections::BTreeSet;

/// The receiving side of one section.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Receiving {
    /// The client only receives here, and we may send.
    pub(super) on: bool,
    /// The last answer said that we send. Before another track may follow, one answer must say `inactive`: browsers
    /// raise no `track` event for a section that goes from one track to the next.
    pub(super) busy: bool,
}

/// One subscription.
#[derive(Clone, Debug)]
pub(super) struct Subscription {
    pub(super) track: SubscribedTrack,
    /// Its section.
    pub(super) mid: Option<String>,
    /// There was a free section of its kind, but without any of its codecs.
    pub(super) incompatible: bool,
}

impl Subscription {
    pub(super) fn waits_for(&self, kind: Kind) -> bool {
        self.mid.is_none() && !self.incompatible && self.track.kind == kind
    }
}

fn fits(section: &Answered, subscription: &Subscription) -> bool {
    section.receiving.on
        && section.kind == Some(subscription.track.kind)
        && !codecs::for_sending(&section.usable, &subscription.track).is_empty()
}

/// Gives each subscription its section: the one that it has, else the first free one that can carry it.
pub(super) fn place(subscriptions: &mut [Subscription], sections: &[Answered]) {
    let mut taken: BTreeSet<String> = BTreeSet::new();
    for subscription in subscriptions.iter_mut() {
        let has = subscription.mid.take();
        let keeps = |section: &&Answered| Some(&section.mid) == has.as_ref() && fits(section, subscription);
        subscription.mid = sections.iter().find(keeps).map(|section| section.mid.clone());
        taken.extend(subscription.mid.clone());
    }
    for subscription in subscriptions.iter_mut().filter(|subscription| subscription.mid.is_none()) {
        let kind = subscription.track.kind;
        let free =
            |s: &&Answered| s.receiving.on && s.kind == Some(kind) && !s.receiving.busy && !taken.contains(&s.mid);
        subscription.mid =
            sections.iter().filter(free).find(|section| fits(section, subscription)).map(|section| section.mid.clone());
        // Asking for more sections of a kind that cannot carry it would never end.
        subscription.incompatible = subscription.mid.is_none() && sections.iter().any(|section| free(&section));
        taken.extend(subscription.mid.clone());
    }
}

/// What has to be asked of the client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Missing {
    /// Audio sections beyond those offered.
    pub(super) audios: u32,
    /// Video sections beyond those offered.
    pub(super) videos: u32,
    /// An offer is needed, if only with the sections that there are.
    pub(super) offer: bool,
}

/// Compares subscriptions with the sections of the last offer.
pub(super) fn missing(subscriptions: &[Subscription], sections: &[Answered]) -> Missing {
    let taken: BTreeSet<&String> = subscriptions.iter().filter_map(|subscription| subscription.mid.as_ref()).collect();
    let free = || sections.iter().filter(|section| section.receiving.on && !taken.contains(&section.mid));
    let of = |kind: Kind| {
        let waiting = subscriptions.iter().filter(|subscription| subscription.waits_for(kind)).count();
        let unused = free().filter(|section| section.kind == Some(kind)).count();
        (u32::try_from(waiting.saturating_sub(unused)).unwrap_or(u32::MAX), waiting > 0 && unused > 0)
    };
    let ((audios, audio_offer), (videos, video_offer)) = (of(Kind::Audio), of(Kind::Video));
    let leaving = sections.iter().any(|section| section.receiving.busy && !taken.contains(&section.mid));
    Missing { audios, videos, offer: audio_offer || video_offer || leaving }
}
