// ── tables that can be sorted, filtered, paged, and read as ratios ─────────────────────────────────────────────────

const PAGE = 50;
const MOST_ROWS = 100;
const BETWEEN = "\u0000";
const natural = new Intl.Collator("en", { numeric: true });

/** Show no more than the first page of a long table: laying out thousands of rows would take seconds. */
function shorten(table) {
  const rows = [...table.tBodies[0].rows];
  if (rows.length > MOST_ROWS) for (const row of rows.slice(PAGE)) row.classList.add("later");
}

/** What a cell is sorted by: its ratio, its figure, or else its text. */
function sortKey(cell) {
  const number = cell.dataset.ratio ?? cell.dataset.value;
  return number === undefined ? plain(cell).replace(/,(?=\d)/g, "") : Number(number);
}

function byKey(one, other) {
  return typeof one === "number" ? one - other : natural.compare(one, other);
}

/** A table and what a reader has asked of it. */
class Sheet {
  constructor(table) {
    this.table = table;
    this.body = table.tBodies[0];
    this.rows = [...this.body.rows];
    this.heads = [...table.tHead.rows].at(-1).cells;
    this.facts = [...this.heads].flatMap((head, place) => (head.dataset.fact === undefined ? [] : [place]));
    this.units = [...this.heads].flatMap((head, place) => (head.dataset.unit === undefined ? [] : [place]));
    // what says which case a row is of never changes: it is read once
    this.texts = new Map(this.rows.map((row) => [row, [0, ...this.facts].map((column) => plain(row.cells[column]))]));
    this.title = table.parentElement.getAttribute("aria-label");
    this.wanted = new Map();
    this.sought = "";
    this.sorted = null;
    this.first = 0;
    this.paged = this.rows.length > MOST_ROWS;
    this.replaced = new Map();
    this.baseline = "";
  }

  /** The different texts of a column, in natural order. */
  values(column) {
    return [...new Set(this.rows.map((row) => this.text(row, column)))].sort(natural.compare);
  }

  /** What a row says in a column of facts, or in its first. */
  text(row, column) {
    return this.texts.get(row)[column === 0 ? 0 : 1 + this.facts.indexOf(column)];
  }

  /** Where the case of a row stands among those of its architecture. */
  place(row) {
    return this.texts.get(row).slice(1).join(BETWEEN);
  }

  /** Whether there is something to compare: figures of several architectures, no two of one at a place, not all alone at theirs. */
  get comparable() {
    const cases = new Set(this.rows.map((row) => this.texts.get(row).join(BETWEEN)));
    const places = new Set(this.rows.map((row) => this.place(row)));
    return this.units.length > 0 && cases.size === this.rows.length && places.size < this.rows.length;
  }

  /** The rows that pass every filter, in the order asked for. */
  get found() {
    const kept = this.rows.filter((row) => this.passes(row));
    if (this.sorted === null) return kept;
    const { column, down } = this.sorted;
    const keys = new Map(kept.map((row) => [row, sortKey(row.cells[column])]));
    const figures = [...keys.values()].some((key) => typeof key === "number");
    const counts = (row) => (figures ? typeof keys.get(row) === "number" : keys.get(row) !== "");
    const filled = kept.filter(counts);
    // sort() is stable either way round; what has nothing in the column, or words instead of a figure, stays last
    filled.sort((one, other) => (down ? -1 : 1) * byKey(keys.get(one), keys.get(other)));
    return [...filled, ...kept.filter((row) => !counts(row))];
  }

  passes(row) {
    for (const [column, text] of this.wanted) if (this.text(row, column) !== text) return false;
    return this.sought === "" || row.textContent.toLowerCase().includes(this.sought);
  }

  /** Bring the page in line with what was asked for; answers which rows of how many are seen. */
  show() {
    const found = this.found;
    if (this.first >= found.length) this.first = 0;
    const last = this.paged ? Math.min(this.first + PAGE, found.length) : found.length;
    const first = this.paged ? this.first : 0;
    const kept = new Set(found);
    for (const row of this.rows) row.hidden = !kept.has(row);
    found.forEach((row, place) => row.classList.toggle("later", place < first || place >= last));
    const order = document.createDocumentFragment();
    order.append(...found);
    this.body.append(order);
    return { first, last, found: found.length };
  }

  /** Up, then down, then as it was made. */
  sort(column) {
    const { sorted } = this;
    if (sorted?.column !== column) this.sorted = { column, down: false };
    else this.sorted = sorted.down ? null : { column, down: true };
    for (const head of this.heads) head.removeAttribute("aria-sort");
    if (this.sorted) this.heads[column].setAttribute("aria-sort", this.sorted.down ? "descending" : "ascending");
  }

  /** Figures as what they are beside those of one architecture at the same place; none: as they were measured. */
  compare(label) {
    for (const [cell, content] of this.replaced) {
      cell.replaceChildren(...content);
      delete cell.dataset.ratio;
    }
    this.replaced.clear();
    this.baseline = label;
    if (label === "") return;
    const mine = this.rows.filter((row) => this.text(row, 0) === label);
    const bases = new Map(mine.map((row) => [this.place(row), row]));
    for (const row of this.rows) {
      const base = bases.get(this.place(row));
      for (const column of this.units) this.replace(row.cells[column], base?.cells[column], column);
    }
  }

  replace(cell, beside, column) {
    const [one, other] = [figure(cell), figure(beside)];
    if (one === null) return;
    // beside itself a figure is exactly as large
    if (cell === beside) [one.low, other.low] = [null, null];
    this.replaced.set(cell, [...cell.childNodes]);
    const found = other && compared(this.heads[column].dataset.unit, one, other);
    if (found) cell.dataset.ratio = found.value;
    const star = cell.querySelector("i") ?? "";
    const detail = found ? (cell === beside ? "the baseline" : found.detail) : `nothing of ${this.baseline} here`;
    cell.replaceChildren(found ? found.text : "n/a", star, made("small", { textContent: detail }));
  }
}
