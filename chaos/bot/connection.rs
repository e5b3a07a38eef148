//! One WebRTC connection of a bot: the async `webrtc` crate with its default codecs and interceptors.

use async_trait::async_trait;
use rtc::interceptor::Registry;
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::RTCConfigurationBuilder;
use rtc::peer_connection::configuration::interceptor_registry::register_default_interceptors;
use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_OPUS, MediaEngine};
use rtc::peer_connection::configuration::setting_engine::SettingEngineBuilder;
use rtc::peer_connection::transport::RTCDtlsRole;
use rtc::rtp_transceiver::rtp_sender::{RTCRtpCodec, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind};
use std::sync::Arc;
use tokio::sync::mpsc;
use webrtc::error::{Error, Result};
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::TrackRemote;
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCPeerConnectionState,
};
use webrtc::runtime::default_runtime;

/// Which of the two connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Publisher,
    Subscriber,
}

/// What a connection tells its bot.
pub(crate) enum ConnectionEvent {
    State(Side, RTCPeerConnectionState),
    Track(Arc<dyn TrackRemote>),
}

struct Handler {
    side: Side,
    events: mpsc::UnboundedSender<ConnectionEvent>,
}

#[async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        // A bot that has left hears nothing.
        let _ = self.events.send(ConnectionEvent::State(self.side, state));
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let _ = self.events.send(ConnectionEvent::Track(track));
    }
}

/// Opens a connection on a free port of loopback.
pub(crate) async fn open(
    side: Side,
    events: mpsc::UnboundedSender<ConnectionEvent>,
) -> Result<Arc<dyn PeerConnection>> {
    let mut media = MediaEngine::default();
    media.register_default_codecs()?;
    let registry = register_default_interceptors(Registry::new(), &mut media)?;
    // The node is the DTLS server of every connection.
    let settings = SettingEngineBuilder::new().with_answering_dtls_role(RTCDtlsRole::Client).build();
    let runtime = default_runtime().ok_or_else(|| Error::Other("no runtime compiled in".into()))?;
    let connection = PeerConnectionBuilder::new()
        .with_configuration(RTCConfigurationBuilder::new().build())
        .with_media_engine(media)
        .with_setting_engine(settings)
        .with_interceptor_registry(registry)
        .with_handler(Arc::new(Handler { side, events }))
        .with_runtime(runtime)
        .with_udp_addrs(vec!["127.0.0.1:0".to_owned()])
        .build()
        .await?;
    Ok(Arc::new(connection))
}

/// Makes an Opus track with the given `a=msid` id and SSRC.
pub(crate) fn audio_track(id: &str, ssrc: u32) -> Arc<TrackLocalStaticRTP> {
    let codec = RTCRtpCodec {
        mime_type: MIME_TYPE_OPUS.to_owned(),
        clock_rate: 48_000,
        channels: 2,
        sdp_fmtp_line: "minptime=10;useinbandfec=1".to_owned(),
        rtcp_feedback: vec![],
    };
    let coding = RTCRtpEncodingParameters {
        rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(ssrc), ..Default::default() },
        codec,
        ..Default::default()
    };
    let (stream, label) = ("bot".to_owned(), "audio".to_owned());
    let track = MediaStreamTrack::new(stream, id.to_owned(), label, RtpCodecKind::Audio, vec![coding]);
    Arc::new(TrackLocalStaticRTP::new(track))
}
