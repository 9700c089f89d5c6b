// The figures, drawn by Plotly when they come into sight, and again when a control changes.
const FONT = 'system-ui, -apple-system, "Segoe UI", "Helvetica Neue", "DejaVu Sans", sans-serif';
const HEATMAP_ROWS = 40;
const CONFIG = { responsive: true, displayModeBar: false };
const parsedCurves = new Map();
let plotly = null;

function loadPlotly() {
  plotly ??= unpacked(byId("plotly").textContent).then((text) => {
    document.head.append(element("script", {}, text));
    return window.Plotly;
  });
  return plotly;
}

async function curvesOf(name) {
  if (!parsedCurves.has(name)) {
    const packed = [...document.querySelectorAll("script.curves")].find((one) => one.dataset.metric === name);
    parsedCurves.set(name, packed ? JSON.parse(await unpacked(packed.textContent)) : null);
  }
  return parsedCurves.get(name);
}

function layout(height, more = {}) {
  const axis = { gridcolor: theme("grid"), zeroline: false, linecolor: theme("line"), ticks: "outside", tickcolor: theme("line"), ticklen: 4, automargin: true };
  const { xaxis = {}, yaxis = {}, ...rest } = more;
  return {
    height, margin: { l: 56, r: 16, t: 12, b: 44 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: FONT, size: 12, color: theme("ink") }, hoverlabel: { font: { family: FONT, size: 12 } },
    xaxis: { ...axis, ...xaxis }, yaxis: { ...axis, ...yaxis }, ...rest,
  };
}

function scaled(metric) {
  return (value) => value === null ? null : metric.share ? 100 * value : value;
}

function yTitle(metric) {
  return plain(metric.title) + (metric.share ? ", %" : "");
}

function short(text, length = 44) {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}

async function drawCurves() {
  const metric = DATA.metrics[STATE.metric];
  const target = byId("curves");
  const found = metric ? await curvesOf(metric.name) : null;
  const Plotly = await loadPlotly();
  if (!found) {
    Plotly.purge(target);
    target.replaceChildren(element("p", { class: "quiet" }, metric ? `${metric.title} is measured once, after the training: choose a metric of the validation for its curve.` : "No metric has been logged yet."));
    return;
  }
  if (target.firstElementChild?.tagName === "P") target.replaceChildren();
  const scale = scaled(metric);
  const [bands, lines, x, y] = [[], [], [], []];
  for (const position of STATE.shown) {
    const [epochs, means, stds] = found[position];
    const colour = colourOf(position);
    if (!epochs.length) continue;
    if (!colour) {
      x.push(...epochs, null);
      y.push(...means.map(scale), null);
      continue;
    }
    const one = DATA.experiments[position];
    const spread = stds.map((std) => scale(std ?? 0));
    if (stds.some((std) => std !== null)) {
      const top = means.map((mean, n) => scale(mean) + spread[n]);
      const bottom = means.map((mean, n) => scale(mean) - spread[n]);
      bands.push({
        x: [...epochs, ...[...epochs].reverse()], y: [...top, ...bottom.reverse()], fill: "toself", fillcolor: `${colour}26`,
        line: { width: 0 }, mode: "lines", hoverinfo: "skip", showlegend: false, legendgroup: one.name,
      });
    }
    lines.push({
      x: epochs, y: means.map(scale), name: plain(short(`${one.name}  ${one.label}`)), mode: epochs.length > 1 ? "lines" : "markers", legendgroup: one.name,
      line: { color: colour, width: 1.8 }, customdata: spread, hovertemplate: `%{y:.4~g} ± %{customdata:.2~g}<extra>${one.name}</extra>`,
    });
  }
  const last = Math.max(0, ...STATE.shown.flatMap((position) => found[position][0].slice(-1)));
  const others = x.length ? [{ x, y, mode: "lines", name: `${STATE.shown.length - lines.length} others`, line: { color: theme("others"), width: 0.7 }, hoverinfo: "skip", connectgaps: false }] : [];
  await Plotly.react(target, [...others, ...bands, ...lines.reverse()], layout(400, {
    xaxis: { title: { text: "epoch" }, ...(last < 10 ? { dtick: 1 } : {}) }, yaxis: { title: { text: yTitle(metric) } },
    hovermode: "x unified", legend: { x: 1.01, y: 1, traceorder: "reversed", font: { size: 11.5 }, itemwidth: 24 }, showlegend: true,
  }), CONFIG);
}

