// Writes every table and every list of figures of the page into the page, as a reader sees it with everything unfolded: where it
// stands, its columns, and the words of each cell.
"use strict";

addEventListener("load", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
  // What is hidden from screen readers says again what is said.
  const words = (node) => {
    const copy = node.cloneNode(true);
    for (const hidden of copy.querySelectorAll("[aria-hidden=true], svg")) hidden.remove();
    for (const small of copy.querySelectorAll("small, details")) small.before(" ");
    return copy.textContent.replace(/\s+/g, " ").trim();
  };
  const described = (node) => {
    const place = node.closest("[aria-labelledby], [aria-label]");
    const id = place?.getAttribute("aria-labelledby") ?? "";
    const heading = id ? document.getElementById(id) : node.closest("figure")?.querySelector("figcaption");
    return { place: id, title: heading ? words(heading) : place?.getAttribute("aria-label") ?? "" };
  };
  const tables = [...document.querySelectorAll("table")].map((table) => {
    const cells = (row) => [...row.cells].map(words);
    return {
      ...described(table),
      columns: table.tHead ? cells(table.tHead.rows[0]) : [],
      rows: [...table.tBodies].flatMap((body) => [...body.rows].map(cells)),
    };
  });
  const lists = [...document.querySelectorAll("figure dl")].map((list) => {
    const all = (name) => [...list.querySelectorAll(name)].map(words);
    return { ...described(list), place: "figures-of-chart", columns: all("dt"), rows: [all("dd")] };
  });
  const result = document.createElement("pre");
  result.id = "tables-result";
  result.hidden = true;
  result.textContent = JSON.stringify([...tables, ...lists]);
  document.body.append(result);
});
