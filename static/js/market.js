// Keys of the market: b buys, s sells, arrows walk the limit along the ladder, c goes to an order that can be cancelled.
// A price on the ladder becomes the limit when it is pressed. Keys rest while something is being written.

const ticket = document.querySelector("form.ticket");
const group = new Intl.NumberFormat(document.documentElement.lang).formatToParts(1e6).find(({ type }) => type === "group").value;

/** A price as the page or a person writes it: the last mark is the decimal one, unless it stands before a group. */
function number(text) {
  const at = Math.max(text.lastIndexOf("."), text.lastIndexOf(","));
  const isWhole = at < 0 || (text[at] === group && text.length - at === 4);
  const digits = (part) => part.replace(/[.,]/g, "");
  return Number(isWhole ? digits(text) : `${digits(text.slice(0, at))}.${text.slice(at + 1)}`);
}

function setLimit(text) {
  ticket.elements.price.value = text;
  ticket.elements.price.dispatchEvent(new Event("input", { bubbles: true }));
}

function choose(side) {
  const choice = ticket.querySelector(`[name="side"][value="${side}"]`);
  choice.checked = true;
  choice.dispatchEvent(new Event("input", { bubbles: true }));
  ticket.elements.price.focus();
  ticket.elements.price.select();
}

/** The next price of the ladder above or below the limit; at its end the limit stays. */
function walk(up) {
  const prices = [...document.querySelectorAll(".level")].map(({ dataset }) => dataset.price);
  const limit = number(ticket.elements.price.value);
  const sorted = [...new Set(prices)].sort((one, other) => number(one) - number(other));
  const next = up ? sorted.find((price) => !(number(price) <= limit)) : sorted.findLast((price) => number(price) < limit);
  if (next !== undefined) setLimit(next);
}

document.addEventListener("click", (event) => {
  const level = event.target.closest(".level");
  if (level && ticket) setLimit(level.dataset.price);
});

document.addEventListener("keydown", (event) => {
  if (!ticket || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  const inPrice = event.target === ticket.elements.price;
  if (event.key.startsWith("Arrow")) {
    const isOnPage = event.target === document.body || event.target.closest(".ladder, .ticket") === event.target;
    if (!["ArrowUp", "ArrowDown"].includes(event.key) || !(inPrice || isOnPage)) return;
    event.preventDefault();
    return walk(event.key === "ArrowUp");
  }
  if (event.target.matches("input:not([type=radio]), textarea, select")) return;
  if (event.key === "b") choose("BUY");
  else if (event.key === "s") choose("SELL");
  else if (event.key === "c") document.querySelector("[data-panel=market-orders] button[hx-post]")?.focus();
  else return;
  event.preventDefault();
});
