// The devices of this machine, and the local tracks of the lobby.
import { createAudioAnalyser, createLocalAudioTrack, createLocalVideoTrack, type LocalAudioTrack, type LocalVideoTrack, VideoPresets } from 'livekit-client';
import type { DeviceRole } from './session';

export interface Device {
  readonly id: string;
  readonly label: string;
}

export type Devices = Record<DeviceRole, Device[]>;

const ROLE_LABEL: Record<DeviceRole, string> = { audioinput: 'Microphone', videoinput: 'Camera', audiooutput: 'Speaker' };

export const hasMedia = (): boolean => typeof navigator.mediaDevices?.getUserMedia === 'function';

/** Without permission the browser hides ids and labels; such entries are left out. */
export async function listDevices(): Promise<Devices> {
  const found: Devices = { audioinput: [], videoinput: [], audiooutput: [] };
  if (!hasMedia()) return found;
  for (const device of await navigator.mediaDevices.enumerateDevices()) {
    const list = found[device.kind];
    if (device.deviceId) list.push({ id: device.deviceId, label: device.label || `${ROLE_LABEL[device.kind]} ${list.length + 1}` });
  }
  return found;
}

export const canChooseSpeaker = (): boolean => 'setSinkId' in HTMLMediaElement.prototype;

function insecure(): Error {
  const error = new Error('no media devices');
  error.name = 'InsecureContext';
  return error;
}

export async function openCamera(deviceId: string | undefined): Promise<LocalVideoTrack> {
  if (!hasMedia()) throw insecure();
  return createLocalVideoTrack({ resolution: VideoPresets.h720.resolution, ...(deviceId ? { deviceId } : {}) });
}

export async function openMicrophone(deviceId: string | undefined): Promise<LocalAudioTrack> {
  if (!hasMedia()) throw insecure();
  return createLocalAudioTrack(deviceId ? { deviceId } : {});
}

/** Calls `show` with 0..1 about ten times a second until the returned function is called. */
export function watchLevel(track: LocalAudioTrack, show: (level: number) => void): () => void {
  const analyser = createAudioAnalyser(track, { fftSize: 256, smoothingTimeConstant: 0.4, minDecibels: -90, maxDecibels: -30 });
  const timer = setInterval(() => show(Math.min(1, analyser.calculateVolume() * 1.6)), 100);
  return () => {
    clearInterval(timer);
    void analyser.cleanup();
  };
}

/** A short tone on the chosen speaker. */
export async function playTestTone(deviceId: string | undefined): Promise<void> {
  const context = new AudioContext();
  const tone = new OscillatorNode(context, { frequency: 523 });
  const volume = new GainNode(context, { gain: 0 });
  const out = new MediaStreamAudioDestinationNode(context);
  tone.connect(volume).connect(out);
  volume.gain.setTargetAtTime(0.15, context.currentTime, 0.02);
  volume.gain.setTargetAtTime(0, context.currentTime + 0.35, 0.08);
  const element = new Audio();
  element.srcObject = out.stream;
  if (deviceId && canChooseSpeaker()) await element.setSinkId(deviceId);
  tone.addEventListener('ended', () => {
    element.srcObject = null;
    void context.close();
  });
  await element.play();
  tone.start();
  tone.stop(context.currentTime + 0.8);
}
