// Small manners of every page: relative times that keep moving, copying, the theme, menus, selects that submit.

const words = document.getElementById("words").dataset;
const skew = Date.now() - Date.parse(words.now);
const STEPS = [[60, 1, "s"], [3_600, 60, "min"], [172_800, 3_600, "h"], [Infinity, 86_400, "d"]];

function relative(moment) {
  const seconds = Math.round((Date.now() - skew - Date.parse(moment)) / 1000);
  const size = Math.abs(seconds);
  const [, unit, name] = STEPS.find(([limit]) => size < limit);
  const text = seconds >= 0 ? words[`${name}Ago`] : words[`${name}Ahead`];
  return text.replace("%n", Math.floor(size / unit));
}

function refreshTimes() {
  for (const time of document.querySelectorAll("time[data-relative]")) {
    const text = relative(time.dateTime);
    if (time.textContent !== text) time.textContent = text;
  }
}

setInterval(() => document.hidden || refreshTimes(), 1_000);
document.addEventListener("panel:shown", refreshTimes);

/** What scrolls sideways can be scrolled by keyboard. */
function openToKeyboard() {
  for (const area of document.querySelectorAll(".scroll:not([tabindex])")) {
    if (area.scrollWidth > area.clientWidth) area.tabIndex = 0;
  }
}

openToKeyboard();
addEventListener("resize", openToKeyboard);
document.addEventListener("panel:shown", openToKeyboard);

document.addEventListener("click", async (event) => {
  const copy = event.target.closest("[data-copy]");
  if (copy) {
    await toClipboard(copy.dataset.copy);
    copy.classList.add("is-done");
    copy.setAttribute("aria-label", words.copied);
    setTimeout(() => copy.classList.remove("is-done"), 1_500);
  }
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

async function toClipboard(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = document.createElement("textarea"); // plain http on a local network has no clipboard object
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

document.addEventListener("change", (event) => {
  if (event.target.matches("select[data-submits]")) event.target.form.requestSubmit();
});

for (const group of document.querySelectorAll("[data-theme-switch]")) {
  group.hidden = false;
  const mark = () => {
    const chosen = localStorage.getItem("theme") ?? "";
    for (const button of group.children) button.setAttribute("aria-pressed", String(button.value === chosen));
  };
  group.addEventListener("click", ({ target }) => {
    if (!target.matches("button")) return;
    if (target.value) {
      localStorage.setItem("theme", target.value);
      document.documentElement.dataset.theme = target.value;
    } else {
      localStorage.removeItem("theme");
      delete document.documentElement.dataset.theme;
    }
    mark();
  });
  mark();
}
