//! Starling's media plane as a forwarder: real workers, real negotiation, no rooms' rules and no LiveKit signalling.

use crate::client::PUBLISHED_TRACK_ID;
use crate::signal::{Join, Role, listen};
use starling_media::codec::{Codec, Kind};
use starling_media::command::MediaCommand;
use starling_media::id::{PeerId, RoomKey, TrackKey};
use starling_media::sdp::{
    Answerer, CodecPolicy, FIRST_LOCAL_PREFERENCE, LocalTransport, PublishedTrack, SubscribedTrack,
};
use starling_media::worker::{MediaConfig, MediaPlane, start};
use std::io;
use std::net::SocketAddr;

/// The one worker, the one room and the one track.
const WORKER: usize = 0;
const ROOM: RoomKey = RoomKey(1);
const TRACK: TrackKey = TrackKey(1);
/// SSRC of the first subscription; retransmissions have the next one.
const FIRST_SSRC: u32 = 0x1000;

/// Runs until the process is ended; tells its signalling address once.
pub(crate) fn run(announce: impl FnOnce(SocketAddr)) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (plane, mut events) = runtime.block_on(start(MediaConfig::default())).map_err(io::Error::other)?;
    runtime.spawn(async move { while events.recv().await.is_some() {} });
    let (address, joins) = listen()?;
    announce(address);
    // A node keeps the description of every peer: its memory belongs to the figures.
    let mut descriptions = Vec::new();
    for join in joins {
        descriptions.push(serve(&plane, u32::try_from(descriptions.len()).unwrap_or(u32::MAX), &join)?);
    }
    Ok(())
}

fn serve(plane: &MediaPlane, index: u32, join: &Join) -> io::Result<Answerer> {
    let mut answerer = Answerer::new(CodecPolicy { enabled: vec![Codec::Vp8] }, true);
    match join.role {
        Role::Publisher => answerer.publish(PublishedTrack {
            track: TRACK,
            cid: PUBLISHED_TRACK_ID.into(),
            codec_cids: Vec::new(),
            kind: Kind::Video,
            dtx: false,
            stereo: false,
            red: false,
        }),
        Role::Subscriber => answerer.subscribe(SubscribedTrack {
            track: TRACK,
            track_sid: "TR_bench".into(),
            stream_id: "PA_bench|camera".into(),
            kind: Kind::Video,
            codecs: vec![(Codec::Vp8, String::new())],
            ssrc: FIRST_SSRC + 2 * index,
            rtx_ssrc: FIRST_SSRC + 2 * index + 1,
            stereo: false,
        }),
    }
    let local = LocalTransport {
        ice: plane.new_credentials(WORKER),
        fingerprint: plane.fingerprint().to_owned(),
        candidates: plane.candidates(WORKER).to_vec(),
        local_preference: FIRST_LOCAL_PREFERENCE,
        ice_lite: true,
    };
    let (answer, negotiated) = answerer.apply_offer(&local, &join.offer).map_err(io::Error::other)?;
    if negotiated.receivers.len() + negotiated.senders.len() != 1 {
        return Err(io::Error::other(format!("the track found no section: {negotiated:?}")));
    }
    let peer = PeerId(u64::from(index));
    let extensions = negotiated.extensions;
    for command in [
        MediaCommand::OpenPeer { peer, room: ROOM, local: local.ice, open_channels: false, allow_pause: None },
        MediaCommand::SetRemote { peer, remote: negotiated.remote },
        MediaCommand::SetReceivers { peer, extensions, sections: negotiated.receivers },
        MediaCommand::SetSenders { peer, extensions, sections: negotiated.senders },
    ] {
        plane.send(WORKER, command).map_err(io::Error::other)?;
    }
    // A load that is gone needs no answer.
    let _ = join.answer.send(answer);
    Ok(answerer)
}
