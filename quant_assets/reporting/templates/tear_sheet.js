(() => {
  "use strict";
  const root = document.documentElement;
  const darkMode = matchMedia("(prefers-color-scheme: dark)");
  const coarse = matchMedia("(pointer: coarse)").matches;
  const figures = [...document.querySelectorAll("figure[data-chart]")];
  const choices = [...document.querySelectorAll(".chooser button")];
  const nameBox = document.getElementById("candle-name"), yearBox = document.getElementById("candle-year");
  const PRINT_WIDTH = 660;
  const drawn = new Set();
  let sheet, chosen, scale = "linear";

  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const faded = (name, alpha) => colour(name) + Math.round(alpha * 255).toString(16).padStart(2, "0");

  function layout(extra, width) {
    const axis = { gridcolor: colour("--line"), linecolor: colour("--line"), zeroline: false, automargin: true };
    return {
      paper_bgcolor: "transparent", plot_bgcolor: "transparent",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("--muted") },
      margin: { l: 8, r: 8, t: 8, b: 8 },
      hovermode: "x unified",
      hoverlabel: { bgcolor: colour("--page"), bordercolor: colour("--strong-line"), font: { color: colour("--ink") } },
      legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom", xanchor: "left" },
      dragmode: coarse ? false : "zoom",
      ...(width ? { width } : {}), ...extra,
      xaxis: { ...axis, showgrid: false, ...extra.xaxis },
      yaxis: { ...axis, side: "right", ...extra.yaxis },
    };
  }

  const over = (y, name, stroke, more) => ({ type: "scatter", mode: "lines", x: sheet.sessions, y, name, line: { color: stroke, width: 1.6 }, ...more });
  const each = (field, hovertemplate, more) => sheet.lines.filter((line) => line[field]).map((line) =>
    over(line[field], line.name, colour("--series-" + line.place), { hovertemplate, ...more }));
  const dates = { type: "date" };
  /* With more ticks than these, plotly labels 2 to 9 of each decade too, and they run into each other. */
  function money(type, values) {
    const sizes = values.filter((value) => value > 0).map(Math.log10);
    const decades = sizes.reduce((a, b) => Math.max(a, b)) - sizes.reduce((a, b) => Math.min(a, b));
    return { type, tickformat: "$,.0f", ...(type === "log" ? { nticks: Math.max(3, Math.ceil(decades) + 1) } : {}) };
  }
  const zero = { type: "line", xref: "paper", x0: 0, x1: 1, y0: 0, y1: 0 };
  const upright = (at, dash, stroke) => ({ type: "line", yref: "paper", y0: 0, y1: 1, x0: at, x1: at, line: { color: stroke, width: 1.2, dash } });

  /* Each chart: [traces, layout], or null where the chosen strategy has nothing to draw; the page then says why. */
  const CHARTS = {
    equity: () => [each("wealth", "$%{y:,.0f}"), { xaxis: dates, yaxis: money(scale, sheet.lines.flatMap((line) => line.wealth)), showlegend: true }],
    drawdown: () => [each("drawdown", "%{y:.1%}", { fill: "tozeroy", fillcolor: "transparent" }), { xaxis: dates, yaxis: { tickformat: ".0%", rangemode: "tozero" }, showlegend: false }],
    sharpe: () => [each("sharpe", "%{y:.2f}"), { xaxis: dates, shapes: [{ ...zero, line: { color: colour("--strong-line"), width: 1 } }], showlegend: false }],
    beta: () => [each("beta", "%{y:.2f}"), { xaxis: dates, shapes: [{ ...zero, line: { color: colour("--strong-line"), width: 1 } }], showlegend: false }],
    distribution() {
      const bins = sheet.of[chosen].distribution;
      if (!bins) return null;
      const x = bins.count.map((_, place) => bins.start + (place + 0.5) * bins.width);
      const side = x.map((value) => colour(value < 0 ? "--down" : "--up"));
      const bars = { type: "bar", x, y: bins.count, width: bins.width * 0.92, marker: { color: side, opacity: 0.55 }, hovertemplate: "%{x:.2%}: %{y} sessions<extra></extra>" };
      const shapes = bins.tails.map(([, value, dash]) => upright(value, dash, colour("--ink")));
      const annotations = bins.tails.map(([label, value], place) => ({ x: value, y: 0.98 - 0.11 * place, yref: "paper", yanchor: "top", xanchor: "right", xshift: -5, text: label, showarrow: false, bgcolor: colour("--page"), font: { color: colour("--ink"), size: 11 } }));
      return [[bars], { hovermode: "closest", xaxis: { tickformat: ".1%" }, shapes, annotations, showlegend: false, bargap: 0 }];
    },
    exposure() {
      const own = sheet.of[chosen];
      const stroke = colour("--series-" + own.place);
      return [[over(own.exposure, "Exposure", stroke, { fill: "tozeroy", fillcolor: faded("--series-" + own.place, 0.16), line: { color: stroke, width: 1, shape: "hv" }, hovertemplate: "%{y:.0%}<extra></extra>" })], { xaxis: dates, yaxis: { tickformat: ".0%", rangemode: "tozero" }, showlegend: false }];
    },
    costs: () => [sheet.lines.filter((line) => sheet.of[line.key]).map((line) => over(sheet.of[line.key].costs, line.name, colour("--series-" + line.place), { line: { color: colour("--series-" + line.place), width: 1.6, shape: "hv" }, hovertemplate: "$%{y:,.2f}" })), { xaxis: dates, yaxis: { tickprefix: "$", rangemode: "tozero" }, showlegend: true }],
    fan() {
      const fan = sheet.of[chosen].fan;
      if (!fan) return null;
      const hue = "--series-" + sheet.of[chosen].place;
      const x = fan.step.map((step) => sheet.sessions[step]);
      const edge = (key, more) => ({ type: "scatter", mode: "lines", x, y: fan[key], line: { width: 0, color: colour(hue) }, hovertemplate: "$%{y:,.0f}", ...more });
      return [[
        edge("p95", { name: "95 %", showlegend: false }),
        edge("p05", { name: "5 to 95 %", fill: "tonexty", fillcolor: faded(hue, 0.14) }),
        edge("p75", { name: "75 %", showlegend: false }),
        edge("p25", { name: "25 to 75 %", fill: "tonexty", fillcolor: faded(hue, 0.22) }),
        edge("p50", { name: "Median", line: { width: 1.4, color: colour(hue), dash: "dash" } }),
        edge("actual", { name: "What happened", line: { width: 1.8, color: colour("--ink") } }),
      ], { xaxis: dates, yaxis: money("log", [...fan.p05, ...fan.p95, ...fan.actual]), showlegend: true }];
    },
    candles,
    sweep() {
      const { threshold, sharpe, entries, current } = sheet.sweep;
      return [[
        { type: "bar", x: threshold, y: entries, name: "Entries", yaxis: "y2", marker: { color: colour("--neutral-soft") }, hovertemplate: "%{y:,} entries" },
        { type: "scatter", mode: "lines+markers", x: threshold, y: sharpe, name: "Sharpe", line: { color: colour("--series-0"), width: 1.6 }, marker: { size: 6 }, hovertemplate: "%{y:.2f}", connectgaps: false },
      ], { xaxis: { title: { text: "threshold" } }, yaxis: { title: { text: "Sharpe" }, overlaying: "y2", zeroline: true, zerolinecolor: colour("--strong-line") }, yaxis2: { side: "left", showgrid: false, title: { text: "entries" }, automargin: true }, shapes: [upright(current, "dot", colour("--ink"))], showlegend: true }];
    },
  };

  /* One year of bars at a time: quick to draw on a telephone, and a trade of three sessions stays readable. */
  function candles() {
    const bars = sheet.candles[nameBox.value];
    if (!bars) return null;
    const inYear = (place) => sheet.sessions[place].startsWith(yearBox.value);
    const kept = bars.at.map((place, row) => [place, row]).filter(([place]) => inYear(place));
    const x = kept.map(([place]) => sheet.sessions[place]);
    const column = (key) => kept.map(([, row]) => bars[key][row]);
    const side = (name) => ({ line: { color: colour(name), width: 1 }, fillcolor: faded(name, 0.5) });
    const traces = [{ type: "candlestick", x, open: column("open"), high: column("high"), low: column("low"), close: column("close"), name: nameBox.value, increasing: side("--up"), decreasing: side("--down"), showlegend: false }];
    const trades = sheet.of[chosen].trades[nameBox.value];
    if (trades) {
      const rows = trades.in.map((_, row) => row).filter((row) => inYear(trades.in[row]) || inYear(trades.out[row]));
      const held = rows.filter((row) => inYear(trades.in[row]) && inYear(trades.out[row]));
      const path = (pick) => held.flatMap((row) => [...pick(row), null]);
      const marks = (name, at, price, symbol, fill, told) => ({ type: "scatter", mode: "markers", name, x: at, y: price, text: told, marker: { symbol, size: 10, color: fill, line: { color: colour("--page"), width: 1 } }, hovertemplate: "%{text}" });
      const day = (place) => sheet.sessions[place];
      const profit = (row) => `${trades.pnl[row] < 0 ? "−" : "+"}$${Math.abs(trades.pnl[row]).toFixed(2)}`;
      const entered = rows.filter((row) => inYear(trades.in[row])), left = rows.filter((row) => inYear(trades.out[row]));
      traces.push(
        { type: "scatter", mode: "lines", x: path((row) => [day(trades.in[row]), day(trades.out[row])]), y: path((row) => [trades.entry_price[row], trades.exit_price[row]]), line: { color: colour("--ink"), width: 1.2, dash: "dot" }, hoverinfo: "skip", showlegend: false },
        marks("Entry", entered.map((row) => day(trades.in[row])), entered.map((row) => trades.entry_price[row]), entered.map((row) => trades.side[row] < 0 ? "triangle-down" : "triangle-up"), colour("--accent"), entered.map((row) => `${trades.side[row] < 0 ? "sold short" : "bought"} at ${trades.entry_price[row].toFixed(2)}`)),
        marks("Exit", left.map((row) => day(trades.out[row])), left.map((row) => trades.exit_price[row]), "circle", left.map((row) => colour(trades.pnl[row] < 0 ? "--down" : "--up")), left.map((row) => `out at ${trades.exit_price[row].toFixed(2)} (${trades.exit_reason[row]}), ${profit(row)}`)),
      );
      const stopped = entered.filter((row) => trades.stop_price[row] !== null);
      if (stopped.length) traces.push({ type: "scatter", mode: "markers", name: "Stop", x: stopped.map((row) => day(trades.in[row])), y: stopped.map((row) => trades.stop_price[row]), marker: { symbol: "line-ew-open", size: 11, color: colour("--down"), line: { color: colour("--down"), width: 2 } }, hovertemplate: "stop %{y:.2f}" });
    }
    const splits = bars.splits.filter(([place]) => inYear(place));
    return [traces, {
      xaxis: { type: "date", rangebreaks: [{ bounds: ["sat", "mon"] }, { values: closedDays(x) }], rangeslider: { visible: false } },
      yaxis: { tickprefix: "$" }, showlegend: true,
      shapes: splits.map(([place]) => upright(sheet.sessions[place], "dot", colour("--muted"))),
      annotations: splits.map(([place, factor]) => ({ x: sheet.sessions[place], y: 1, yref: "paper", yanchor: "top", xanchor: "left", text: `${factor}:1 split`, showarrow: false })),
    }];
  }

  /* Weekdays without a bar, so that the time axis has no holes at holidays. */
  function closedDays(sessions) {
    const open = new Set(sessions), closed = [];
    const last = new Date(sessions[sessions.length - 1]);
    for (const day = new Date(sessions[0]); day < last; day.setUTCDate(day.getUTCDate() + 1)) {
      const text = day.toISOString().slice(0, 10);
      if (day.getUTCDay() % 6 && !open.has(text)) closed.push(text);
    }
    return closed;
  }

  function draw(figure, width) {
    drawn.add(figure);
    const plot = figure.querySelector(".plot");
    const chart = CHARTS[figure.dataset.chart]();
    figure.hidden = !chart;
    Plotly.purge(plot);
    if (chart) Plotly.newPlot(plot, chart[0], layout(chart[1], width), { displaylogo: false, responsive: !width, displayModeBar: coarse || width ? false : "hover", modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] });
  }

  const redraw = (...kinds) => figures.filter((figure) => drawn.has(figure) && kinds.includes(figure.dataset.chart)).forEach((figure) => draw(figure));
  const redrawAll = () => drawn.forEach((figure) => draw(figure));

  /* A chart is drawn when it comes near the screen, so that the page is there at once. */
  function drawNear() {
    const near = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        if (!isIntersecting) continue;
        near.unobserve(target);
        draw(target);
      }
    }, { rootMargin: "500px" });
    figures.forEach((figure) => near.observe(figure));
  }

  function offerYears() {
    const bars = sheet.candles[nameBox.value], trades = sheet.of[chosen].trades[nameBox.value];
    const years = [...new Set((bars ? bars.at : []).map((place) => sheet.sessions[place].slice(0, 4)))];
    const traded = new Set((trades ? [...trades.in, ...trades.out] : []).map((place) => sheet.sessions[place].slice(0, 4)));
    const worth = years.some((year) => traded.has(year)) ? years.filter((year) => traded.has(year)) : years;
    const kept = worth.includes(yearBox.value) ? yearBox.value : worth[worth.length - 1];
    yearBox.replaceChildren(...years.map((year) => new Option(year, year, false, year === kept)));
  }

  function offerNames() {
    const trades = sheet.of[chosen].trades;
    const count = (name) => trades[name] ? trades[name].in.length : 0;
    const names = Object.keys(sheet.candles);
    const most = names.reduce((best, name) => count(name) > count(best) ? name : best, names[0]);
    const kept = count(nameBox.value) ? nameBox.value : most;
    nameBox.replaceChildren(...names.map((name) => new Option(`${name} · ${count(name)} ${count(name) === 1 ? "trade" : "trades"}`, name, false, name === kept)));
    offerYears();
  }

  function choose(key) {
    chosen = key;
    choices.forEach((button) => button.setAttribute("aria-pressed", button.value === key));
    document.querySelectorAll(".of").forEach((block) => block.classList.toggle("selected", block.dataset.of === key));
    if (nameBox) offerNames();
  }

  function theme(dark) {
    root.dataset.theme = dark ? "dark" : "light";
  }

  function listen() {
    choices.forEach((button) => button.addEventListener("click", () => { choose(button.value); redraw("distribution", "exposure", "fan", "candles"); }));
    document.querySelectorAll("[data-scale]").forEach((button) => button.addEventListener("click", () => {
      scale = button.dataset.scale;
      document.querySelectorAll("[data-scale]").forEach((other) => other.setAttribute("aria-pressed", other === button));
      redraw("equity");
    }));
    nameBox?.addEventListener("change", () => { offerYears(); redraw("candles"); });
    yearBox?.addEventListener("change", () => redraw("candles"));
    darkMode.addEventListener("change", () => { theme(darkMode.matches); redrawAll(); });
    addEventListener("beforeprint", () => { theme(false); figures.forEach((figure) => draw(figure, PRINT_WIDTH)); });
    addEventListener("afterprint", () => { theme(darkMode.matches); redrawAll(); });
  }

  async function start() {
    theme(darkMode.matches);
    sheet = JSON.parse(await unpacked("sheet"));
    await runPacked("plotly");
    choose(sheet.first);
    listen();
    drawNear();
    root.dataset.ready = "";
  }

  start().catch((error) => {
    root.classList.remove("js");
    document.querySelector(".no-charts .why").textContent = String(error);
  });
})();
