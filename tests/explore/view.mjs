// Uses `afgan_jax view` as a person does: node view.mjs URL SHOTS
// Prints what was seen as JSON, at the end of standard output; SHOTS is a folder of
// screenshots. Asks on a line of its own for what it cannot do, and is told URL or "".
import { chromium } from "playwright-core";

import { once } from "node:events";
import readline from "node:readline";

const [url, shots] = process.argv.slice(2);
const lines = readline.createInterface({ input: process.stdin });
const ask = async (what) => {
  console.log(what);
  return (await once(lines, "line"))[0];
};
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu"],
});
const page = await browser.newPage({ viewport: { width: 1000, height: 900 } });
const errors = [];
page.on("pageerror", (error) => errors.push(String(error)));
page.on("console", (m) => m.type() === "error" && errors.push(m.text()));
await page.goto(url);
const pixels = () =>
  page.evaluate(() => {
    const canvas = document.querySelector(".afgan canvas");
    if (!canvas) return "1x1";
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return `${canvas.width}x${canvas.height}:` +
      data.reduce((sum, value, i) => (sum * 31 + value * (i + 1)) % 1000003, 0);
  });
const waitFor = async (test) => {
  for (let i = 0; i < 1500; i++) {
    if (await test()) return true;
    await page.waitForTimeout(20);
  }
  return false;
};
const atRest = () => waitFor(async () => // no picture is being asked for
  (await page.locator(".afgan").getAttribute("aria-busy")) === "false");
const changed = async (action) => { // whether another picture is shown after it
  await atRest();
  const before = await pixels();
  await action();
  return waitFor(async () => (await pixels()) !== before);
};
const field = (name) => page.locator(`.afgan [name="${name}"]`);
const slide = (name, value) => field(name).fill(String(value));
const canvas = page.locator(".afgan canvas");

const seen = { first: await waitFor(async () => !(await pixels()).startsWith("1x1")) };
seen.address = page.url();
seen.same = await pixels();
const box = await canvas.boundingBox();
seen.drag = await changed(async () => {
  await page.mouse.move(box.x + 200, box.y + 200);
  await page.mouse.down();
  await page.mouse.move(box.x + 120, box.y + 160, { steps: 5 });
  await page.mouse.up();
});
seen.seed = await changed(async () => {
  await slide("seed", 7);
  await field("seed").press("Enter");
});
seen.keys = await changed(async () => {
  await canvas.focus();
  await page.keyboard.press("ArrowRight");
});
for (const [name, value] of [["psi", 1.2], ["rotate", 30], ["tx", 0.1], ["zoom", 1.5]]) {
  seen[name] = await changed(() => slide(name, value));
}
seen.untransform = await changed(() => field("untransform").check());
const decibels = page.locator(".afgan .decibels");
await field("equivariance").check();
await waitFor(async () => (await decibels.textContent()).includes("dB"));
seen.decibels = await decibels.textContent();
await field("equivariance").uncheck();
await page.screenshot({ path: `${shots}/moved.png` });
seen.back = await changed(() => page.getByText("as it was").click());
seen.mixed = await changed(() => field("mix").selectOption({ index: 2 }));
seen.layer = await changed(() => field("layer").selectOption({ index: 3 }));
await page.screenshot({ path: `${shots}/layer.png` });
seen.channel = await changed(() => field("channel").selectOption("1"));
seen.spectrum = await changed(() => field("kind").selectOption("spectrum"));
seen.beta = await changed(() => slide("beta", 0));
await page.screenshot({ path: `${shots}/spectrum.png` });
await field("layer").selectOption("");
await field("kind").selectOption("image");
await field("channel").selectOption("-1");
seen.both = await changed(() => field("filters").selectOption("both"));
await page.screenshot({ path: `${shots}/both.png` });
seen.one = await changed(() => field("filters").selectOption("on"));
const [download] = await Promise.all([
  page.waitForEvent("download"), page.getByText("save as PNG").click()]);
seen.saved = download.suggestedFilename();
const [w] = await Promise.all([
  page.waitForEvent("download"), page.getByText("save w").click()]);
await w.saveAs(`${shots}/${w.suggestedFilename()}`);
await atRest();
const raw = await pixels();
seen.jpeg = await changed(() => field("compressed").check());
seen.raw = await changed(() => field("compressed").uncheck()) && raw === await pixels();
seen.model = await changed(() => field("model").selectOption({ index: 1 }));
seen.still = await field("rotate").isDisabled(); // the other cannot move
await field("model").selectOption({ index: 0 });
seen.returned = await waitFor(async () => !(await field("rotate").isDisabled()));

// Frames per second while it is dragged.
await page.evaluate(() => {
  globalThis.trips = [];
  document.querySelector(".afgan").addEventListener("frame", (event) =>
    globalThis.trips.push([performance.now(), event.detail.trip, event.detail.ms]));
});
await page.mouse.move(box.x + 160, box.y + 160);
await page.mouse.down();
const end = Date.now() + 2000;
for (let i = 0; Date.now() < end; i++) {
  await page.mouse.move(box.x + 160 + 90 * Math.sin(i / 40), box.y + 160 + 90 * Math.cos(i / 31));
  await page.waitForTimeout(4);
}
await page.mouse.up();
const trips = await page.evaluate(() => globalThis.trips);
seen.frames_per_second = 1000 * (trips.length - 1) / (trips.at(-1)[0] - trips[0][0]);

// What a screen reader says; a narrow window.
seen.hidden = !(await field("held").isVisible()); // no w was given
seen.labels = await page.evaluate(() =>
  [...document.querySelectorAll(".afgan input, .afgan select, .afgan button, canvas")]
    .filter((x) => !(x.labels?.[0]?.textContent.trim() || x.textContent.trim()
      || x.getAttribute("aria-label"))).map((x) => x.outerHTML));
await page.setViewportSize({ width: 400, height: 900 });
seen.narrow = await page.evaluate(() => document.documentElement.scrollWidth);
await page.screenshot({ path: `${shots}/narrow.png`, fullPage: true });

// The server is killed, and comes back; once more, with another token.
const told = (test) => waitFor(async () =>
  test(await page.locator(".afgan .error").textContent()));
await field("seed").fill("7");
await field("seed").press("Enter");
await atRest();
const kept = await pixels();
await ask("kill");
await slide("psi", 0.3);
seen.gone = await told((text) => text.includes("still running?"));
await slide("psi", 0.7);
await ask("start");
seen.again = await told((text) => text === "") && kept === await pixels();
await ask("kill");
await page.goto(await ask("start with another token"));
seen.anew = await told((text) => text === "") && kept === await pixels();
await page.reload();
seen.reloaded = await waitFor(async () => kept === await pixels());
seen.errors = errors.filter((text) => !text.includes("ERR_CONNECTION"));
await browser.close();
lines.close();
console.log(JSON.stringify(seen));
