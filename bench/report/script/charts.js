// ── charts: which series are seen, and what a mark stands for ──────────────────────────────────────────────────────

const REACH = 24;

/** The variants whose lines and marks are hidden, by their place. */
const hidden = new Set();

/** Hide and show series in every chart of the page, and say so in every legend. */
function dress() {
  for (const one of document.querySelectorAll("svg [data-series]")) {
    one.classList.toggle("off", hidden.has(one.dataset.series));
  }
  for (const entry of document.querySelectorAll(".legend [data-series] button")) {
    entry.setAttribute("aria-pressed", String(!hidden.has(entry.parentElement.dataset.series)));
  }
  for (const all of document.querySelectorAll(".legend .all")) all.hidden = hidden.size === 0;
}

function showAll() {
  hidden.clear();
  dress();
  say("Every series is shown");
}

/** Hide all but one, those of other runs of the page too. */
function alone(place) {
  for (const entry of document.querySelectorAll(".legend [data-series]")) hidden.add(entry.dataset.series);
  hidden.delete(place);
  dress();
}

/** Make a switch of every entry of a legend. */
function legend(list) {
  for (const entry of list.querySelectorAll("[data-series]")) {
    const place = entry.dataset.series;
    const press = button("", (event) => {
      if (event.shiftKey) return alone(place);
      if (!hidden.delete(place)) hidden.add(place);
      return dress();
    });
    press.title = "Hide or show in every chart; double click or Shift: this one alone";
    // its two clicks have just hidden and shown it
    press.addEventListener("dblclick", () => alone(place));
    press.append(...entry.childNodes);
    entry.append(press);
  }
  const all = made("li", { className: "all", hidden: true }, button("show all", showAll));
  list.append(all);
}

// ── exact values ───────────────────────────────────────────────────────────────────────────────────────────────────

const tip = made("div", { className: "tip", hidden: true });
tip.setAttribute("aria-hidden", "true");
let told = null;

/** The marks of a panel that can be seen. */
function marksOf(panel) {
  return [...panel.querySelectorAll("[data-tip]")].filter((mark) => !mark.closest(".off"));
}

function middle(mark) {
  const box = mark.getBoundingClientRect();
  return { x: box.left + box.width / 2, y: box.top + box.height / 2 };
}

/** The mark under the pointer, else the nearest if one is near. */
function nearest(panel, { clientX: x, clientY: y, target }) {
  const under = target.closest("[data-tip]");
  if (under) return under;
  let [best, least] = [null, REACH];
  for (const mark of marksOf(panel)) {
    const at = middle(mark);
    const far = Math.hypot(at.x - x, at.y - y);
    if (far < least) [best, least] = [mark, far];
  }
  return best;
}

/** Say what a mark stands for, beside it and within the window. */
function tell(mark) {
  told?.classList.remove("told");
  told = mark;
  tip.hidden = mark === null;
  if (mark === null) return;
  mark.classList.add("told");
  tip.textContent = mark.dataset.tip;
  const at = middle(mark);
  const { width, height } = tip.getBoundingClientRect();
  const left = Math.min(Math.max(8, at.x - width / 2), document.documentElement.clientWidth - width - 8);
  const top = at.y - height - 12 > 8 ? at.y - height - 12 : at.y + 14;
  tip.style.left = `${left + window.scrollX}px`;
  tip.style.top = `${top + window.scrollY}px`;
}

/** Where an arrow key leads from the mark that is told now; undefined for other keys. */
function step(panel, key) {
  const marks = marksOf(panel);
  const at = marks.indexOf(told);
  const last = marks.length - 1;
  switch (key) {
    case "ArrowRight":
    case "ArrowDown":
      return marks[at < last ? at + 1 : 0];
    case "ArrowLeft":
    case "ArrowUp":
      return marks[at > 0 ? at - 1 : last];
    case "Home":
      return marks[0];
    case "End":
      return marks[last];
    default:
      return undefined;
  }
}

/** Let a panel be asked by pointer, by touch and by keys. */
function explain(panel) {
  for (const title of panel.querySelectorAll("svg * > title")) {
    // else the browser would show its own beside ours
    title.parentElement.dataset.tip = title.textContent;
    title.remove();
  }
  if (!marksOf(panel).length) return;
  panel.tabIndex = 0;
  panel.setAttribute("role", "group");
  panel.setAttribute("aria-label", `${panel.querySelector("title").textContent}; arrow keys go from mark to mark`);
  for (const kind of ["pointermove", "pointerdown"]) {
    panel.addEventListener(kind, (event) => tell(nearest(panel, event)));
  }
  panel.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && tell(null));
  panel.addEventListener("blur", () => tell(null));
  panel.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return tell(null);
    const mark = step(panel, event.key);
    if (mark === undefined) return undefined;
    event.preventDefault();
    tell(mark);
    return say(mark.dataset.tip);
  });
}
