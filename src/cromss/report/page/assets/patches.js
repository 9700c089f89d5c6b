// The same patches as several experiments see them: rows patches, columns experiments.
function patchColumns() {
  const titles = DATA.blocks.flatMap((block) => block.runs.flatMap((run) => Object.keys(run.columns)));
  return [...new Set(titles)];
}

function png(data, title) {
  return element("img", { src: `data:image/png;base64,${data}`, alt: title, title, loading: "lazy" });
}

function drawPatches() {
  const chosen = byId("patch-column")?.value;
  byId("patches").replaceChildren(...DATA.blocks.map((block) => patchTable(block, chosen)), patchLegend());
}

function patchTable(block, chosen) {
  const given = Object.keys(block.left);
  const runs = block.runs.filter((run) => chosen in run.columns);
  const labels = new Map(DATA.experiments.map((one) => [one.name, one.label]));
  const heads = runs.map((run, n) => element("th", { class: n ? null : "first", title: `seed ${run.seed}, epoch ${run.epoch}` },
    element("b", {}, run.name), element("br"), short(labels.get(run.name), 60)));
  const body = block.locations.map((name, row) => element("tr", {},
    element("th", { class: "place" }, name),
    ...given.map((title) => element("td", {}, png(block.left[title][row], `${title}, ${name}`))),
    ...runs.map((run, n) => element("td", { class: n ? null : "first" }, png(run.columns[chosen][row], `${run.name} ${chosen}, ${name}`)))));
  const head = element("tr", {}, element("th"), ...given.map((title) => element("th", {}, title)), ...heads);
  return element("div", { class: given.length + runs.length > 8 ? "patches many" : "patches" }, element("table", {}, element("thead", {}, head), element("tbody", {}, ...body)));
}

function patchLegend() {
  const swatch = (label, colour) => {
    const box = element("i");
    box.style.background = colour;
    return element("span", {}, box, label);
  };
  if (!DATA.blocks.length) return "";
  return element("div", { class: "legend" }, ...DATA.classes.map((label, n) => swatch(label, DATA.colours[n])), swatch("unlabelled", "#000"));
}
