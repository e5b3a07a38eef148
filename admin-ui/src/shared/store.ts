// Small choices that outlive the page; a browser that forbids storage merely forgets.

export function remember(key: string, value: string): void {
  try {
    localStorage.setItem(`starling.${key}`, value);
  } catch {
    // Private windows may refuse; nothing depends on it.
  }
}

export function recall(key: string): string | undefined {
  try {
    return localStorage.getItem(`starling.${key}`) ?? undefined;
  } catch {
    return undefined;
  }
}
