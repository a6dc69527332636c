// The explorer, in a browser, before the real component and a real Redis. support.mjs says how to run it,
// and what is held against every test.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { small } from "./png.mjs";
import { accessible, api, connection, find, lookUp, open, put, putMany, redis, redisDelete, redisSet, result, signIn, TOKEN, total, until, visit } from "./support.mjs";

const button = (page, name) => page.getByRole("button", { name, exact: true });
const dialog = (page) => page.getByRole("dialog");
const timer = (page) => page.getByRole("timer");
const listed = (page) => page.locator("#ids li:not([hidden]) code").allTextContents();
const state = (page, text) => page.locator("#entries-state").getByText(text, { exact: true }).waitFor();
const focused = (page) => page.evaluate(() => document.activeElement.id || document.activeElement.textContent);
const unknown = () => randomUUID();

/** Shows more ids until there are no more. Returns how many times there were some. */
async function listAll(page) {
  const said = page.locator("#entries-state");
  const more = button(page, "Show more");
  for (let times = 1; ; times++) {
    await said.getByText(/ids?(, and there are more)?$/).waitFor();
    if (await more.isHidden()) return times;
    assert.match(await said.textContent(), /, and there are more$/);
    const before = await said.textContent();
    await more.click();
    await until("the next ids", async () => ![before, "Reading …"].includes(await said.textContent()));
  }
}

/** Answers a request of the page in the server's place. */
const answer = (page, url, status, json) => page.route(url, (route) => route.fulfill({ status, json }));
const problem = (page, url, status, detail) => answer(page, url, status, { type: "about:blank", title: "", status, detail });

// Alone: what the others would disturb, or it them. First, while nothing is cached:
test("an empty cache says so", async (t) => {
  const page = await open(t);
  await page.getByText("Nothing is cached.").waitFor();
  assert.ok(await button(page, "Show more").isHidden());
  await page.locator("#stats").waitFor();
  await accessible(page, "nothing cached");
});

test("while Redis is away the page says so, and finds the entry when it is back", async (t) => {
  const id = await put();
  const page = await open(t, { hash: `#/connections/${id}` });
  await result(page, "My Schwab IRA");
  await until("Redis is away", async () => {
    await redis("CLIENT", "PAUSE", 1500, "ALL");
    await button(page, "Look again").click();
    await page.locator("#result").filter({ hasNot: page.getByRole("timer") }).waitFor({ timeout: 3000 }).catch(() => {});
    return (await page.locator("#result h3").textContent()) === "Redis is away";
  });
  await until("it is back", async () => {
    await button(page, "Look again").click();
    return timer(page).waitFor({ timeout: 500 }).then(() => true, () => false);
  });
});

test("the page says which Redis it is, and whether it takes writes", async (t) => {
  const page = await open(t);
  const health = async () => Object.fromEntries(await page.locator("#health > div").evaluateAll((rows) => rows.map((row) => [...row.children].map((cell) => cell.textContent))));
  const well = { "Redis": `redis://127.0.0.1:${process.env.REDIS_PORT}`, "Key prefix": process.env.KEY_PREFIX || "none", "Status": "ready", "Writes": "accepted" };
  await page.locator("#health .badge").first().waitFor();
  assert.deepEqual(await health(), well);
  await redis("CONFIG", "SET", "min-replicas-to-write", "1");
  t.after(() => redis("CONFIG", "SET", "min-replicas-to-write", "0"));
  await button(page, "Refresh").click();
  await page.locator("#redis").getByText(/NOREPLICAS/).waitFor();
  assert.deepEqual(await health(), { ...well, "Writes": "failing" });
  await page.getByRole("status").getByText(/NOREPLICAS/).waitFor();
  await accessible(page, "Redis takes no writes");
  await redis("CONFIG", "SET", "min-replicas-to-write", "0");
  await until("it takes writes again", async () => {
    await button(page, "Refresh").click();
    return (await health())["Writes"] === "accepted";
  });
  assert.equal(await page.locator("#redis-state").textContent(), "");
  await problem(page, "**/api/redis", 500, "Something else.");
  await button(page, "Refresh").click();
  await page.locator("#redis-state").getByText("Something else.").waitFor();
});

