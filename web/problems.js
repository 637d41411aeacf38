/** What is wrong with a layer's tiles: in its row, and as a message. */

import { hideMessage, showMessage } from "./messages.js";
import { advice } from "./recovery.js";

const SERVER = "server";
/** Layers that get no answer at all, by their id: how each is tried again. */
const unanswered = new Map();

/** Return what `serverTiles` wants to tell about an entry. */
export function tileListeners({ id, layer }, list) {
  let dismissed = "";
  const key = `tiles of ${id}`;
  const onfailure = ({ count, status, reason, retrying, retry }) => {
    const tiles = count === 1 ? "1 tile is missing." : `${count} tiles are missing.`;
    const hope = retrying ? "Trying again…" : advice(status);
    const text = [tiles, sentence(reason), hope].filter(Boolean).join(" ");
    list.setProblem(id, count === 0 ? null : { text, retry });
    tellUnanswered(id, count > 0 && status === 0 ? retry : null);
    if (count === 0) dismissed = "";
    // When nothing answers, one message will do for all layers.
    if (count === 0 || status === 0 || reason === dismissed) return hideMessage(key);
    return showMessage(key, {
      title: layer.title,
      text,
      action: { label: "Retry", run: retry },
      ondismiss: () => (dismissed = reason),
    });
  };
  return { onbusy: (busy) => list.setBusy(id, busy), onfailure };
}

function tellUnanswered(id, retry) {
  const before = unanswered.size;
  if (retry) unanswered.set(id, retry);
  else unanswered.delete(id);
  if (unanswered.size === before) return;
  if (unanswered.size === 0) return hideMessage(SERVER);
  const layers = unanswered.size === 1 ? "1 layer waits" : `${unanswered.size} layers wait`;
  return showMessage(SERVER, {
    title: "The server does not answer.",
    text: `${layers} for it. All goes on by itself when it is back.`,
    action: { label: "Retry", run: () => [...unanswered.values()].forEach((again) => again()) },
  });
}

/** Return a reason with its full stop, since advice follows it. */
const sentence = (reason) => reason && reason.replace(/([^.!?…])$/, "$1.");
