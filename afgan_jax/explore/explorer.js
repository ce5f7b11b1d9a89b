// One ES module: `mount` draws the controls, a transport brings pictures.
//
// A transport has ask(asked, given) -> Promise of {said, bytes}, of answers.py; it may be
// refused, with an error whose `lost` says that asking again may help. start: what of a
// view to begin with, watch(told) calls told(start) whenever that changes, and
// keep(view) hears what is shown.

const STYLE = `
.afgan { font: 14px/1.4 system-ui, sans-serif; color: #222; background: #fff;
  display: flex; flex-wrap: wrap; gap: 16px; padding: 12px; }
.afgan canvas { width: min(100%, 512px); height: auto; border: 1px solid #999;
  cursor: grab; touch-action: none; display: block; }
.afgan canvas.squares { image-rendering: pixelated; }
.afgan .picture { flex: 1 1 256px; max-width: 512px; }
.afgan .wide { max-width: 1024px; }
.afgan .wide canvas { width: min(100%, 1024px); }
.afgan .controls { flex: 1 1 280px; max-width: 420px; }
.afgan label { display: grid; grid-template-columns: 7.5em 1fr 5em; gap: 8px;
  align-items: center; margin: 3px 0; }
.afgan label[hidden] { display: none; }
.afgan fieldset { border: 1px solid #ccc; margin: 0 0 8px; padding: 4px 10px; }
.afgan input[type=range], .afgan select { width: 100%; min-width: 0; }
.afgan input[type=number] { width: 100%; min-width: 0; box-sizing: border-box; }
.afgan input[type=checkbox] { justify-self: start; }
.afgan output { font-variant-numeric: tabular-nums; text-align: right; }
.afgan .status { font: 12px ui-monospace, monospace; min-height: 1.4em; }
.afgan .error { color: #a00; min-height: 1.4em; }
.afgan button { margin: 2px 6px 2px 0; }
`;

// name: [label, least, most, step, start, group]
const SLIDERS = {
  psi: ["psi", -1, 2, 0.01, 0.7, "Latent"],
  rotate: ["rotate, degrees", -180, 180, 0.5, 0, "Motion"],
  tx: ["move right", -0.5, 0.5, 0.001, 0, "Motion"],
  ty: ["move down", -0.5, 0.5, 0.001, 0, "Motion"],
  zoom: ["zoom", 0.25, 4, 0.01, 1, "Motion"],
  beta: ["window's beta", 0, 16, 0.5, 8, "What is shown"],
};
const AGAIN = 1000; // milliseconds until what is lost is asked for again

const make = (kind, given = {}, ...inside) => {
  const element = Object.assign(document.createElement(kind), given);
  element.append(...inside);
  return element;
};

