// The explorer: finds connections in the cache, drops entries, shows the traffic of the last 24 hours.
// Text from the API is untrusted. It becomes text nodes, never markup.

import { charts, count, duration, hitRate, hourName, percent, shown } from "./charts.js";

const $ = (id) => document.getElementById(id);
const TOKEN = /^[\x21-\x7e]{32,256}$/;
const STATS = "api/stats?hours=24";
const STATS_EVERY = 10_000;

/** An element with properties and children. */
function h(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}
/** An id in its canonical spelling, from any other; none of what is no UUID. So it needs no escaping. */
function uuid(text) {
  const hex = text.trim().toLowerCase().replace(/^urn:uuid:|[{}-]/g, "");
  return /^[0-9a-f]{32}$/.test(hex) ? hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-") : null;
}
const code = (text) => h("code", {}, text);
const say = (text) => ($("live").textContent = text);

// --- The API ---

// Kept here and nowhere else: a reload forgets it.
let token = null;

/** An answer that is none, with text for people. Status 0: there was no answer, or none of the explorer. */
class Problem extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

// What is under way, by what it is for. What is asked anew, or signed out of, is not waited for any more.
const underway = new Map();
function only(purpose) {
  underway.get(purpose)?.abort();
  underway.set(purpose, new AbortController());
  return underway.get(purpose).signal;
}

/** Asks the API. An answer that is not waited for any more never comes. */
async function ask(purpose, path, { method = "GET", as = token } = {}) {
  const signal = only(purpose);
  let answer, body;
  try {
    answer = await fetch(path, {
      method,
      headers: { Authorization: `Bearer ${as}` },
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      signal: AbortSignal.any([signal, AbortSignal.timeout(15_000)]),
    });
    body = await answer.text();
  } catch {
    if (signal.aborted) return new Promise(() => {});
    throw new Problem(0, "The explorer did not answer. It may be down, or the network is.");
  }
  try {
    body = body && JSON.parse(body);
  } catch {
    throw new Problem(0, `The answer was no JSON (status ${answer.status}).`);
  }
  if (answer.ok) return body;
  if (answer.status === 401 && token) signOut("The token is not valid any more. Sign in again.");
  throw new Problem(answer.status, body.detail || body.title || `Status ${answer.status}.`);
}

// --- Signing in and out ---

$("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  const given = $("token").value.trim();
  refuse("");
  if (!TOKEN.test(given)) return refuse("That is no token: it has 32 to 256 characters.");
  $("sign-in").ariaBusy = true;
  let stats = null;
  try {
    stats = await ask("sign-in", STATS, { as: given });
  } catch (problem) {
    if (problem.status === 401) return refuse("That is not the explorer’s token.");
    // Whoever is told that Redis is away has been let in. What else failed did not look at the token.
    if (problem.status !== 503) return refuse(problem.message);
  } finally {
    $("sign-in").ariaBusy = null;
  }
  token = given;
  $("sign-in").reset();
  signedIn(true);
  const drawn = charts(h);
  $("charts").append(drawn.element);
  showHours = drawn.show;
  stats ? showStats(stats) : readStats();
  readRedis();
  readList(true);
  route();
  $("id").focus();
});

function refuse(text) {
  $("sign-in-error").textContent = text;
  $("token").ariaInvalid = text ? "true" : null;
  if (text) $("token").focus();
}

function signedIn(yes) {
  $("sign-in").hidden = yes;
  $("explorer").hidden = $("sign-out").hidden = !yes;
}

function signOut(why) {
  token = null;
  for (const controller of underway.values()) controller.abort();
  clearTimeout(statsTimer);
  clearTimeout(tickTimer);
  $("drop").close();
  $("find").reset();
  $("filter").reset();
  rows.clear();
  for (const id of ["health", "redis-state", "id-error", "result", "ids", "entries-state", "traffic-state", "totals", "events", "charts", "hours", "operations", "drop-id", "live"]) $(id).replaceChildren();
  $("stats").hidden = true;
  signedIn(false);
  refuse(why);
  $("token").focus();
}

// A browser may keep a page that one has left, to show it when one comes back.
addEventListener("pagehide", () => token && signOut(""));

$("sign-out").addEventListener("click", () => {
  history.replaceState(null, "", location.pathname);
  signOut("");
});

