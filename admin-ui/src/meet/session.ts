// What the meeting view needs of a meeting; the LiveKit client is one source of it, the demo another.
import type { ChatMessage } from './core/chat';
import type { Link } from './core/connection';
import type { Person } from './core/model';

export type DeviceRole = 'audioinput' | 'videoinput' | 'audiooutput';

export interface SessionListener {
  /** People, tracks, speakers or qualities changed. */
  changed(): void;
  link(link: Link): void;
  joined(name: string): void;
  left(name: string): void;
  message(message: ChatMessage): void;
  /** A sentence for the user. */
  problem(text: string): void;
  /** The browser holds sound back until the user does something. */
  soundBlocked(blocked: boolean): void;
  /** `reason` is LiveKit's DisconnectReason by name. */
  ended(reason: string | undefined): void;
}

export interface Session {
  readonly roomName: string;
  listen(listener: SessionListener): void;
  people(): Person[];
  canShareScreen(): boolean;
  canChat(): boolean;
  setMic(on: boolean): Promise<void>;
  setCamera(on: boolean): Promise<void>;
  setScreen(on: boolean): Promise<void>;
  /** Resolves when the message is on its way to the server. */
  sendChat(text: string): Promise<void>;
  enableSound(): Promise<void>;
  device(role: DeviceRole): string | undefined;
  setDevice(role: DeviceRole, id: string): Promise<void>;
  leave(): Promise<void>;
}
