// The session over the LiveKit client: turns its events and objects into the page's own words.
import {
  ConnectionError,
  ConnectionErrorReason,
  ConnectionQuality,
  ConnectionState,
  DisconnectReason,
  type LocalTrack,
  type Participant,
  type RemoteTrack,
  Room,
  RoomEvent,
  type RoomOptions,
  ScreenSharePresets,
  Track,
  type TrackPublication,
  VideoPresets,
} from 'livekit-client';
import type { ChatMessage } from './core/chat';
import type { Link } from './core/connection';
import type { Person, Picture, Quality } from './core/model';
import { deviceProblem, type JoinFailure } from './core/problems';
import type { DeviceRole, Session, SessionListener } from './session';

/** The topic LiveKit's own user interfaces chat on. */
const CHAT_TOPIC = 'lk.chat';
/** After this long without a place on screen a video is paused at the server, milliseconds. */
const UNSEEN_GRACE = 800;
/** Longest chat text taken from others, characters: ten times what this page sends. */
const CHAT_TAKEN = 40_000;
/** Largest data stream taken from others, bytes: the client's own limit of 5 GB would let a guest fill the memory. */
const STREAM_TAKEN = 16 * 1024 * 1024;

export interface LiveOptions {
  readonly singlePeerConnection: boolean | undefined;
  readonly adaptiveStream: boolean;
  readonly devices: Partial<Record<DeviceRole, string>>;
}

export class LiveSession implements Session {
  readonly room: Room;
  private listener: SessionListener | undefined;
  private readonly sound = document.createElement('div');
  private readonly keys = new WeakMap<object, number>();
  private nextKey = 1;

  constructor(options: LiveOptions) {
    const { audioinput, videoinput, audiooutput } = options.devices;
    const settings: RoomOptions = {
      adaptiveStream: options.adaptiveStream,
      dynacast: true,
      dataStream: { maxPayloadByteLength: STREAM_TAKEN },
      videoCaptureDefaults: { resolution: VideoPresets.h720.resolution, ...(videoinput ? { deviceId: videoinput } : {}) },
      audioCaptureDefaults: audioinput ? { deviceId: audioinput } : {},
      ...(audiooutput ? { audioOutput: { deviceId: audiooutput } } : {}),
      ...(options.singlePeerConnection === undefined ? {} : { singlePeerConnection: options.singlePeerConnection }),
    };
    this.room = new Room(settings);
    this.sound.hidden = true;
    this.bind();
  }

  get roomName(): string {
    return this.room.name;
  }

  listen(listener: SessionListener): void {
    this.listener = listener;
    listener.link(linkOf(this.room.state));
    listener.soundBlocked(!this.room.canPlaybackAudio);
  }

  async join(url: string, token: string): Promise<void> {
    document.body.append(this.sound);
    await this.room.connect(url, token);
  }

  /** Sends the tracks of the lobby as they are; from here on they are the room's. */
  publish(tracks: readonly LocalTrack[]): void {
    for (const track of tracks) {
      const source = track.kind === Track.Kind.Video ? Track.Source.Camera : Track.Source.Microphone;
      this.room.localParticipant.publishTrack(track, { source }).catch((error: unknown) => {
        track.stop();
        console.warn(`publishing the ${source} failed`, error);
        this.listener?.problem(`Your ${source} could not be sent to the server. Turn it on again to retry.`);
        this.listener?.changed();
      });
    }
  }

  people(): Person[] {
    if (!this.room.localParticipant.identity) return [];
    return [this.room.localParticipant, ...this.room.remoteParticipants.values()].map((p) => this.person(p));
  }

  canShareScreen(): boolean {
    return typeof navigator.mediaDevices?.getDisplayMedia === 'function';
  }

  canChat(): boolean {
    return this.room.localParticipant.permissions?.canPublishData ?? true;
  }

  async setMic(on: boolean): Promise<void> {
    await this.withProblem('microphone', () => this.room.localParticipant.setMicrophoneEnabled(on));
  }

  async setCamera(on: boolean): Promise<void> {
    await this.withProblem('camera', () => this.room.localParticipant.setCameraEnabled(on));
  }

  async setScreen(on: boolean): Promise<void> {
    await this.withProblem('screen', () =>
      this.room.localParticipant.setScreenShareEnabled(
        on,
        { audio: true, contentHint: 'detail', resolution: ScreenSharePresets.h1080fps15.resolution, selfBrowserSurface: 'include' },
        { screenShareEncoding: ScreenSharePresets.h1080fps15.encoding },
      ),
    );
  }

  async sendChat(text: string): Promise<void> {
    await this.room.localParticipant.sendText(text, { topic: CHAT_TOPIC });
  }

  async enableSound(): Promise<void> {
    await this.room.startAudio();
  }

  device(role: DeviceRole): string | undefined {
    return this.room.getActiveDevice(role);
  }

  async setDevice(role: DeviceRole, id: string): Promise<void> {
    const kind = role === 'audioinput' ? 'microphone' : role === 'videoinput' ? 'camera' : 'speaker';
    await this.withProblem(kind, () => this.room.switchActiveDevice(role, id));
  }

  async leave(): Promise<void> {
    await this.room.disconnect();
  }

  private async withProblem(kind: 'microphone' | 'camera' | 'screen' | 'speaker', act: () => Promise<unknown>): Promise<void> {
    try {
      await act();
    } catch (error) {
      const name = error instanceof Error ? error.name : '';
      // Closing the browser's own chooser is an answer, not a failure.
      if (kind === 'screen' && name === 'NotAllowedError') return;
      this.listener?.problem(deviceProblem(kind, name));
    } finally {
      this.listener?.changed();
    }
  }