async function drawEffects() {
  const Plotly = await loadPlotly();
  const metric = DATA.metrics[STATE.metric];
  if (!metric) return;
  const scale = scaled(metric);
  const target = byId("effects");
  if (!target.children.length) {
    for (const effect of DATA.effects) {
      const note = effect.note ? element("small", {}, effect.note) : "";
      target.append(element("figure", {}, element("figcaption", { title: DATA.settings[effect.setting].key }, effect.label, note), element("div", { class: "figure" })));
    }
  }
  await Promise.all(DATA.effects.map((effect, n) => {
    const index = (value) => effect.axis === "category" ? effect.values.indexOf(value) : value;
    const [x, y, texts] = [[], [], []];
    effect.members.forEach((members, v) => members.forEach((position) => {
      const one = DATA.experiments[position];
      for (const run of one.runs.filter((r) => r.counted)) {
        const value = run.values[STATE.metric][STATE.epoch];
        if (value === null) continue;
        x.push(index(effect.values[v]));
        y.push(scale(value));
        texts.push(plain(short(`${one.name} seed ${run.seed}: ${one.label}`, 80)));
      }
    }));
    const means = effect.means[STATE.metric][STATE.epoch];
    const known = effect.values.map((value, v) => [index(value), means[v]]).filter(([, mean]) => mean !== null);
    const positions = effect.values.map(index);
    const few = effect.values.length <= 8;
    const ends = effect.axis === "category" ? { range: [-0.5, effect.values.length - 0.5] } : { type: effect.axis };
    const ticks = effect.axis === "category" || few ? { tickmode: "array", tickvals: positions, ticktext: effect.values.map((v) => plain(short(String(v), 22))) } : {};
    return Plotly.react(target.children[n].lastElementChild, [
      { x, y, text: texts, mode: "markers", marker: { color: theme("quiet"), size: 6, opacity: 0.45 }, hovertemplate: "%{y:.4~g}<br>%{text}<extra></extra>", showlegend: false },
      {
        x: known.map(([value]) => value), y: known.map(([, [mean]]) => scale(mean)),
        error_y: { type: "data", array: known.map(([, [, std]]) => scale(std ?? 0)), color: theme("accent"), thickness: 1.4, width: 4 },
        mode: effect.axis === "category" ? "markers" : "lines+markers",   // nothing lies between two categories
        line: { color: theme("accent"), width: 1.8 }, marker: { color: theme("accent"), size: 8 }, hovertemplate: "mean %{y:.4~g}<extra></extra>", showlegend: false,
      },
    ], layout(270, { xaxis: { ...ends, ...ticks }, yaxis: { title: { text: yTitle(metric) } }, margin: { l: 56, r: 10, t: 10, b: 40 } }), CONFIG);
  }));
}

async function drawClasses() {
  const Plotly = await loadPlotly();
  const group = DATA.class_groups[Number(byId("class-group").value)];
  const shown = STATE.shown.slice(0, HEATMAP_ROWS);
  const z = shown.map((position) => group.values[position].map((values) => values[STATE.epoch] === null ? null : 100 * values[STATE.epoch]));
  const names = shown.map((position) => DATA.experiments[position]);
  const dark = window.matchMedia("(prefers-color-scheme: dark)").matches;
  const scale = dark ? [[0, "#1d2229"], [1, "#3d74c0"]] : [[0, "#f7f9fc"], [1, "#84aee6"]];
  const more = STATE.shown.length - shown.length;
  await Plotly.react(byId("classes"), [{
    type: "heatmap", z, x: DATA.classes, y: names.map((one) => one.name), customdata: names.map((one) => DATA.classes.map((label) => plain(`${label}, ${one.name} ${one.label}`))),
    colorscale: scale, zmin: 0, zmax: Math.max(1, ...z.flat()), showscale: false, xgap: 2, ygap: 2, texttemplate: "%{z:.1f}", textfont: { color: theme("ink") }, hoverongaps: false,
    hovertemplate: "%{z:.2f} %<br>%{customdata}<extra></extra>",
  }], layout(70 + 26 * Math.max(1, shown.length) + (more ? 20 : 0), {
    xaxis: { side: "top", type: "category", showgrid: false, ticks: "", tickangle: 0, fixedrange: true, tickmode: "array", tickvals: DATA.classes,
      ticktext: DATA.classes.map((label, n) => `<span style="color:${DATA.colours[n]}">■</span> ${plain(short(label, 20))}`) },
    yaxis: { autorange: "reversed", showgrid: false, ticks: "", type: "category", fixedrange: true, tickmode: "array",
      tickvals: names.map((one) => one.name), ticktext: names.map((one) => plain(short(`${one.name}  ${one.label}`, 40))) },
    margin: { l: 60, r: 10, t: 44, b: more ? 26 : 6 },
    annotations: more ? [{ text: `and ${more} more: filter or sort the table to see them`, xref: "paper", yref: "paper", x: 0, y: 0, yshift: -20, xanchor: "left", showarrow: false, font: { size: 11.5, color: theme("quiet") } }] : [],
  }), CONFIG);
}
