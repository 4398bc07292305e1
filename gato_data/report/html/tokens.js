const NAMES = {
  text: "text (a piece of a word)", patch: "patch (16 x 16 pixels)", discrete: "discrete (a whole number)",
  continuous: "continuous (one of 1,024 bins)", separator: "separator (before the action)",
};

function legend() {
  const chips = Object.entries(NAMES).map(([modality, name]) =>
    make("span", {}, make("span", { className: `token m-${modality}` }, "  "), " ", name));
  return make("div", { className: "legend" }, ...chips,
    make("span", {}, make("span", { className: "token m-discrete loss" }, "7"), " solid bar: trained on"),
    make("span", {}, make("span", { className: "token m-discrete off" }, "7"), " dotted bar: not trained on"));
}

const plural = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

function positionOf(group, number) {
  if (group.position === null) return "no position";
  return typeof group.position === "number" ? `position ${group.position + number}` : `position: ${group.position}`;
}

const valueOf = (set, group, number, id) => set.tables[group.tables[number]][id];

// What a token is; `now` says which timestep is shown: { set, cell, offset }.
function describe(group, number, now) {
  const element = group.elements ? group.elements[number] : "";
  const lines = [`token ${now.offset + group.first + number}`, positionOf(group, number), group.modality, group.name + element];
  if (group.rows) lines.push(`row ${Math.floor(number / group.columns)}, column ${number % group.columns} of the image`);
  else if (group.tables) {
    const id = now.cell(group.first + number), value = valueOf(now.set, group, number, id);
    lines.push(`id ${id}`);
    if (value) lines.push(`value ${value}`);
  }
  lines.push(group.loss ? "trained on (loss mask 1)" : "not trained on (loss mask 0)");
  return lines.join(" \u00b7 ");
}

function tokenCell(group, number, show) {
  const cell = make("button", { type: "button", className: `token m-${group.modality} ${group.loss ? "loss" : "off"}`, tabIndex: -1 });
  cell.addEventListener("focus", () => show(cell, group, number));
  cell.addEventListener("pointerenter", () => show(cell, group, number));
  return cell;
}

const mosaicWidth = () => Math.min(336, document.documentElement.clientWidth - 72);

// An image on a canvas, under one button a patch.
function mosaic(group, show) {
  const side = Math.max(3, Math.min(64, Math.floor(mosaicWidth() / group.columns)));
  const canvas = make("canvas", { width: group.columns * 16, height: group.rows * 16, "aria-hidden": "true" });
  const grid = make("div", { className: "mosaic" }, canvas);
  grid.style.gridTemplateColumns = `repeat(${group.columns}, ${side}px)`;
  grid.style.gridAutoRows = `${side}px`;
  for (let number = 0; number < group.count; number++) {
    const cell = tokenCell(group, number, show);
    cell.setAttribute("aria-label", `patch of ${group.name}, row ${Math.floor(number / group.columns)}, column ${number % group.columns}`);
    grid.append(cell);
  }
  return { body: grid, update: (now) => paint(canvas, group, now.cell, now.set.images) };
}

function values(group, show) {
  const texts = [];
  const cells = Array.from({ length: group.count }, (_, number) => {
    const cell = tokenCell(group, number, show);
    texts.push(data_text(""));
    cell.append(group.modality === "separator" ? "|" : texts[number]);
    return cell;
  });
  const update = (now) => cells.forEach((cell, number) => {
    texts[number].textContent = valueOf(now.set, group, number, now.cell(group.first + number)) || "\u00a0";
    if (!now.playing) cell.setAttribute("aria-label", describe(group, number, now));
  });
  return { body: make("div", { className: "tokens" }, ...cells), update };
}

function padding(group) {
  if (!group.rows || (group.content[0] === group.rows * 16 && group.content[1] === group.columns * 16)) return "";
  return `, the picture is the first ${group.content[0]} x ${group.content[1]} pixels`;
}

function groupOf(group, show) {
  const range = make("span");
  const header = make("header", {},
    make("b", { className: `name-${group.modality}` }, data_text(group.name)), make("br"),
    make("span", { className: "dim" }, range, `, ${group.modality}, ${group.loss ? "trained on" : "not trained on"}${padding(group)}`));
  const cut = { body: make("p", { className: "dim" }, plural(group.count, "patch token"), " of an image that is cut off or too large to draw"), update: () => {} };
  const { body, update } = group.rows ? mosaic(group, show) : group.tables ? values(group, show) : cut;
  return {
    element: make("section", { className: "group" }, header, body),
    update: (now) => {
      const first = now.offset + group.first;
      range.textContent = group.count === 1 ? `token ${first}` : `tokens ${first} to ${first + group.count - 1}`;
      update(now);
    },
  };
}

// The tokens of timesteps of one layout: an element, and what shows another timestep in it.
function strip(layout) {
  const hint = "Point at a token, or move with the arrow keys, to see what it is.";
  const detail = make("p", { className: "detail", "aria-live": "polite" }, hint);
  let shown = null, now = null;
  const tell = () => { detail.textContent = describe(shown.group, shown.number, now); };
  const show = (cell, group, number) => {
    if (shown) shown.cell.classList.remove("shown");
    shown = { cell, group, number };
    cell.classList.add("shown");
    tell();
  };
  const groups = layout.groups.map((group) => groupOf(group, show));
  const box = make("div", { className: "strip", role: "group", "aria-label": "tokens in order" }, ...groups.map((group) => group.element));
  walk(box);
  const counted = layout.groups.reduce((sum, group) => sum + group.count, 0);
  const cut = counted < layout.total ? make("p", { className: "dim" }, `${plural(layout.total - counted, "more token")} not shown.`) : null;
  return {
    element: make("div", {}, box, detail, cut),
    update: (shownNow) => {
      now = shownNow;
      detail.setAttribute("aria-live", now.playing ? "off" : "polite");
      groups.forEach((group) => group.update(now));
      if (shown) tell();
    },
  };
}

// Arrow keys, Home and End move among tokens.
function walk(box) {
  const cells = [...box.querySelectorAll(".token")];
  if (cells.length) cells[0].tabIndex = 0;
  box.addEventListener("keydown", (event) => {
    const move = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key];
    const at = cells.indexOf(document.activeElement);
    if (!move || at < 0) return;
    event.preventDefault();
    const across = event.key === "ArrowDown" || event.key === "ArrowUp" ? rowLength(cells[at]) : 1;
    const to = Math.max(0, Math.min(cells.length - 1, Number.isFinite(move) ? at + move * across : move > 0 ? cells.length - 1 : 0));
    cells[at].tabIndex = -1;
    cells[to].tabIndex = 0;
    cells[to].focus();
  });
}

function rowLength(cell) {
  const columns = cell.parentElement.style.gridTemplateColumns.match(/repeat\((\d+)/);
  return columns ? Number(columns[1]) : 1;
}

function sentence(layout) {
  const pieces = layout.groups.map((group) => {
    const noun = { text: "text token", patch: "patch token", discrete: "token", continuous: "token", separator: "separator" }[group.modality];
    const words = plural(group.count, noun);
    return group.modality === "separator" ? words : `${words} of ${group.name}`;
  });
  return `${plural(layout.total, "token")}, in this order: ${pieces.join(", ")}.`;
}