export async function mount(el, transport) {
  const state = { x: 0, y: 0 };
  const canvas = make("canvas", { width: 1, height: 1, tabIndex: 0 });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label",
    "The picture. Drag it, or use the arrow keys, to move from seed to seed.");
  const status = make("div", { className: "status" });
  status.setAttribute("aria-live", "polite");
  const decibels = make("div", { className: "status decibels" });
  decibels.setAttribute("aria-live", "polite");
  const error = make("div", { className: "error" });
  error.setAttribute("role", "alert");
  const picture = make("div", { className: "picture" }, canvas, status, decibels, error);
  const controls = make("div", { className: "controls" });
  const root = make("div", { className: "afgan" }, make("style", { textContent: STYLE }),
    picture, controls);
  el.replaceChildren(root);

  // One request under way, and the newest wins: no queue builds up.
  let busy = false, waiting = false, seq = 0, later = 0;
  const times = [];
  async function want() {
    if (busy) { waiting = true; return; }
    busy = true;
    root.setAttribute("aria-busy", "true");
    clearTimeout(later);
    do {
      waiting = false;
      const sent = performance.now();
      try {
        await show(await transport.ask("frame", { ...state, seq: ++seq }), sent);
        transport.keep?.(state);
        error.textContent = "";
      } catch (problem) {
        told(problem);
        if (problem.lost) later = setTimeout(want, AGAIN);
      }
    } while (waiting);
    busy = false;
    root.setAttribute("aria-busy", "false");
  }

  async function show({ said, bytes }, sent) {
    const { w, h } = said;
    const image = await DECODED[said.encoding](bytes, w, h);
    if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
    canvas.getContext("2d").drawImage(image, 0, 0);
    picture.classList.toggle("wide", state.filters === "both");
    const now = performance.now();
    times.push(now);
    while (times.length > 30) times.shift();
    const rate = times.length > 1 ? 1000 * (times.length - 1) / (now - times[0]) : 0;
    status.textContent = `${w}x${h}, seed ${place()}, ${rate.toFixed(1)} frames/s, ` +
      `drawn in ${said.ms.toFixed(1)} ms, here in ${(now - sent).toFixed(1)} ms`;
    decibels.textContent = inWords(said.decibels);
    root.dispatchEvent(new CustomEvent("frame", { bubbles: true, detail:
      { seq: said.seq, trip: now - sent, ms: said.ms } }));
  }

  function inWords(measured) { // {filters: {kind: dB}}
    if (!measured) return "";
    const each = Object.entries(measured).map(([filters, found]) => `filters ${filters}: ` +
      (Object.entries(found).map(([kind, dB]) => `${kind} ${dB.toFixed(1)} dB`).join(", ")
        || "turn or move the image"));
    return each.join("; ");
  }

  const place = () => {
    if (state.held) return "none, but w given";
    const [x, y] = [state.x, state.y].map((v) => Math.round(v * 100) / 100);
    return Number.isInteger(x) && Number.isInteger(y) ? String(x + 100 * y) : `at ${x}, ${y}`;
  };

  // Dragging moves over the lattice of seeds.
  let from = null;
  const move = (dx, dy) => {
    state.x -= dx; state.y -= dy;
    seed.sync(); fields.held.set(false);
    want();
  };
  canvas.addEventListener("pointerdown", (event) => {
    from = [event.clientX, event.clientY];
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!from) return;
    move((event.clientX - from[0]) / 160, (event.clientY - from[1]) / 160);
    from = [event.clientX, event.clientY];
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, () => (from = null));
  }
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [0.1, 0], ArrowRight: [-0.1, 0], ArrowUp: [0, 0.1],
      ArrowDown: [0, -0.1] }[event.key];
    if (step) { event.preventDefault(); move(...step); }
  });

  const groups = {}, fields = {}; // set(value) of each, by name
  const group = (name) => groups[name] ??= controls.appendChild(
    make("fieldset", {}, make("legend", { textContent: name })));

  function row(name, words, input, output = "") {
    input.name = name;
    fields[name] = { set: (value) => { input.value = value; } };
    const shown = make("output", { textContent: output });
    const label = make("label", {}, make("span", { textContent: words }), input, shown);
    return { label, shown };
  }

  const seed = {
    input: make("input", { type: "number", min: 0, step: 1, value: 0 }),
    sync() { this.input.value = Math.round(state.x + 100 * Math.round(state.y)); },
  };
  group("Latent").append(row("seed", "seed", seed.input).label);
  seed.input.addEventListener("change", () => {
    const number = Math.max(0, Math.trunc(Number(seed.input.value)) || 0);
    state.x = number % 100; state.y = Math.floor(number / 100);
    fields.held.set(false);
    want();
  });

  const sliders = {};
  for (const [name, [words, min, max, step, start, where]] of Object.entries(SLIDERS)) {
    const input = make("input", { type: "range", min, max, step });
    const { label, shown } = row(name, words, input);
    const set = (value) => {
      input.value = value; state[name] = Number(input.value);
      shown.textContent = Number(input.value).toFixed(step < 0.01 ? 3 : 2);
    };
    input.addEventListener("input", () => { set(input.value); want(); });
    set(start);
    fields[name] = { set };
    sliders[name] = { input, label, set, start };
    group(where).append(label);
  }
  group("Motion").append(make("button", { type: "button", textContent: "as it was",
    onclick: () => {
      for (const { set, start } of Object.values(sliders)) set(start);
      want();
    } }));

  function menu(name, words, where, choices, changed = want) {
    const input = make("select", {}, ...choices.map(([value, text]) =>
      make("option", { value, textContent: text })));
    const { label } = row(name, words, input);
    const set = (value) => { // what this model does not have is left
      if (choices.some(([known]) => known === String(value))) {
        input.value = state[name] = String(value);
      }
    };
    input.addEventListener("change", () => { set(input.value); changed(); });
    set(choices[0]?.[0]);
    fields[name] = { set };
    group(where).append(label);
    return { input, label };
  }

  // changed(checked), if it is no part of a view by its own name.
  function box(name, words, where, changed) {
    const input = make("input", { type: "checkbox" });
    const { label } = row(name, words, input);
    const set = (value) => {
      input.checked = Boolean(value);
      if (changed) changed(input.checked);
      else state[name] = input.checked;
    };
    input.addEventListener("change", () => { set(input.checked); want(); });
    set(false);
    fields[name] = { set };
    group(where).append(label);
    return { input, label };
  }

  // What of a view is given, in the controls and in what is asked for.
  function take(given) {
    for (const [name, value] of Object.entries(given)) {
      if (name === "mix" && Array.isArray(value)) continue; // no entry of the menu
      if (fields[name]) fields[name].set(value);
      else state[name] = value;
    }
    seed.sync();
  }

  let own = []; // controls of one model
  let about = { can_move: true };
  async function open() {
    for (const label of own) label.remove();
    own = [];
    for (const name of ["label", "layer", "mix", "mix_x", "mix_y"]) delete state[name];
    about = (await transport.ask("about", { model: state.model })).said;
    const add = (control) => { own.push(control.label); return control; };
    if (about.classes.length) {
      add(menu("label", "class", "Latent",
        about.classes.map((text, i) => [String(i), text])));
    }
    const fine = about.rows.map((name, i) => [`${i}-${about.rows.length - 1}`,
      `${name} and finer`]).slice(1);
    add(menu("mix", "mixed layers", "Latent", [["", "none"], ...fine]));
    const other = make("input", { type: "number", min: 0, step: 1, value: 1 });
    const mixed = row("mix_seed", "of seed", other);
    other.addEventListener("change", () => {
      const number = Math.max(0, Math.trunc(Number(other.value)) || 0);
      state.mix_x = number % 100; state.mix_y = Math.floor(number / 100);
      want();
    });
    group("Latent").append(mixed.label);
    own.push(mixed.label);
    const layer = add(menu("layer", "layer", "What is shown",
      [["", "the image"], ...about.layers.map((name) => [name, name])]));
    groups["What is shown"].querySelector("legend").after(layer.label);
    for (const name of ["rotate", "tx", "ty", "zoom"]) {
      sliders[name].input.disabled = !about.can_move;
      if (!about.can_move) sliders[name].set(sliders[name].start);
    }
    for (const [{ input }, still] of [[filters, "on"], [undo, false], [measure, false]]) {
      input.disabled = !about.can_move;
      if (!about.can_move) fields[input.name].set(still);
    }
    holding(about.held);
  }

  const channels = [["-1", "first three"],
    ...Array.from({ length: 16 }, (_, i) => [String(i), `channel ${i}`])];
  menu("channel", "channel", "What is shown", channels);
  menu("kind", "as", "What is shown",
    [["image", "a picture"], ["spectrum", "power spectrum, dB"]]);
  const filters = menu("filters", "low-pass filters", "What is shown",
    [["on", "on"], ["off", "off"], ["both", "on and off"]]);
  const undo = box("untransform", "undo the motion", "What is shown");
  const measure = box("equivariance", "measure EQ", "What is shown");
  const held = box("held", "w as given", "Latent");
  function holding(has) {
    held.label.hidden = !has;
    fields.held.set(has);
  }
  box("compressed", "send as JPEG", "What is shown",
    (yes) => { state.encoding = yes ? "jpeg" : "raw"; });
  fields.encoding = { set: (value) => fields.compressed.set(value === "jpeg") };
  box("squares", "pixels as squares", "What is shown",
    (yes) => canvas.classList.toggle("squares", yes));
  const { models } = (await transport.ask("models", {})).said;
  const choice = menu("model", "model", "Model", models.map((name) => [name, name]),
    () => anew({}));
  controls.prepend(groups["Model"]);
  choice.label.hidden = models.length < 2;
  groups["Model"].append(
    make("button", { type: "button", textContent: "save as PNG",
      onclick: () => canvas.toBlob((blob) => save(blob, "view.png")) }),
    make("button", { type: "button", textContent: "save w", onclick: () =>
      transport.ask("ws", state).then(
        ({ said, bytes }) => save(new Blob([bytes]), said.name), told) }));

  function told(problem) { error.textContent = problem.message; }
  async function anew(start) { // the model's controls, and a picture
    try {
      await open();
      take(start);
    } catch (problem) {
      told(problem);
    }
    want();
  }
  const start = transport.start ?? {};
  if (start.model) fields.model.set(start.model);
  await anew(start);
  transport.watch?.((given) => {
    if (given.held) holding(true);
    take(given);
    want();
  });
  return { state, want, root };
}

