//! A participant as a program: joins by `/rtc`, publishes numbered audio, subscribes to everything, keeps a journal.
//!
//! A bot is a whole client (the async `webrtc` crate); it judges nothing, its journal does.
#![expect(clippy::disallowed_methods, reason = "a bot is a shell: it sends by the clock")]

mod connection;
mod journal;
mod wire;

pub use journal::{Journal, NUMBERS_MAX, Seen, TRACKS_MAX};
pub use wire::{Wire, WireError, candidate_of};

use connection::{ConnectionEvent, Side, audio_track, open};
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::transport::RTCIceCandidateInit;
use rtc::rtp::header::Header;
use rtc::rtp::packet::Packet;
use starling_protocol::livekit::{self as proto, signal_request, signal_response};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{PeerConnection, RTCPeerConnectionState};

/// Longest wait for the primary connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Distance of two audio packets.
const PACKET_INTERVAL: Duration = Duration::from_millis(20);
/// RTP ticks of one packet at 48 kHz.
const PACKET_TICKS: u32 = 960;
/// Payload type of Opus in the `webrtc` crate's default codecs.
const OPUS_PT: u8 = 111;
/// Distance of two pings: LiveKit's `ping_interval`.
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// A bot could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum BotError {
    /// Signalling broke.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The WebRTC client refused something.
    #[error("the WebRTC client failed")]
    Rtc(#[from] webrtc::error::Error),
    /// The primary connection did not come up in time.
    #[error("no primary connection within {CONNECT_TIMEOUT:?}")]
    ConnectTimeout,
    /// The bot's task has ended.
    #[error("the bot has ended")]
    Ended,
}

/// One participant. Dropping it makes it leave in the background; [`Bot::leave`] waits for it.
#[derive(Debug)]
pub struct Bot {
    identity: String,
    journal: Arc<Mutex<Journal>>,
    commands: mpsc::Sender<Command>,
    task: JoinHandle<Result<(), BotError>>,
    connected_after: Duration,
}

#[derive(Debug)]
enum Command {
    Publish,
    Leave,
}

impl Bot {
    /// Joins and waits until the primary peer connection is up.
    ///
    /// # Errors
    /// [`BotError`] when the node refuses or the connection does not come up in time.
    pub async fn join(url: &str, token: &str) -> Result<Self, BotError> {
        let start = Instant::now();
        let (wire, join) = Wire::join(url, token).await?;
        let (sender, events) = mpsc::unbounded_channel();
        let publisher = open(Side::Publisher, sender.clone()).await?;
        let subscriber = open(Side::Subscriber, sender).await?;
        let (commands, command_receiver) = mpsc::channel(8);
        let (connected, connection) = oneshot::channel();
        let journal = Arc::new(Mutex::new(Journal::default()));
        let primary = if join.subscriber_primary { Side::Subscriber } else { Side::Publisher };
        let session = Session {
            wire,
            publisher,
            subscriber,
            primary,
            connected: Some(connected),
            journal: journal.clone(),
            track: None,
            offers: 0,
        };
        let task = tokio::spawn(session.run(events, command_receiver));
        let result = tokio::time::timeout(CONNECT_TIMEOUT, connection).await;
        match result {
            Ok(Ok(())) => {
                let identity = join.participant.unwrap_or_default().identity;
                Ok(Self { identity, journal, commands, task, connected_after: start.elapsed() })
            }
            Ok(Err(_)) => Err(task.await.ok().and_then(Result::err).unwrap_or(BotError::Ended)),
            Err(_) => {
                task.abort();
                Err(BotError::ConnectTimeout)
            }
        }
    }

    /// Its identity, as the node says.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Time from opening the WebSocket until the primary connection was up.
    #[must_use]
    pub const fn connected_after(&self) -> Duration {
        self.connected_after
    }

