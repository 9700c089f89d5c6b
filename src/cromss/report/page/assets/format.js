"use strict";
// What all parts of the page share: the data, the state of the controls, numbers as text.
const DATA = JSON.parse(document.getElementById("data").textContent);
const COLOURS = ["#3b78c9", "#e07b2a", "#3f9b57", "#c9453f", "#8a63bd", "#99694f", "#d770b4", "#7f868f", "#a9a52e", "#2fa7b5"];
const STATE = {
  metric: Math.max(0, DATA.metrics.findIndex((metric) => metric.name === DATA.primary)),
  epoch: 0,
  words: [],
  sort: null,           // column id and direction; null: the chosen metric, best first
  open: new Set(),      // names of experiments whose runs are shown
  shown: [],            // positions of experiments in the table, in its order
};

const byId = (id) => document.getElementById(id);

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// Plotly takes some HTML in its texts.
function plain(text) {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

function number(value, metric) {
  return metric.share ? (100 * value).toFixed(2) : value.toFixed(3);
}

function colourOf(position) {
  const index = STATE.shown.indexOf(position);
  return index >= 0 && index < COLOURS.length ? COLOURS[index] : null;
}

function theme(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

async function unpacked(packed) {
  const letters = atob(packed);
  const bytes = new Uint8Array(letters.length);   // a loop: Uint8Array.from takes a second for Plotly
  for (let n = 0; n < letters.length; n++) bytes[n] = letters.charCodeAt(n);
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}
