//! `/admin/api/v1`: the cluster and its rooms, the same from every node. The field names are a contract with operators'
//! tools; each is written here, so that inner types may change.

use super::access::{self, Refusal};
use super::{HttpState, json, signal, text};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use serde_json::{Value, json};
use starling_actors::{RoomSnapshot, RoomsSnapshot};
use starling_cluster::View;
use starling_cluster::member::Member;
use std::net::SocketAddr;
use std::sync::Arc;

/// `GET /admin/api/v1/cluster`: every member.
pub(super) async fn cluster(
    State(state): State<Arc<HttpState>>,
    ConnectInfo(remote): ConnectInfo<SocketAddr>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let opened = match may_read(&state, remote, &uri, &headers).and_then(|()| state.opened()) {
        Ok(opened) => opened,
        Err(refusal) => return refusal.response(),
    };
    let view = Arc::clone(&opened.view.borrow());
    json(StatusCode::OK, &cluster_body(&view))
}

/// `GET /admin/api/v1/rooms`: the rooms of every living member.
pub(super) async fn rooms(
    State(state): State<Arc<HttpState>>,
    ConnectInfo(remote): ConnectInfo<SocketAddr>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    match may_read(&state, remote, &uri, &headers).and_then(|()| state.opened()) {
        Ok(opened) => json(StatusCode::OK, &rooms_body(&opened.door.overview().await)),
        Err(refusal) => refusal.response(),
    }
}

/// Everything else below it: not the page that other paths of `/admin` are.
pub(super) async fn unknown() -> Response {
    text(StatusCode::NOT_FOUND, "no such part of the admin API")
}

/// Reading needs the grant roomList; in development mode nothing, from this machine.
fn may_read(state: &HttpState, remote: SocketAddr, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
    match access::claims(headers, &access::query(uri), &state.keys, signal::now_s())? {
        Some(claims) if claims.video.room_list => Ok(()),
        Some(_) => Err(Refusal::Grant { grant: "roomList" }),
        None if state.development && remote.ip().to_canonical().is_loopback() => Ok(()),
        None => Err(Refusal::Permission),
    }
}

fn cluster_body(view: &View) -> Value {
    let members: Vec<Value> = view.members.values().map(member_body).collect();
    json!({ "node_id": view.me.node_id, "members": members })
}

fn member_body(member: &Member) -> Value {
    let facts = member.facts.as_ref();
    json!({
        "node_id": member.id.node_id,
        "boot_id": member.id.boot_id,
        "state": member.state,
        "address": member.address,
        "roles": facts.map(|facts| &facts.roles),
        "region": facts.map(|facts| &facts.region),
        "version": facts.map(|facts| &facts.version),
        "capacity": facts.map(|facts| facts.capacity),
        "load": facts.map(|facts| facts.load),
        "rooms": facts.map_or(0, |facts| facts.load.rooms),
        "http": facts.map(|facts| &facts.http),
        "ready": facts.is_some_and(|facts| facts.ready),
    })
}

fn rooms_body(snapshot: &RoomsSnapshot) -> Value {
    let rooms: Vec<Value> = snapshot.rooms.iter().map(room_body).collect();
    json!({ "rooms": rooms, "missing": snapshot.missing })
}

fn room_body(room: &RoomSnapshot) -> Value {
    let participant = |participant: &starling_actors::ParticipantSnapshot| json!({ "identity": participant.identity, "sid": participant.sid, "entry": participant.entry });
    json!({
        "name": room.name,
        "sid": room.sid,
        "host": room.host,
        "epoch": room.epoch,
        "standby": room.standby,
        "participants": room.participants.iter().map(participant).collect::<Vec<_>>(),
    })
}
