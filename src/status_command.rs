//! `starling status`: asks one node for members and rooms and prints them as tables, or as JSON.

use crate::cli::Status;
use crate::token_command::{DEV_KEY, DEV_SECRET};
use axum::body::{Body, to_bytes};
use axum::http::{Request, Uri, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use starling_protocol::keys::Secret;
use starling_protocol::token::{Claims, VideoGrants, sign};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long the node may take to answer: a little more than it waits for other nodes.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read; a cluster of a hundred nodes with ten thousand rooms stays below.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Seconds for which the token is good.
const TOKEN_SECONDS: i64 = 60;

/// Why nothing is printed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StatusError {
    #[error("no API key: give --api-key and --api-secret (LIVEKIT_API_KEY, LIVEKIT_API_SECRET), or --dev")]
    NoKey,
    #[error("--url {0:?} is not http://HOST:PORT")]
    Url(String),
    #[error("{url} does not answer")]
    Connect { url: String, source: std::io::Error },
    #[error("{url} does not answer within {ANSWER_TIME:?}")]
    Late { url: String },
    #[error("{url} does not speak HTTP")]
    Http { url: String, source: hyper::Error },
    #[error("{url} answered {status}: {text}")]
    Status { url: String, status: u16, text: String },
    #[error("{url} answered what is no JSON")]
    Json { url: String, source: serde_json::Error },
    #[error("answer of {url} cannot be read")]
    Body { url: String },
    #[error(transparent)]
    Sign(#[from] starling_protocol::token::SignError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Asks and prints.
#[expect(clippy::print_stdout, reason = "a command line program prints")]
pub(crate) fn run(arguments: &Status, now_s: i64) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let token = token(arguments, now_s)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (cluster, rooms) = runtime.block_on(async {
        let cluster = ask(&arguments.url, "/admin/api/v1/cluster", token.as_deref()).await?;
        let rooms = ask(&arguments.url, "/admin/api/v1/rooms", token.as_deref()).await?;
        Ok::<_, StatusError>((cluster, rooms))
    })?;
    if arguments.json {
        println!("{}", serde_json::json!({ "cluster": cluster, "rooms": rooms }));
    } else {
        print!("{}\n{}", members_table(&cluster), rooms_table(&rooms));
    }
    Ok(())
}

/// A token that lists rooms; none for `--dev` against a node that needs none is not worth a case.
fn token(arguments: &Status, now_s: i64) -> Result<Option<String>, StatusError> {
    let (key, secret) = match (arguments.dev, &arguments.api_key, &arguments.api_secret) {
        (true, _, _) => (DEV_KEY, DEV_SECRET),
        (false, Some(key), Some(secret)) => (key.as_str(), secret.as_str()),
        // A node in development mode answers without one, on loopback.
        (false, None, None) => return Ok(None),
        _ => return Err(StatusError::NoKey),
    };
    let video = VideoGrants { room_list: true, ..VideoGrants::default() };
    let claims = Claims { exp: now_s.saturating_add(TOKEN_SECONDS), video, ..Claims::default() };
    Ok(Some(sign(&claims, key, &Secret::new(secret))?))
}

/// One `GET`.
async fn ask(url: &str, path: &str, token: Option<&str>) -> Result<Value, StatusError> {
    let late = || StatusError::Late { url: url.to_owned() };
    timeout(ANSWER_TIME, answer(url, path, token)).await.map_err(|_| late())?
}

async fn answer(url: &str, path: &str, token: Option<&str>) -> Result<Value, StatusError> {
    let wrong_url = || StatusError::Url(url.to_owned());
    let uri: Uri = url.parse().map_err(|_| wrong_url())?;
    let host = uri.host().filter(|_| uri.scheme_str() == Some("http")).ok_or_else(wrong_url)?;
    let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
    let address = (host.trim_start_matches('[').trim_end_matches(']'), uri.port_u16().unwrap_or(80));
    let connected = TcpStream::connect(address).await;
    let stream = connected.map_err(|source| StatusError::Connect { url: url.to_owned(), source })?;
    let failed = |source| StatusError::Http { url: url.to_owned(), source };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    // Ends with the sender.
    tokio::spawn(connection);
    let mut request =
        Request::get(format!("{}{path}", uri.path().trim_end_matches('/'))).header(header::HOST, authority);
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let request = request.body(Body::empty()).map_err(|_| wrong_url())?;
    let response = sender.send_request(request).await.map_err(failed)?;
    let status = response.status();
    let body = to_bytes(Body::new(response.into_body()), ANSWER_BYTES_MAX).await;
    let body = body.map_err(|_| StatusError::Body { url: url.to_owned() })?;
    if !status.is_success() {
        let text = String::from_utf8_lossy(&body).into_owned();
        return Err(StatusError::Status { url: url.to_owned(), status: status.as_u16(), text });
    }
    serde_json::from_slice(&body).map_err(|source| StatusError::Json { url: url.to_owned(), source })
}

fn members_table(cluster: &Value) -> String {
    let heads = ["NODE", "STATE", "ADDRESS", "REGION", "ROLES", "CPU", "EGRESS", "ROOMS", "PEOPLE", "VERSION"];
    let rows = list(&cluster["members"]).iter().map(|member| {
        let (capacity, load) = (&member["capacity"], &member["load"]);
        let roles: Vec<&str> = list(&member["roles"]).iter().filter_map(Value::as_str).collect();
        let own = if member["node_id"] == cluster["node_id"] { " *" } else { "" };
        vec![
            format!("{}{own}", text(&member["node_id"])),
            text(&member["state"]),
            text(&member["address"]),
            text(&member["region"]),
            roles.join(","),
            of(&load["cpu_millicores"], &capacity["cpu_millicores"], "m"),
            of(&load["egress_mbps"], &capacity["egress_mbps"], " Mbps"),
            text(&member["rooms"]),
            text(&load["participants"]),
            text(&member["version"]),
        ]
    });
    table(&heads, rows.collect())
}

fn rooms_table(rooms: &Value) -> String {
    let heads = ["ROOM", "SID", "HOST", "EPOCH", "STANDBY", "PEOPLE", "ENTRIES"];
    let rows = list(&rooms["rooms"]).iter().map(|room| {
        let people = list(&room["participants"]);
        let mut entries: Vec<String> = people.iter().map(|person| text(&person["entry"])).collect();
        entries.sort();
        entries.dedup();
        let plain = |name: &str| text(&room[name]);
        vec![
            plain("name"),
            plain("sid"),
            plain("host"),
            plain("epoch"),
            plain("standby"),
            people.len().to_string(),
            entries.join(","),
        ]
    });
    let mut printed = table(&heads, rows.collect());
    let missing: Vec<String> = list(&rooms["missing"]).iter().map(text).collect();
    if !missing.is_empty() {
        printed.push_str(&format!("did not answer: {}\n", missing.join(", ")));
    }
    printed
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// What a cell holds: names come from outside, so nothing that steers a terminal.
fn text(value: &Value) -> String {
    let full = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    full.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

fn of(part: &Value, whole: &Value, unit: &str) -> String {
    if whole.is_null() { "-".to_owned() } else { format!("{}/{}{unit}", text(part), text(whole)) }
}

/// Columns as wide as their widest cell.
fn table(heads: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut lines = vec![heads.iter().map(|head| (*head).to_owned()).collect::<Vec<_>>()];
    lines.extend(rows);
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let line = |cells: &Vec<String>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    lines.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn members_and_rooms_stand_in_columns() {
        let cluster = json!({"node_id": "a", "members": [
            {"node_id": "a", "state": "serving", "address": "127.0.0.1:1", "roles": ["room"], "region": "", "version": "1",
             "capacity": {"cpu_millicores": 2000, "egress_mbps": 1000}, "load": {"cpu_millicores": 50, "egress_mbps": 5, "rooms": 2, "participants": 3}, "rooms": 2},
            {"node_id": "long-name", "state": "dead", "address": "127.0.0.1:2", "roles": null, "region": null, "version": null,
             "capacity": null, "load": null, "rooms": 0},
        ]});
        let printed = members_table(&cluster);
        let lines: Vec<&str> = printed.lines().collect();
        assert_eq!(
            lines[0],
            "NODE       STATE    ADDRESS      REGION  ROLES  CPU       EGRESS       ROOMS  PEOPLE  VERSION"
        );
        assert_eq!(lines[1], "a *        serving  127.0.0.1:1  -       room   50/2000m  5/1000 Mbps  2      3       1");
        assert_eq!(lines[2], "long-name  dead     127.0.0.1:2  -              -         -            0      -       -");
        let rooms = json!({"rooms": [{"name": "r\u{1b}[2J", "sid": "RM_1", "host": "a", "epoch": 1, "standby": null,
            "participants": [{"identity": "i", "sid": "PA_1", "entry": "b"}]}], "missing": ["c"]});
        let printed = rooms_table(&rooms);
        assert!(printed.contains("r?[2J  RM_1  a     1      -        1       b\n"), "{printed}");
        assert!(printed.ends_with("did not answer: c\n"), "{printed}");
    }

    #[tokio::test]
    async fn what_is_no_url_of_a_node_is_named() {
        for url in ["https://x", "x", "http://"] {
            let error = ask(url, "/", None).await.expect_err(url).to_string();
            assert!(error.starts_with(&format!("--url {url:?} is not")), "{error}");
        }
    }
}
