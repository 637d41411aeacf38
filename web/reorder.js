/** Reorder the items of a list by dragging their grips, with a mouse, a pen or a finger. */

/**
 * @param {HTMLElement} list its children move; each holds one `.grip`.
 * @param {(item: HTMLElement, index: number) => void} ondrop called once, when an item has moved.
 */
export function dragToReorder(list, ondrop) {
  list.addEventListener("pointerdown", (event) => {
    const grip = event.target.closest(".grip");
    if (!grip || event.button !== 0) return;
    drag(list, grip, event, ondrop);
  });
}

function drag(list, grip, event, ondrop) {
  const item = grip.closest("li");
  const startIndex = indexOf(list, item);
  const drop = new AbortController();
  const { signal } = drop;
  grip.setPointerCapture(event.pointerId);
  item.classList.add("dragged");
  grip.addEventListener("pointermove", (move) => follow(list, item, move.clientY), { signal });
  grip.addEventListener(
    "lostpointercapture",
    () => {
      drop.abort();
      item.classList.remove("dragged");
      if (indexOf(list, item) !== startIndex) ondrop(item, indexOf(list, item));
    },
    { signal },
  );
}

const indexOf = (list, item) => [...list.children].indexOf(item);

// The neighbours move around the dragged item: taking the item itself out would end its capture.
function follow(list, item, y) {
  const { previousElementSibling: above, nextElementSibling: below } = item;
  if (above && y < middle(above)) item.after(above);
  else if (below && y > middle(below)) item.before(below);
}

function middle(element) {
  const { top, height } = element.getBoundingClientRect();
  return top + height / 2;
}