// --- One connection ---

const link = (id) => `#/connections/${id}`;
let shownId = null;
let tickTimer;

/** Shows what the address names. */
function route() {
  const [, text] = /^#\/connections\/(.+)$/.exec(location.hash) ?? [];
  if (token) text ? look(text) : showNothing();
}
addEventListener("hashchange", route);

$("find").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("id").value;
  const id = uuid(text);
  // What is no UUID becomes no address.
  if (!id || link(id) === location.hash) look(text);
  else location.hash = link(id);
});

function showNothing(wrong = "") {
  only("look");
  clearTimeout(tickTimer);
  shownId = null;
  $("result").replaceChildren(h("p", { className: "muted" }, "Type an id, or choose one from the list."));
  mark();
  wrongId(wrong);
}
function wrongId(text) {
  $("id-error").textContent = text;
  $("id").ariaInvalid = text ? "true" : null;
  if (text) say(text);
}

async function look(text) {
  const id = uuid(text);
  if (!id) return showNothing(text.trim() ? `“${text}” is not a UUID.` : "Type the id of a connection.");
  clearTimeout(tickTimer);
  wrongId("");
  if (id !== shownId) $("result").replaceChildren(h("p", { className: "muted" }, "Looking it up …"));
  shownId = $("id").value = id;
  mark();
  try {
    const entry = await ask("look", `api/connections/${id}`);
    showAnswer(entry);
    if (rows.has(id)) list(entry);
  } catch (problem) {
    if (token) showResult(id, problem.status ? "No result" : "No answer", [problem.message]);
  }
}

function showAnswer({ id, found, reason, summary, ttl_seconds: ttl }) {
  if (found === "hit") return showHit(id, summary, ttl);
  const [title, ...text] = {
    miss: ["Not cached", "There is no such entry, or its lifetime is over. The next lookup is a miss."],
    "not-found": ["No such connection", "The origin said so a moment ago, and that is what is cached."],
    corrupt: ["Corrupt entry", reason, "A lookup takes it for a miss."],
    unavailable: ["Redis is away", reason, "Until it answers, lookups are misses."],
  }[found];
  showResult(id, title, text, found === "corrupt");
}

/** A result with a title. Replacing the one that has the focus hands it on. */
function showResult(id, title, content, canDrop = false, beside = []) {
  const hadFocus = $("result").contains(document.activeElement) || $("ids").contains(document.activeElement);
  const actions = h("div", { className: "actions" },
    h("button", { type: "button", onclick: () => look(id) }, "Look again"));
  if (canDrop) actions.append(h("button", { type: "button", className: "danger", onclick: () => askToDrop(id) }, "Drop entry…"));
  // bdi: the direction of an alias is its own.
  const heading = h("h3", { tabIndex: -1 }, h("bdi", {}, title));
  $("result").replaceChildren(
    h("div", { className: "title" }, heading, ...beside, actions),
    h("p", {}, code(id)),
    ...content.map((part) => (part instanceof Node ? part : h("p", {}, part))));
  if (hadFocus) heading.focus();
  say([title, ...content.filter((part) => !(part instanceof Node))].join(". "));
}