test("the charts show the traffic that there was", async (t) => {
  // An hour that ends meanwhile would take the oldest out of the totals.
  const left = 3600e3 - (Date.now() % 3600e3);
  if (left < 30e3) await sleep(left);
  const page = await open(t);
  await page.locator("#stats").waitFor();
  const id = await put();
  const [hits, misses] = [30, 10];
  const count = async () => {
    await button(page, "Refresh").click();
    const { total: { hits, misses } } = await api("stats?hours=24");
    return [hits, misses];
  };
  // What other tests caused has arrived when two counts, longer apart than it takes, are the same.
  let before = await count();
  await until("the counts rest", async () => {
    await page.waitForTimeout(1500);
    const now = await count();
    return before.join() === (before = now).join();
  });
  await Promise.all(Array.from({ length: hits }, async () => assert.equal(await lookUp(id), 200)));
  await Promise.all(Array.from({ length: misses }, async () => assert.equal(await lookUp(unknown()), 404)));
  const expected = [before[0] + hits, before[1] + misses];
  await until("the page shows what was injected", async () => {
    await count();
    return (await total(page, "Hits")) === expected[0] && (await total(page, "Misses")) === expected[1];
  });
  assert.equal(await total(page, "Lookups"), expected[0] + expected[1]);

  // The table, the legend and the line say the same of the current hour as the API.
  const { hours } = await api("stats?hours=24");
  const { hits: hit, total: all, latency } = hours.at(-1);
  const rate = `${(Math.floor((hit / all) * 1e4 + 1e-6) / 100).toFixed(2).replace(".00", "")}%`;
  await page.getByText("Hours as a table").click();
  const row = await page.locator("#hours tbody tr").first().locator("th, td").allTextContents();
  assert.match(row[0], /^\d\d:00–now$/);
  assert.deepEqual(row.slice(1, 5).map((text) => text.replaceAll(",", "")), [`${all}`, `${hit}`, `${all - hit}`, rate]);
  assert.equal(await page.locator("#hours tbody tr").count(), 24);
  assert.ok(latency.calls >= hits + misses);
  const figure = page.locator("figure", { hasText: "Hit rate" });
  assert.equal(await figure.locator("li b").textContent(), rate);
  const [isUpright, drawn] = await figure.locator(".plot svg").evaluate((svg) => {
    const ticks = [...svg.querySelectorAll("text")].filter((text) => text.textContent.endsWith("%")).map((text) => [parseFloat(text.textContent), +text.getAttribute("y")]);
    const y = Number(svg.querySelector(".dot.now").getAttribute("cy"));
    const [[low, bottom], [high, top]] = [ticks[0], ticks.at(-1)];
    return [bottom > top && low < high, low + ((bottom - y) / (bottom - top)) * (high - low)];
  });
  assert.ok(isUpright);
  assert.ok(Math.abs(drawn - (100 * hit) / all) < 0.5, `${drawn} is drawn for ${rate}`);
  // An operation that missed was called.
  const { operations } = (await api("stats?hours=24")).total;
  await page.getByText("Operations").click();
  const counts = await page.locator("#operations tbody tr").filter({ hasText: "get-summary" }).locator("td").allTextContents();
  const { latency: { calls }, hits: found, misses: missed } = operations["get-summary"];
  assert.deepEqual(counts.slice(0, 3).map((text) => text.replaceAll(",", "")), [calls, found, missed].map(String));
  assert.ok(calls >= hits + misses);
});

