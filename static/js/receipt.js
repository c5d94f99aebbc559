// Checks a receipt again in the browser: writes the document canonically (RFC 8785; the values are integers, texts,
// lists and objects), computes its digest, and verifies the Ed25519 signature with the node's public key.

const text = new TextEncoder();

/** The canonical JSON of a document without fractions. */
export function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value && typeof value === "object") {
    return `{${Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join(",")}}`;
  }
  return JSON.stringify(value);
}

function bytesOf(base64url) {
  const binary = atob(base64url.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (letter) => letter.charCodeAt(0));
}

/** Whether digest and signature are right. Throws where the browser cannot tell. */
export async function isRight(proof) {
  const body = canonical(proof.receipt);
  const sum = new Uint8Array(await crypto.subtle.digest("SHA-256", text.encode(body)));
  const digest = `sha256:${[...sum].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  const raw = bytesOf(proof.public_key.replace(/^ed25519:/, ""));
  const key = await crypto.subtle.importKey("raw", raw, { name: "Ed25519" }, false, ["verify"]);
  const signed = text.encode(`opengrid-v1\nreceipt\n${body}`);
  const isSigned = await crypto.subtle.verify({ name: "Ed25519" }, key, bytesOf(proof.signature), signed);
  return isSigned && digest === proof.digest;
}

async function check() {
  const place = document.querySelector("[data-verify]:empty");
  const proof = document.getElementById("receipt-proof");
  if (!place || !proof) return;
  let verdict = "cannot";
  if (globalThis.crypto?.subtle) {
    try {
      verdict = (await isRight(JSON.parse(proof.textContent))) ? "good" : "bad";
    } catch (error) {
      if (!["NotSupportedError", "DataError", "OperationError", "InvalidCharacterError"].includes(error.name)) throw error;
      verdict = error.name === "NotSupportedError" ? "cannot" : "bad";
    }
  }
  place.textContent = place.dataset[verdict];
  place.dataset.verdict = verdict;
}

document.addEventListener("htmx:afterSettle", check);
check();
