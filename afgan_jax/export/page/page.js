// Draws images of model.js with onnxruntime-web, from any place, also from a disk:
// all files are scripts, since pages on a disk may fetch nothing.
"use strict";

const WANDER_MS = 3000; // from one seed to the next
const element = (id) => document.getElementById(id);
const { about, onnx } = globalThis.MODEL; // description, and the file in base64
const { module, binary } = globalThis.RUNTIME; // of onnxruntime-web, in base64
const zDim = about.inputs.z[1];
const canMove = "transform" in about.inputs;

function bytes(base64) {
  const text = atob(base64);
  return Uint8Array.from({ length: text.length }, (_, i) => text.charCodeAt(i));
}

// numpy.random.RandomState(seed).randn(count): MT19937 and the polar method.
function randn(seed, count) {
  const state = new Uint32Array(624);
  state[0] = seed;
  for (let i = 1; i < 624; i++) {
    const last = state[i - 1] ^ (state[i - 1] >>> 30);
    state[i] = Math.imul(1812433253, last) + i;
  }
  let at = 624;
  const next = () => {
    if (at === 624) {
      for (let i = 0; i < 624; i++) {
        const y = (state[i] & 0x80000000) | (state[(i + 1) % 624] & 0x7fffffff);
        state[i] = state[(i + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
      }
      at = 0;
    }
    let y = state[at++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  };
  const uniform = () => ((next() >>> 5) * 67108864 + (next() >>> 6)) / 2 ** 53;
  const found = new Float32Array(count);
  for (let i = 0; i < count; ) {
    let x, y, square;
    do {
      x = 2 * uniform() - 1;
      y = 2 * uniform() - 1;
      square = x * x + y * y;
    } while (square >= 1 || square === 0);
    const scale = Math.sqrt((-2 * Math.log(square)) / square);
    found[i++] = scale * y;
    if (i < count) found[i++] = scale * x;
  }
  return found;
}

// A point on the great circle from a to b, of a length between theirs.
function between(a, b, t) {
  const length = (v) => Math.hypot(...v);
  const la = length(a), lb = length(b);
  const dot = a.reduce((sum, value, i) => sum + value * b[i], 0) / (la * lb);
  const angle = Math.acos(Math.max(-1, Math.min(1, dot)));
  if (angle < 1e-6) return a;
  const p = Math.sin((1 - t) * angle) / la, q = Math.sin(t * angle) / lb;
  const scale = (la + (lb - la) * t) / Math.sin(angle);
  return a.map((value, i) => scale * (p * value + q * b[i]));
}

// The inverse of the image's motion: turned counterclockwise, moved right and down.
function transform({ rotate, right, down }) {
  const c = Math.cos(rotate), s = Math.sin(rotate);
  return [c, -s, s * down - c * right, s, c, -s * right - c * down, 0, 0, 1];
}

function feed({ z, psi, label, rotate, right, down }) {
  const values = {
    z, psi: [psi], label, transform: transform({ rotate, right, down }),
  };
  const tensor = (name, shape) =>
    new ort.Tensor("float32", Float32Array.from(values[name]),
      shape.map((size) => (typeof size === "number" ? size : 1)));
  return Object.fromEntries(
    Object.entries(about.inputs).map(([name, shape]) => [name, tensor(name, shape)]));
}

// {data, height, width, channels} of one image, in about [-1, 1].
async function draw(session, values) {
  const { images } = await session.run(feed(values));
  const [, height, width, channels] = images.dims;
  return { data: images.data, height, width, channels };
}

function show({ data, height, width, channels }) {
  const canvas = element("image");
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const pixels = new ImageData(width, height);
  for (let i = 0; i < height * width; i++) {
    for (let k = 0; k < 3; k++) {
      pixels.data[4 * i + k] = Math.round(data[channels * i + (k % channels)] * 127.5 + 127.5);
    }
    const alpha = channels === 4 ? data[4 * i + 3] * 127.5 + 127.5 : 255;
    pixels.data[4 * i + 3] = Math.round(alpha);
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

const onehot = (chosen) =>
  Array.from({ length: about.inputs.label?.[1] ?? 0 }, (_, i) => Number(i === chosen));

function setUp() {
  element("title").textContent = document.title = about.origin ?? "afgan_jax";
  for (const part of document.querySelectorAll("[data-for]")) {
    part.hidden = !(part.dataset.for in about.inputs);
  }
  if (!canMove) element("image").style.cursor = "default";
  onehot(0).forEach((_, i) =>
    element("class").add(new Option(about.class_names?.[i] ?? `class ${i}`, i)));
}

function read(moment) {
  const number = (id) => Number(element(id).value);
  for (const out of document.querySelectorAll("output")) {
    out.value = number(out.htmlFor.value);
  }
  const seed = Math.min(2 ** 32 - 1, Math.max(0, Math.floor(number("seed")) || 0));
  let z = randn(seed, zDim);
  if (moment !== null) {
    const steps = Math.floor(moment / WANDER_MS);
    z = between(randn(seed + steps, zDim), randn(seed + steps + 1, zDim),
      moment / WANDER_MS - steps);
  }
  return {
    z, psi: number("psi"), label: onehot(number("class")),
    rotate: (number("rotate") * Math.PI) / 180, right: number("right"), down: number("down"),
  };
}

async function start() {
  setUp();
  const glue = new Blob([bytes(module)], { type: "text/javascript" });
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = bytes(binary).buffer;
  ort.env.wasm.wasmPaths = { mjs: URL.createObjectURL(glue) };
  const session = await ort.InferenceSession.create(bytes(onnx), { executionProviders: ["wasm"] });
  let wanted = true, busy = false, begun = null;

  async function frame(now) { // one image at a time, of what is asked for last
    requestAnimationFrame(frame);
    const wanders = element("wander").checked;
    begun = wanders ? (begun ?? now) : null;
    if (busy || !(wanted || wanders)) return;
    [wanted, busy] = [false, true];
    const from = performance.now();
    try {
      show(await draw(session, read(wanders ? now - begun : null)));
      element("status").textContent = `${Math.round(performance.now() - from)} ms an image`;
    } catch (error) {
      fail(error);
    }
    busy = false;
  }

  const ask = () => { wanted = true; };
  element("controls").addEventListener("input", ask);
  element("controls").addEventListener("reset", () => setTimeout(ask));
  element("next").addEventListener("click", () => { element("seed").stepUp(); ask(); });
  element("image").addEventListener("pointerdown", (down) => {
    if (!canMove) return;
    const canvas = down.currentTarget, at = { right: 0, down: 0 };
    canvas.setPointerCapture(down.pointerId);
    const side = Math.min(canvas.clientWidth, canvas.clientHeight);  // the unit of shifts
    for (const id in at) at[id] = Number(element(id).value);
    const drag = (move) => {
      element("right").value = at.right + (move.clientX - down.clientX) / side;
      element("down").value = at.down + (move.clientY - down.clientY) / side;
      ask();
    };
    canvas.addEventListener("pointermove", drag);
    const end = () => canvas.removeEventListener("pointermove", drag);
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, end, { once: true });
    }
  });
  requestAnimationFrame(frame);
  return session;
}

function fail(error) {
  element("status").className = "error";
  element("status").textContent = `This browser cannot draw: ${error.message ?? error}`;
  throw error;
}

const session = start();
session.catch(fail);
