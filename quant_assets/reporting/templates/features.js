"use strict";
const box = document.querySelector(".find");
const field = document.getElementById("find");
const found = document.getElementById("found");
const entries = [...document.querySelectorAll(".feature")].map((entry) => ({ entry, text: entry.textContent.toLowerCase() }));
const sections = [...document.querySelectorAll("section")];

function find() {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  let n = 0;
  for (const { entry, text } of entries) {
    const named = entry.closest("section").id + " " + text;
    entry.hidden = !words.every((word) => named.includes(word));
    entry.style.display = entry.hidden ? "none" : "";
    n += entry.hidden ? 0 : 1;
  }
  for (const section of sections) section.hidden = !section.querySelector(".feature:not([hidden])");
  found.textContent = words.length ? `${n} of ${entries.length}` : "";
}

box.hidden = false;
field.addEventListener("input", find);
