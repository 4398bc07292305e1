"use strict";
// Everything that comes from data is set as text or as a property, never as markup.

const page = document.getElementById("page");
const data = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-")) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const data_text = (text) => make("bdi", {}, text); // right-to-left text does not reorder its neighbours

function facts(rows) {
  return make("dl", {}, ...rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, data_text(value))]));
}

function table(headings, rows) {
  const cell = (tag) => (content, column) =>
    make(tag, { className: headings[column].number ? "number" : "" }, content);
  return make("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": headings.map((h) => h.name).join(", ") },
    make("table", {},
      make("thead", {}, make("tr", {}, ...headings.map((h, column) => cell("th")(h.name, column)))),
      make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map(cell("td")))))));
}

const columns = (...names) => names.map((name) => ({ name: name.replace("#", ""), number: name.startsWith("#") }));
