// Keys that publishers sign with, made and kept in this browser. The private half is not extractable: it lies in
// IndexedDB as a handle that can sign and that no script can read. What is signed is `opengrid-v1 LF context LF bytes`.

const DATABASE = "commongrid";
const STORE = "publisher-keys";

function database() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function inStore(mode, act) {
  const opened = await database();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = opened.transaction(STORE, mode);
      const request = act(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onerror = transaction.onabort = () => reject(transaction.error);
    });
  } finally {
    opened.close();
  }
}

const keep = (publicText, key) => inStore("readwrite", (store) => store.put(key, publicText));
const held = (publicText) => inStore("readonly", (store) => store.get(publicText));

const base64url = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");

async function sign(key, context, text) {
  const bytes = new TextEncoder().encode(`opengrid-v1\n${context}\n${text}`);
  return base64url(await crypto.subtle.sign("Ed25519", key, bytes));
}

/** A new pair, or null where the browser or the address does not allow it. */
async function newPair() {
  if (!globalThis.crypto?.subtle || !globalThis.indexedDB) return null;
  try {
    return await crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"]);
  } catch (error) {
    if (error.name === "NotSupportedError") return null;
    throw error;
  }
}

function tell(error) {
  const place = document.getElementById("key-error");
  place.textContent = String(error?.message ?? error);
  place.hidden = false;
}

async function showKeys(section) {
  const form = document.getElementById("make-key");
  const able = Boolean(await newPair());
  form.hidden = !able;
  document.getElementById("no-keys-here").hidden = able;
  if (!able) return;
  for (const line of section.querySelectorAll("[data-key]")) {
    const badge = line.querySelector(".here");
    if (badge && (await held(line.dataset.key))) {
      badge.textContent = section.dataset.here;
      badge.hidden = false;
      const choice = document.querySelector(`[name=publisher_key] option[value="${line.dataset.key}"]`);
      if (choice) choice.selected = true;
    }
  }
  form.querySelector("button").addEventListener("click", () => makeKey(section, form).catch(tell));
}

async function makeKey(section, form) {
  const pair = await newPair();
  const publicText = `ed25519:${base64url(await crypto.subtle.exportKey("raw", pair.publicKey))}`;
  const document_ = `{"membership_id":${section.dataset.membership},"public_key":"${publicText}"}`;
  await keep(publicText, pair.privateKey);
  form.elements.public_key.value = publicText;
  form.elements.proof.value = await sign(pair.privateKey, section.dataset.context, document_);
  form.submit();
}

async function offerToSign(form) {
  const key = globalThis.crypto?.subtle && globalThis.indexedDB ? await held(form.dataset.key) : null;
  document.getElementById("not-here").hidden = Boolean(key);
  const place = document.getElementById("sign-here");
  place.hidden = !key;
  place.querySelector("button").addEventListener("click", async () => {
    try {
      form.elements.signature.value = await sign(key, form.dataset.context, form.elements.manifest.value);
      form.submit();
    } catch (error) {
      tell(error);
    }
  });
}

const section = document.getElementById("publisher-keys");
if (section) showKeys(section).catch(tell);
const form = document.getElementById("sign");
if (form) offerToSign(form).catch(tell);
