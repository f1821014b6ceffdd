// Passkeys: asks our server what to ask the authenticator, asks it, and sends the form with what it answers.
"use strict";
(() => {
  const form = document.querySelector("form[data-passkey]");
  if (!form) return;
  const part = (name) => form.querySelector(`[data-passkey-${name}]`);
  const [offer, button, failed, unknown] = ["offer", "button", "failed", "unknown"].map(part);
  const credentials = window.PublicKeyCredential && navigator.credentials;
  if (!credentials) {
    if (unknown) unknown.hidden = false;
    return;
  }

  const toBytes = (text) =>
    Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
  const toText = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

  // The members that travel as text are bytes to the browser.
  const readOptions = (options) => {
    options.challenge = toBytes(options.challenge);
    if (options.user) options.user.id = toBytes(options.user.id);
    for (const list of ["allowCredentials", "excludeCredentials"]) {
      for (const one of options[list] || []) one.id = toBytes(one.id);
    }
    return options;
  };
  const writeAnswer = ({ id, type, response }) => {
    const written = {};
    for (const member of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
      if (response[member]) written[member] = toText(response[member]);
    }
    if (response.getTransports) written.transports = response.getTransports();
    return JSON.stringify({ id, type, response: written });
  };

  let waiting; // what the browser offers in the name's field meanwhile
  const ask = async (more) => {
    const given = await fetch(form.dataset.passkey, { cache: "no-store", credentials: "same-origin" });
    if (!given.ok) throw new Error(given.status);
    const { publicKey, ceremony } = await given.json();
    const request = { publicKey: readOptions(publicKey), ...more };
    const credential = await (publicKey.user ? credentials.create(request) : credentials.get(request));
    form.elements.ceremony.value = ceremony;
    form.elements.credential.value = writeAnswer(credential);
    HTMLFormElement.prototype.submit.call(form);
  };

  // A challenge is good for five minutes; one that waits is renewed before.
  const offerInField = async () => {
    const { isConditionalMediationAvailable } = window.PublicKeyCredential;
    if (!form.querySelector("[autocomplete~=webauthn]") || !isConditionalMediationAvailable) return;
    if (!(await isConditionalMediationAvailable.call(window.PublicKeyCredential))) return;
    const own = (waiting = new AbortController());
    const renewal = setTimeout(() => own.abort("renewed"), 240000);
    try {
      await ask({ mediation: "conditional", signal: own.signal });
    } catch {
      if (own.signal.reason === "renewed") offerInField();
    } finally {
      clearTimeout(renewal);
    }
  };

  button.addEventListener("click", async () => {
    // What is asked for beside the passkey must be there before.
    const required = [...form.elements].filter((field) => field.dataset.passkeyNeeds !== undefined);
    if (!required.every((field) => field.reportValidity())) return;
    failed.hidden = true;
    button.disabled = true;
    if (waiting) waiting.abort("asked for");
    try {
      await ask({});
    } catch {
      failed.hidden = false;
      button.disabled = false;
      offerInField();
    }
  });
  // Where a passkey is all that can be sent, the Enter key asks for one too.
  form.addEventListener("submit", (event) => {
    if (event.submitter || form.querySelector("button:not([type=button])")) return;
    event.preventDefault();
    button.click();
  });
  offer.hidden = false;
  offerInField();
})();
