// Opens an exported page in Chromium, from the disk: node page.mjs URL CASES SHOT
// CASES: JSON, values of the page's draw(). Prints the images as JSON.
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const [url, cases, shot] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu"],
});
const page = await browser.newPage({ viewport: { width: 900, height: 640 } });
const errors = [];
page.on("pageerror", (error) => errors.push(String(error)));
page.on("console", (m) => m.type() === "error" && errors.push(m.text()));
page.on("requestfailed", (r) => errors.push(r.url()));
await page.goto(url);
const status = (text) =>
  page.waitForFunction(
    (t) => document.getElementById("status").textContent.match(t), text, { timeout: 120000 });
await status("an image|cannot");
const drawn = await page.evaluate(async (cases) => {
  const found = [];
  for (const { seed, ...values } of cases) {
    const image = await draw(await session, { z: randn(seed, zDim), ...values });
    found.push({ ...image, data: Array.from(image.data) });
  }
  return found;
}, JSON.parse(readFileSync(cases, "utf8")));
const pixels = () =>
  page.evaluate(() => {
    const canvas = document.getElementById("image");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return data.reduce((sum, value, i) => (sum * 31 + value * (i + 1)) % 1000003, 0);
  });
const changed = async (action) => { // whether another image is shown after it
  const before = await pixels();
  await action();
  for (let i = 0; i < 200 && (await pixels()) === before; i++) await page.waitForTimeout(20);
  return (await pixels()) !== before;
};
const box = await page.locator("#image").boundingBox();
const shown = {
  next: await changed(() => page.click("#next")),
  psi: await changed(() => page.locator("#psi").fill("0.6")),
  drag: await changed(async () => {
    await page.mouse.move(box.x + 100, box.y + 100);
    await page.mouse.down();
    await page.mouse.move(box.x + 180, box.y + 130);
    await page.mouse.up();
  }),
  right: Number(await page.locator("#right").inputValue()),
  hidden: await page.locator("#right").isHidden(),
  wander: await changed(() => page.check("#wander")),
  title: await page.title(),
  status: await page.locator("#status").textContent(),
};
await page.uncheck("#wander");
await page.screenshot({ path: shot });
await browser.close();
console.log(JSON.stringify({ drawn, shown, errors }));
