// What the tests of the explorer stand on: the service, Redis, a browser, and what holds in every test.
//
// They need a running service with the explorer, and a Redis of their own in which nothing is cached yet:
//
//   npm ci
//   EXPLORER_URL=http://127.0.0.1:3000/explorer/ EXPLORER_TOKEN=… SERVICE_URL=http://127.0.0.1:3000 \
//     READ_TOKEN=… WRITE_TOKEN=… REDIS_PORT=6379 npm test
//
// and, where they are not empty or not usual, KEY_PREFIX, REDIS_PASSWORD and CHROMIUM. With SCREENSHOTS=DIRECTORY they
// leave pictures there.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { connect } from "node:net";
import { after, before } from "node:test";
import { chromium } from "playwright-core";

const setting = (name) => process.env[name] ?? assert.fail(`set ${name}`);
export const EXPLORER = setting("EXPLORER_URL");
export const TOKEN = setting("EXPLORER_TOKEN");
const SERVICE = `${setting("SERVICE_URL")}/v1/provider-connections`;
const key = (id) => `${process.env.KEY_PREFIX ? `${process.env.KEY_PREFIX}:` : ""}provider:conn:${id}`;

/** In the ciphertext of every connection that is stored here. It must come back nowhere. */
const CIPHERTEXT = "Y2lwaGVydGV4dC1vZi10aGUtZXhwbG9yZXItdGVzdHM";
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

// --- The service, the explorer's API, and Redis ---

const bearer = (token) => ({ authorization: `Bearer ${token}` });
const fromNow = (seconds) => new Date(Date.now() + seconds * 1000).toISOString();

export function connection(fields = {}) {
  return {
    id: randomUUID(),
    user_id: "0192f3a4-5b6c-7d8e-9f00-0000000003e8",
    provider_id: "0192f3a4-5b6c-7d8e-9f00-0000000007d0",
    provider_slug: "schwab",
    status: "active",
    alias: "My Schwab IRA",
    credentials: { encrypted_data: CIPHERTEXT, credential_type: "oauth2", expires_at: fromNow(55 * 3600) },
    connected_at: "2026-01-27T05:17:19.123456+00:00",
    last_sync_at: fromNow(-190),
    created_at: "2026-01-27T05:17:18+00:00",
    updated_at: fromNow(-190),
    ...fields,
  };
}

/** Stores a connection through the service, and returns its id. */
export async function put(fields, ttl = 600) {
  const stored = connection(fields);
  const answer = await fetch(`${SERVICE}/${stored.id}?ttl=${ttl}`, {
    method: "PUT",
    headers: { ...bearer(setting("WRITE_TOKEN")), "content-type": "application/json" },
    body: JSON.stringify(stored),
  });
  assert.equal(answer.status, 204, await answer.text());
  return stored.id;
}

/** Stores many, some at a time. */
export async function putMany(number) {
  const ids = [];
  const worker = async () => {
    while (ids.length < number) {
      const id = randomUUID();
      ids.push(id);
      await put({ id });
    }
  };
  await Promise.all(Array.from({ length: 10 }, worker));
  return ids;
}

/** A lookup by a caller: this is what is counted. */
export async function lookUp(id) {
  const answer = await fetch(`${SERVICE}/${id}`, { headers: bearer(setting("READ_TOKEN")) });
  await answer.arrayBuffer();
  return answer.status;
}

/** What the explorer's API says, asked without the page. It is not counted. */
export async function api(path) {
  const answer = await fetch(new URL(`api/${path}`, EXPLORER), { headers: bearer(TOKEN) });
  return answer.json();
}

/** Sends Redis one command. */
export function redis(...words) {
  const encode = (list) => `*${list.length}\r\n${list.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join("")}`;
  const commands = [words.map(String)];
  if (process.env.REDIS_PASSWORD) commands.unshift(["AUTH", process.env.REDIS_PASSWORD]);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(setting("REDIS_PORT")), "127.0.0.1", () => socket.write(commands.map(encode).join("")));
    let text = "";
    socket.on("error", reject);
    socket.on("data", (data) => {
      text += data;
      if (text.split("\r\n").length <= commands.length) return;
      socket.destroy();
      /^-|\n-/.test(text) ? reject(new Error(text)) : resolve(text);
    });
  });
}
/** Puts a value under a connection's key, past the service. */
export const redisSet = (id, value) => redis("SET", key(id), value);
export const redisDelete = (id) => redis("DEL", key(id));