    /// What it has sent and seen so far.
    #[must_use]
    pub fn journal(&self) -> Journal {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Publishes an audio track and sends 50 packets per second from then on.
    ///
    /// # Errors
    /// [`BotError::Ended`] when the session is over.
    pub async fn publish(&self) -> Result<(), BotError> {
        self.commands.send(Command::Publish).await.map_err(|_| BotError::Ended)
    }

    /// Leaves with a goodbye and returns the journal.
    ///
    /// # Errors
    /// What ended the session before.
    pub async fn leave(self) -> Result<Journal, BotError> {
        // A session that has ended says why below.
        let _ = self.commands.send(Command::Leave).await;
        self.task.await.map_err(|_| BotError::Ended)??;
        Ok(self.journal.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

struct Session {
    wire: Wire,
    publisher: Arc<dyn PeerConnection>,
    subscriber: Arc<dyn PeerConnection>,
    primary: Side,
    connected: Option<oneshot::Sender<()>>,
    journal: Arc<Mutex<Journal>>,
    /// Published track and its SSRC, from AddTrack on.
    track: Option<(Arc<TrackLocalStaticRTP>, u32)>,
    offers: u32,
}

impl Session {
    async fn run(
        mut self,
        mut events: mpsc::UnboundedReceiver<ConnectionEvent>,
        mut commands: mpsc::Receiver<Command>,
    ) -> Result<(), BotError> {
        let mut ping = tokio::time::interval(PING_INTERVAL);
        loop {
            tokio::select! {
                message = self.wire.receive() => {
                    if let signal_response::Message::Leave(_) = self.on_signal(message?).await? {
                        return Ok(());
                    }
                }
                Some(event) = events.recv() => self.on_connection(event),
                command = commands.recv() => match command {
                    Some(Command::Publish) => self.announce_track().await?,
                    Some(Command::Leave) | None => break,
                },
                _ = ping.tick() => {
                    let timestamp = i64::try_from(since_epoch().as_millis()).unwrap_or(i64::MAX);
                    self.wire.send(signal_request::Message::PingReq(proto::Ping { timestamp, rtt: 0 })).await?;
                }
            }
        }
        self.publisher.close().await?;
        self.subscriber.close().await?;
        Ok(self.wire.leave().await?)
    }

    /// Serves one message and hands it back.
    async fn on_signal(&mut self, message: signal_response::Message) -> Result<signal_response::Message, BotError> {
        match &message {
            signal_response::Message::Offer(offer) => {
                self.subscriber.set_remote_description(RTCSessionDescription::offer(offer.sdp.clone())?).await?;
                let answer = self.subscriber.create_answer(None).await?;
                self.subscriber.set_local_description(answer.clone()).await?;
                let answer = description("answer", answer.sdp, offer.id);
                self.wire.send(signal_request::Message::Answer(answer)).await?;
            }
            signal_response::Message::Answer(answer) => {
                self.publisher.set_remote_description(RTCSessionDescription::answer(answer.sdp.clone())?).await?;
            }
            signal_response::Message::Trickle(trickle) => {
                let publishes = trickle.target == proto::SignalTarget::Publisher as i32;
                let connection = if publishes { &self.publisher } else { &self.subscriber };
                if let Some(candidate) = candidate_of(trickle) {
                    let init = RTCIceCandidateInit { candidate, ..Default::default() };
                    connection.add_ice_candidate(init).await?;
                }
            }
            signal_response::Message::TrackPublished(_) => self.offer_track().await?,
            _ => {}
        }
        Ok(message)
    }

    fn on_connection(&mut self, event: ConnectionEvent) {
        match event {
            ConnectionEvent::State(side, RTCPeerConnectionState::Connected) => {
                if side == self.primary
                    && let Some(connected) = self.connected.take()
                {
                    // Nobody waits any more when the join has timed out.
                    let _ = connected.send(());
                }
                if side == Side::Publisher
                    && let Some((track, ssrc)) = self.track.clone()
                {
                    tokio::spawn(send_audio(track, ssrc, Arc::downgrade(&self.journal)));
                }
            }
            ConnectionEvent::State(..) => {}
            ConnectionEvent::Track(track) => {
                tokio::spawn(receive_audio(track, self.journal.clone()));
            }
        }
    }

    async fn announce_track(&mut self) -> Result<(), BotError> {
        let ssrc: u32 = rand::random();
        let cid = format!("bot-audio-{ssrc:08x}");
        self.track = Some((audio_track(&cid, ssrc), ssrc));
        let request = proto::AddTrackRequest {
            cid,
            name: "bot".into(),
            r#type: proto::TrackType::Audio as i32,
            source: proto::TrackSource::Microphone as i32,
            ..Default::default()
        };
        Ok(self.wire.send(signal_request::Message::AddTrack(request)).await?)
    }

    async fn offer_track(&mut self) -> Result<(), BotError> {
        let Some((track, _)) = self.track.clone() else { return Ok(()) };
        self.publisher.add_track(track as Arc<dyn TrackLocal>).await?;
        let offer = self.publisher.create_offer(None).await?;
        self.publisher.set_local_description(offer.clone()).await?;
        self.offers += 1;
        let offer = description("offer", offer.sdp, self.offers);
        Ok(self.wire.send(signal_request::Message::Offer(offer)).await?)
    }
}

fn description(kind: &str, sdp: String, id: u32) -> proto::SessionDescription {
    proto::SessionDescription { r#type: kind.into(), sdp, id, ..Default::default() }
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Sends until the bot is gone.
async fn send_audio(track: Arc<TrackLocalStaticRTP>, ssrc: u32, journal: std::sync::Weak<Mutex<Journal>>) {
    let mut ticks = tokio::time::interval(PACKET_INTERVAL);
    let mut number: u32 = 0;
    loop {
        ticks.tick().await;
        let Some(journal) = journal.upgrade() else { return };
        let payload = journal.lock().unwrap_or_else(PoisonError::into_inner).next_payload(since_epoch());
        let header = Header {
            version: 2,
            payload_type: OPUS_PT,
            sequence_number: (number & 0xffff) as u16,
            timestamp: number.wrapping_mul(PACKET_TICKS),
            ssrc,
            ..Default::default()
        };
        number = number.wrapping_add(1);
        if track.write_rtp(Packet { header, payload: payload.into() }).await.is_err() {
            return;
        }
    }
}

/// Notes what a track brings until it ends.
async fn receive_audio(track: Arc<dyn TrackRemote>, journal: Arc<Mutex<Journal>>) {
    let id = track.track_id().await;
    while let Some(event) = track.poll().await {
        if let TrackRemoteEvent::OnRtpPacket(packet) = event {
            let now = since_epoch();
            journal.lock().unwrap_or_else(PoisonError::into_inner).note(&id, &packet.payload, now);
        }
    }
}
