// The tab's own part of phichat serve: its name, pictures that are dropped, pasted or picked, and
// the way back to an app whose socket was lost. Runs before textual.js connects.
"use strict";

(() => {
  const RETRY_MS = 1000, SAID_MS = 20000;
  let saidUntil;

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

  // Our own server says why in plain text; a proxy in front of it has a page of its own.
  async function refusal(answer, file) {
    if (answer.headers.get("Content-Type")?.startsWith("text/plain")) return answer.text();
    if (answer.status !== 413) return `${file.name} could not be sent: the proxy in front of phichat says ${answer.status}.`;
    const size = (file.size / 1e6).toFixed(1);
    return `The proxy in front of phichat refuses files as large as ${file.name} (${size} MB): raise its limit, or shrink the file.`;
  }

  async function upload(files) {
    const refused = [];
    for (const file of files) {
      say(`Sending ${file.name} …`);
      try {
        const answer = await fetch(address(`upload/${tab}?name=${encodeURIComponent(file.name)}`), {
          method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" },
        });
        if (!answer.ok) refused.push(await refusal(answer, file));
      } catch {
        refused.push(`${file.name} could not be sent: try again.`);
      }
    }
    say(refused.join(" "));
    clearTimeout(saidUntil);
    saidUntil = setTimeout(say, SAID_MS, "");
    input()?.focus();
  }

  // Pictures over the cells that name them (tui/terminal/graphics.py, page_rows), painted after each of the
  // terminal's own paints, so that they scroll and are covered like text.
  const FIRST_COLUMN = 0x100000, MOST_KEPT = 64;

  function runs(terminal, y) {
    const line = terminal.buffer.active.getLine(terminal.buffer.active.viewportY + y);
    const found = [];
    for (let x = 0; line && x < terminal.cols; x++) {
      const cell = line.getCell(x);
      const column = (cell.getChars().codePointAt(0) ?? 0) - FIRST_COLUMN;
      if (column < 0 || !cell.isFgRGB() || !cell.isBgRGB()) continue;
      const [id, code] = [cell.getFgColor(), cell.getBgColor()];
      const [row, rows, columns] = [code >> 16, (code >> 8) & 255, code & 255];
      if (row >= rows || column >= columns) continue;
      found.push({ id, x, y, left: x - column, top: y - row, rows, columns });
    }
    return found;
  }

  function showPictures(terminal) {
    const screen = terminal.element.querySelector(".xterm-screen");
    const canvas = document.createElement("canvas");
    const cells = [], images = new Map();
    let isEmpty = true;
    canvas.className = "pictures";
    screen.append(canvas);

    function load(id) {
      const image = new Image();
      images.set(id, image);
      image.onload = paint;
      image.onerror = () => images.delete(id); // the connection is lost: asked for at the next paint
      image.src = address(`picture/${tab}/${id}`);
    }

    function paint() {
      const all = cells.flat();
      if (isEmpty && !all.length) return;
      isEmpty = !all.length;
      const box = screen.getBoundingClientRect();
      const w = Math.round((box.width * devicePixelRatio) / terminal.cols);
      const h = Math.round((box.height * devicePixelRatio) / terminal.rows);
      [canvas.width, canvas.height] = [w * terminal.cols, h * terminal.rows]; // clears it
      const context = canvas.getContext("2d");
      context.imageSmoothingQuality = "high";
      const placed = new Map();
      for (const cell of all) {
        const key = `${cell.id} ${cell.left} ${cell.top}`;
        if (!placed.has(key)) placed.set(key, { ...cell, path: new Path2D() });
        placed.get(key).path.rect(cell.x * w, cell.y * h, w, h);
      }
      for (const { id, left, top, rows, columns, path } of placed.values()) {
        if (!images.has(id)) load(id);
        context.save();
        context.clip(path);
        if (images.get(id).naturalWidth) context.drawImage(images.get(id), left * w, top * h, columns * w, rows * h);
        context.restore();
      }
      for (const id of [...images.keys()].slice(0, -MOST_KEPT)) {
        if (!all.some((cell) => cell.id === id)) images.delete(id);
      }
    }

    terminal.onRender(({ start, end }) => {
      cells.length = terminal.rows;
      for (let y = start; y <= end; y++) cells[y] = runs(terminal, y);
      paint();
    });
    const box = screen.getBoundingClientRect();
    const pixels = [box.width / terminal.cols, box.height / terminal.rows];
    return pixels.map((one) => Math.round(one * devicePixelRatio)).join("x");
  }

  let wasOpened = false;

  // The terminal is there when its script opens the socket: the address says that pictures are drawn, and how large.
  window.WebSocket = class extends WebSocket {
    constructor(url) {
      const { terminal } = document.querySelector("#terminal");
      super(terminal ? `${url}&cell=${showPictures(terminal)}` : url);
      this.addEventListener("open", () => {
        wasOpened = true;
      });
    }
  };

  // The app ended, or the socket was lost: the page is loaded again as soon as the app can be had. A server that
  // was started again knows this browser no longer (403), and says what to do; a proxy answers while it is away.
  async function closed() {
    const status = await fetch(address(`alive/${tab}`)).then((answer) => answer.status, () => 0);
    if (status === 204 || status === 403) return location.reload();
    if (status === 200) return document.body.classList.add(wasOpened ? "-ended" : "-shut");
    document.body.classList.add("-lost");
    setTimeout(closed, RETRY_MS);
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
