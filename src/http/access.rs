//! Who asks, and may they: from headers and query to a [`Join`], or the refusal with LiveKit's status and text.

use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use starling_actors::{Join, JoinError};
use starling_protocol::join::{JoinParameters, JoinParseError};
use starling_protocol::keys::KeyRing;
use starling_protocol::limits::{LimitError, Limits};
use starling_protocol::token::{self, Claims, TokenError};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// When a client may try again that a node cannot take just now: as long as a join or a new placement lasts.
const RETRY_AFTER_SECONDS: &str = "1";

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// The Authorization header has another scheme.
    #[error("invalid authorization header. Must start with Bearer ")]
    Header,
    /// The token is not good.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// No token, or one without the grant.
    #[error("permissions denied")]
    Permission,
    /// The token names no room.
    #[error("no room name")]
    NoRoom,
    /// The token names no identity.
    #[error("identity cannot be empty")]
    NoIdentity,
    /// Something is too long.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// The parameters of the join cannot be read.
    #[error(transparent)]
    Parameters(#[from] JoinParseError),
    /// The room says no.
    #[error(transparent)]
    Room(#[from] JoinError),
    /// The token is good, and not for this.
    #[error("permissions denied: the token lacks the grant {grant}")]
    Grant {
        /// The missing grant.
        grant: &'static str,
    },
    /// The node has not joined its cluster yet.
    #[error("node is starting")]
    Starting,
    /// The node is going.
    #[error("node is shutting down")]
    ShuttingDown,
}

impl Refusal {
    /// Its HTTP status (livekit-compat §2).
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Header | Self::Token(_) | Self::Permission => StatusCode::UNAUTHORIZED,
            Self::NoRoom | Self::NoIdentity | Self::Limit(_) | Self::Parameters(_) => StatusCode::BAD_REQUEST,
            Self::Room(error) => StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            Self::Grant { .. } => StatusCode::FORBIDDEN,
            Self::Starting | Self::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The answer.
    pub(crate) fn response(&self) -> Response {
        let status = self.status();
        let mut response = super::text(status, self.to_string());
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        response
    }
}

/// Which path was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// `/rtc`.
    DualPeer,
    /// `/rtc/v1`.
    SinglePeer,
}

/// Reads a query; the first of several equal names counts.
pub(crate) fn query(uri: &Uri) -> BTreeMap<String, String> {
    let pairs = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri);
    let mut map = BTreeMap::new();
    for (name, value) in pairs.map(|pairs| pairs.0).unwrap_or_default() {
        map.entry(name).or_insert(value);
    }
    map
}

/// The verified claims of a request's token, from the header or the query.
pub(crate) fn claims(
    headers: &HeaderMap,
    query: &BTreeMap<String, String>,
    keys: &KeyRing,
    now_s: i64,
) -> Result<Option<Claims>, Refusal> {
    let from_header = match headers.get(header::AUTHORIZATION) {
        Some(value) => {
            let text = value.to_str().map_err(|_| Refusal::Header)?;
            Some(text.strip_prefix("Bearer ").ok_or(Refusal::Header)?)
        }
        None => None,
    };
    let token = from_header.or_else(|| query.get("access_token").map(String::as_str)).unwrap_or_default();
    if token.is_empty() {
        return Ok(None);
    }
    Ok(Some(token::verify(token, keys, now_s)?))
}

/// Everything that can be said of a join before the room is asked.
pub(crate) fn join(
    entry: Entry,
    uri: &Uri,
    headers: &HeaderMap,
    remote: SocketAddr,
    keys: &KeyRing,
    limits: &Limits,
    now_s: i64,
) -> Result<Join, Refusal> {
    let query = query(uri);
    let mut claims = claims(headers, &query, keys, now_s)?.ok_or(Refusal::Permission)?;
    if !claims.video.room_join {
        return Err(Refusal::Permission);
    }
    if claims.identity().is_empty() {
        return Err(Refusal::NoIdentity);
    }
    if claims.video.room.is_empty() {
        return Err(Refusal::NoRoom);
    }
    claims.sub = claims.identity().to_owned();
    publish_only(&mut claims, query.get("publish").map_or("", String::as_str))?;
    limits.check_room_name(&claims.video.room)?;
    limits.check_identity(&claims.sub)?;
    limits.check_name(&claims.name)?;
    limits.check_metadata(&claims.metadata)?;
    limits.check_attributes(&claims.attributes)?;

    let mut parameters = match entry {
        Entry::DualPeer => JoinParameters::from_query(&query)?,
        Entry::SinglePeer => JoinParameters::from_single_peer_query(&query)?,
    };
    limits.check_metadata(&parameters.metadata)?;
    limits.check_attributes(&parameters.attributes)?;
    parameters.client.address = remote.ip().to_string();
    Ok(Join { claims, parameters, remote, rejoins: false })
}

/// LiveKit's older publish-only connections: a second session of the same person that receives nothing.
fn publish_only(claims: &mut Claims, suffix: &str) -> Result<(), Refusal> {
    if suffix.is_empty() {
        return Ok(());
    }
    if claims.video.can_publish == Some(false) {
        return Err(Refusal::Permission);
    }
    claims.video.can_subscribe = Some(false);
    claims.sub = format!("{}#{suffix}", claims.sub);
    Ok(())
}
