// Renews the figures of an open page, and says that a page is on its way. Without it the page is whole and reloads itself.
"use strict";

const live = document.getElementById("live");
const state = document.getElementById("live-state");
const every = live ? Number(live.dataset.every) * 1000 : 0;
let asking = false;

function say(text) {
  if (state && state.textContent !== text) state.textContent = text;
}

function isBusy() {
  const selection = document.getSelection();
  const reading = selection && !selection.isCollapsed && live.contains(selection.anchorNode);
  return document.hidden || reading || typing() || document.documentElement.dataset.brushing;
}

// What somebody types into a form of the page is not to be taken away.
function typing() {
  const within = live.contains(document.activeElement) && document.activeElement.closest("form");
  const filled = [...live.querySelectorAll("form :is(input, select, textarea)")].some(isChanged);
  if (filled) say("Not renewed while a form is filled in.");
  return within || filled;
}

function isChanged(field) {
  if (!field.options) return field.value !== field.defaultValue;
  const options = [...field.options];
  return field.selectedIndex !== Math.max(0, options.findIndex((option) => option.defaultSelected));
}

// Which tables are open, how far each is scrolled, and what has the focus, so that a renewal disturbs no reader.
function remember() {
  const at = live.contains(document.activeElement) ? document.activeElement : null;
  return {
    open: new Set([...live.querySelectorAll("details[open][id]")].map((details) => details.id)),
    scrolled: [...live.querySelectorAll(".scroll")].map((box) => [box.scrollLeft, box.scrollTop]),
    focus: at ? [...live.querySelectorAll("a, summary, [tabindex]")].indexOf(at) : -1,
  };
}

function restore(before) {
  for (const details of live.querySelectorAll("details")) details.open = before.open.has(details.id);
  live.querySelectorAll(".scroll").forEach((box, i) => {
    if (before.scrolled[i]) [box.scrollLeft, box.scrollTop] = before.scrolled[i];
  });
  const focused = live.querySelectorAll("a, summary, [tabindex]")[before.focus];
  if (focused) focused.focus({ preventScroll: true });
}

async function renew() {
  if (asking || isBusy()) return;
  asking = true;
  try {
    const answer = await fetch(location.href, {
      headers: { accept: "text/html", "peerlight-renewal": "1" },
      redirect: "manual",
      cache: "no-store",
      signal: AbortSignal.timeout(20000),
    });
    if (answer.type === "opaqueredirect") return say("You are signed out. Reload the page to sign in.");
    const parsed = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = parsed.getElementById("live");
    if (!fresh) return say(`The collector answered ${answer.status}. Trying again.`);
    const before = remember();
    live.replaceChildren(...fresh.childNodes);
    restore(before);
    document.dispatchEvent(new Event("renewed"));
    say("");
  } catch {
    say("The collector does not answer. The figures are from before; trying again.");
  } finally {
    asking = false;
  }
}

if (every > 0) {
  setInterval(renew, every);
  document.addEventListener("visibilitychange", renew);
}

// A report over months takes a moment: the page says that it was asked for.
function leaving() {
  document.documentElement.dataset.loading = "";
  live?.setAttribute("aria-busy", "true");
  say("Loading …");
}
document.addEventListener("submit", leaving);
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  const elsewhere = event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey;
  if (link && !elsewhere && !link.download && !link.target && !link.hash) leaving();
});
// Back from the browser's memory, or a file came instead of a page.
addEventListener("pageshow", () => {
  delete document.documentElement.dataset.loading;
  live?.removeAttribute("aria-busy");
  say("");
});

// On a narrow screen the way to the pages is a line that scrolls.
const views = document.querySelector(".views");
const current = views?.querySelector("[aria-current]");
if (current) views.scrollLeft = current.offsetLeft - (views.clientWidth - current.offsetWidth) / 2;
