/* Inflates what `reporting/packed.py` packed. Rejects where the browser cannot, or the text is not whole. */
async function unpacked(id) {
  const bytes = Uint8Array.from(atob(document.getElementById(id).textContent.trim()), (character) => character.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

/* An inline script runs at once, and only when the page's policy names its hash. */
async function runPacked(id) {
  const script = document.createElement("script");
  script.textContent = await unpacked(id);
  document.head.append(script);
}