const DECODED = { // bytes -> what a canvas draws
  raw(bytes, w, h) {
    const image = new ImageData(w, h), out = image.data;
    for (let i = 0, j = 0; j < out.length; i += 3, j += 4) {
      out[j] = bytes[i]; out[j + 1] = bytes[i + 1]; out[j + 2] = bytes[i + 2];
      out[j + 3] = 255;
    }
    return createImageBitmap(image);
  },
  jpeg: (bytes) => createImageBitmap(new Blob([bytes], { type: "image/jpeg" })),
};

function save(blob, name) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

const lost = (message) => Object.assign(new Error(message), { lost: true });

// The page of `afgan_jax view`: one kept-alive request a picture.
export function overHttp() {
  const shown = "view"; // what sessionStorage calls it
  function taken() { // of the address, where a browser does not send it, and out of sight
    const given = new URLSearchParams(location.hash.slice(1)).get("token");
    if (!given) return false;
    sessionStorage.setItem("token", given);
    history.replaceState(null, "", location.pathname);
    return true;
  }
  taken();
  return {
    async ask(asked, given) {
      const token = sessionStorage.getItem("token") ?? "";
      let answer;
      try {
        answer = await fetch(`${asked}?${new URLSearchParams(given)}`,
          { headers: { Authorization: `token ${token}` } });
      } catch {
        throw lost("there is no answer: is `afgan_jax view` still running?");
      }
      if (!answer.ok) throw new Error((await answer.json()).error);
      const said = answer.headers.get("X-Said");
      if (!said) return { said: await answer.json() };
      return { said: JSON.parse(said), bytes: new Uint8Array(await answer.arrayBuffer()) };
    },
    start: JSON.parse(sessionStorage.getItem(shown) ?? "{}"),
    keep: (view) => sessionStorage.setItem(shown, JSON.stringify(view)),
    // The URL of a server that was started anew, opened in the same tab.
    watch: (told) => addEventListener("hashchange", () => taken() && told({})),
  };
}

