// Plays a reader at a chart: looks at a slot, moves on by the keyboard, marks a span, and writes what happened into the page
// that the span leads to.
"use strict";

addEventListener("load", () => {
  const write = (text) => {
    const result = document.createElement("pre");
    result.id = "drive-result";
    result.textContent = text;
    document.body.append(result);
  };
  if (new URL(location.href).searchParams.has("from")) return write(sessionStorage.getItem("seen"));
  const [chart] = document.querySelectorAll("svg.linked");
  const hits = chart.querySelectorAll(".hits > rect");
  const point = (type, slot) => {
    const box = slot.getBoundingClientRect();
    const place = { clientX: box.left + box.width / 2, clientY: box.top + box.height / 2 };
    slot.dispatchEvent(new PointerEvent(type, { bubbles: true, pointerType: "mouse", ...place }));
  };
  const tip = () => document.querySelector(".tip").textContent;
  point("pointermove", hits[30]);
  const hovered = tip();
  const linked = document.querySelectorAll(".hits > .at").length;
  chart.focus();
  chart.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
  const stepped = tip();
  sessionStorage.setItem("seen", JSON.stringify({ hovered, linked, stepped, titles: chart.querySelectorAll(".hits title").length }));
  point("pointerdown", hits[10]);
  point("pointermove", hits[20]);
  point("pointerup", hits[20]);
});