function showHit(id, summary, ttl) {
  const timer = h("b", { role: "timer" });
  const credentials = summary.credential_type
    && [code(summary.credential_type), summary.credentials_expired ? ", expired" : summary.credentials_expiring_soon ? ", about to expire" : ", not expired"];
  const yes = (is) => (is ? "yes" : "no");
  const rows = {
    "Connected": [yes(summary.is_connected)],
    "Can sync": [yes(summary.can_sync)],
    "Needs reauthentication": [yes(summary.needs_reauthentication)],
    "Credentials": credentials || ["none"],
    "Credentials expire": [time(summary.credentials_expire_at)],
    "Last sync": [time(summary.last_sync_at)],
    "Connected at": [time(summary.connected_at)],
    "Updated": [time(summary.updated_at)],
    "Created": [time(summary.created_at)],
    "Provider": [summary.provider_slug],
    "Provider id": [code(summary.provider_id)],
    "User id": [code(summary.user_id), " ", h("button", { type: "button", onclick: () => listUser(summary.user_id) }, "Connections of this user")],
  };
  const end = ttl === null ? null : Date.now() + ttl * 1000;
  const lifetime = h("p", { className: "lifetime" }, h("span", {}, "Lifetime left"), timer,
    h("span", { className: "muted" }, end ? `until ${dateTime.format(end)}` : "It is kept until it is dropped."));
  const facts = h("dl", { className: "facts" });
  for (const [name, value] of Object.entries(rows)) facts.append(h("div", {}, h("dt", {}, name), h("dd", {}, h("bdi", {}, ...value))));
  const badge = h("span", { className: `badge ${summary.status}` }, summary.status);
  showResult(id, summary.alias ?? summary.provider_slug, [lifetime, facts], true, [badge]);
  say(`Found: ${summary.provider_slug}, ${summary.status}.`);

  // By the clock, which goes on while the computer sleeps.
  const tick = () => {
    const left = end && end - Date.now();
    for (const words of $("result").querySelectorAll("time + span")) words.textContent = relative(words.previousSibling.dateTime);
    timer.textContent = end ? span(Math.ceil(left / 1000)) : "no end";
    if (end && left <= 0) {
      timer.textContent = "expired";
      tickTimer = setTimeout(look, 1000, id);
    } else {
      tickTimer = setTimeout(tick, end ? left % 1000 || 1000 : 1000);
    }
  };
  tick();
}

// --- Dropping ---

function askToDrop(id) {
  $("drop-id").textContent = id;
  $("drop-error").textContent = "";
  $("drop-confirm").ariaBusy = null;
  $("drop").showModal();
}
$("drop-cancel").addEventListener("click", () => $("drop").close());
// The button that opened it may be gone: the entry can run out meanwhile.
$("drop").addEventListener("close", () => document.activeElement === document.body && $("result").querySelector("h3")?.focus());

$("drop-confirm").addEventListener("click", async () => {
  const id = $("drop-id").textContent;
  // Closed meanwhile, the dialog may be about another one.
  const isAsked = () => $("drop").open && $("drop-id").textContent === id;
  let title = "Dropped";
  // The second click of two would find that it is not there any more.
  if ($("drop-confirm").ariaBusy) return;
  $("drop-confirm").ariaBusy = "true";
  $("drop-error").textContent = "";
  try {
    await ask(`drop ${id}`, `api/connections/${id}`, { method: "DELETE" });
  } catch (problem) {
    if (!token) return;
    if (problem.status !== 404) {
      const text = `${problem.message} Whether it was dropped is not known. Try again.`;
      if (!isAsked()) return say(`${id}: ${text}`);
      $("drop-error").textContent = text;
      $("drop-confirm").ariaBusy = null;
      return;
    }
    title = "It was not there any more";
  }
  if (isAsked()) $("drop").close();
  rows.get(id)?.item.remove();
  rows.delete(id);
  countRows();
  if (id !== shownId) return say(`${title}: ${id}`);
  only("look");
  clearTimeout(tickTimer);
  showResult(id, title, ["The next lookup is a miss."]);
  $("result").querySelector("h3").focus();
});

// --- What is in the cache ---

const AT_LEAST = 100, AT_MOST_REQUESTS = 20;
let cursor = null;

/** What is listed, by id: the entry and its place in the list. */
const rows = new Map();
const shownRows = () => [...rows.values()].filter(({ item }) => !item.hidden);

/** The status of a connection, or why there is none. */
const statusOf = ({ found, summary }) => summary?.status ?? found;
const STATUS_NAMES = Object.fromEntries([...$("status").options].map(({ value, text }) => [value, text]));
const isFiltered = () => Boolean($("status").value || $("user").value.trim());

/** Whether an entry passes the filter. */
function passes(entry) {
  const status = $("status").value;
  const user = uuid($("user").value) ?? $("user").value.trim().toLowerCase();
  return (!status || statusOf(entry) === status) && (!user || Boolean(entry.summary?.user_id.includes(user)));
}

/** Lists an entry, or lists it anew. */
function list(entry) {
  const { id, summary } = entry;
  const status = statusOf(entry);
  const about = [h("span", { className: `badge ${status}` }, STATUS_NAMES[status] ?? status)];
  if (summary) about.push(h("bdi", {}, summary.provider_slug), h("bdi", { className: "muted" }, summary.alias ?? ""));
  const item = h("li", { hidden: !passes(entry) }, h("a", { href: link(id) }, h("span", {}, ...about), code(id)));
  const listed = rows.get(id);
  listed ? listed.item.replaceWith(item) : $("ids").append(item);
  rows.set(id, { entry, item });
  mark();
}

