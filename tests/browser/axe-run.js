// Runs axe-core over the page with everything unfolded, looks whether it fits a narrow window, and writes what it found into
// the page.
"use strict";

addEventListener("load", async () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
  const found = await axe.run(document, { resultTypes: ["violations"] });
  const serious = found.violations.filter((one) => ["serious", "critical"].includes(one.impact));
  const told = serious.map((one) => `${one.id}: ${one.nodes.slice(0, 3).map((node) => node.html).join(" | ")}`);
  const { scrollWidth, clientWidth } = document.documentElement;
  if (scrollWidth > clientWidth) told.push(`the page is ${scrollWidth} wide in a window of ${clientWidth}`);
  const result = document.createElement("pre");
  result.id = "axe-result";
  result.textContent = `${found.passes.length} rules passed\n${told.join("\n")}`;
  document.body.append(result);
});
