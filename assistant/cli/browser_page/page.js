// The tab's own part of phichat serve: its name, pictures that are dropped, pasted or picked, and
// the way back to an app whose socket was lost. Runs before textual.js connects.
"use strict";

(() => {
  const RETRY_MS = 1000;

  // A reload keeps the name, a new tab has none. A copy of a tab would have its name: the newest shows the app.
  let tab = sessionStorage.getItem("phichat-tab");
  if (!tab) {
    tab = Array.from(crypto.getRandomValues(new Uint8Array(16)), (n) => n.toString(16).padStart(2, "0")).join("");
    sessionStorage.setItem("phichat-tab", tab);
  }

  const address = (path) => new URL(path, document.baseURI.replace(/[^/]*(\?.*)?(#.*)?$/, "")).href;
  const input = () => document.querySelector(".xterm-helper-textarea");
  const say = (words) => {
    document.querySelector(".said").textContent = words;
  };

  async function upload(files) {
    for (const file of files) {
      say(`Sending ${file.name} …`);
      try {
        const answer = await fetch(address(`upload/${tab}?name=${encodeURIComponent(file.name)}`), {
          method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" },
        });
        say(answer.ok ? "" : await answer.text());
      } catch {
        say("The picture could not be sent: try again.");
      }
    }
    input()?.focus();
  }

  // The app ended, or the socket was lost: the page is loaded again as soon as the app can be had.
  async function closed() {
    try {
      const answer = await fetch(address(`alive/${tab}`));
      if (answer.status === 204) return location.reload();
      document.body.classList.add("-ended");
    } catch {
      document.body.classList.add("-lost");
      setTimeout(closed, RETRY_MS);
    }
  }

  addEventListener("DOMContentLoaded", () => {
    const terminal = document.querySelector("#terminal");
    terminal.dataset.sessionWebsocketUrl = address(`ws/${tab}`).replace(/^http/, "ws");
    const picker = document.querySelector("#pictures");
    document.querySelector("#attach").addEventListener("click", () => picker.click());
    picker.addEventListener("change", () => {
      upload([...picker.files]);
      picker.value = "";
    });
    new MutationObserver((_, observer) => {
      const classes = document.body.classList;
      if (classes.contains("-first-byte") && !classes.contains("-focused")) {
        classes.add("-focused");
        input()?.focus();
      }
      if (classes.contains("-closed")) {
        observer.disconnect();
        closed();
      }
    }).observe(document.body, { attributes: true, attributeFilter: ["class"] });
  });

  // Capture: before the terminal, which would send ctrl+v as a key and paste nothing.
  addEventListener("keydown", (event) => {
    const isPaste = (event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "v";
    if (isPaste) event.stopImmediatePropagation();
  }, true);
  addEventListener("paste", (event) => {
    const files = [...event.clipboardData.files];
    if (!files.length) return; // text: the terminal pastes it
    event.preventDefault();
    event.stopImmediatePropagation();
    upload(files);
  }, true);
  for (const name of ["dragover", "drop"]) {
    addEventListener(name, (event) => event.preventDefault(), true);
  }
  addEventListener("drop", (event) => {
    const files = [...event.dataTransfer.files];
    if (files.length) upload(files);
  }, true);
})();
