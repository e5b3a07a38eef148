// Names, initials, colours and times as they are shown.

/** Up to two letters that stand for a name; "?" for a name without any. */
export function initials(name: string): string {
  const words = name.trim().split(/[\s._-]+/).filter((word) => /[\p{L}\p{N}]/u.test(word));
  const letter = (word: string | undefined): string => [...(word?.replace(/[^\p{L}\p{N}]/gu, '') ?? '')][0] ?? '';
  const first = letter(words[0]);
  const last = words.length > 1 ? letter(words.at(-1)) : '';
  return (first + last).toLocaleUpperCase() || '?';
}

/** A hue in degrees that stays with an identity on every machine. */
export function hue(identity: string): number {
  // FNV-1a, so that names which differ in one letter differ in colour.
  let hash = 0x811c9dc5;
  for (const char of identity) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193) >>> 0;
  return (((hash >>> 8) ^ hash) >>> 0) % 360;
}

/** `m:ss`, or `h:mm:ss` from an hour on. */
export function duration(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const two = (value: number): string => String(value).padStart(2, '0');
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

/** Hours and minutes in the reader's own way. */
export function clock(at: number, locale?: string, timeZone?: string): string {
  return new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit', timeZone }).format(at);
}

export function peopleCount(count: number): string {
  return count === 1 ? '1 person' : `${count} people`;
}
