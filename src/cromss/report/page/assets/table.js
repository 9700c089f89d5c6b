// The table: one row per experiment, sorted and filtered; on demand one row per run.
const HAS_STATES = DATA.experiments.some((one) => one.states.join() !== "done");

function columns() {
  const settings = DATA.settings.map((setting, index) => ({
    id: `setting ${index}`, title: setting.label, hint: setting.key, numeric: setting.numeric,
    value: (one) => one.settings[index],
    cell: (one) => plainCell(one.settings[index], setting.numeric),
    runCell: () => element("td"),
  }));
  const scores = DATA.metrics
    .map((metric, index) => ({ metric, index }))
    .filter(({ metric, index }) => metric.column || index === STATE.metric)
    .sort((a, b) => nearness(b.metric, b.index) - nearness(a.metric, a.index))
    .map(({ metric, index }) => ({
      id: `metric ${index}`, title: metric.title, hint: metric.name, numeric: true, chosen: index === STATE.metric,
      lower: metric.lower,
      value: (one) => one.scores[index][STATE.epoch]?.[0] ?? null,
      cell: (one) => scoreCell(one, metric, index),
      runCell: (run) => runScore(run, metric, index),
    }));
  const states = HAS_STATES ? [{
    id: "state", title: "state", numeric: false,
    value: (one) => one.states.join(" "),
    cell: (one) => element("td", {}, ...(one.states.join() === "done" ? ["done"] : [element("span", { class: "state" }, one.states.join(", "))])),
    runCell: (run) => element("td", {}, run.state),
  }] : [];
  return [
    {
      id: "name", title: "", hint: "experiment", numeric: false,
      value: (one) => Number(one.name.slice(1)),
      cell: (one, position) => {
        const dot = element("span", { class: "dot" });
        const colour = colourOf(position);
        if (colour) dot.style.background = colour;
        return element("td", {}, dot, one.name);
      },
      runCell: () => element("td"),
    },
    ...(settings.length ? settings : [{
      id: "label", title: "run", numeric: false, value: (one) => one.label,
      cell: (one) => plainCell(one.label, false), runCell: () => element("td"),
    }]),
    ...scores,
    {
      id: "seeds", title: "seeds", numeric: true, value: (one) => one.count,
      cell: (one) => element("td", { class: "number" }, String(one.count)),
      runCell: (run) => element("td", { class: "number" }, `seed ${run.seed}`),
    },
    ...states,
  ];
}

// The chosen metric first, then its branch, which is what one looks at with it.
function nearness(metric, index) {
  const branch = (name) => name.split("/")[1];
  return 2 * (index === STATE.metric) + (branch(metric.name) === branch(DATA.metrics[STATE.metric].name));
}

function plainCell(value, numeric) {
  const absent = value === "–" ? " absent" : "";
  return element("td", { class: (numeric ? "number" : "") + absent, title: String(value) }, String(value));
}

function scoreCell(one, metric, index) {
  const score = one.scores[index][STATE.epoch];
  if (score === null) return element("td", { class: "number absent" }, "–");
  const [mean, std] = score;
  const text = number(mean, metric);
  const isBest = one.done && mean === metric.best[STATE.epoch];
  const spread = element("small", {}, std === null ? "" : ` ± ${number(std, metric)}`);
  return element("td", { class: "number" }, isBest ? element("b", {}, text) : text, spread);
}

function runScore(run, metric, index) {
  const value = run.values[index][STATE.epoch];
  return element("td", { class: "number" }, value === null ? "–" : number(value, metric));
}

// A filter looks at what stands in the row, and at setting=value.
const TEXTS = DATA.experiments.map((one) => [
  one.name, ...one.states, ...one.runs.map((run) => run.name),
  ...DATA.settings.flatMap((s, index) => [`${s.label}=${one.settings[index]}`, `${s.key}=${one.settings[index]}`]),
].join(" ").toLowerCase());

function order(all) {
  const sort = STATE.sort ?? { id: `metric ${STATE.metric}`, down: null };
  const column = all.find((one) => one.id === sort.id) ?? all[0];
  const down = sort.down ?? !column.lower;
  const worth = (position) => {
    const value = column.value(DATA.experiments[position]);
    return value === "–" ? null : value;
  };
  // A score of what is not done is no result yet: below all that are, as what is missing.
  const pending = (position) => column.lower !== undefined && !DATA.experiments[position].done;
  const compare = (a, b) => {
    if (pending(a) !== pending(b)) return pending(a) - pending(b);
    const [x, y] = [worth(a), worth(b)];
    if (x === null || y === null) return (x === null) - (y === null);   // what is missing stays below
    const rising = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), "en", { numeric: true });
    return down ? -rising : rising;
  };
  const matching = DATA.experiments.map((_, index) => index).filter((p) => STATE.words.every((word) => TEXTS[p].includes(word)));
  return { shown: DATA.metrics.length || STATE.sort ? matching.sort(compare) : matching, column, down };
}

function drawTable() {
  const all = columns();
  const { shown, column, down } = order(all);
  STATE.shown = shown;
  const head = element("tr");
  for (const one of all) {
    const sorted = one === column ? (down ? "descending" : "ascending") : null;
    const button = element("button", { type: "button", title: one.hint ?? null }, one.title || "experiment");
    button.addEventListener("click", () => {
      // Scores first with the best on top, everything else rising.
      STATE.sort = { id: one.id, down: one === column ? !down : one.lower === undefined ? false : !one.lower };
      update();
    });
    const kind = (one.numeric ? "number" : "") + (one.chosen ? " chosen" : "");
    head.append(element("th", { scope: "col", class: kind, "aria-sort": sorted, "data-column": one.id }, button));
  }
  const body = [];
  for (const position of shown) body.push(...rows(all, position));
  if (!shown.length) body.push(element("tr", { class: "none" }, element("td", { colspan: all.length }, "No experiment contains these words.")));
  byId("table").tHead.replaceChildren(head);
  byId("table").tBodies[0].replaceChildren(...body);
  byId("count").textContent = `${shown.length} of ${DATA.experiments.length}`;
}

function rows(all, position) {
  const one = DATA.experiments[position];
  const isOpen = STATE.open.has(one.name);
  const row = element("tr", { class: `experiment${one.done ? "" : " unfinished"}`, tabindex: 0, "aria-expanded": isOpen, "data-name": one.name });
  row.append(...all.map((column) => column.cell(one, position)));
  const toggle = () => {
    if (!STATE.open.delete(one.name)) STATE.open.add(one.name);
    drawTable();
    document.querySelector(`tr[data-name="${one.name}"]`).focus({ preventScroll: true });
  };
  row.addEventListener("click", toggle);
  row.addEventListener("keydown", (event) => { if (event.key === "Enter") toggle(); });
  if (!isOpen) return [row];
  const runs = one.runs.map((run) => {
    const made = element("tr", { class: "run" });
    const cells = all.map((column) => column.runCell(run));
    const before = 1 + Math.max(1, DATA.settings.length);
    const about = `${run.name}, ${run.epochs} epochs${run.counted ? "" : ", not counted"}`;
    made.append(element("td", { colspan: before, title: about }, about), ...cells.slice(before));
    return made;
  });
  return [row, ...runs];
}
