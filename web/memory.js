/** What a browser remembers of its user's choices; nothing where it does not let us. */

const PREFIX = "tileserver.";

/** Return a choice that was remembered, or null. */
export function recall(name) {
  try {
    return localStorage.getItem(PREFIX + name);
  } catch {
    return null;
  }
}

/** Remember a choice, as text. */
export function remember(name, text) {
  try {
    localStorage.setItem(PREFIX + name, text);
  } catch {
    // It holds until the page is left.
  }
}
