// ── what stands above a table to ask things of it ──────────────────────────────────────────────────────────────────

const MANY_ROWS = 20;

/** Words and a list to choose from; the first choice changes nothing. */
function choice(words, nothing, values, chosen) {
  const select = made("select", {}, made("option", { value: "", textContent: nothing }));
  select.append(...values.map((value) => made("option", { value, textContent: value })));
  select.addEventListener("change", () => chosen(select.value));
  return made("label", {}, `${words} `, select);
}

/** Give a table its controls; they are made here, so that there is none that does nothing. */
function equip(table) {
  const sheet = new Sheet(table);
  const pager = made("div", { className: "tools pager" });
  const update = () => turn(sheet, pager, update);
  const asked = () => {
    sheet.first = 0;
    update();
  };
  sortable(sheet, update);
  const controls = [...filters(sheet, asked), ...comparing(sheet, update), copying(sheet)];
  table.parentElement.before(tools(`Tools for ${sheet.title}`, ...controls));
  table.parentElement.after(pager);
  if (sheet.paged) update();
}

/** Make a button of every column head. */
function sortable(sheet, update) {
  [...sheet.heads].forEach((head, column) => {
    const press = button("", () => {
      sheet.sort(column);
      update();
    });
    press.title = "Sort; a third press restores the order";
    press.append(...head.childNodes);
    head.append(press);
  });
}

/** A list for each fact in which cases differ; for long tables also one of architectures, and a search. */
function filters(sheet, asked) {
  const columns = sheet.facts.length ? [0, ...sheet.facts] : [];
  const lists = columns.flatMap((column) => {
    const values = sheet.values(column).filter((value) => value !== "");
    const narrow = (value) => {
      if (value === "") sheet.wanted.delete(column);
      else sheet.wanted.set(column, value);
      asked();
    };
    return values.length > 1 ? [choice(plain(sheet.heads[column]), "all", values, narrow)] : [];
  });
  if (sheet.rows.length <= MANY_ROWS) return lists;
  const input = made("input", { type: "search", size: 12 });
  input.addEventListener("input", () => {
    sheet.sought = input.value.toLowerCase();
    asked();
  });
  return [...lists, made("label", {}, "search ", input)];
}

/** The list of architectures that others are read against. */
function comparing(sheet, update) {
  if (!sheet.comparable) return [];
  const chosen = (label) => {
    sheet.compare(label);
    update();
    say(label ? `Figures are now ratios to those of ${label}` : "Figures are now as measured");
  };
  return [choice("compare with", "nothing", sheet.values(0), chosen)];
}

/** Show what was asked for, and which rows these are. */
function turn(sheet, pager, update) {
  const { first, last, found } = sheet.show();
  const total = sheet.rows.length;
  const to = (place) => () => {
    sheet.first = place;
    update();
  };
  const all = () => {
    sheet.paged = false;
    update();
  };
  const parts = [];
  if (sheet.paged && found > PAGE) {
    const back = button("previous", to(Math.max(0, first - PAGE)));
    const on = button("next", to(last));
    [back.disabled, on.disabled] = [first === 0, last === found];
    parts.push(`${first + 1} to ${last} of ${found} rows `, back, on, button("show all", all));
  } else if (found < total) {
    parts.push(`${found} of ${total} rows`);
  }
  if (sheet.baseline) parts.push(`Beside ${sheet.baseline} in the same place; an interval follows from those of both figures.`);
  const held = document.activeElement?.parentElement === pager ? document.activeElement.textContent : "";
  pager.replaceChildren(...parts);
  // the button that was pressed is a new one now
  [...pager.querySelectorAll("button")].find((one) => one.textContent === held && !one.disabled)?.focus();
}

// ── Markdown ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** Copy what the table shows now; where the clipboard is out of reach, offer the text for copying by hand. */
function copying(sheet) {
  const press = button("copy as Markdown", async () => {
    const text = markdown(sheet);
    try {
      await navigator.clipboard.writeText(text);
      say("Copied");
      press.textContent = "copied";
      setTimeout(() => (press.textContent = "copy as Markdown"), 2000);
    } catch {
      byHand(press, text);
    }
  });
  return press;
}

/** The text in a field, selected: Ctrl+C takes it. */
function byHand(press, text) {
  const field = made("textarea", { value: text, readOnly: true, rows: 6 });
  field.setAttribute("aria-label", "The table as Markdown, to be copied");
  press.parentElement.querySelector("textarea")?.remove();
  press.parentElement.append(field);
  field.focus();
  field.select();
}

function escaped(text) {
  return text.replace(/\s+/g, " ").trim().replace(/[\\`*_[\]<>|#~$]/g, "\\$&");
}

/** A cell in one line: what is said beside a value goes into brackets. */
function inMarkdown(cell) {
  const small = cell.querySelector("small");
  const beside = small ? escaped(small.textContent) : "";
  const text = escaped([...cell.childNodes].filter((node) => node !== small).map((node) => node.textContent).join(""));
  const value = cell.querySelector("strong") ? `**${text}**` : text;
  if (!beside) return value;
  return `${value} ${beside.startsWith("±") ? beside : `(${beside})`}`;
}

/** The rows that pass the filters, in their order, under heads that name their group. */
function markdown(sheet) {
  const groups = groupsOf(sheet.table);
  const heads = [...sheet.heads].map((head, place) => escaped([groups[place], plain(head)].filter(Boolean).join(", ")));
  const words = (head) => head === sheet.heads[0] || head.classList.contains("words");
  const lines = [heads, [...sheet.heads].map((head) => (words(head) ? ":--" : "--:"))];
  lines.push(...sheet.found.map((row) => [...row.cells].map(inMarkdown)));
  return lines.map((cells) => `| ${cells.join(" | ")} |\n`).join("");
}

/** The common head above each column, where there is one. */
function groupsOf(table) {
  if (table.tHead.rows.length < 2) return [];
  return [...table.tHead.rows[0].cells].flatMap((cell) => Array(cell.colSpan).fill(plain(cell)));
}
