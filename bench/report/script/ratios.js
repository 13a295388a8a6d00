// ── a figure beside another one ────────────────────────────────────────────────────────────────────────────────────
// The intervals are those of bench/stats.py: of a ratio and of a difference of two independent figures, recovered from
// the interval of each (MOVER; Zou & Donner 2008).

const WORDS = {
  "items/s": ["faster", "slower"],
  "tokens/s": ["faster", "slower"],
  "FLOP/s": ["faster", "slower"],
  "B/s": ["faster", "slower"],
  s: ["slower", "faster"],
  B: ["more", "less"],
  J: ["more", "less"],
  count: ["more", "less"],
};
const UNTOLD = "cannot be told apart";

/** The figure of a cell in base units, or null. */
function figure(cell) {
  if (cell?.dataset.value === undefined) return null;
  const { value, low, high } = cell.dataset;
  return { value: Number(value), low: low === undefined ? null : Number(low), high: high === undefined ? null : Number(high) };
}

/** One less the other, with its interval where both have one. */
function difference(one, other) {
  const value = one.value - other.value;
  if ([one.low, one.high, other.low, other.high].includes(null)) return { value, low: null, high: null };
  const below = Math.hypot(one.value - one.low, other.high - other.value);
  const above = Math.hypot(one.high - one.value, other.value - other.low);
  return { value, low: value - below, high: value + above };
}

/** One by the other; null where either is not positive. */
function ratio(one, other) {
  if (!(one.value > 0 && other.value > 0)) return null;
  const logs = [one, other].map(({ value, low, high }) => {
    const known = low !== null && low > 0;
    return { value: Math.log(value), low: known ? Math.log(low) : null, high: known ? Math.log(high) : null };
  });
  const { value, low, high } = difference(...logs);
  return { value: Math.exp(value), low: low === null ? null : Math.exp(low), high: high === null ? null : Math.exp(high) };
}

/** A ratio and its interval with as many digits as show on which side of one they are; as `format_ratio` in Python. */
function times(...values) {
  const [value] = values;
  return fixed(values, 1, Math.max(0, 2 - Math.floor(Math.log10(value))));
}

/** Differences of shares, in points. */
function points(...values) {
  return fixed(values.map((value) => 100 * value), 0, 1);
}

/** Numbers with so many digits, or as many more as keep the nearest of them from looking the same as `same`. */
function fixed(values, same, digits) {
  const nearest = Math.min(...values.map((value) => Math.abs(value - same)));
  const more = nearest > 0 && nearest < 10 ** -digits ? Math.min(6, -Math.floor(Math.log10(nearest))) : digits;
  return values.map((value) => value.toFixed(more).replace(/^-(?=[0.]*$)/, ""));
}

/** Which way a figure lies from that of the baseline, or that this cannot be said. */
function direction({ low, high }, same, words) {
  if (low === null) return "no interval";
  if (low <= same && same <= high) return UNTOLD;
  return low > same ? words[0] : words[1];
}

/** A figure beside that of the baseline: a value to sort by, a text, and in small its interval in words; or null. */
function compared(unit, one, other) {
  const shares = unit === "share";
  const found = shares ? difference(one, other) : ratio(one, other);
  if (found === null) return null;
  const known = [found.value, found.low, found.high].filter((value) => value !== null);
  const [value, low, high] = (shares ? points : times)(...known);
  const text = shares ? `${found.value > 0 ? "+" : ""}${value} points` : `${value}x`;
  const words = direction(found, shares ? 0 : 1, WORDS[unit] ?? ["higher", "lower"]);
  return { value: found.value, text, detail: low === undefined ? words : `${low} to ${high}, ${words}` };
}
