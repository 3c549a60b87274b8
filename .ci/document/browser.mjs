// The document as AsyncAPI's React component shows it in Chromium, and our page by axe. A small server gives out this checkout
// and the component; whatever a page asks for elsewhere is noted and fails, and so does what the server does not have.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { dirname, extname } from "node:path";
import { chromium } from "playwright-core";

const require = createRequire(import.meta.url);
const component = dirname(require.resolve("@asyncapi/react-component/package.json"));
const axe = { source: await readFile(require.resolve("axe-core/axe.min.js"), "utf8"), version: require("axe-core/package.json").version };
const rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const types = { ".css": "text/css", ".html": "text/html", ".js": "text/javascript", ".yaml": "application/yaml", ".json": "application/json" };

// The address is a whole one: with a relative one the component looks for the schemas beside the document as files.
const viewer = `<!DOCTYPE html><html lang="en"><title>viewer</title><link rel="stylesheet" href="/component/styles/default.min.css">
<div id="here"></div><script src="/component/browser/standalone/index.js"></script>
<script>AsyncApiStandalone.render({ schema: { url: location.origin + "/schemas/v1/asyncapi.yaml" },
  config: { show: { errors: true } } }, document.getElementById("here"))</script>`;
// A page with two faults, by which the checks are checked.
const faulty = `<!DOCTYPE html><html lang="en"><title>faulty</title><main><h1>Faulty</h1><img src="http://elsewhere.example/x.png"></main>`;

const texts = { "/viewer": viewer, "/faulty": faulty, "/favicon.ico": "" };

async function answer(request, response) {
  const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname); // which has no ".." left
  try {
    const file = path.startsWith("/component/") ? component + path.slice("/component".length) : `.${path}`;
    const body = texts[path] ?? (await readFile(file));
    response.setHeader("Content-Type", `${types[extname(path)] ?? (path in texts ? "text/html" : "text/plain")}; charset=utf-8`);
    response.end(body);
  } catch {
    response.writeHead(404).end();
  }
}

// browse returns what is wrong with the page, a file of this checkout, and with how the document is shown.
export async function browse(document, page) {
  const server = createServer(answer);
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM, chromiumSandbox: process.getuid() !== 0,
    args: ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
  });
  const visits = new Visits(browser, `http://127.0.0.1:${server.address().port}`);
  try {
    await seeFaults(visits);
    return [...await seeDocument(visits, document), ...await seePage(visits, `/${page}`, document)];
  } finally {
    await browser.close();
    server.close();
  }
}

class Visits {
  constructor(browser, origin) { Object.assign(this, { browser, origin }); }

  // open calls look with the page that is at the path, and returns what that finds and what is wrong with its requests.
  async open(path, options, look) {
    const context = await this.browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    const asked = [], wrong = [];
    context.on("request", (request) => asked.push(request.url()));
    context.on("response", (r) => r.ok() || wrong.push(`${path}: ${r.url()} is answered with ${r.status()}`));
    try {
      const page = await context.newPage();
      page.on("websocket", (socket) => asked.push(socket.url()));
      page.on("pageerror", (error) => wrong.push(`${path}: ${error}`));
      await page.emulateMedia({ media: options.media ?? "screen", colorScheme: options.colorScheme ?? "light" });
      await page.goto(this.origin + path, { waitUntil: "load" });
      wrong.push(...await look(page));
    } catch (error) {
      wrong.push(`${path}: ${error}`);
    } finally {
      await context.close();
    }
    if (!asked.length) wrong.push(`${path}: no request was seen`);
    for (const url of asked) if (new URL(url).origin !== this.origin) wrong.push(`${path}: asks ${url}`);
    return { wrong, asked };
  }
}

// accessible returns axe's findings on a page. Paper is not touched; and where tables are scrolled, which axe cannot look beneath,
// contrast is left to the wide page.
async function accessible(page, name) {
  await page.evaluate(axe.source);
  const options = { runOnly: rules, rules: { "target-size": { enabled: !name.startsWith("paper") } } };
  const { passes, violations, incomplete } = await page.evaluate((options) => globalThis.axe.run(options), options);
  const open = incomplete.filter(({ id }) => !(name.startsWith("narrow") && id === "color-contrast"));
  const ids = new Set([...passes, ...violations, ...incomplete].map(({ id }) => id));
  console.log(`axe ${axe.version}, ${name}: ${ids.size} rules found something to check, ${violations.length} violations`);
  const wrong = [...violations, ...open].map(({ id, help, nodes }) => `${name}: ${id}: ${help}: ${nodes.map(({ target }) => target).join(", ")}`);
  return { wrong, ids };
}

