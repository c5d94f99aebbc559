// Turns one piece of the page into another in place, so that focus, selection, scroll and opened
// details stay where the person left them. Rows are recognised by `data-row` or `id`.

/** Make `from` look like `to`. Calls `touched(element)` for each row or word that is new or reads differently. */
export function morph(from, to, touched) {
  if (from.nodeName !== to.nodeName) {
    const fresh = document.importNode(to, true);
    from.replaceWith(fresh);
    touched(fresh);
    return;
  }
  if (from.hasAttribute("data-keep")) return;
  morphAttributes(from, to);
  if (from.nodeName === "TIME" && from.dateTime === to.dateTime) return;
  morphChildren(from, to, touched);
}

const OWN = { DETAILS: ["open"], INPUT: ["value", "checked"], OPTION: ["selected"] };

function morphAttributes(from, to) {
  const own = OWN[from.nodeName] ?? [];
  for (const { name, value } of to.attributes) {
    if (own.includes(name) || name === "class") continue;
    if (from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
  for (const { name } of [...from.attributes]) {
    if (!own.includes(name) && name !== "class" && !to.hasAttribute(name)) from.removeAttribute(name);
  }
  const glowing = from.classList.contains("changed");
  const wanted = to.getAttribute("class") ?? "";
  const now = (from.getAttribute("class") ?? "").replace(/\s*\bchanged\b/, "");
  if (now === wanted) return;
  if (wanted || glowing) from.setAttribute("class", glowing ? `${wanted} changed` : wanted);
  else from.removeAttribute("class");
}

const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.dataset?.row ?? (node.id || null) : null);

function morphChildren(from, to, touched) {
  const keyed = new Map();
  for (const child of from.children) if (keyOf(child)) keyed.set(keyOf(child), child);
  let place = from.firstChild;
  for (const wanted of [...to.childNodes]) {
    const key = keyOf(wanted);
    const match = key ? keyed.get(key) : nextLike(place, wanted);
    if (match) {
      if (key) keyed.delete(key);
      if (match === place) place = place.nextSibling;
      else from.insertBefore(match, place);
      if (wanted.nodeType === Node.ELEMENT_NODE) morph(match, wanted, touched);
      else if (match.nodeValue !== wanted.nodeValue) {
        match.nodeValue = wanted.nodeValue;
        touched(from);
      }
    } else {
      const fresh = document.importNode(wanted, true);
      from.insertBefore(fresh, place);
      if (fresh.nodeType === Node.ELEMENT_NODE) touched(fresh);
      else if (fresh.nodeValue.trim()) touched(from);
    }
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

/** The first of the remaining siblings that can become `wanted`, without passing over a keyed row. */
function nextLike(place, wanted) {
  for (let node = place; node; node = node.nextSibling) {
    if (keyOf(node)) return null;
    if (node.nodeType === wanted.nodeType && node.nodeName === wanted.nodeName) return node;
  }
  return null;
}
