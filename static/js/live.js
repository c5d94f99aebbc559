// Keeps the panels of a page true. A WebSocket brings each panel anew when something changed; while
// it is down the frame says so and the panels are fetched every three seconds. A hidden tab rests.
import { morph } from "./morph.js";

const POLL_MS = 3_000;
const REST_AFTER_HIDDEN_MS = 10_000;
const SILENCE_MS = 50_000;
const BACKOFF_MS = [500, 30_000];
const GLOW_MS = 1_300;
const SIGNED_OUT = 4401;

const sign = document.getElementById("live-state");
const { live: path, membership } = document.body.dataset;
const url = new URL(path, location.href.replace(/^http/, "ws"));
let socket = null;
let failures = 0;
let timers = {};

const panels = () => [...document.querySelectorAll("[data-panel]")];

function say(state) {
  sign.classList.toggle("is-down", state !== "live");
  const words = sign.dataset[state];
  if (sign.textContent !== words) sign.textContent = words;
  document.documentElement.dataset.link = state;
}

function later(name, delay, act) {
  clearTimeout(timers[name]);
  timers[name] = setTimeout(act, delay);
}

function stop(name) {
  clearTimeout(timers[name]);
  delete timers[name];
}

function connect() {
  if (socket || document.hidden) return;
  socket = new WebSocket(url);
  socket.addEventListener("open", watch);
  socket.addEventListener("message", (event) => {
    later("silence", SILENCE_MS, () => socket?.close());
    receive(JSON.parse(event.data));
  });
  socket.addEventListener("close", (event) => lost(event.code));
  later("silence", SILENCE_MS, () => socket?.close());
}

function watch() {
  const wanted = panels().map(({ dataset }) => ({ name: dataset.panel, key: dataset.key }));
  socket.send(JSON.stringify({ watch: wanted, membership: Number(membership), language: document.documentElement.lang }));
}

function receive(message) {
  if (message.watching) {
    failures = 0;
    stop("poll");
    say("live");
  }
  for (const html of message.panels ?? []) show(html);
}

function lost(code) {
  socket = null;
  stop("silence");
  if (code === SIGNED_OUT) return gone();
  if (document.hidden) return;
  say("down");
  if (!timers.poll) later("poll", POLL_MS, poll);
  const [least, most] = BACKOFF_MS;
  const pause = Math.min(most, least * 2 ** failures++) * (0.5 + Math.random());
  later("connect", pause, connect);
}

function gone() {
  for (const name of Object.keys(timers)) stop(name);
  say("gone");
}

async function poll() {
  for (const panel of panels()) {
    const { panel: name, key } = panel.dataset;
    try {
      const answer = await fetch(`/panels/${name}/${key}/?membership=${membership}`);
      if (answer.status === 401) return gone();
      if (answer.ok) show(await answer.text());
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // the server is away; the next round asks again
      break;
    }
  }
  if (document.documentElement.dataset.link === "down" && !document.hidden) later("poll", POLL_MS, poll);
}

/** Put a rendered panel in the place of the one with its id. */
function show(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html").body.firstElementChild;
  const old = fresh && document.getElementById(fresh.id);
  if (!old) return;
  const touched = new Set();
  morph(old, fresh, (element) => touched.add(element.closest("[data-row], .num, .figure, .badge, dd, li, p") ?? element));
  for (const element of touched) glow(element);
  old.dispatchEvent(new CustomEvent("panel:shown", { bubbles: true }));
}

function glow(element) {
  if (element.closest("[data-quiet]")) return;
  element.classList.remove("changed");
  void element.offsetWidth; // restarts the animation of something that changes again
  element.classList.add("changed");
  setTimeout(() => element.classList.remove("changed"), GLOW_MS);
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    later("rest", REST_AFTER_HIDDEN_MS, () => {
      for (const name of Object.keys(timers)) stop(name);
      socket?.close();
    });
    return;
  }
  stop("rest");
  if (document.documentElement.dataset.link !== "gone") connect();
});
addEventListener("pagehide", () => socket?.close());
document.addEventListener("htmx:afterSettle", () => socket?.readyState === WebSocket.OPEN && watch());

if (panels().length) connect();
