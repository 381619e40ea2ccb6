// Charts that answer: what a slot holds under the pointer or the arrow keys, in every chart of the page at once, and a span
// that is marked becomes the page's. Without it each slot has its title, and a table stands below each chart.
"use strict";

(() => {
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.setAttribute("role", "status");
  tip.hidden = true;
  document.body.append(tip);
  let brush = null;

  const charts = () => [...document.querySelectorAll("svg.linked")];
  const slots = (chart) => [...chart.querySelectorAll(".hits > rect")];
  const told = (slot) => slot.dataset.told || "";

  // Titles would be shown by the browser, too, late and beside.
  function prepare() {
    for (const chart of charts()) {
      chart.setAttribute("tabindex", "0");
      chart.classList.add("answers");
      for (const slot of slots(chart)) {
        const title = slot.querySelector("title");
        if (!title) continue;
        slot.dataset.told = title.textContent;
        title.remove();
      }
    }
  }

  function clear() {
    for (const slot of document.querySelectorAll(".hits > .at, .hits > .marked")) slot.classList.remove("at", "marked");
  }

  // The same instant in every chart; what the chart in hand says stands beside the pointer.
  function show(chart, index, place) {
    clear();
    const [from, to] = brush ? [Math.min(brush.from, index), Math.max(brush.from, index)] : [index, index];
    for (const other of charts()) {
      if (other.dataset.first !== chart.dataset.first || other.dataset.step !== chart.dataset.step) continue;
      slots(other).forEach((slot, at) => {
        slot.classList.toggle("at", at === index);
        slot.classList.toggle("marked", Boolean(brush) && from <= at && at <= to);
      });
    }
    const slot = slots(chart)[index];
    if (!slot) return;
    tip.textContent = brush && from !== to ? `${span(chart, from, to)}\nlet go to look closer` : told(slot);
    tip.hidden = false;
    const box = slot.getBoundingClientRect();
    const x = place ? place.clientX : box.left + box.width / 2;
    const y = place ? place.clientY : box.top;
    const left = x + 14 + tip.offsetWidth > innerWidth ? x - 14 - tip.offsetWidth : x + 14;
    tip.style.left = `${Math.max(4, left) + scrollX}px`;
    tip.style.top = `${Math.max(4, Math.min(y - 10, innerHeight - tip.offsetHeight - 8)) + scrollY}px`;
    chart.dataset.at = index;
  }

  function hide() {
    clear();
    tip.hidden = true;
  }

  const instant = (chart, index) =>
    new Date((Number(chart.dataset.first) + index * Number(chart.dataset.step)) * 1000).toISOString().replace(".000Z", "Z");
  const span = (chart, from, to) => `${instant(chart, from)} to ${instant(chart, to + 1)}`;

  function zoom(chart, from, to) {
    const address = new URL(location.href);
    for (const name of ["last", "step"]) address.searchParams.delete(name);
    address.searchParams.set("from", instant(chart, from));
    address.searchParams.set("to", instant(chart, to + 1));
    location.href = address;
  }

  function over(event) {
    const slot = event.target.closest?.(".hits > rect");
    const chart = slot?.closest("svg.linked");
    return chart ? [chart, slots(chart).indexOf(slot)] : null;
  }

  document.addEventListener("pointermove", (event) => {
    const at = over(event);
    if (at && (!brush || at[0] === brush.chart)) show(at[0], at[1], event);
    else if (!brush && !document.activeElement?.matches("svg.linked")) hide();
  });

  document.addEventListener("pointerdown", (event) => {
    const at = over(event);
    if (!at || event.button || event.pointerType === "touch" || at[0].dataset.zoom === undefined) return;
    brush = { chart: at[0], from: at[1] };
    document.documentElement.dataset.brushing = "1";
    event.preventDefault();
    at[0].focus({ preventScroll: true });
  });

  function finish(event) {
    if (!brush) return;
    const { chart, from } = brush;
    const at = event.type === "pointerup" ? over(event) : null;
    brush = null;
    delete document.documentElement.dataset.brushing;
    if (at && at[0] === chart && at[1] !== from) zoom(chart, Math.min(from, at[1]), Math.max(from, at[1]));
    else hide();
  }
  document.addEventListener("pointerup", finish);
  document.addEventListener("pointercancel", finish);

  document.addEventListener("keydown", (event) => {
    const chart = document.activeElement;
    if (!chart?.matches?.("svg.linked")) return;
    const last = slots(chart).length - 1;
    const at = Number(chart.dataset.at ?? last);
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last, PageUp: at - 10, PageDown: at + 10 }[event.key];
    if (to !== undefined) {
      if (event.shiftKey && chart.dataset.zoom !== undefined && !brush) brush = { chart, from: at };
      if (!event.shiftKey) brush = null;
      event.preventDefault();
      show(chart, Math.max(0, Math.min(last, to)));
    } else if (event.key === "Enter" && brush && brush.from !== at) {
      zoom(chart, Math.min(brush.from, at), Math.max(brush.from, at));
    } else if (event.key === "Escape") {
      brush = null;
      hide();
    }
  });
  document.addEventListener("focusout", (event) => {
    if (event.target.matches?.("svg.linked")) {
      brush = null;
      hide();
    }
  });
  document.addEventListener("renewed", prepare);
  prepare();
})();
