// Reads the header of the chosen .npy file in the browser, so that the estimate knows its rows before the upload.

const form = document.querySelector("form[enctype]");
const input = form?.elements.input;
const error = document.getElementById("array-error");
const shown = document.getElementById("array-shape");

/** The shape in a .npy header, or null for a file that is none. */
async function shapeOf(file) {
  const head = new Uint8Array(await file.slice(0, 4_200).arrayBuffer());
  const magic = String.fromCharCode(...head.slice(0, 6));
  if (magic !== "\x93NUMPY") return null;
  const view = new DataView(head.buffer);
  const wide = head[6] > 1;
  const length = wide ? view.getUint32(8, true) : view.getUint16(8, true);
  const text = new TextDecoder("latin1").decode(head.slice(wide ? 12 : 10, (wide ? 12 : 10) + length));
  const found = /'shape':\s*\(([0-9, ]*)\)/.exec(text);
  return found ? found[1].split(",").filter((part) => part.trim()).map(Number) : null;
}

/** The file's digest, or nothing where the browser cannot tell or the file is too large to read at once. */
async function digestOf(file) {
  if (!globalThis.crypto?.subtle || file.size > 256 * 1024 * 1024) return "";
  const sum = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
  return `sha256:${[...sum].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

const field = document.querySelector("[data-drop]");

for (const name of ["dragenter", "dragover"]) {
  field?.addEventListener(name, (event) => {
    event.preventDefault();
    field.classList.add("is-over");
  });
}
for (const name of ["dragleave", "drop"]) field?.addEventListener(name, () => field.classList.remove("is-over"));
field?.addEventListener("drop", (event) => {
  event.preventDefault();
  if (!event.dataTransfer.files.length) return;
  input.files = event.dataTransfer.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
});

input?.addEventListener("change", async () => {
  const [file] = input.files;
  const shape = file ? await shapeOf(file) : null;
  const isArray = Boolean(shape?.length && shape[0] > 0);
  error.hidden = !file || isArray;
  error.textContent = error.hidden ? "" : error.dataset.words;
  shown.textContent = isArray ? `${shape.join(" × ")}.` : "";
  form.elements.rows.value = isArray ? shape[0] : "";
  form.elements.file_name.value = file?.name ?? "";
  form.elements.size_bytes.value = file?.size ?? "";
  form.elements.digest.value = file ? await digestOf(file) : "";
  if (file && !form.elements.name.value) form.elements.name.value = file.name.replace(/\.npy$/, "");
  form.dispatchEvent(new Event("estimate"));
});