// --- The browser ---

let browser;
before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync".split(" "),
  });
});
after(() => browser?.close());

/**
 * The page, in a context of its own, not signed in. After the test it is held to what holds always:
 * no request to elsewhere, no ciphertext in an answer or in the document, no token in an address, and
 * no error of a script.
 */
export async function visit(t, { hash = "", ...options } = {}) {
  const context = await browser.newContext({ timezoneId: "UTC", reducedMotion: "reduce", viewport: { width: 1280, height: 800 }, ...options });
  const addresses = [];
  const bodies = [];
  const errors = [];
  context.on("request", (request) => addresses.push(request.url()));
  context.on("response", (response) => bodies.push(response.text().catch(() => "")));
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.on("pageerror", (error) => errors.push(error.stack));
  t.after(async () => {
    const document = await page.content();
    const texts = await Promise.all(bodies);
    await context.close();
    const { origin } = new URL(EXPLORER);
    assert.deepEqual(addresses.filter((address) => new URL(address).origin !== origin), [], "a request left the origin");
    assert.ok(addresses.length > 3 && texts.some((text) => text.includes("<!doctype html>")), "nothing was recorded");
    assert.ok(![...texts, document].some((text) => text.includes(CIPHERTEXT)), "the ciphertext got out");
    assert.ok(![...addresses, ...texts, document].some((text) => text.includes(TOKEN)), "the token got out");
    assert.deepEqual(errors, []);
  });
  await page.goto(EXPLORER + hash);
  return page;
}

/** The page, signed in. */
export async function open(t, options) {
  const page = await visit(t, options);
  await signIn(page);
  return page;
}

export async function signIn(page, token = TOKEN) {
  await page.getByLabel("Token").fill(token);
  await page.getByRole("button", { name: "Sign in" }).click();
  if (token === TOKEN) await page.getByRole("button", { name: "Sign out" }).waitFor();
}

export async function find(page, text) {
  await page.getByLabel("Connection id").fill(text);
  await page.getByRole("button", { name: "Find" }).click();
}

/** The title of the result, once it is this one. */
export const result = (page, title) => page.locator("#result").getByRole("heading", { name: title, exact: true }).waitFor();

/** The number beside a name among the totals. */
export async function total(page, name) {
  const term = page.locator("#stats dl > div").filter({ has: page.locator("dt", { hasText: new RegExp(`^${name}$`) }) });
  return Number((await term.locator("dd").textContent()).replaceAll(",", ""));
}

/** Asks until it is so: the machine may be busy. */
export async function until(what, isSo, seconds = 20) {
  const end = Date.now() + seconds * 1000;
  while (!(await isSo())) {
    assert.ok(Date.now() < end, `not within ${seconds} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const LOOKS = [
  { colorScheme: "light", width: 1280, height: 800 },
  { colorScheme: "dark", width: 1280, height: 800 },
  { colorScheme: "light", width: 320, height: 640 },
];

/** Finds what keeps people out, in light and dark, at a desk and on a phone; and what a phone would have to scroll sideways for. */
export async function accessible(page, state) {
  await page.evaluate(AXE);
  for (const { colorScheme, ...size } of LOOKS) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize(size);
    const violations = await page.evaluate(async () => {
      const { violations } = await axe.run(document, { resultTypes: ["violations"], preload: false });
      return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`);
    });
    assert.deepEqual(violations, [], `${state}, ${colorScheme}, ${size.width} px`);
    const tooWide = await page.evaluate(() => {
      const isOut = (element) => !element.closest(".scroll, .unseen, #ids") && element.getBoundingClientRect().right > innerWidth + 0.5;
      const out = [...document.querySelectorAll("body *")].filter(isOut).map((element) => element.outerHTML.slice(0, 80));
      return document.documentElement.scrollWidth > innerWidth ? ["the document", ...out] : out;
    });
    assert.deepEqual(tooWide, [], `${state} has to be scrolled sideways at ${size.width} px`);
  }
}