async function seeFaults(visits) {
  let violations = [];
  const { wrong } = await visits.open("/faulty", {}, async (page) => ({ wrong: violations } = await accessible(page, "a faulty page")).wrong);
  if (!wrong.some((w) => w.includes("asks http://elsewhere.example/x.png"))) throw new Error("a request elsewhere is not seen");
  if (!violations.some((w) => w.includes("image-alt"))) throw new Error("axe does not see an image without a text");
}

async function seeDocument(visits, document) {
  const { wrong, asked } = await visits.open("/viewer", {}, async (page) => {
    await page.waitForSelector("#messages", { timeout: 60_000 });
    const seen = await page.evaluate((channels) => {
      const all = (query) => [...globalThis.document.querySelectorAll(query)];
      const operations = globalThis.document.querySelector("#operations").textContent;
      return {
        operations: all("#operations li[id^=operation-]").map((e) => e.id.replace(/^operation-[a-z]+-/, "")),
        messages: all("#messages [id^=message-]").map((e) => e.id.replace(/^message-/, "")).filter((id) => !/-(payload|headers)$/.test(id)),
        channels: channels.filter(([, about]) => operations.includes(about)).map(([id]) => id),
      };
    }, document.allChannels().all().map((c) => [c.id(), c.description()]));
    const said = {
      operations: document.allOperations().all().map((o) => o.id()),
      messages: document.allMessages().all().map((m) => m.id()),
      channels: document.allChannels().all().map((c) => c.id()),
    };
    const wrong = [];
    for (const part in said) {
      const [a, b] = [said[part], seen[part]].map((ids) => [...ids].sort().join(" "));
      if (!a || a !== b) wrong.push(`the viewer shows the ${part} ${b}, not ${a}`);
    }
    console.log(`viewer: ${Object.entries(seen).map(([part, ids]) => `${ids.length} ${part}`).join(", ")}`);
    return wrong;
  });
  console.log(`viewer: ${asked.length} requests`);
  return wrong;
}

// seePage reads the page without scripts, and looks at it on a screen, on a narrow one and on paper.
async function seePage(visits, path, document) {
  const plain = await visits.open(path, { javaScriptEnabled: false }, async (page) => {
    const text = await page.locator("body").innerText();
    const named = [...document.allChannels().all().map((c) => c.address()), ...document.allMessages().all().flatMap((m) =>
      [...m.json().payload || m.json().headers?.schema ? [m.title()] : [], ...Object.keys(m.headers()?.properties() ?? {})])];
    return [...await page.locator("script").count() ? [`${path} has scripts`] : [],
      ...named.filter((name) => name && !text.includes(name)).map((name) => `${path} does not say ${name} without scripts`)];
  });
  const wrong = [...plain.wrong];
  let checked = 0;
  for (const colorScheme of ["light", "dark"]) {
    for (const [name, width, media] of [["wide", 1280, "screen"], ["narrow", 320, "screen"], ["paper", 718, "print"]]) { // A4's 19 cm
      const { wrong: found } = await visits.open(path, { colorScheme, media, viewport: { width, height: 900 } }, async (page) => {
        const { wrong, ids } = await accessible(page, `${name}, ${colorScheme}`);
        checked = Math.max(checked, ids.size);
        return [...wrong, ...await page.evaluate(layout, { name, width, media })];
      });
      wrong.push(...found);
    }
  }
  if (checked < 30) wrong.push(`axe checked only ${checked} rules`);
  return wrong;
}

// layout runs in the page: it is no wider than the screen, and on paper nothing is cut off, nor written in light colours.
function layout({ name, width, media }) {
  const wrong = [], { scrollWidth } = document.scrollingElement;
  if (scrollWidth > width) wrong.push(`${name}: the page is ${scrollWidth} wide`);
  if (media !== "print") return wrong;
  for (const e of document.querySelectorAll(".wide, pre")) {
    if (e.scrollWidth > e.clientWidth) wrong.push(`${name}: cut off on paper: ${e.getAttribute("aria-label")}`);
  }
  const color = getComputedStyle(document.body).color;
  if (color.match(/\d+/g).some((part) => part > 96)) wrong.push(`${name}: printed in ${color}`);
  return wrong;
}