  private person(p: Participant): Person {
    const camera = p.getTrackPublication(Track.Source.Camera);
    const screen = p.getTrackPublication(Track.Source.ScreenShare);
    return {
      identity: p.identity,
      name: p.name || p.identity,
      isLocal: p.isLocal,
      joinedAt: p.joinedAt?.getTime() ?? 0,
      micOn: p.isMicrophoneEnabled,
      cameraOn: p.isCameraEnabled,
      screenOn: p.isScreenShareEnabled,
      speaking: p.isSpeaking && p.isMicrophoneEnabled,
      lastSpokeAt: p.lastSpokeAt?.getTime() ?? 0,
      quality: QUALITIES[p.connectionQuality],
      camera: this.picture(camera),
      screen: this.picture(screen),
    };
  }

  private picture(publication: TrackPublication | undefined): Picture | undefined {
    const track = publication?.videoTrack;
    if (!track || publication.isMuted) return undefined;
    let key = this.keys.get(track);
    if (key === undefined) {
      key = this.nextKey;
      this.nextKey += 1;
      this.keys.set(track, key);
    }
    return {
      key: String(key),
      attach: (element) => void track.attach(element),
      detach: (element) => void track.detach(element),
    };
  }

  private bind(): void {
    const room = this.room;
    const changed = (): void => this.listener?.changed();
    for (const event of [
      RoomEvent.TrackPublished,
      RoomEvent.TrackUnpublished,
      RoomEvent.TrackMuted,
      RoomEvent.TrackUnmuted,
      RoomEvent.LocalTrackPublished,
      RoomEvent.LocalTrackUnpublished,
      RoomEvent.ParticipantNameChanged,
      RoomEvent.ParticipantPermissionsChanged,
      RoomEvent.ActiveSpeakersChanged,
      RoomEvent.ConnectionQualityChanged,
      RoomEvent.TrackStreamStateChanged,
    ] as const) {
      room.on(event, changed);
    }
    room
      .on(RoomEvent.ParticipantConnected, (p) => {
        this.listener?.joined(p.name || p.identity);
        changed();
      })
      .on(RoomEvent.ParticipantDisconnected, (p) => {
        this.listener?.left(p.name || p.identity);
        changed();
      })
      .on(RoomEvent.TrackSubscribed, (track) => {
        this.take(track);
        changed();
      })
      .on(RoomEvent.TrackUnsubscribed, (track) => {
        if (track.kind === Track.Kind.Audio) for (const element of track.detach()) element.remove();
        changed();
      })
      .on(RoomEvent.SignalReconnecting, () => this.listener?.link('signal'))
      .on(RoomEvent.Reconnecting, () => this.listener?.link('full'))
      .on(RoomEvent.Reconnected, () => this.up())
      .on(RoomEvent.Connected, () => this.up())
      .on(RoomEvent.Disconnected, (reason) => {
        this.sound.remove();
        this.listener?.link('down');
        this.listener?.ended(reason === undefined ? undefined : DisconnectReason[reason]);
      })
      .on(RoomEvent.AudioPlaybackStatusChanged, () => this.listener?.soundBlocked(!room.canPlaybackAudio))
      .on(RoomEvent.MediaDevicesError, (error, kind) => {
        const noun = kind === 'videoinput' ? 'camera' : kind === 'audiooutput' ? 'speaker' : 'microphone';
        this.listener?.problem(deviceProblem(noun, error.name));
      })
      .on(RoomEvent.ChatMessage, (message, from) => {
        if (!from || from.isLocal) return;
        this.heard({ id: message.id, identity: from.identity, at: message.timestamp, text: message.message });
      });
    room.registerTextStreamHandler(CHAT_TOPIC, (reader, { identity }) => {
      const { id, timestamp } = reader.info;
      reader
        .readAll()
        .then((text) => this.heard({ id, identity, at: timestamp, text }))
        .catch(() => this.listener?.problem('A chat message arrived broken.'));
    });
  }

  private up(): void {
    this.listener?.link('up');
    this.listener?.changed();
  }

  private take(track: RemoteTrack): void {
    if (track.kind === Track.Kind.Audio) {
      this.sound.append(track.attach());
      return;
    }
    // A video that never had an element counts as visible for the client; one that had and lost it is paused.
    setTimeout(() => {
      if (track.attachedElements.length > 0) return;
      track.detach(track.attach(document.createElement('video')));
    }, UNSEEN_GRACE);
  }

  private heard(message: { id: string; identity: string; at: number; text: string }): void {
    const from = this.room.getParticipantByIdentity(message.identity);
    const note: ChatMessage = {
      ...message,
      text: message.text.slice(0, CHAT_TAKEN),
      name: from?.name || message.identity || 'Server',
      own: false,
      state: 'sent',
    };
    this.listener?.message(note);
  }
}

const QUALITIES: Record<ConnectionQuality, Quality> = {
  [ConnectionQuality.Excellent]: 'excellent',
  [ConnectionQuality.Good]: 'good',
  [ConnectionQuality.Poor]: 'poor',
  [ConnectionQuality.Lost]: 'lost',
  [ConnectionQuality.Unknown]: 'unknown',
};

function linkOf(state: ConnectionState): Link {
  switch (state) {
    case ConnectionState.Connected:
      return 'up';
    case ConnectionState.SignalReconnecting:
      return 'signal';
    case ConnectionState.Reconnecting:
      return 'full';
    case ConnectionState.Connecting:
      return 'connecting';
    case ConnectionState.Disconnected:
      return 'down';
  }
}

/** The failure of `join` in the page's words. */
export function joinFailure(error: unknown): JoinFailure {
  if (error instanceof ConnectionError) {
    return { reason: ConnectionErrorReason[error.reason] ?? 'Other', status: error.status, message: error.message };
  }
  return { reason: 'Other', message: error instanceof Error ? error.message : String(error) };
}