/** Reads on. Redis hands out ids in portions of any size, even none, and some twice. */
async function readList(fromStart) {
  if (fromStart) {
    cursor = null;
    rows.clear();
    $("ids").replaceChildren();
    $("more").hidden = true;
  }
  const had = shownRows().length;
  stateOf("entries", "Reading …");
  try {
    for (let asked = 0; asked < AT_MOST_REQUESTS && shownRows().length < had + AT_LEAST; asked++) {
      const page = await ask("list", `api/connections${cursor === null ? "" : `?cursor=${encodeURIComponent(cursor)}`}`);
      for (const entry of page.connections) if (!rows.has(entry.id)) list(entry);
      cursor = page.next;
      if (cursor === null) break;
    }
    countRows();
  } catch (problem) {
    if (!token) return;
    stateOf("entries", problem.message, true);
  }
  const added = shownRows()[had]?.item.firstChild;
  if (document.activeElement === $("more")) (added ?? $("entries-title")).focus();
  $("more").hidden = cursor === null;
}

function countRows() {
  const ids = `${count(rows.size)} ${rows.size === 1 ? "id" : "ids"}`;
  const all = cursor === null;
  if (!rows.size) return stateOf("entries", all ? "Nothing is cached." : "None found yet, but there may be more.");
  if (!isFiltered()) return stateOf("entries", `${ids}${all ? "" : ", and there are more"}`);
  stateOf("entries", `${count(shownRows().length)} of ${ids} listed${all ? "" : ". More are not listed yet."}`);
}

/** Shows what passes the filter, of what is listed. */
function filter() {
  for (const { entry, item } of rows.values()) item.hidden = !passes(entry);
  countRows();
  say($("entries-state").textContent);
}

function listUser(id) {
  $("filter").reset();
  $("user").value = id;
  filter();
  $("entries-title").focus();
}

/** Marks the one that is open. */
function mark() {
  $("ids").querySelector("[aria-current]")?.removeAttribute("aria-current");
  rows.get(shownId)?.item.firstChild.setAttribute("aria-current", "true");
}

$("filter").addEventListener("input", filter);
$("filter").addEventListener("submit", (event) => event.preventDefault());
$("reload").addEventListener("click", () => readList(true));
$("more").addEventListener("click", () => readList(false));
$("skip").addEventListener("click", () => $("traffic-title").focus());
// The address does not change when the open one is chosen again.
$("ids").addEventListener("click", (event) => event.target.closest("a")?.hash === location.hash && route());

// --- Redis ---

