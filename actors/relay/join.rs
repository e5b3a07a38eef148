//! A join as it goes from its entry to its host: the verified claims as JSON, the parameters as LiveKit's JoinRequest.

use crate::relay::blob::Blob;
use crate::session::Join;
use serde::{Deserialize, Serialize};
use starling_protocol::join::{Dialect, JoinParameters};
use starling_protocol::limits::{JOIN_ADD_TRACKS_MAX, JOIN_REQUEST_BYTES_MAX, TOKEN_BYTES_MAX};
use starling_protocol::livekit as lk;
use std::net::SocketAddr;

/// A join on its way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct WireJoin {
    /// Grants as LiveKit's JSON, which tells absent from false.
    claims: String,
    /// Speaks v0, with two peers.
    dual_peer: bool,
    parameters: Blob,
    remote: SocketAddr,
    /// Its client was told to join anew.
    rejoins: bool,
}

/// A join cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireJoinError {
    /// Its claims.
    #[error("claims of a join: {0}")]
    Claims(#[from] serde_json::Error),
    /// Its parameters.
    #[error("parameters of a join: {0}")]
    Parameters(#[from] prost::DecodeError),
    /// One part is larger than any client may send.
    #[error("{what} of a join: {count} exceeds the limit of {limit}")]
    TooMuch {
        /// Which part.
        what: &'static str,
        /// Bytes or tracks found.
        count: usize,
        /// The limit.
        limit: usize,
    },
}

impl WireJoin {
    /// Packs a join.
    pub(crate) fn new(join: &Join) -> Result<Self, WireJoinError> {
        let wire = Self {
            claims: serde_json::to_string(&join.claims)?,
            dual_peer: join.parameters.dialect == Dialect::DualPeer,
            parameters: Blob::of(&request(&join.parameters)),
            remote: join.remote,
            rejoins: join.rejoins,
        };
        wire.check()?;
        Ok(wire)
    }

    /// Unpacks a join that another node's WebSocket side has verified.
    pub(crate) fn open(&self) -> Result<Join, WireJoinError> {
        self.check()?;
        let request: lk::JoinRequest = self.parameters.read()?;
        let tracks = request.add_track_requests.len();
        if tracks > JOIN_ADD_TRACKS_MAX {
            return Err(WireJoinError::TooMuch { what: "tracks", count: tracks, limit: JOIN_ADD_TRACKS_MAX });
        }
        let dialect = if self.dual_peer { Dialect::DualPeer } else { Dialect::SinglePeer };
        let parameters = JoinParameters::from_request(dialect, request);
        let claims = serde_json::from_str(&self.claims)?;
        Ok(Join { claims, parameters, remote: self.remote, rejoins: self.rejoins })
    }

    fn check(&self) -> Result<(), WireJoinError> {
        let parts = [
            ("claims", self.claims.len(), TOKEN_BYTES_MAX),
            ("parameters", self.parameters.len(), 2 * JOIN_REQUEST_BYTES_MAX),
        ];
        match parts.into_iter().find(|(_, bytes, limit)| bytes > limit) {
            Some((what, count, limit)) => Err(WireJoinError::TooMuch { what, count, limit }),
            None => Ok(()),
        }
    }
}

fn request(parameters: &JoinParameters) -> lk::JoinRequest {
    let parameters = parameters.clone();
    lk::JoinRequest {
        client_info: Some(parameters.client),
        connection_settings: Some(lk::ConnectionSettings {
            auto_subscribe: parameters.auto_subscribe,
            adaptive_stream: parameters.adaptive_stream,
            subscriber_allow_pause: parameters.subscriber_allow_pause,
            disable_ice_lite: parameters.disable_ice_lite,
            ..Default::default()
        }),
        metadata: parameters.metadata,
        participant_attributes: parameters.attributes,
        add_track_requests: parameters.add_tracks,
        publisher_offer: parameters.publisher_offer,
        reconnect: parameters.reconnect,
        reconnect_reason: parameters.reconnect_reason,
        participant_sid: parameters.participant_sid,
        sync_state: parameters.sync_state,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::wire::{decode, encode};

    fn full() -> Join {
        let mut join = crate::tests::join("room", "alice");
        join.claims.video.can_publish = Some(false);
        join.claims.attributes = [("k".to_owned(), "v".to_owned())].into();
        join.claims.room_config = Some(serde_json::json!({ "maxParticipants": 3 }));
        join.parameters.dialect = Dialect::SinglePeer;
        join.parameters.adaptive_stream = true;
        join.parameters.subscriber_allow_pause = Some(true);
        join.parameters.disable_ice_lite = true;
        join.parameters.metadata = "m".into();
        join.parameters.attributes = [("a".to_owned(), "b".to_owned())].into();
        join.parameters.reconnect = true;
        join.parameters.reconnect_reason = 2;
        join.parameters.participant_sid = "PA_1".into();
        join.parameters.add_tracks = vec![lk::AddTrackRequest { cid: "c".into(), ..Default::default() }];
        join.parameters.publisher_offer = Some(lk::SessionDescription { sdp: "v=0".into(), ..Default::default() });
        join.parameters.sync_state = Some(lk::SyncState::default());
        join.remote = "[2001:db8::1]:9".parse().unwrap();
        join.rejoins = true;
        join
    }

    #[test]
    fn a_join_comes_back_as_it_went_in_both_dialects() {
        for join in [full(), crate::tests::join("room", "bob")] {
            let wire: WireJoin = decode(&encode(&WireJoin::new(&join).unwrap()).unwrap()).unwrap();
            let back = wire.open().unwrap();
            assert_eq!(back.claims, join.claims);
            assert_eq!(format!("{:?}", back.parameters), format!("{:?}", join.parameters));
            assert_eq!((back.remote, back.rejoins), (join.remote, join.rejoins));
        }
    }

    #[test]
    fn a_join_beyond_what_a_client_may_send_is_refused() {
        let mut many = full();
        many.parameters.add_tracks = vec![lk::AddTrackRequest::default(); JOIN_ADD_TRACKS_MAX + 1];
        let error = WireJoin::new(&many).unwrap().open().unwrap_err();
        assert_eq!(error.to_string(), "tracks of a join: 21 exceeds the limit of 20");
        let mut large = full();
        large.claims.metadata = "m".repeat(TOKEN_BYTES_MAX);
        assert!(matches!(WireJoin::new(&large), Err(WireJoinError::TooMuch { what: "claims", .. })));
        let mut broken = WireJoin::new(&full()).unwrap();
        broken.parameters = Blob::from(vec![0xff; 9]);
        assert!(matches!(broken.open(), Err(WireJoinError::Parameters(_))));
    }
}
