//! The exported state of a transport: all that another worker, process or node needs to go on with it. Holds keys.

use std::collections::BTreeMap;
use std::time::Instant;

use super::dtls::{Dtls, Session};
use super::error::ImportError;
use super::ice::{Ice, IceState};
use super::inherited::Inherited;
use super::record::{Record, SEQUENCE_LIMIT, Secrets};
use super::replay::ReplayWindow;
use super::sctp::{ChannelState, Sctp};
use super::srtp::{INDEX_LIMIT, Sources, Srtp, SrtpProfile};
use super::{Transport, limits, srtp_keys};

/// Version of [`TransportState`] that this code writes and reads.
pub const STATE_VERSION: u16 = 1;

/// Counters that an import burns, so that nothing the exporter may still have sent is sent again (handover.md §6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportMargins {
    /// SRTCP indices.
    pub srtcp: u32,
    /// DTLS record numbers.
    pub dtls: u64,
}

/// One transport, to be gone on with elsewhere. Outgoing RTP indices belong to egress and are not part of it.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TransportState {
    pub(super) version: u16,
    pub(super) ice: IceState,
    pub(super) fingerprint: String,
    pub(super) secrets: Secrets,
    pub(super) profile: SrtpProfile,
    pub(super) next_record: u64,
    pub(super) record_window: ReplayWindow,
    pub(super) rtp_sources: Sources,
    pub(super) rtcp_sources: Sources,
    pub(super) next_rtcp_index: u32,
    /// Open channels by stream id; `None` while the association is not up.
    pub(super) channels: Option<BTreeMap<u16, ChannelState>>,
    /// Where the peer's SCTP numbering stood.
    pub(super) inherited: Option<Inherited>,
    pub(super) opens_channels: bool,
}

impl std::fmt::Debug for TransportState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TransportState")
            .field("version", &self.version)
            .field("next_record", &self.next_record)
            .field("next_rtcp_index", &self.next_rtcp_index)
            .finish_non_exhaustive()
    }
}

impl TransportState {
    /// Checks everything that the parts rely on.
    pub(super) fn check(&self) -> Result<(), ImportError> {
        if self.version != STATE_VERSION {
            return Err(ImportError::Version { found: self.version, expected: STATE_VERSION });
        }
        let credentials = [Some(&self.ice.local), self.ice.previous.as_ref(), self.ice.remote.as_ref()];
        let short = |text: &str| !text.is_empty() && text.len() <= limits::MAX_ICE_CREDENTIAL;
        let checks = [
            ("master secret", self.secrets.master.len() == 48),
            ("record number", self.next_record <= SEQUENCE_LIMIT),
            ("record window", self.record_window.highest().is_none_or(|number| number < SEQUENCE_LIMIT)),
            ("rtp source table", self.rtp_sources.is_sound(INDEX_LIMIT)),
            ("rtcp source table", self.rtcp_sources.is_sound(1 << 31)),
            ("ice credential", credentials.into_iter().flatten().all(|one| short(&one.ufrag) && short(&one.pwd))),
            ("number of remote addresses", self.ice.remotes.len() <= limits::MAX_PATHS),
            ("number of channels", self.channels.as_ref().is_none_or(|all| all.len() <= limits::MAX_CHANNELS)),
        ];
        match checks.into_iter().find(|(_, holds)| !holds) {
            Some((part, _)) => Err(ImportError::Invalid(part)),
            None => Ok(()),
        }
    }
}

impl Transport {
    /// The whole state, once connected. The exporter must seal nothing more unless the importer's margins cover it.
    #[must_use]
    pub fn export(&self) -> Option<TransportState> {
        let (session, srtp) = (self.dtls.session()?, self.srtp.as_ref()?);
        Some(TransportState {
            version: STATE_VERSION,
            ice: self.ice.export(),
            fingerprint: session.fingerprint.clone(),
            secrets: session.secrets.clone(),
            profile: session.profile,
            next_record: session.record.next_sequence,
            record_window: session.record.window.clone(),
            rtp_sources: srtp.rtp_sources.clone(),
            rtcp_sources: srtp.rtcp_sources.clone(),
            next_rtcp_index: srtp.next_rtcp_index,
            channels: self.sctp.export(),
            inherited: self.sctp.inherited(),
            opens_channels: self.opens_channels,
        })
    }

    /// Goes on with a transport from elsewhere: connected, without a path until the peer checks or is taken over.
    pub fn import(state: TransportState, now: Instant, margins: ImportMargins) -> Result<Self, ImportError> {
        state.check()?;
        let record = Record::new(&state.secrets, state.next_record.saturating_add(margins.dtls), state.record_window);
        let keys = srtp_keys(&state.secrets, state.profile).ok_or(ImportError::Invalid("keying material"))?;
        let mut srtp = Srtp::new(keys);
        srtp.rtp_sources = state.rtp_sources;
        srtp.rtcp_sources = state.rtcp_sources;
        srtp.next_rtcp_index = state.next_rtcp_index.saturating_add(margins.srtcp);
        let session = Session::new(state.secrets, state.profile, state.fingerprint, record);
        let sctp = match state.channels {
            Some(channels) => Sctp::restarted(channels, state.inherited, now),
            None => Sctp::new(state.opens_channels),
        };
        let ice = Ice::import(state.ice, Some(now));
        let mut transport = Self::assemble(ice, Dtls::resumed(session), sctp, state.opens_channels, None);
        transport.srtp = Some(srtp);
        Ok(transport)
    }
}
