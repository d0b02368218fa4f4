"use strict";
const box = document.querySelector(".find");
const field = document.getElementById("find");
const found = document.getElementById("found");
const nav = document.querySelector("nav");
const none = document.getElementById("none");
const overview = document.getElementById("overview");
const body = overview.querySelector("tbody");
const rows = [...body.rows];
const rowOf = new Map(rows.map((row) => [row.dataset.name, row]));
const entries = [...document.querySelectorAll(".feature")].map((entry) => ({
  entry,
  row: rowOf.get(entry.id),
  name: `_${entry.id}`,
  // words are looked for at their beginnings: "rsi" is no part of "dispersion"
  told: ` ${entry.closest("section").id.replace(/_/g, " ")} ${entry.querySelector(".meaning").textContent}`.toLowerCase().replace(/[^a-z0-9]+/g, " "),
}));
const families = [...document.querySelectorAll(".family")].map((section) => {
  const link = document.querySelector(`nav a[href="#${section.id}"]`);
  return { section, link, n: link.querySelector("span") };
});

function find() {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  let n = 0;
  for (const { entry, row, name, told } of entries) {
    entry.hidden = row.hidden = !words.every((word) => name.includes(`_${word}`) || told.includes(` ${word}`));
    n += entry.hidden ? 0 : 1;
  }
  for (const { section, link, n } of families) {
    const left = section.querySelectorAll(".feature:not([hidden])").length;
    section.hidden = link.hidden = left === 0;
    n.textContent = left;
  }
  overview.hidden = nav.hidden = n === 0;
  none.hidden = n > 0;
  found.textContent = words.length ? `${n} of ${entries.length}` : "";
}

function show(fragment) {
  const target = document.getElementById(decodeURIComponent(fragment.slice(1)));
  if (target?.closest("[hidden]")) {
    field.value = "";
    find();
  }
  if (target) settle(target, 12);
}

// again in each of the next frames: what comes into view above it is laid out only then, and gets its real height
function settle(target, frames) {
  target.scrollIntoView();
  if (frames) requestAnimationFrame(() => settle(target, frames - 1));
}

function sort(column, button) {
  const head = button.closest("th");
  const down = head.getAttribute("aria-sort") ? head.getAttribute("aria-sort") === "ascending" : column > 1;
  const key = (row) => {
    const { value } = row.cells[column].dataset;
    if (value === undefined) return row.cells[column].textContent;
    return "size" in button.dataset ? Math.abs(value) : Number(value);
  };
  const empty = (row) => row.cells[column].dataset.value === "";
  // what rests on few sessions has no place among the strong ones
  const last = (row) => (empty(row) ? 2 : row.cells[column].classList.contains("muted") ? 1 : 0);
  const order = (a, b) => (typeof a === "string" ? a.localeCompare(b) : a - b);
  rows.sort((a, b) => last(a) - last(b) || (down ? order(key(b), key(a)) : order(key(a), key(b))));
  for (const other of overview.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  body.append(...rows);
}

box.hidden = false;
field.addEventListener("input", () => {
  find();
  const start = nav.getBoundingClientRect().top + scrollY - box.offsetHeight;
  if (scrollY > start) scrollTo(0, start);
});
addEventListener("hashchange", () => show(location.hash));
document.addEventListener("click", (event) => {
  const link = event.target.closest('a[href^="#"]');
  if (link) show(link.hash);
});
overview.querySelectorAll("thead button").forEach((button, column) => button.addEventListener("click", () => sort(column, button)));
if (field.value) find();
if (location.hash) show(location.hash);