// In a notebook: messages over the kernel's connection, by numbers.
export function overKernel(model) {
  const start = () => { // without the number of the change
    const { given, ...view } = model.get("_start");
    return view;
  };
  const asked = new Map();
  let number = 0;
  // A DataView in Jupyter and VS Code, a Uint8Array in Colab.
  const bytesOf = (buffer) => buffer instanceof ArrayBuffer ? new Uint8Array(buffer)
    : new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  const heard = (message, buffers) => {
    const waiting = asked.get(message.id);
    if (!waiting) return;
    asked.delete(message.id);
    if (message.error) waiting.reject(new Error(message.error));
    else waiting.resolve({ said: message.said, bytes: buffers?.[0] && bytesOf(buffers[0]) });
  };
  model.on("msg:custom", heard);
  return {
    ask: (what, given) => new Promise((resolve, reject) => {
      const id = ++number;
      asked.set(id, { resolve, reject });
      model.send({ id, asked: what, given });
    }),
    start: start(),
    watch: (told) => model.on("change:_start", () => told(start())),
    close: () => model.off("msg:custom", heard),
  };
}

export default {
  render({ model, el }) {
    const transport = overKernel(model);
    mount(el, transport).catch((problem) => { el.textContent = problem.message; });
    return transport.close;
  },
};

const app = globalThis.document?.getElementById("app");
if (app) {
  mount(app, overHttp()).catch((problem) => { app.textContent = problem.message; });
}
