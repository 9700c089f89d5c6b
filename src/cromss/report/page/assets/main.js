// Controls, and which figure is drawn when.
const DRAWN = { curves: drawCurves, effects: drawEffects, classes: drawClasses };
const seen = new Set();
let drawing = Promise.resolve();

function draw(name) {
  // One after the other, so that an older answer never overwrites a newer one.
  drawing = drawing.then(() => DRAWN[name]()).catch((error) => {
    byId(name).replaceChildren(element("p", { class: "quiet" }, `This figure cannot be drawn: ${error.message}`));
    console.error(error);
  });
}

function update() {
  drawTable();
  seen.forEach(draw);
}

function fill(select, options) {
  select.replaceChildren(...options.map(([value, text]) => element("option", { value }, text)));
}

fill(byId("metric"), DATA.metrics.map((metric, index) => [index, metric.title]));
byId("metric").value = String(STATE.metric);
byId("metric").addEventListener("change", (event) => {
  STATE.metric = Number(event.target.value);
  STATE.sort = null;
  update();
});
byId("epoch").addEventListener("change", (event) => {
  STATE.epoch = Number(event.target.value);
  update();
});
byId("filter").addEventListener("input", (event) => {
  STATE.words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
  update();
});
if (byId("class-group")) {
  fill(byId("class-group"), DATA.class_groups.map((group, index) => [index, group.title]));
  const own = DATA.class_groups.findIndex((group) => DATA.primary && group.name === DATA.primary.replace("/miou", "/iou"));
  byId("class-group").value = String(Math.max(0, own));
  byId("class-group").addEventListener("change", () => draw("classes"));
}
if (byId("patch-column")) {
  const titles = patchColumns();
  fill(byId("patch-column"), titles.map((title) => [title, title]));
  const branch = DATA.primary?.split("/")[1];
  byId("patch-column").value = titles.includes(`prediction ${branch}`) ? `prediction ${branch}` : titles[0];
  byId("patch-column").addEventListener("change", drawPatches);
}
drawTable();
drawPatches();

const watcher = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    watcher.unobserve(target);
    seen.add(target.dataset.figure);
    draw(target.dataset.figure);
  }
}, { rootMargin: "200px" });
document.querySelectorAll("[data-figure]").forEach((section) => watcher.observe(section));
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => seen.forEach(draw));
