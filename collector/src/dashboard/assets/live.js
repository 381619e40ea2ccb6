// Renews the figures of an open page. Without it the page is whole and reloads itself.
"use strict";

const live = document.getElementById("live");
const state = document.getElementById("live-state");
const every = Number(live.dataset.every) * 1000;
let asking = false;

function say(text) {
  if (state.textContent !== text) state.textContent = text;
}

function isBusy() {
  const selection = document.getSelection();
  return document.hidden || (selection && !selection.isCollapsed && live.contains(selection.anchorNode));
}

// Which tables are open, how far each is scrolled, and what has the focus, so that a renewal disturbs no reader.
function remember() {
  const at = live.contains(document.activeElement) ? document.activeElement : null;
  return {
    open: new Set([...live.querySelectorAll("details[open]")].map((details) => details.id)),
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
    const address = new URL(location.href);
    address.searchParams.set("fragment", "1");
    const answer = await fetch(address, {
      headers: { accept: "text/html" },
      redirect: "manual",
      cache: "no-store",
      signal: AbortSignal.timeout(20000),
    });
    if (answer.type === "opaqueredirect") return say("You are signed out. Reload the page to sign in.");
    const type = answer.headers.get("content-type") || "";
    if (!type.startsWith("text/html")) return say(`The collector answered ${answer.status}. Trying again.`);
    const parsed = new DOMParser().parseFromString(await answer.text(), "text/html");
    const before = remember();
    live.replaceChildren(...parsed.body.childNodes);
    restore(before);
    say("");
  } catch {
    say("The collector does not answer. The figures are from before; trying again.");
  } finally {
    asking = false;
  }
}

// A page of a fixed span does not change.
if (!new URL(location.href).searchParams.has("to")) {
  setInterval(renew, every);
  document.addEventListener("visibilitychange", renew);
}
