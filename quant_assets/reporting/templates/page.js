(() => {
  "use strict";
  const root = document.documentElement;
  const darkMode = matchMedia("(prefers-color-scheme: dark)");
  const coarse = matchMedia("(pointer: coarse)").matches;
  const names = new Map([...document.querySelectorAll("article.name")].map((article) => [article.id, article]));
  const picker = document.getElementById("picker");
  const PRINT_WIDTH = 660;
  const STRATEGIES = {
    threshold: ["Threshold", "--threshold"],
    top_fifth: ["Top fifth", "--top-fifth"],
    buy_and_hold: ["Buy and hold", "--buy-and-hold"],
  };
  const OVERLAYS = {
    ema_9: ["EMA 9", "--accent", "solid"],
    ema_21: ["EMA 21", "--amber", "solid"],
    ema_200: ["EMA 200", "--muted", "dash"],
  };

  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  function layout(extra, width) {
    const axis = { gridcolor: colour("--line"), linecolor: colour("--line"), zeroline: false, automargin: true };
    return {
      paper_bgcolor: "transparent",
      plot_bgcolor: "transparent",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("--muted") },
      margin: { l: 8, r: 8, t: 8, b: 8 },
      hovermode: "x unified",
      hoverlabel: { bgcolor: colour("--page"), bordercolor: colour("--strong-line"), font: { color: colour("--ink") } },
      legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom", xanchor: "left" },
      dragmode: coarse ? false : "zoom",
      ...(width ? { width } : {}),
      ...extra,
      xaxis: { ...axis, showgrid: false, ...extra.xaxis },
      yaxis: { ...axis, side: "right", ...extra.yaxis },
    };
  }

  /* Weekdays without a bar, so that the time axis has no holes at holidays. */
  function closedDays(sessions) {
    const open = new Set(sessions);
    const closed = [];
    const last = new Date(sessions[sessions.length - 1]);
    for (const day = new Date(sessions[0]); day < last; day.setUTCDate(day.getUTCDate() + 1)) {
      const text = day.toISOString().slice(0, 10);
      if (day.getUTCDay() % 6 && !open.has(text)) closed.push(text);
    }
    return closed;
  }

  function priceChart(data) {
    const x = data.session;
    const line = (y, name, stroke, dash, width) => ({ type: "scatter", mode: "lines", x, y, name, line: { color: stroke, dash, width }, hovertemplate: "%{y:.2f}" });
    const traces = [];
    if (data.bollinger_upper && data.bollinger_lower) {
      const edge = { ...line(data.bollinger_upper, "Bollinger", colour("--strong-line"), "solid", 1), legendgroup: "bands", showlegend: false, name: "Bollinger upper" };
      const lower = { ...line(data.bollinger_lower, "Bollinger bands", colour("--strong-line"), "solid", 1), legendgroup: "bands" };
      traces.push(edge, { ...lower, fill: "tonexty", fillcolor: colour("--neutral-soft") + "66" });
    }
    if (data.bollinger_middle) {
      traces.push({ ...line(data.bollinger_middle, "Bollinger middle", colour("--strong-line"), "dot", 1), legendgroup: "bands", showlegend: false });
    }
    for (const [key, [name, stroke, dash]] of Object.entries(OVERLAYS)) {
      if (data[key]) traces.push(line(data[key], name, colour(stroke), dash, 1.3));
    }
    if (data.candles) {
      const side = (name) => ({ line: { color: colour(name), width: 1 }, fillcolor: colour(name) });
      traces.push({ type: "candlestick", x, open: data.open, high: data.high, low: data.low, close: data.close, name: "Price", increasing: side("--up"), decreasing: side("--down"), showlegend: false });
    } else {
      traces.push(line(data.close, "Adjusted close", colour("--ink"), "solid", 1.8));
    }
    const breaks = [{ bounds: ["sat", "mon"] }, { values: closedDays(x) }];
    return [traces, { xaxis: { type: "date", rangebreaks: breaks, rangeslider: { visible: false } } }];
  }

  /* Round values for a logarithmic axis: 1-2-5 over decades, evenly spaced where the range is narrow. */
  function moneyTicks(values) {
    const low = values.reduce((a, b) => Math.min(a, b)), high = values.reduce((a, b) => Math.max(a, b));
    const ticks = [];
    if (high / low > 5) {
      for (let decade = 10 ** Math.floor(Math.log10(low)); decade <= high; decade *= 10) ticks.push(decade, 2 * decade, 5 * decade);
    } else {
      const rough = Math.max((high - low) / 4, low / 1000), decade = 10 ** Math.floor(Math.log10(rough));
      const step = [1, 2, 5, 10].map((digit) => digit * decade).find((size) => size >= rough);
      for (let tick = Math.ceil(low / step) * step; tick <= high; tick += step) ticks.push(tick);
    }
    return ticks.filter((tick) => tick >= low && tick <= high);
  }

  function equityChart(data) {
    const traces = Object.entries(data.lines).map(([key, y]) => ({
      type: "scatter", mode: "lines", x: data.session, y, name: STRATEGIES[key][0], connectgaps: false,
      line: { color: colour(STRATEGIES[key][1]), width: 1.6 }, hovertemplate: "$%{y:,.0f}",
    }));
    const ticks = moneyTicks(Object.values(data.lines).flat().filter((value) => value > 0));
    return [traces, { xaxis: { type: "date" }, yaxis: { type: "log", tickmode: "array", tickvals: ticks, ticktext: ticks.map((tick) => "$" + tick.toLocaleString("en-US")) }, showlegend: true }];
  }

  const visible = (figure) => figure.closest("article.name:not(.selected)") === null;

  function draw(figure, width) {
    const plot = figure.querySelector(".plot");
    Plotly.purge(plot);
    const data = JSON.parse(figure.querySelector("script").textContent);
    const [traces, extra] = figure.dataset.chart === "price" ? priceChart(data) : equityChart(data);
    Plotly.newPlot(plot, traces, layout(extra, width), { displaylogo: false, responsive: !width, displayModeBar: coarse || width ? false : "hover", modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] });
  }

  function drawVisible(width) {
    document.querySelectorAll("figure[data-chart]").forEach((figure) => visible(figure) && draw(figure, width));
  }

  function theme(dark) {
    root.dataset.theme = dark ? "dark" : "light";
  }

  function select(ticker) {
    const chosen = names.get(ticker);
    if (!chosen || chosen.classList.contains("selected")) return chosen;
    for (const article of names.values()) {
      if (!article.classList.contains("selected")) continue;
      article.querySelectorAll(".plot").forEach((plot) => Plotly.purge(plot));
      article.classList.remove("selected");
    }
    chosen.classList.add("selected");
    picker.value = ticker;
    chosen.querySelectorAll("figure[data-chart]").forEach((figure) => draw(figure));
    return chosen;
  }

  function followHash() {
    let ticker;
    try { ticker = decodeURIComponent(location.hash.slice(1)); } catch { return; }
    const chosen = select(ticker);
    if (chosen) chosen.scrollIntoView({ block: "start" });
  }

  function sortBy(button) {
    const header = button.closest("th");
    const table = header.closest("table");
    const column = [...header.parentNode.children].indexOf(header);
    const ascending = header.getAttribute("aria-sort") !== "ascending";
    const key = (row) => row.children[column].dataset.sort ?? row.children[column].textContent.trim();
    const body = table.tBodies[0];
    const keyed = [...body.rows].map((row) => [key(row), row]);
    const numeric = body.rows[0]?.children[column].dataset.sort !== undefined;
    keyed.sort(([a], [b]) => {
      if (a === "" || b === "") return (a === "") - (b === "");
      return (ascending ? 1 : -1) * (numeric ? a - b : a.localeCompare(b));
    });
    table.querySelectorAll("th[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    body.append(...keyed.map(([, row]) => row));
  }

  theme(darkMode.matches);
  document.querySelectorAll(".sortable thead button").forEach((button) => button.addEventListener("click", () => sortBy(button)));
  picker.addEventListener("change", () => {
    history.replaceState(null, "", "#" + encodeURIComponent(picker.value));
    select(picker.value);
  });
  addEventListener("hashchange", followHash);
  darkMode.addEventListener("change", () => { theme(darkMode.matches); drawVisible(); });
  addEventListener("beforeprint", () => { theme(false); drawVisible(PRINT_WIDTH); });
  addEventListener("afterprint", () => { theme(darkMode.matches); drawVisible(); });
  document.querySelectorAll("#rules figure[data-chart]").forEach((figure) => draw(figure));
  followHash();
  if (!document.querySelector("article.selected") && names.size) select(names.keys().next().value);
})();