describe("at the same time", { concurrency: 3 }, () => {
  // --- Signing in ---

  test("a wrong token is told, and the right one lets in", async (t) => {
    const page = await visit(t);
    for (const [token, text] of [["short", "That is no token: it has 32 to 256 characters."], ["x".repeat(40), "That is not the explorer’s token."], ["ü".repeat(40), "That is no token: it has 32 to 256 characters."]]) {
      await signIn(page, token);
      await page.getByRole("alert").getByText(text).waitFor();
      assert.equal(await focused(page), "token");
      assert.ok(await page.locator("#explorer").isHidden());
    }
    await signIn(page);
    assert.ok(await page.locator("#sign-in").isHidden());
    assert.equal(await focused(page), "id");
  });

  test("who fails without a look at the token lets nobody in", async (t) => {
    const page = await visit(t);
    for (const [failure, text] of [
      [{ status: 500 }, "Status 500."],
      [{ status: 502, body: "<h1>Bad Gateway</h1>" }, "The answer was no JSON (status 502)."],
      [{ status: 503, body: "<h1>No server</h1>" }, "The answer was no JSON (status 503)."],
    ]) {
      await page.route("**/api/**", (route) => route.fulfill(failure));
      await signIn(page, "x".repeat(40));
      await page.getByRole("alert").getByText(text).waitFor();
      assert.ok(await page.locator("#explorer").isHidden());
      await page.unroute("**/api/**");
    }
  });

  test("the token is kept nowhere", async (t) => {
    const page = await open(t);
    const kept = await page.evaluate(async () => ({
      address: location.href,
      local: { ...localStorage },
      session: { ...sessionStorage },
      cookies: document.cookie,
      databases: (await indexedDB.databases()).length,
      fields: [...document.querySelectorAll("input")].map((input) => input.value),
      document: document.documentElement.outerHTML,
      globals: Object.values(window).filter((value) => typeof value === "string"),
      name: window.name,
    }));
    assert.ok(!JSON.stringify(kept).includes(TOKEN), "the token is in the page");
    assert.deepEqual([kept.local, kept.session, kept.cookies, kept.databases], [{}, {}, "", 0]);
    await page.reload();
    await button(page, "Sign in").waitFor();
    assert.ok(await page.locator("#explorer").isHidden());
  });

  test("a password manager can fill the form", async (t) => {
    const page = await visit(t);
    const fields = await page.locator("#sign-in input").evaluateAll((inputs) => inputs.map((input) => [input.type, input.autocomplete]));
    assert.deepEqual(fields, [["text", "username"], ["password", "current-password"]]);
    assert.equal(await page.locator("#sign-in").getAttribute("method"), "post");
  });

  test("signing out leaves nothing behind", async (t) => {
    const id = await put({ alias: "Left behind" });
    const page = await open(t, { hash: `#/connections/${id}` });
    await result(page, "Left behind");
    await button(page, "Sign out").click();
    await button(page, "Sign in").waitFor();
    const html = await page.content();
    assert.ok(!html.includes(id) && !html.includes("Left behind"));
    assert.equal(new URL(page.url()).hash, "");
    assert.equal(await page.locator("#id").inputValue(), "");
  });

  test("a token that is not valid any more leads back to the sign-in, and from there to where one was", async (t) => {
    const id = await put();
    const page = await open(t, { hash: `#/connections/${id}` });
    await result(page, "My Schwab IRA");
    await problem(page, "**/api/**", 401, "No.");
    await button(page, "Look again").click();
    await page.getByRole("alert").getByText("The token is not valid any more. Sign in again.").waitFor();
    assert.ok(!(await page.locator("#explorer").innerHTML()).includes(id));
    await page.unroute("**/api/**");
    await signIn(page);
    await result(page, "My Schwab IRA");
  });

  // --- Finding ---

  test("a connection is found by any spelling of its id, and shown whole", async (t) => {
    const { id, ...fields } = connection({ last_sync_at: null });
    await put({ id, ...fields });
    const page = await open(t, { timezoneId: "Asia/Kolkata" });
    for (const spelling of [id, ` ${id.toUpperCase()} `, id.replaceAll("-", ""), `{${id}}`, `urn:uuid:${id}`]) {
      await find(page, unknown());
      await result(page, "Not cached");
      await find(page, spelling);
      await result(page, "My Schwab IRA");
      assert.equal(new URL(page.url()).hash, `#/connections/${id}`);
    }
    const facts = await page.locator(".facts > div").evaluateAll((rows) => Object.fromEntries(rows.map((row) => [...row.children].map((cell) => cell.innerText.trim()))));
    assert.match(facts["Credentials expire"], /in 2 days$/);
    assert.match(facts["Updated"], /3 minutes ago$/);
    // The zone of the operator is five and a half hours ahead.
    assert.match(facts["Connected at"], /^27 Jan 2026, 10:47:19/);
    assert.equal(await page.locator(".facts time").nth(1).getAttribute("title"), "2026-01-27 05:17:19.123456 UTC");
    for (const name of ["Credentials expire", "Updated", "Connected at", "Created"]) delete facts[name];
    assert.deepEqual(facts, {
      "Connected": "yes",
      "Can sync": "yes",
      "Needs reauthentication": "no",
      "Credentials": "oauth2, not expired",
      "Last sync": "–",
      "Provider": "schwab",
      "Provider id": fields.provider_id,
      "User id": `${fields.user_id} Connections of this user`,
    });
    assert.equal(await page.locator("#result .badge").textContent(), "active");
    await page.getByRole("status").getByText("Found: schwab, active.").waitFor();
  });

  test("what is no UUID is told, and asked of nobody", async (t) => {
    const page = await open(t);
    const asked = [];
    page.on("request", (request) => asked.push(request.url()));
    for (const text of ["nonsense", "..", "../stats", "0192f3a4-5b6c-7d8e-9f00-00000000000g", "<b>"]) {
      await find(page, text);
      await page.locator("#id-error").getByText(`“${text}” is not a UUID.`, { exact: true }).waitFor();
      assert.equal(await page.locator("#id").getAttribute("aria-invalid"), "true");
    }
    await find(page, " ");
    await page.locator("#id-error").getByText("Type the id of a connection.").waitFor();
    assert.deepEqual(asked.filter((url) => /connections\//.test(url)), []);
    await find(page, unknown());
    await result(page, "Not cached");
    assert.equal(await page.locator("#id").getAttribute("aria-invalid"), null);
  });

  test("a link opens its connection after the sign-in, and back goes back", async (t) => {
    const [first, second] = [await put({ alias: "First" }), await put({ alias: "Second" })];
    const page = await open(t, { hash: `#/connections/${first}` });
    await result(page, "First");
    await find(page, second);
    await result(page, "Second");
    await page.goBack();
    await result(page, "First");
  });

  test("an entry counts down, expires, and is not cached any more", async (t) => {
    const page = await open(t);
    await page.evaluate(() => {
      window.seen = [];
      const note = () => seen.push(document.querySelector("#result [role=timer]")?.textContent ?? document.querySelector("#result h3")?.textContent);
      new MutationObserver(note).observe(document.querySelector("#result"), { childList: true, characterData: true, subtree: true });
    });
    // A machine that is so busy that it does not see the entry alive gets one that lives longer.
    for (const ttl of [4, 12, 36]) {
      const id = await put({}, ttl);
      await page.evaluate(() => (seen.length = 0));
      await find(page, id);
      await page.locator("#result h3").filter({ hasText: "Not cached" }).waitFor({ timeout: 60_000 });
      const seen = await page.evaluate(() => window.seen);
      const seconds = seen.map((text) => /^(\d+) s$/.exec(text ?? "")?.[1]).filter(Boolean).map(Number);
      if (new Set(seconds).size < 2) continue;
      assert.ok(seconds[0] <= ttl, seen.join());
      assert.ok(seconds.every((second, i) => !i || second <= seconds[i - 1]), seen.join());
      assert.ok(seen.includes("expired"), seen.join());
      return;
    }
    assert.fail("it never counted down");
  });

  test("an entry without an end says so", async (t) => {
    const { id, ...fields } = connection({ alias: "Endless" });
    await redisSet(id, JSON.stringify({ id, ...fields }));
    const page = await open(t, { hash: `#/connections/${id}` });
    await result(page, "Endless");
    assert.equal(await timer(page).textContent(), "no end");
  });

  test("a corrupt entry says why, and can be dropped", async (t) => {
    const id = unknown();
    await redisSet(id, "{");
    const page = await open(t, { hash: `#/connections/${id}` });
    await result(page, "Corrupt entry");
    const { reason } = await api(`connections/${id}`);
    assert.ok(reason);
    await page.locator("#result").getByText(reason).waitFor();
    await button(page, "Drop entry…").click();
    await button(page, "Drop entry").click();
    await result(page, "Dropped");
  });

  test("the list and the charts say that Redis is away", async (t) => {
    const page = await open(t);
    await page.locator("#stats").waitFor();
    await problem(page, "**/api/connections*", 503, "Redis did not answer (list).");
    await problem(page, "**/api/stats*", 503, "Redis did not answer (stats).");
    await button(page, "Reload").click();
    await page.locator("#entries-state").getByText("Redis did not answer (list).").waitFor();
    await button(page, "Refresh").click();
    await page.locator("#traffic-state").getByText(/^Redis did not answer \(stats\)\. Shown as of \d\d:\d\d:\d\d\.$/).waitFor();
    assert.ok(await page.locator("#stats").isVisible());
  });

  test("without a network the page says so", async (t) => {
    const id = await put();
    const page = await open(t);
    await page.route("**/api/**", (route) => route.abort());
    await find(page, id);
    await result(page, "No answer");
    await page.locator("#result").getByText("The explorer did not answer.").waitFor();
    await page.unroute("**/api/**");
    await button(page, "Look again").click();
    await result(page, "My Schwab IRA");
  });

  test("the answer to an older question does not replace that to a newer one", async (t) => {
    const [slow, quick] = [await put({ alias: "Slow" }), await put({ alias: "Quick" })];
    const page = await open(t);
    let letGo;
    const held = new Promise((resolve) => (letGo = resolve));
    await page.route(`**/api/connections/${slow}`, async (route) => {
      await held;
      await route.continue().catch(() => {});
    });
    await find(page, slow);
    await page.getByText("Looking it up …").waitFor();
    await find(page, quick);
    await result(page, "Quick");
    letGo();
    await page.waitForTimeout(300);
    await result(page, "Quick");
  });

  // --- Dropping ---

  test("an entry is dropped after it is confirmed, and kept when it is not", async (t) => {
    const id = await put();
    const page = await open(t, { hash: `#/connections/${id}` });
    await listAll(page);
    assert.ok((await listed(page)).includes(id));
    for (const cancel of [() => button(page, "Cancel").click(), () => page.keyboard.press("Escape")]) {
      await button(page, "Drop entry…").click();
      assert.equal(await focused(page), "drop-cancel");
      const text = await dialog(page).innerText();
      assert.ok(text.includes(id) && text.includes("the next lookup is a miss"), text);
      await cancel();
      await dialog(page).waitFor({ state: "hidden" });
      assert.equal(await focused(page), "Drop entry…");
      assert.equal((await api(`connections/${id}`)).found, "hit");
    }
    await button(page, "Drop entry…").click();
    await button(page, "Drop entry").click();
    await result(page, "Dropped");
    assert.equal((await api(`connections/${id}`)).found, "miss");
    assert.ok(!(await listed(page)).includes(id));
    await button(page, "Look again").click();
    await result(page, "Not cached");
  });

  test("a drop that was not confirmed is told, and can be tried again", async (t) => {
    const id = await put();
    const page = await open(t, { hash: `#/connections/${id}` });
    await button(page, "Drop entry…").click();
    const refuse = (route) => (route.request().method() === "DELETE" ? route.fulfill({ status: 503, json: { detail: "Redis did not answer." } }) : route.fallback());
    await page.route("**/api/connections/*", refuse);
    await button(page, "Drop entry").click();
    await dialog(page).getByRole("alert").getByText("Whether it was dropped is not known.").waitFor();
    await page.unroute("**/api/connections/*", refuse);
    // Meanwhile somebody else does it.
    await redisDelete(id);
    await button(page, "Drop entry").click();
    await result(page, "It was not there any more");
  });

  // --- The ids ---

  test("all ids can be paged through, each once, and opened", async (t) => {
    const ids = await putMany(300);
    const page = await open(t);
    assert.ok((await listAll(page)) > 1, "they were all on one page");
    const shown = await listed(page);
    assert.equal(new Set(shown).size, shown.length, "an id is listed twice");
    assert.deepEqual(ids.filter((id) => !shown.includes(id)), []);
    await state(page, `${shown.length} ids`);
    await page.locator("#ids a", { hasText: ids[299] }).click();
    await result(page, "My Schwab IRA");
    assert.equal(await page.locator("#ids [aria-current] code").textContent(), ids[299]);
    assert.equal(await focused(page), "My Schwab IRA");
  });

  test("an empty page is not the end, and an id that comes twice is shown once", async (t) => {
    const page = await visit(t);
    const [a, b] = [unknown(), unknown()];
    const of = (ids, next) => ({ connections: ids.map((id) => ({ id, found: "miss" })), next });
    const pages = { null: of([], "7&x"), "7&x": of([a, a], "9"), 9: of([b, a], null) };
    await page.route("**/api/connections*", (route) => route.fulfill({ json: pages[new URL(route.request().url()).searchParams.get("cursor")] }));
    await signIn(page);
    await state(page, "2 ids");
    assert.deepEqual(await listed(page), [a, b]);
  });

  test("the list tells status, provider and alias, and shows what passes the filter", async (t) => {
    const [user_id, other] = [randomUUID(), randomUUID()];
    const active = await put({ user_id, alias: "Mine", provider_slug: "chase" });
    const expired = await put({ user_id, status: "expired", alias: null });
    const others = await put({ user_id: other, status: "expired" });
    const corrupt = unknown();
    await redisSet(corrupt, "{");
    t.after(() => redisDelete(corrupt));
    const page = await open(t);
    await listAll(page);
    const row = async (id) => (await page.locator("#ids a", { hasText: id }).locator("> span > *").allTextContents()).filter(Boolean);
    assert.deepEqual(await row(active), ["active", "chase", "Mine"]);
    assert.deepEqual(await row(expired), ["expired", "schwab"]);
    assert.deepEqual(await row(corrupt), ["corrupt entry"]);

    const choose = async (status) => {
      await page.getByLabel("Status", { exact: true }).selectOption(status);
      return (await listed(page)).sort();
    };
    const all = (await listed(page)).length;
    const found = await choose("expired");
    assert.ok(found.includes(expired) && found.includes(others) && !found.includes(active));
    await state(page, `${found.length} of ${all} ids listed`);
    await page.getByRole("status").getByText(`${found.length} of ${all} ids listed`).waitFor();
    assert.ok((await choose("corrupt entry")).includes(corrupt));
    await page.getByLabel("User id", { exact: true }).fill(user_id.toUpperCase().replaceAll("-", ""));
    assert.deepEqual(await choose("expired"), [expired]);
    assert.deepEqual(await choose("Any status"), [active, expired].sort());
    await page.getByLabel("User id", { exact: true }).fill("");
    assert.equal((await listed(page)).length, all);

    // From a connection to all of its user.
    await page.locator("#ids a", { hasText: others }).click();
    await result(page, "My Schwab IRA");
    await button(page, "Connections of this user").click();
    assert.deepEqual(await listed(page), [others]);
    assert.equal(await focused(page), "entries-title");
    await accessible(page, "a filtered list");
    // What is looked at anew is listed anew.
    await put({ id: others, user_id: other, status: "revoked" });
    await button(page, "Look again").click();
    await until("the row is new", async () => (await row(others))[0] === "revoked");
    assert.equal(await page.locator("#ids [aria-current] code").textContent(), others);
  });

  test("a filter looks at what is listed, says so, and reads on until it finds more", async (t) => {
    const page = await visit(t);
    const answers = [];
    await page.route("**/api/connections*", (route) => {
      const { searchParams } = new URL(route.request().url());
      const at = Number(searchParams.get("cursor"));
      const connections = Array.from({ length: 100 }, (_, i) => ({ id: unknown(), found: i ? "miss" : "corrupt", ...(!i && { reason: "id must be a UUID" }) }));
      answers.push(at);
      route.fulfill({ json: { connections, next: `${at + 1}` } });
    });
    await signIn(page);
    await state(page, "100 ids, and there are more");
    await page.getByLabel("Status", { exact: true }).selectOption("corrupt entry");
    await state(page, "1 of 100 ids listed. More are not listed yet.");
    await button(page, "Show more").click();
    await state(page, "21 of 2,100 ids listed. More are not listed yet.");
    assert.deepEqual(answers, Array.from({ length: 21 }, (_, i) => i));
    assert.equal((await listed(page)).length, 21);
  });

  // --- Traffic ---

  /** Statistics of hours 0 to 23, of which 5 and 6 had no traffic, and 20 had errors. */
  function statistics() {
    const start = Date.UTC(2026, 10, 23, 12);
    const none = { hits: 0, misses: 0, errors: 0, total: 0, hit_rate: 0, latency: null, corrupt_entries: 0, timeouts: 0, breaker_openings: 0, edge_hits: 0, coalesced_lookups: 0, reconnections: 0, origin_requests: 0, origin_failures: 0, operations: {} };
    const some = { ...none, hits: 90, misses: 10, total: 100, hit_rate: 0.9, latency: { calls: 100, p50_us: 400, p95_us: 1200, p99_us: 3456 } };
    const hours = Array.from({ length: 24 }, (_, i) => ({
      hour: new Date(start + i * 3600e3).toISOString().replace(".000", ""),
      ...(i === 5 || i === 6 ? none : some),
      ...(i === 20 && { errors: 7, timeouts: 5, hits: 80, misses: 20, hit_rate: 0.8 }),
    }));
    return { hours, total: { ...some, hits: 1970, misses: 230, total: 2200, errors: 7, timeouts: 5, corrupt_entries: 3, breaker_openings: 2 } };
  }

  test("an hour without traffic is a gap, and each hour shows its values to keyboard and mouse", async (t) => {
    const page = await visit(t);
    await answer(page, "**/api/stats*", 200, statistics());
    await signIn(page);
    const chart = (name) => page.locator("figure", { has: page.getByRole("heading", { name }) });
    const legend = (name) => chart(name).locator("li b").allTextContents();
    await page.locator("#stats").waitFor();
    for (const [name, lines] of [["Hit rate", 1], ["Latency", 3]]) {
      const paths = await chart(name).locator(".plot .line").evaluateAll((all) => all.map((line) => line.getAttribute("d").match(/[ML]/g).join("")));
      assert.deepEqual(paths, Array(lines).fill(`M${"L".repeat(4)}M${"L".repeat(16)}`));
    }
    const dashes = await chart("Latency").locator(".plot .line").evaluateAll((all) => all.map((line) => getComputedStyle(line).strokeDasharray));
    assert.equal(new Set(dashes).size, 3, "the lines differ by colour alone");
    assert.equal(await chart("Errors").locator(".plot .bar").count(), 1);
    assert.match(await chart("Hit rate").getByRole("img").getAttribute("aria-label"), /^Hit rate, the last 24 hours: hits of lookups 80% to 90%$/);
    assert.deepEqual([await total(page, "Corrupt entries"), await total(page, "Breaker openings"), await total(page, "Timeouts"), await total(page, "Errors")], [3, 2, 5, 7]);

    /** Asks for the numbers, and waits until they are drawn. */
    const comesAnew = async (ask) => {
      await page.locator("#hours tbody").evaluate((old) => (window.old = old));
      await ask();
      await page.waitForFunction(() => !old.isConnected);
    };
    const hour = page.getByRole("slider", { name: "Latency in the cache: hour" });
    await hour.focus();
    assert.equal(await hour.getAttribute("aria-valuetext"), "11:00–now, 100 lookups: p50 400 µs, p95 1.20 ms, p99 3.46 ms");
    for (let i = 0; i < 3; i++) await page.keyboard.press("ArrowLeft");
    assert.deepEqual(await legend("Errors"), ["7"]);
    assert.deepEqual(await legend("Hit rate"), ["80%"]);
    await page.keyboard.press("Home");
    for (let i = 0; i < 5; i++) await page.keyboard.press("ArrowRight");
    assert.equal(await hour.getAttribute("aria-valuetext"), "17:00–18:00, 0 lookups: p50 –, p95 –, p99 –");
    // What is chosen stays so when the numbers come anew.
    await comesAnew(() => button(page, "Refresh").click());
    assert.deepEqual(await legend("Latency"), ["–", "–", "–"]);

    await chart("Errors").scrollIntoViewIfNeeded();
    const bar = await chart("Errors").locator(".plot .bar").boundingBox();
    await page.mouse.move(bar.x + bar.width / 2, bar.y + 2);
    assert.deepEqual(await legend("Errors"), ["7"]);
    assert.deepEqual(await legend("Hit rate"), ["80%"]);
    await comesAnew(() => page.evaluate(() => document.querySelector("#refresh").click()));
    assert.deepEqual(await legend("Errors"), ["7"]);
    await page.mouse.move(5, 5);
    assert.deepEqual(await legend("Errors"), ["0"]);
    await page.getByText("Hours as a table").click();
    await page.getByText("Operations").click();
    await accessible(page, "charts");
  });

  test("an hour of a few lookups is drawn small, and the current one as not over", async (t) => {
    const page = await visit(t);
    const { hours, total: sum } = statistics();
    const few = { hits: 0, misses: 3, total: 3, hit_rate: 0, latency: { calls: 3, p50_us: 90_000, p95_us: 90_000, p99_us: 90_000 } };
    Object.assign(hours[23], few);
    Object.assign(hours[10], { ...few, total: 29 });
    await answer(page, "**/api/stats*", 200, { hours, total: sum });
    await signIn(page);
    await page.locator("#stats").waitFor();
    for (const [name, lines, ticks] of [["Hit rate", 1, ["80%", "90%", "100%"]], ["Latency in the cache", 3, ["100 µs", "1 ms", "10 ms"]]]) {
      const figure = page.locator("figure", { has: page.getByRole("heading", { name }) });
      const plot = figure.locator(".plot");
      // Neither of them is joined, nor does the axis go down, or up, to it.
      const paths = await plot.locator(".line").evaluateAll((all) => all.map((line) => line.getAttribute("d").match(/[ML]/g).join("")));
      assert.deepEqual(paths, Array(lines).fill(`M${"L".repeat(4)}M${"L".repeat(2)}M${"L".repeat(11)}`));
      const axis = await plot.locator("text").allTextContents();
      assert.deepEqual(axis.filter((text) => !/^\d\d:00$/.test(text)), [...ticks, "now"]);
      assert.equal(await plot.locator(".dot.few").count(), 2 * lines);
      assert.equal(await plot.locator(".dot.few.now").count(), lines);
      assert.equal(await plot.locator(".dot").count(), 2 * lines);
      await figure.locator("li").getByText("fewer than 30 lookups").waitFor();
      const [radius, band] = await plot.evaluate((plot) => [getComputedStyle(plot.querySelector(".few")).r, plot.querySelector("rect.now").getBoundingClientRect()]);
      const dot = await plot.locator(".dot.now").first().boundingBox();
      assert.ok(parseFloat(radius) < 2, radius);
      assert.ok(band.left < dot.x && dot.x + dot.width < band.right && band.top < dot.y + dot.height && dot.y < band.bottom + 3);
      await figure.getByText("11:00–now, 3 lookups").waitFor();
    }
    assert.match(await page.getByRole("img", { name: /^Hit rate/ }).getAttribute("aria-label"), /80% to 90%$/);
    await accessible(page, "an hour of few lookups");
    // With nothing else, they are what there is to see.
    const quiet = hours.map((hour, i) => (i === 23 ? hour : { ...hours[5], hour: hour.hour }));
    await answer(page, "**/api/stats*", 200, { hours: quiet, total: { ...sum, ...few } });
    await button(page, "Refresh").click();
    await page.getByRole("img", { name: "Hit rate, the last 24 hours: hits of lookups 0% to 0%" }).waitFor();
  });

  test("the page says whose time the percentiles are", async (t) => {
    const page = await open(t);
    await page.locator("#totals dt", { hasText: /^p99 in the cache$/ }).waitFor();
    await page.getByRole("heading", { name: /^Latency in the cache/ }).waitFor();
    await page.getByText("A caller also waits for the host and the network.").waitFor();
  });

  test("the numbers come anew every ten seconds, while the page is visible", async (t) => {
    const page = await visit(t);
    let asked = 0;
    page.on("request", (request) => (asked += request.url().includes("/api/stats")));
    // The page's clock stands still but for what `pass` adds, however long the rest takes.
    const time = Date.now();
    await page.clock.install({ time });
    await page.clock.pauseAt(time + 1000);
    await signIn(page);
    await page.locator("#stats").waitFor();
    assert.equal(asked, 1);
    const pass = async (seconds) => {
      await page.clock.runFor(seconds * 1000);
      await page.waitForTimeout(200);
    };
    await pass(9);
    assert.equal(asked, 1);
    await pass(2);
    await until("it is asked again", () => asked === 2);
    await page.waitForTimeout(300);
    const turn = (hidden) => page.evaluate((hidden) => {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }, hidden);
    await turn(true);
    await pass(60);
    assert.equal(asked, 2);
    // Nor does an answer that comes meanwhile begin it anew.
    const came = page.waitForResponse("**/api/stats*");
    await page.evaluate(() => document.querySelector("#refresh").click());
    await came;
    await pass(60);
    assert.equal(asked, 3);
    await turn(false);
    await until("it is asked when it is visible again", () => asked === 4);
  });

  // --- What must not happen ---

  const PLANTED = "<script>window.planted=1</script><img src=x onerror=window.planted=1>";

  test("markup in an entry is text", async (t) => {
    const id = await put({ alias: PLANTED, provider_slug: "<b onclick=x>&amp;</b>" });
    const page = await open(t, { hash: `#/connections/${id}` });
    await result(page, PLANTED);
    await listAll(page);
    assert.equal(await page.locator("#ids a", { hasText: id }).locator("bdi").last().textContent(), PLANTED);
    await page.locator(".facts dd").getByText("<b onclick=x>&amp;</b>", { exact: true }).waitFor();
    assert.deepEqual(await page.evaluate(() => [window.planted, document.querySelectorAll("#result :is(script, img, b:not([role])), #ids :is(script, img, b)").length]), [undefined, 0]);
  });

  test("the policy holds in the page: nothing that is planted runs", async (t) => {
    const page = await open(t);
    const violations = (plant) => page.evaluate(async (plant) => {
      const seen = [];
      const note = (event) => seen.push(event.effectiveDirective);
      document.addEventListener("securitypolicyviolation", note);
      const element = document.createElement(plant.tag);
      try {
        if (plant.text) element.append(plant.text);
        if (plant.attribute) element.setAttribute(...plant.attribute);
        if (plant.html) element.innerHTML = plant.html;
      } catch {
        // A refusal at once is as good; the event tells.
      }
      document.body.append(element);
      if (plant.click) element.click();
      for (let i = 0; i < 50 && !seen.length; i++) await new Promise((resolve) => setTimeout(resolve, 20));
      document.removeEventListener("securitypolicyviolation", note);
      element.remove();
      return { seen, planted: window.planted, styled: getComputedStyle(document.body).zIndex };
    }, plant);
    for (const [plant, directive] of [
      [{ tag: "script", text: "window.planted = 1" }, /^script-src|^require-trusted-types-for/],
      [{ tag: "p", attribute: ["onclick", "window.planted = 1"], click: true }, /^script-src|^require-trusted-types-for/],
      [{ tag: "div", html: PLANTED }, /^require-trusted-types-for/],
      [{ tag: "style", text: "body { z-index: 7 }" }, /^style-src/],
      [{ tag: "p", attribute: ["style", "color: red"] }, /^style-src/],
    ]) {
      const { seen, planted, styled } = await violations(plant);
      assert.match(seen[0] ?? "", directive, JSON.stringify(plant));
      assert.deepEqual([planted, styled], [undefined, "auto"]);
    }
  });

  test("the page breaks its own policy nowhere", async (t) => {
    const page = await visit(t);
    await page.addInitScript(() => {
      window.violations = [];
      document.addEventListener("securitypolicyviolation", (event) => violations.push(event.effectiveDirective));
    });
    await page.reload();
    const id = await put();
    await signIn(page);
    await find(page, id);
    await result(page, "My Schwab IRA");
    await page.locator("#stats").waitFor();
    await button(page, "Drop entry…").click();
    await button(page, "Cancel").click();
    assert.deepEqual(await page.evaluate(() => violations), []);
  });

  // --- For everybody ---

  test("nothing keeps people out, in any state", async (t) => {
    const id = await put();
    const page = await visit(t, { hash: `#/connections/${id}` });
    await signIn(page, "wrong");
    await accessible(page, "sign-in");
    await signIn(page);
    await result(page, "My Schwab IRA");
    await page.locator("#stats").waitFor();
    await page.locator("#ids a").first().waitFor();
    await accessible(page, "found");
    await button(page, "Drop entry…").click();
    await accessible(page, "dialog");
    await button(page, "Cancel").click();
    await find(page, "nonsense");
    await accessible(page, "wrong id");
  });

  test("the keyboard is enough", async (t) => {
    const id = await put();
    const page = await visit(t);
    const { keyboard } = page;
    /** Goes on with Tab. Where the focus is, it can be seen. */
    const tabTo = async (what) => {
      for (let i = 0; (await focused(page)) !== what; i++) {
        assert.ok(i < 40, `Tab does not reach ${what}`);
        await keyboard.press("Tab");
        const ring = await page.evaluate(() => {
          const { activeElement } = document;
          return activeElement === document.body || getComputedStyle(activeElement.closest(".plot") ?? activeElement).outlineStyle;
        });
        assert.notEqual(ring, "none", `the focus on ${await focused(page)} cannot be seen`);
      }
    };
    await tabTo("token");
    await keyboard.type(TOKEN);
    await keyboard.press("Enter");
    await button(page, "Sign out").waitFor();
    await until("the focus is where the id goes", async () => (await focused(page)) === "id");
    await keyboard.type(id);
    await keyboard.press("Enter");
    await result(page, "My Schwab IRA");
    await tabTo("Drop entry…");
    await keyboard.press("Enter");
    assert.equal(await focused(page), "drop-cancel");
    await keyboard.press("Escape");
    assert.equal(await focused(page), "Drop entry…");
    await keyboard.press("Enter");
    await tabTo("drop-confirm");
    await keyboard.press("Enter");
    await result(page, "Dropped");
    assert.equal(await focused(page), "Dropped");
    assert.equal((await api(`connections/${id}`)).found, "miss");
    // The list may be long.
    await tabTo("skip");
    await keyboard.press("Enter");
    assert.equal(await focused(page), "traffic-title");
    await tabTo("refresh");
  });

  test("the focus is not lost when the entry runs out", async (t) => {
    const id = await put({}, 3);
    const page = await open(t, { hash: `#/connections/${id}` });
    await page.locator("#result h3").waitFor();
    await page.locator("#result button").last().focus();
    await result(page, "Not cached");
    assert.notEqual(await page.evaluate(() => document.activeElement.tagName), "BODY");
  });
});

// --- Pictures for the documents ---

test("pictures", { skip: !process.env.SCREENSHOTS && "SCREENSHOTS names no directory" }, async (t) => {
  // What the other tests left does not look like a day's work.
  await redis("EVAL", "for _, key in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('DEL', key) end", 0, "*provider:conn:*");
  const id = "0192f3a4-5b6c-7d8e-9f00-000000000001";
  const kinds = [["schwab", "My Schwab IRA"], ["chase", "Checking"], ["fidelity", "Retirement"], ["amex", null], ["ally", "Savings"]];
  for (let i = 2; i < 40; i++) {
    const [provider_slug, alias] = kinds[i % kinds.length];
    const status = ["active", "active", "expired", "active", "revoked", "active", "active", "pending"][i % 8];
    await put({ id: `0192f3a4-5b6c-7d8e-9f00-${i.toString(16).padStart(12, "0")}`, provider_slug, alias, status });
  }
  await put({ id }, 300);
  const light = await open(t, { hash: `#/connections/${id}` });
  const dark = await open(t, { hash: `#/connections/${id}`, colorScheme: "dark", viewport: { width: 390, height: 1000 } });
  for (const [page, name, fullPage] of [[light, "light", true], [dark, "dark", false]]) {
    await timer(page).waitFor();
    await page.locator("#stats").waitFor();
    await page.locator("#entries-state").getByText(/ids?/).waitFor();
    await page.evaluate(() => document.activeElement.blur());
    if (!fullPage) await page.locator("#traffic").evaluate((section) => section.scrollIntoView());
    const picture = small(await page.screenshot({ fullPage }));
    assert.ok(picture.length < 150_000);
    writeFileSync(`${process.env.SCREENSHOTS}/explorer-${name}.png`, picture);
  }
});
