//! `starling token create`: flags to a signed token, as `lk token create` does.

use crate::cli::TokenCreate;
use starling_protocol::keys::Secret;
use starling_protocol::token::{Claims, VideoGrants, sign};

/// The key of development mode, as LiveKit's.
pub(crate) const DEV_KEY: &str = "devkey";
/// Its secret.
pub(crate) const DEV_SECRET: &str = "secret";

const SOURCES: [&str; 4] = ["camera", "microphone", "screen_share", "screen_share_audio"];

/// Why no token is printed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenCommandError {
    #[error("no API key: give --api-key and --api-secret (LIVEKIT_API_KEY, LIVEKIT_API_SECRET), or --dev")]
    NoKey,
    #[error("--identity is needed to join a room")]
    NoIdentity,
    #[error("the token grants nothing: give --room, --create, --list, --record or --grant")]
    NoGrant,
    #[error("--attribute {0} is not KEY=VALUE")]
    Attribute(String),
    #[error("--can-publish-source {0} is none of camera, microphone, screen_share, screen_share_audio")]
    Source(String),
    #[error("--grant {text} is not the JSON of a video claim: {source}")]
    Grant { text: String, source: serde_json::Error },
    #[error(transparent)]
    Sign(#[from] starling_protocol::token::SignError),
}

/// Makes the token at `now_s` (seconds since the epoch).
pub(crate) fn create(arguments: &TokenCreate, now_s: i64) -> Result<String, TokenCommandError> {
    let (key, secret) = match (arguments.dev, &arguments.api_key, &arguments.api_secret) {
        (true, _, _) => (DEV_KEY, DEV_SECRET),
        (false, Some(key), Some(secret)) => (key.as_str(), secret.as_str()),
        _ => return Err(TokenCommandError::NoKey),
    };
    Ok(sign(&claims(arguments, now_s)?, key, &Secret::new(secret))?)
}

fn claims(arguments: &TokenCreate, now_s: i64) -> Result<Claims, TokenCommandError> {
    let video = grants(arguments)?;
    if video == VideoGrants::default() {
        return Err(TokenCommandError::NoGrant);
    }
    if video.room_join && arguments.identity.is_empty() {
        return Err(TokenCommandError::NoIdentity);
    }
    let pair = |text: &String| match text.split_once('=') {
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => Err(TokenCommandError::Attribute(text.clone())),
    };
    Ok(Claims {
        sub: arguments.identity.clone(),
        name: arguments.name.clone(),
        metadata: arguments.metadata.clone(),
        attributes: arguments.attribute.iter().map(pair).collect::<Result<_, _>>()?,
        nbf: Some(now_s),
        exp: now_s.saturating_add(i64::try_from(arguments.ttl.as_secs()).unwrap_or(i64::MAX)),
        video,
        ..Claims::default()
    })
}

fn grants(arguments: &TokenCreate) -> Result<VideoGrants, TokenCommandError> {
    if let Some(source) = arguments.can_publish_source.iter().find(|source| !SOURCES.contains(&source.as_str())) {
        return Err(TokenCommandError::Source(source.clone()));
    }
    let administers_only = arguments.admin && !arguments.join && arguments.identity.is_empty();
    let grants = VideoGrants {
        room_join: arguments.join || (!arguments.room.is_empty() && !administers_only),
        room: arguments.room.clone(),
        room_admin: arguments.admin,
        room_create: arguments.create,
        room_list: arguments.list,
        room_record: arguments.record,
        can_publish: arguments.can_publish,
        can_publish_data: arguments.can_publish_data,
        can_subscribe: arguments.can_subscribe,
        can_update_own_metadata: arguments.can_update_own_metadata,
        can_publish_sources: arguments.can_publish_source.clone(),
        hidden: arguments.hidden,
        ..VideoGrants::default()
    };
    let mut merged = serde_json::to_value(&grants).unwrap_or_default();
    for text in &arguments.grant {
        let bad = |source| TokenCommandError::Grant { text: text.clone(), source };
        let more: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).map_err(bad)?;
        for (name, value) in more {
            merged[name] = value;
        }
        serde_json::from_value::<VideoGrants>(merged.clone()).map_err(bad)?;
    }
    Ok(serde_json::from_value(merged).unwrap_or(grants))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command, TokenCommand};
    use clap::Parser;
    use starling_protocol::keys::KeyRing;
    use starling_protocol::token::verify;

    const NOW: i64 = 1_800_000_000;

    fn created(flags: &str) -> Result<Claims, String> {
        let arguments = "starling token create".split(' ').chain(flags.split_whitespace());
        let cli = Cli::try_parse_from(arguments).map_err(|error| error.to_string())?;
        let Some(Command::Token { command: TokenCommand::Create(arguments) }) = cli.command else { panic!("command") };
        let token = create(&arguments, NOW).map_err(|error| error.to_string())?;
        verify(&token, &KeyRing::single("devkey", "secret"), NOW).map_err(|error| error.to_string())
    }

    #[test]
    fn a_token_says_what_the_flags_said() {
        let claims = created(
            "--dev --room r -i me --name N --ttl 1h --metadata m --attribute k=v --can-publish=false --hidden \
             --can-publish-source camera --grant {\"recorder\":true}",
        )
        .expect("token");
        assert_eq!((claims.identity(), claims.name.as_str(), claims.exp), ("me", "N", NOW + 3_600));
        assert_eq!(claims.attributes.get("k").map(String::as_str), Some("v"));
        let video = claims.video;
        assert!(video.room_join && video.hidden && video.recorder && !video.room_admin);
        assert_eq!((video.room.as_str(), video.can_publish), ("r", Some(false)));
        assert_eq!(video.can_publish_sources, ["camera"]);
    }

    #[test]
    fn an_administrators_token_needs_no_identity() {
        let claims = created("--dev --room r --admin").expect("token");
        assert!(claims.video.room_admin && !claims.video.room_join);
    }

    #[test]
    fn what_is_missing_is_named() {
        let cases = [
            ("--room r -i me", "no API key"),
            ("--dev --room r", "--identity is needed"),
            ("--dev -i me", "grants nothing"),
            ("--dev --room r -i me --attribute k", "--attribute k is not KEY=VALUE"),
            ("--dev --room r -i me --can-publish-source eye", "--can-publish-source eye"),
            ("--dev --room r -i me --grant {", "--grant {"),
            ("--dev --room r -i me --ttl long", "is not a duration"),
        ];
        for (flags, expected) in cases {
            let message = created(flags).expect_err(flags);
            assert!(message.contains(expected), "{flags}: {message}");
        }
    }
}
