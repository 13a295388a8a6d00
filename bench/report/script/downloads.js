// ── charts and data to take along ──────────────────────────────────────────────────────────────────────────────────

const GAP = 24;
const HEAD = 36;
const FINE = 2;

/** What a figure is called where its part of the page cannot be seen: `Inference` is the title of more than one. */
function titleOf(chart) {
  const title = plain(chart.querySelector("h3, h4, h5"));
  return [chart.parentElement.dataset.part, title].filter(Boolean).join(": ");
}

/** Suite, task and chart: what a file of this figure is called. */
function nameOf(chart) {
  const suite = chart.closest("article")?.querySelector("h1");
  const task = chart.closest("section")?.querySelector("h2");
  return [...[suite, task].filter(Boolean).map(plain), titleOf(chart)].map(slug).join("-");
}

/** What a colour of the style sheet is right now: other programs know no variables. */
function resolver() {
  const probe = made("span");
  document.body.append(probe);
  const found = new Map();
  const color = (words) => {
    if (!found.has(words)) {
      probe.style.color = words;
      found.set(words, getComputedStyle(probe).color);
    }
    return found.get(words);
  };
  return { color, done: () => probe.remove() };
}

/** A panel that needs no page around it: what is hidden left out, every colour by its value. */
function freed(panel, color) {
  const copy = panel.querySelector("svg").cloneNode(true);
  // shapes that others use too are kept
  for (const one of copy.querySelectorAll(".off")) one.replaceWith(...one.querySelectorAll("defs"));
  for (const element of [copy, ...copy.querySelectorAll("*")]) {
    for (const { name, value } of [...element.attributes]) {
      if (name === "class") element.removeAttribute(name);
      else element.setAttribute(name, value.replace(/var\(--[\w-]+\)|currentColor/g, color));
    }
    if (element.dataset.tip !== undefined) titled(element);
  }
  return copy;
}

/** Give a mark its title back, as programs that show SVG know it. */
function titled(mark) {
  const title = document.createElementNS(mark.namespaceURI, "title");
  title.textContent = mark.dataset.tip;
  mark.append(title);
  delete mark.dataset.tip;
}

/** All panels of a figure in one drawing, under its title, on the ground that is seen now. */
function drawing(chart) {
  const { color, done } = resolver();
  const panels = [...chart.querySelectorAll(".panel")].map((panel) => freed(panel, color));
  const boxes = panels.map((panel) => panel.viewBox.baseVal);
  const [width, height] = [Math.max(...boxes.map((box) => box.width)), Math.max(...boxes.map((box) => box.height))];
  const columns = Math.min(2, panels.length);
  const rows = Math.ceil(panels.length / columns);
  const whole = { width: columns * (width + GAP) + GAP, height: rows * (height + GAP) + HEAD };
  const svg = (tag, attributes, ...children) => {
    const element = document.createElementNS(panels[0].namespaceURI, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };
  panels.forEach((panel, place) => {
    const [x, y] = [GAP + (place % columns) * (width + GAP), HEAD + Math.floor(place / columns) * (height + GAP)];
    const size = { width: boxes[place].width, height: boxes[place].height };
    for (const [name, value] of Object.entries({ x, y, ...size })) panel.setAttribute(name, value);
  });
  const heading = svg("text", { x: GAP, y: GAP, "font-size": 16, "font-weight": 600, fill: color("var(--ink)") });
  heading.textContent = titleOf(chart);
  const style = { fill: color("var(--ink)"), color: color("var(--ink)"), "stroke-linejoin": "round" };
  const font = { "font-family": "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif" };
  const ground = svg("rect", { width: "100%", height: "100%", fill: color("var(--paper)") });
  const box = { viewBox: `0 0 ${whole.width} ${whole.height}`, ...whole };
  const root = svg("svg", { ...box, ...style, ...font }, ground, heading, ...panels);
  done();
  return { ...whole, text: new XMLSerializer().serializeToString(root) };
}

function saveSvg(chart) {
  save(`${nameOf(chart)}.svg`, new Blob([drawing(chart).text], { type: "image/svg+xml" }));
}

/** The drawing in pixels, two for each of the screen's. */
async function savePng(chart) {
  const { width, height, text } = drawing(chart);
  const image = new Image();
  const address = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
  image.src = address;
  await image.decode();
  URL.revokeObjectURL(address);
  const canvas = made("canvas", { width: FINE * width, height: FINE * height });
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  canvas.toBlob((blob) => save(`${nameOf(chart)}.png`, blob), "image/png");
}

// ── figures ────────────────────────────────────────────────────────────────────────────────────────────────────────

const COLUMNS = ["table", "architecture", "where", "column", "shown", "value", "low", "high", "unit"];

/** A field of CSV; a text that a spreadsheet would take for a formula begins with a quote. */
function field(text) {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
}

/** A line for each cell of a table that says something: its text, and its figure in base units. */
function lines(table) {
  const heads = [...[...table.tHead.rows].at(-1).cells];
  const groups = groupsOf(table);
  const titles = heads.map((head, place) => [groups[place], plain(head)].filter(Boolean).join(", "));
  const isFact = (place) => heads[place].dataset.fact !== undefined;
  return [...table.tBodies[0].rows].flatMap((row) => {
    const cells = [...row.cells];
    const where = cells.flatMap((cell, place) => (isFact(place) ? [`${titles[place]} ${plain(cell)}`] : [])).join(", ");
    return cells.flatMap((cell, place) => {
      if (place === 0 || isFact(place) || plain(cell) === "") return [];
      const { value = "", low = "", high = "" } = cell.dataset;
      const words = [table.parentElement.getAttribute("aria-label"), plain(cells[0]), where, titles[place], shown(cell)];
      return [[...words.map(field), value, low, high, field(heads[place].dataset.unit ?? "")]];
    });
  });
}

/** The text of a cell, what is said in small apart from the rest. */
function shown(cell) {
  return [...cell.childNodes].map(plain).filter(Boolean).join(" ");
}

function saveCsv(chart) {
  const rows = [COLUMNS, ...[...chart.querySelectorAll("table")].flatMap(lines)];
  const text = rows.map((row) => `${row.join(",")}\n`).join("");
  save(`${nameOf(chart)}.csv`, new Blob([text], { type: "text/csv" }));
}

/** The files that can be made of a figure. */
function offer(chart) {
  const kinds = [["SVG", saveSvg], ["PNG", savePng]];
  if (chart.querySelector("table")) kinds.push(["CSV", saveCsv]);
  const title = titleOf(chart);
  const presses = kinds.map(([kind, made]) => {
    const press = button(kind, () => made(chart));
    press.setAttribute("aria-label", `${kind} of ${title}`);
    return press;
  });
  chart.querySelector("figcaption").after(tools(`Save ${title}`, "save as ", ...presses));
}

/** Unpack a file that the page carries, where the browser can; else its link gives it as it is packed. */
function unpacked(link) {
  link.addEventListener("click", async (event) => {
    if (typeof DecompressionStream === "undefined") return;
    event.preventDefault();
    const packed = Uint8Array.from(atob(link.href.split(",")[1]), (sign) => sign.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    save(link.dataset.name, await new Response(stream).blob());
  });
}
