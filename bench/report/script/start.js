// ── light and dark ─────────────────────────────────────────────────────────────────────────────────────────────────

const SCHEMES = { "as the system": null, light: "not all", dark: "screen" };

/** The rules for dark grounds: the only ones whose condition asks what the reader prefers. */
function darkRules() {
  const rules = [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules]);
  return rules.filter((rule) => rule.media?.mediaText.includes("prefers-color-scheme"));
}

/** A button that goes from the system's choice to light, to dark, and round again. */
function schemes() {
  const rules = darkRules().map((rule) => ({ media: rule.media, asked: rule.media.mediaText }));
  const names = Object.keys(SCHEMES);
  let at = 0;
  const words = () => `colours: ${names[at]}`;
  const press = button(words(), () => {
    at = (at + 1) % names.length;
    for (const { media, asked } of rules) media.mediaText = SCHEMES[names[at]] ?? asked;
    press.textContent = words();
  });
  press.className = "scheme";
  return press;
}

// ── everything that can be asked ───────────────────────────────────────────────────────────────────────────────────

/** At once where something is seen, else when what hides it is opened: a page may have hundreds of tables. */
function whenSeen(element, ready) {
  const around = element.parentElement.closest("details:not([open])");
  if (!around) ready(element);
  else around.addEventListener("toggle", () => whenSeen(element, ready), { once: true });
}

document.querySelector("main").prepend(schemes());
document.body.append(live, tip);
for (const list of document.querySelectorAll(".legend")) legend(list);
for (const panel of document.querySelectorAll(".panel")) whenSeen(panel, explain);
for (const chart of document.querySelectorAll("figure")) whenSeen(chart, offer);
for (const table of document.querySelectorAll("table.sorted")) {
  shorten(table);
  whenSeen(table, equip);
}
for (const link of document.querySelectorAll(".raw a[download]")) unpacked(link);
