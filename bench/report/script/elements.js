// ── what all parts use ─────────────────────────────────────────────────────────────────────────────────────────────
// Data becomes text by textContent alone: labels and errors are other people's words.

/** An element with some of its properties, and what stands in it. */
function made(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** A button with words on it and what a press does. */
function button(words, pressed) {
  const element = made("button", { type: "button", textContent: words });
  element.addEventListener("click", pressed);
  return element;
}

/** A group of controls that is left out in print. */
function tools(label, ...controls) {
  const group = made("div", { className: "tools" }, ...controls);
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", label);
  return group;
}

const live = made("p", { className: "unseen" });
live.setAttribute("aria-live", "polite");

/** Tell those who listen to the page what has just changed. */
function say(words) {
  live.textContent = words;
}

/** A text in one line, as it is read. */
function plain(element) {
  return element.textContent.replace(/\s+/g, " ").trim();
}

/** Words as part of a file's name. */
function slug(words) {
  return words.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "") || "part";
}

/** Give the reader a file. */
function save(name, blob) {
  const link = made("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  // at once would be before some browsers have read it
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