async function readRedis() {
  try {
    const { address, key_prefix: prefix, status, writes, detail = "" } = await ask("redis", "api/redis");
    const badge = (text, isWell) => h("span", { className: `badge ${isWell ? "active" : "failed"}` }, text);
    const facts = {
      "Redis": code(address ?? "no usable address"),
      "Key prefix": prefix ? code(prefix) : "none",
      "Status": badge(status, status === "ready"),
      "Writes": badge(writes, writes === "accepted"),
    };
    $("health").replaceChildren(...Object.entries(facts).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
    tell(detail);
  } catch (problem) {
    if (token) tell(problem.message);
  }
  // It is read every few seconds: what was said already is not said again.
  function tell(text) {
    if (text !== $("redis-state").textContent) stateOf("redis", text, Boolean(text));
  }
}

// --- Traffic ---

let showHours;
let statsTimer;
let asOf;

async function readStats() {
  clearTimeout(statsTimer);
  readRedis();
  if ($("stats").hidden) stateOf("traffic", "Reading …");
  try {
    showStats(await ask("stats", STATS));
  } catch (problem) {
    if (!token) return;
    stateOf("traffic", $("stats").hidden ? problem.message : `${problem.message} Shown as of ${asOf}.`, true);
    readStatsLater();
  }
}
function readStatsLater() {
  clearTimeout(statsTimer);
  if (!document.hidden) statsTimer = setTimeout(readStats, STATS_EVERY);
}
document.addEventListener("visibilitychange", () => (token && !document.hidden ? readStats() : clearTimeout(statsTimer)));
$("refresh").addEventListener("click", readStats);

const RATE = ["Hit rate", hitRate, percent];
const LATENCY = ["p50", "p95", "p99"].map((name) => [name, (sum) => sum.latency?.[`${name}_us`], duration]);
const CALLS = ["Calls", (sum) => sum.latency?.calls, count];
const [LOOKUPS, HITS, MISSES, ERRORS, ...EVENTS] = [
  ["Lookups", "total"], ["Hits", "hits"], ["Misses", "misses"], ["Errors", "errors"],
  ["Timeouts", "timeouts"], ["Corrupt entries", "corrupt_entries"], ["Breaker openings", "breaker_openings"],
  ["Edge hits", "edge_hits"], ["Coalesced", "coalesced_lookups"], ["Reconnections", "reconnections"],
  ["Origin requests", "origin_requests"], ["Origin failures", "origin_failures"],
].map(([name, field]) => [name, (sum) => sum[field], count]);

function showStats({ hours, total }) {
  const tiles = (columns) => columns.map(([name, of, format]) =>
    h("div", { className: of(total) ? "" : "zero" }, h("dt", {}, name), h("dd", {}, shown(of(total), format))));
  $("totals").replaceChildren(...tiles([LOOKUPS, RATE, ["p99 in the cache", ...LATENCY[2].slice(1)], ERRORS]));
  $("events").replaceChildren(...tiles([HITS, MISSES, ...EVENTS]));
  const named = hours.map((hour, i) => [hourName(hour, i === hours.length - 1), hour]).reverse();
  table($("hours"), "Hour", [LOOKUPS, HITS, MISSES, RATE, ...LATENCY, ERRORS, ...EVENTS], named);
  table($("operations"), "Operation", [CALLS, HITS, MISSES, RATE, ...LATENCY, ERRORS], Object.entries(total.operations));
  $("stats").hidden = false;
  showHours(hours);
  asOf = clock.format();
  stateOf("traffic", `as of ${asOf}`);
  readStatsLater();
}

function table(element, title, columns, rows) {
  const head = (scope, text) => h("th", { scope }, text);
  element.replaceChildren(
    h("thead", {}, h("tr", {}, head("col", title), ...columns.map(([name]) => head("col", name)))),
    h("tbody", {}, ...rows.map(([name, sum]) =>
      h("tr", {}, head("row", name), ...columns.map(([, of, format]) => h("td", {}, shown(of(sum), format)))))));
}

/** What a section says of itself. */
function stateOf(section, text, isError = false) {
  const state = $(`${section}-state`);
  state.textContent = text;
  state.className = isError ? "error" : "muted";
  if (isError) say(text);
}

// --- Times ---

const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const dateTime = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });
const words = new Intl.RelativeTimeFormat("en-GB", { numeric: "auto" });
const UNITS = [["year", 31_556_952], ["month", 2_629_746], ["day", 86_400], ["hour", 3600], ["minute", 60], ["second", 1]];

/** "3 minutes ago", "in 2 days". */
function relative(text) {
  const seconds = (Date.parse(text) - Date.now()) / 1000;
  const [unit, length] = UNITS.find(([, length]) => Math.abs(seconds) >= length) ?? UNITS.at(-1);
  return words.format(Math.trunc(seconds / length), unit);
}

/** A time in the local zone, UTC in its title; the words beside it are kept right by each tick. */
function time(text) {
  if (!text) return "–";
  const title = text.replace("T", " ").replace("+00:00", " UTC");
  const fragment = document.createDocumentFragment();
  fragment.append(h("time", { dateTime: text, title }, dateTime.format(Date.parse(text))), h("span", { className: "muted" }));
  return fragment;
}

/** "1 h 02 min 09 s". */
function span(seconds) {
  const parts = [[Math.floor(seconds / 86_400), "d"], [Math.floor(seconds / 3600) % 24, "h"], [Math.floor(seconds / 60) % 60, "min"], [seconds % 60, "s"]];
  const first = parts.findIndex(([n], i) => n || i === 3);
  return parts.slice(first).map(([n, unit], i) => `${i ? String(n).padStart(2, "0") : n} ${unit}`).join(" ");
}
