// Draws a job's strip: one cell per task (or run of tasks), each state with a shape of its own, as one SVG path per
// state, so that ten thousand cells cost six elements and the colours come from the style sheet. Pointing at a cell,
// or moving the slider below, asks the server who ran that task.

const NS = "http://www.w3.org/2000/svg";
const STATES = { w: "waiting", r: "running", c: "checking", a: "accepted", f: "failed", x: "cancelled" };
const PITCHES = [16, 14, 12, 10, 9, 8, 7, 6, 5, 4, 3, 2];
const ASK_AFTER_MS = 90;

/** The letters of a text of runs: "3awr" is "aaawr". */
export function lettersOf(runs) {
  return runs.replace(/(\d+)([a-z])/g, (_, number, letter) => letter.repeat(Number(number)));
}

/** The largest pitch at which so many cells fit into the room, and how many stand in a row. */
export function pitchFor(cells, width, height) {
  for (const pitch of PITCHES) {
    const columns = Math.floor(width / pitch);
    if (columns && Math.ceil(cells / columns) * pitch <= height) return { pitch, columns };
  }
  return { pitch: 1, columns: Math.max(1, Math.floor(width)) };
}

/** The outline of one cell of side `s` with its corner at x, y. */
function outline(letter, x, y, s) {
  const box = (a, b, w, h) => `M${x + a} ${y + b}h${w}v${h}h${-w}z`;
  if (s < 4) return letter === "w" ? box(0, s - 1, s, 1) : box(0, 0, s, s);
  const third = s / 3;
  switch (letter) {
    case "w":
      return box(third, third, third, third);
    case "r":
      return `M${x} ${y}v${s}h${s}z`;
    case "c":
      return box(0, 0, third, s) + box(2 * third, 0, third, s);
    case "f": {
      const t = s / 4;
      return `M${x} ${y}h${t}l${s - t} ${s - t}v${t}h${-t}l${t - s} ${t - s}z M${x + s} ${y}v${t}l${t - s} ${s - t}h${-t}v${-t}l${s - t} ${t - s}z`;
    }
    case "x":
      return box(0, third, s, third);
    default:
      return box(0, 0, s, s);
  }
}

class Strip {
  constructor(figure) {
    this.figure = figure;
    this.svg = figure.querySelector("svg");
    this.look = figure.parentElement.querySelector(".strip-look");
    this.slider = this.look.querySelector("input");
    this.detail = this.look.querySelector(".strip-detail");
    this.paths = Object.fromEntries(Object.entries(STATES).map(([letter, state]) => [letter, this.#element("path", `is-${state}`)]));
    this.mark = this.#element("rect", "strip-mark");
    this.mark.setAttribute("visibility", "hidden");
    this.svg.addEventListener("pointermove", (event) => this.#point(event));
    this.svg.addEventListener("pointerdown", (event) => this.#point(event));
    this.slider.addEventListener("input", () => this.#choose(Number(this.slider.value)));
    new ResizeObserver(() => this.draw()).observe(this.figure);
  }

  #element(name, css) {
    const element = document.createElementNS(NS, name);
    element.setAttribute("class", css);
    this.svg.append(element);
    return element;
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.figure;
    const key = `${this.figure.dataset.strip} ${width} ${height}`;
    if (!width || key === this.drawn) return;
    this.drawn = key;
    const letters = lettersOf(this.figure.dataset.strip);
    const { pitch, columns } = pitchFor(Math.max(letters.length, 1), width, height);
    Object.assign(this, { pitch, columns, cells: letters.length });
    const side = pitch > 5 ? pitch - 2 : pitch - (pitch > 2 ? 1 : 0.5);
    const drawn = Object.fromEntries(Object.keys(STATES).map((letter) => [letter, []]));
    for (let index = 0; index < letters.length; index++) {
      const [x, y] = this.#corner(index);
      drawn[letters[index]].push(outline(letters[index], x, y, side));
    }
    for (const [letter, path] of Object.entries(this.paths)) path.setAttribute("d", drawn[letter].join(""));
    this.#place();
  }

  #corner(index) {
    return [(index % this.columns) * this.pitch, Math.floor(index / this.columns) * this.pitch];
  }

  #point(event) {
    const box = this.svg.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left) / this.pitch);
    const cell = Math.floor((event.clientY - box.top) / this.pitch) * this.columns + column;
    if (column < 0 || column >= this.columns || cell < 0 || cell >= this.cells) return;
    const task = cell * Number(this.figure.dataset.perCell);
    if (task === this.task) return;
    this.slider.value = task;
    this.#choose(task);
  }

  #choose(task) {
    this.task = task;
    this.#place();
    clearTimeout(this.asking);
    this.asking = setTimeout(() => this.#ask(task), ASK_AFTER_MS);
  }

  #place() {
    if (this.task === undefined) return;
    const [x, y] = this.#corner(Math.floor(this.task / Number(this.figure.dataset.perCell)));
    const place = { x: x - 1.5, y: y - 1.5, width: this.pitch + 1, height: this.pitch + 1, visibility: "visible" };
    for (const [name, value] of Object.entries(place)) this.mark.setAttribute(name, value);
  }

  async #ask(task) {
    const answer = await fetch(this.figure.dataset.task.replace(/0\/$/, `${task}/`)).catch(() => null);
    if (!answer?.ok || task !== this.task) return;
    const html = await answer.text();
    this.detail.replaceChildren(...new DOMParser().parseFromString(html, "text/html").body.childNodes);
  }
}

const strips = new Map();

function refresh() {
  for (const figure of document.querySelectorAll("figure[data-strip]")) {
    if (!strips.has(figure)) strips.set(figure, new Strip(figure));
    strips.get(figure).draw();
  }
}

document.addEventListener("panel:shown", refresh);
refresh();
