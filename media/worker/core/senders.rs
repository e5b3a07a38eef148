//! Subscriptions: the table of what a peer is sent, turned into egress records of tracks.

use super::peer::SubscriptionRef;
use super::track::Subscriber;
use super::{PeerLink, WorkerCore};
use crate::codec::{ExtensionIds, SendSection};
use crate::egress::Subscription;
use std::collections::BTreeSet;
use std::time::Instant;

/// SSRC of our RTCP; the same for every peer, for it names no media.
pub(super) const REPORTER_SSRC: u32 = 1;

/// SSRCs that one peer may have been sent over its life; a longer-lived one has to connect anew.
const SPENT_SSRCS_MAX: usize = 65_536;

/// Notes SSRCs as sealed under; `false`, and nothing noted, if one of them was before.
fn spend(spent: &mut BTreeSet<u32>, ssrcs: &[u32]) -> bool {
    let fresh = (1..=ssrcs.len()).all(|count| !ssrcs[count..].contains(&ssrcs[count - 1]))
        && ssrcs.iter().all(|ssrc| !spent.contains(ssrc))
        && spent.len() + ssrcs.len() <= SPENT_SSRCS_MAX;
    if fresh {
        spent.extend(ssrcs);
    }
    fresh
}

impl WorkerCore {
    /// Replaces the table; sections that keep their SSRC and track keep their numbering.
    pub(super) fn set_senders(
        &mut self,
        now: Instant,
        index: usize,
        extensions: ExtensionIds,
        sections: Vec<SendSection>,
    ) {
        let kept: Vec<SubscriptionRef> = std::mem::take(&mut self.peers[index].subscriptions)
            .into_iter()
            .filter(|subscription| self.keep_or_remove(index, *subscription, &sections))
            .collect();
        self.peers[index].subscriptions = kept;
        for section in &sections {
            self.set_sender(now, index, section);
        }
        let peer = &mut self.peers[index];
        peer.senders = sections;
        peer.send_extensions = extensions;
        if let Some(link) = self.links.get_mut(index).and_then(Option::as_mut) {
            link.extensions = extensions;
        }
        self.allocate(now, index);
    }

    fn keep_or_remove(&mut self, index: usize, subscription: SubscriptionRef, sections: &[SendSection]) -> bool {
        let kept = self.tracks.get(subscription.track).is_some_and(|track| {
            sections.iter().any(|section| section.ssrc == subscription.ssrc && section.track == track.key)
        });
        if !kept {
            self.remove_subscriber(subscription.track, index, subscription.ssrc);
        }
        kept
    }

    fn set_sender(&mut self, now: Instant, index: usize, section: &SendSection) {
        let track = self.track_index(section.track, section.kind);
        let preference = self.peers[index].preferences.get(&section.track).copied().unwrap_or_default();
        let entry = &mut self.tracks[track];
        let codec = entry.codec_for(section);
        let known = entry.subscriber_mut(index, section.ssrc);
        let peer = &mut self.peers[index];
        if let Some(subscriber) = known {
            let before = subscriber.subscription.rtx_ssrc();
            if before != section.rtx_ssrc && !spend(&mut peer.spent_ssrcs, &[section.rtx_ssrc]) {
                tracing::warn!(ssrc = section.rtx_ssrc, "refused to retransmit under an SSRC whose indices are spent");
                return;
            }
            subscriber.subscription.reconfigure(section, now);
            subscriber.codec = codec;
            for reference in peer.subscriptions.iter_mut().filter(|reference| reference.ssrc == section.ssrc) {
                reference.rtx_ssrc = section.rtx_ssrc;
            }
            return;
        }
        if !spend(&mut peer.spent_ssrcs, &[section.ssrc, section.rtx_ssrc]) {
            tracing::warn!(ssrc = section.ssrc, "refused to send under an SSRC whose indices are spent");
            return;
        }
        let mut subscription = Subscription::new(section, now);
        if entry.muted {
            subscription.pause();
        }
        entry.add_subscriber(Subscriber::new(index, codec, preference, subscription));
        self.wishes_changed(track);
        self.peers[index].subscriptions.push(SubscriptionRef { track, ssrc: section.ssrc, rtx_ssrc: section.rtx_ssrc });
    }

    /// Makes the egress state once the transport has keys and a path.
    pub(super) fn open_link(&mut self, now: Instant, index: usize) {
        let peer = &mut self.peers[index];
        let (Some(sealer), Some(path)) = (peer.transport.rtp_sealer(), peer.transport.selected_path()) else { return };
        let mut link = PeerLink::new(sealer, path.into(), peer.send_extensions, REPORTER_SSRC, now);
        if let Some(state) = peer.imported_link.take() {
            link.import(state, now);
        }
        self.links[index] = Some(link);
        self.allocate(now, index);
    }
}
