// One ES module: `mount` draws the controls, a transport brings pictures.
//
// A transport has about(model) -> Promise of what renderer.about says, models ->
// [names], and frame(view) -> Promise of {header, bytes}, which may be refused.

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
  const error = make("div", { className: "error" });
  error.setAttribute("role", "alert");
  const picture = make("div", { className: "picture" }, canvas, status, error);
  const controls = make("div", { className: "controls" });
  const root = make("div", { className: "afgan" }, make("style", { textContent: STYLE }),
    picture, controls);
  el.replaceChildren(root);

  // One request under way, and the newest wins: no queue builds up.
  let busy = false, waiting = false, seq = 0;
  const times = [];
  async function want() {
    if (busy) { waiting = true; return; }
    busy = true;
    do {
      waiting = false;
      const sent = performance.now();
      try {
        show(await transport.frame({ ...state, seq: ++seq }), sent);
        error.textContent = "";
      } catch (problem) {
        error.textContent = problem.message;
      }
    } while (waiting);
    busy = false;
  }

  function show({ header, bytes }, sent) {
    const { w, h } = header;
    if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
    const image = new ImageData(w, h), out = image.data;
    for (let i = 0, j = 0; j < out.length; i += 3, j += 4) {
      out[j] = bytes[i]; out[j + 1] = bytes[i + 1]; out[j + 2] = bytes[i + 2];
      out[j + 3] = 255;
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
    picture.classList.toggle("wide", state.filters === "both");
    const now = performance.now();
    times.push(now);
    while (times.length > 30) times.shift();
    const rate = times.length > 1 ? 1000 * (times.length - 1) / (now - times[0]) : 0;
    status.textContent = `${w}x${h}, seed ${place()}, ${rate.toFixed(1)} frames/s, ` +
      `drawn in ${header.ms.toFixed(1)} ms, here in ${(now - sent).toFixed(1)} ms`;
    root.dispatchEvent(new CustomEvent("frame", { bubbles: true, detail:
      { seq: header.seq, trip: now - sent, ms: header.ms } }));
  }

  const place = () => {
    const [x, y] = [state.x, state.y].map((v) => Math.round(v * 100) / 100);
    return Number.isInteger(x) && Number.isInteger(y) ? String(x + 100 * y) : `at ${x}, ${y}`;
  };

  // Dragging moves over the lattice of seeds.
  let from = null;
  const move = (dx, dy) => { state.x -= dx; state.y -= dy; seed.sync(); want(); };
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

  const groups = {};
  const group = (name) => groups[name] ??= controls.appendChild(
    make("fieldset", {}, make("legend", { textContent: name })));

  function row(name, words, input, output = "") {
    input.name = name;
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
    input.addEventListener("change", () => { state[name] = input.value; changed(); });
    state[name] = choices[0]?.[0] ?? "";
    group(where).append(label);
    return { input, label };
  }

  function box(name, words, where) {
    const input = make("input", { type: "checkbox" });
    const { label } = row(name, words, input);
    group(where).append(label);
    return input;
  }

  let own = []; // controls of one model
  async function open() {
    for (const label of own) label.remove();
    own = [];
    for (const name of ["label", "layer", "mix", "mix_x"]) delete state[name];
    const about = await transport.about(state.model);
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
    filters.input.disabled = undo.disabled = !about.can_move;
    if (!about.can_move) {
      filters.input.value = state.filters = "on";
      undo.checked = false; state.untransform = false;
    }
    want();
  }

  const channels = [["-1", "first three"],
    ...Array.from({ length: 16 }, (_, i) => [String(i), `channel ${i}`])];
  menu("channel", "channel", "What is shown", channels);
  menu("kind", "as", "What is shown",
    [["image", "a picture"], ["spectrum", "power spectrum, dB"]]);
  const filters = menu("filters", "low-pass filters", "What is shown",
    [["on", "on"], ["off", "off"], ["both", "on and off"]]);
  const undo = box("untransform", "undo the motion", "What is shown");
  undo.addEventListener("change", () => { state.untransform = undo.checked; want(); });
  const squares = box("squares", "pixels as squares", "What is shown");
  squares.addEventListener("change", () =>
    canvas.classList.toggle("squares", squares.checked));
  const models = menu("model", "model", "Model",
    transport.models.map((name) => [name, name]), () => open().catch(told));
  controls.prepend(groups["Model"]);
  models.label.hidden = transport.models.length < 2;
  groups["Model"].append(make("button", { type: "button", textContent: "save as PNG",
    onclick: () => canvas.toBlob((blob) => {
      const link = make("a", { href: URL.createObjectURL(blob), download: "view.png" });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    }) }));

  const told = (problem) => { error.textContent = problem.message; };
  await open().catch(told);
  return { state, want, root };
}

// The page of `afgan_jax view`: one kept-alive request a picture.
export async function overHttp() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem("token", given);
    history.replaceState(null, "", location.pathname); // out of sight
  }
  const token = sessionStorage.getItem("token") ?? "";
  async function get(path, query) {
    let answer;
    try {
      answer = await fetch(`${path}?${new URLSearchParams(query)}`,
        { headers: { Authorization: `token ${token}` } });
    } catch {
      throw new Error("there is no answer: is `afgan_jax view` still running?");
    }
    if (!answer.ok) throw new Error((await answer.json()).error);
    return answer;
  }
  const { models } = await (await get("models", {})).json();
  return {
    models,
    about: async (model) => (await get("about", { model })).json(),
    frame: async (view) => {
      const answer = await get("frame", view);
      return { header: JSON.parse(answer.headers.get("X-Frame")),
        bytes: new Uint8Array(await answer.arrayBuffer()) };
    },
  };
}

const app = globalThis.document?.getElementById("app");
if (app) {
  overHttp().then((transport) => mount(app, transport)).catch((problem) => {
    app.textContent = problem.message;
  });
}
