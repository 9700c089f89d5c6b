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
  byId("patches").replaceChildren(...DATA.blocks.map((block) => patchTable(block, chosen)), patchLegend(chosen));
}

function patchTable(block, chosen) {
  const given = Object.keys(block.given);
  const runs = block.runs.filter((run) => chosen in run.columns);
  const labels = new Map(DATA.experiments.map((one) => [one.name, one.label]));
  const heads = runs.map((run, n) => element("th", { class: n ? null : "first", title: `seed ${run.seed}, epoch ${run.epoch}` },
    element("b", {}, run.name), element("br"), short(labels.get(run.name), 60)));
  const body = block.locations.map((name, row) => element("tr", {},
    element("th", { class: "location" }, name),
    ...given.map((title) => element("td", {}, png(block.given[title].pictures[row], `${title}, ${name}`))),
    ...runs.map((run, n) => element("td", { class: n ? null : "first" }, png(run.columns[chosen].pictures[row], `${run.name} ${chosen}, ${name}`)))));
  const head = element("tr", {}, element("th"), ...given.map((title) => element("th", {}, title)), ...heads);
  return element("div", { class: given.length + runs.length > 8 ? "patches many" : "patches" }, element("table", {}, element("thead", {}, head), element("tbody", {}, ...body)));
}

// The classes that occur in what is shown.
function patchLegend(chosen) {
  const swatch = (label, colour) => {
    const box = element("i");
    box.style.background = colour;
    return element("span", {}, box, label);
  };
  const columns = DATA.blocks.flatMap((block) => [
    ...Object.values(block.given), ...block.runs.filter((run) => chosen in run.columns).map((run) => run.columns[chosen])]);
  const present = new Set(columns.flatMap((column) => column.classes));
  const swatches = DATA.classes.flatMap((label, n) => present.has(label) ? [swatch(label, DATA.colours[n])] : []);
  if (present.has("unlabelled")) swatches.push(swatch("unlabelled", "#000"));
  return element("div", { class: "legend" }, ...swatches);
}
