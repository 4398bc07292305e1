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

// ---- charts -------------------------------------------------------------------------------------------------------

function chart(title, caption, width, height, ...content) {
  return make("figure", { className: "chart" },
    make("figcaption", {}, make("b", {}, data_text(title)), " ", make("span", { className: "dim" }, caption)),
    draw("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": `${title}, ${caption}` }, ...content));
}

function bars(title, caption, counts, labels, unit = "") {
  const width = 340, height = 130, left = 8, bottom = 18, top = 16;
  const most = Math.max(...counts, 1);
  const step = (width - 2 * left) / counts.length;
  const content = counts.map((count, number) => {
    const high = (count / most) * (height - bottom - top);
    const shown = count ? Math.max(high, 1) : 0;
    const bar = draw("rect", {
      class: "bar", x: left + number * step + step * 0.05, width: Math.max(step * 0.9, 0.5),
      y: height - bottom - shown, height: shown,
    });
    bar.append(draw("title", {}, `${labels[number]}: ${count}${unit}`));
    return bar;
  });
  content.push(
    draw("text", { x: left, y: 11 }, `${most}${unit} at most`),
    draw("text", { x: left, y: height - 4 }, String(labels[0])),
    draw("text", { x: width - left, y: height - 4, "text-anchor": "end" }, String(labels[labels.length - 1])));
  return chart(title, caption, width, height, ...content);
}

function histogram(title, found) {
  const [low, first, median, third, high] = found.marks;
  const caption = `${low} to ${high}, median ${median}, half of them from ${first} to ${third}`;
  const whole = found.edges.slice(0, -1);
  const labels = whole.map((edge, number) => (Number(found.edges[number + 1]) - Number(edge) === 1 ? edge : `${edge} to ${found.edges[number + 1]}`));
  labels[0] = low;
  return bars(title, caption, found.counts, labels);
}

function curve(title, times, values, now) {
  const width = 340, height = 110, left = 8, bottom = 18, top = 16;
  const known = values.filter((value) => value !== null);
  const low = Math.min(...known), high = Math.max(...known);
  const x = (time) => left + ((time - times[0]) / Math.max(times[times.length - 1] - times[0], 1)) * (width - 2 * left);
  const y = (value) => height - bottom - ((value - low) / (high - low || 1)) * (height - bottom - top);
  let path = "";
  values.forEach((value, number) => {
    if (value === null) return;
    path += path ? `H${x(times[number]).toFixed(1)}V${y(value).toFixed(1)}` : `M${x(times[number]).toFixed(1)} ${y(value).toFixed(1)}`;
  });
  const mark = draw("line", { class: "now", x1: x(now), x2: x(now), y1: top, y2: height - bottom });
  return chart(title, `${low} to ${high}`, width, height,
    draw("path", { class: "curve", d: path }), mark,
    draw("text", { x: left, y: 11 }, String(high)),
    draw("text", { x: left, y: height - 4 }, `${low}, timestep ${times[0]}`),
    draw("text", { x: width - left, y: height - 4, "text-anchor": "end" }, `timestep ${times[times.length - 1]}`));
}

function coverage(digits, label) {
  const image = draw("svg", { class: "coverage", viewBox: `0 0 ${digits.length} 8`, preserveAspectRatio: "none", role: "img", "aria-label": label });
  [...digits].forEach((digit, number) => {
    const height = 2 + Number(digit) * 0.75;
    if (digit !== "0") image.append(draw("rect", { class: "bar", x: number, width: 1, y: 8 - height, height }));
  });
  return image;
}

// ---- tokens -------------------------------------------------------------------------------------------------------

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

function describe(group, number) {
  const element = group.elements ? group.elements[number] : "";
  const lines = [`token ${group.first + number}`, positionOf(group, number), group.modality, group.name + element];
  if (group.columns) lines.push(`row ${Math.floor(number / group.columns)}, column ${number % group.columns} of the image`);
  else if (group.ids) lines.push(`id ${group.ids[number]}`);
  if (group.values && group.values[number] !== "") lines.push(`value ${group.values[number]}`);
  lines.push(group.loss ? "trained on (loss mask 1)" : "not trained on (loss mask 0)");
  return lines.join(" \u00b7 ");
}

function tokenCell(group, number, show) {
  const cell = make("button", { type: "button", className: `token m-${group.modality} ${group.loss ? "loss" : "off"}`, tabIndex: -1 });
  cell.setAttribute("aria-label", describe(group, number));
  cell.title = describe(group, number);
  cell.addEventListener("focus", () => show(cell, group, number));
  cell.addEventListener("pointerenter", () => show(cell, group, number));
  return cell;
}

const mosaicWidth = () => Math.min(260, document.documentElement.clientWidth - 80);

function mosaic(group, show) {
  const side = Math.max(6, Math.min(52, Math.floor(mosaicWidth() / group.columns)));
  const grid = make("div", { className: "mosaic" });
  grid.style.gridTemplateColumns = `repeat(${group.columns}, ${side}px)`;
  for (let number = 0; number < group.rows * group.columns; number++) {
    const cell = tokenCell(group, number, show);
    cell.style.width = cell.style.height = `${side}px`;
    cell.style.backgroundImage = `url("${group.frame}")`;
    cell.style.backgroundSize = `${group.columns * side}px ${group.rows * side}px`;
    cell.style.backgroundPosition = `${-(number % group.columns) * side}px ${-Math.floor(number / group.columns) * side}px`;
    grid.append(cell);
  }
  return grid;
}

function padding(group) {
  if (!group.frame || (group.content[0] === group.rows * 16 && group.content[1] === group.columns * 16)) return "";
  return `, the picture is the first ${group.content[0]} x ${group.content[1]} pixels`;
}

function groupOf(group, show) {
  const length = group.frame ? group.rows * group.columns : group.ids ? group.ids.length : group.count;
  const range = length === 1 ? `token ${group.first}` : `tokens ${group.first} to ${group.first + length - 1}`;
  const header = make("header", {},
    make("b", { className: `name-${group.modality}` }, data_text(group.name)), make("br"),
    make("span", { className: "dim" }, `${range}, ${group.modality}, ${group.loss ? "trained on" : "not trained on"}${padding(group)}`));
  let body;
  if (group.frame) body = mosaic(group, show);
  else if (!group.ids) body = make("p", { className: "dim" }, plural(group.count, "patch token"), " of an image that is cut off or too large to draw");
  else {
    body = make("div", { className: "tokens" });
    group.ids.forEach((id, number) => {
      const cell = tokenCell(group, number, show);
      cell.append(group.modality === "separator" ? "|" : data_text(group.values[number] || "\u00a0"));
      body.append(cell);
    });
  }
  return make("section", { className: "group" }, header, body);
}

function strip(part) {
  const detail = make("p", { className: "detail", "aria-live": "polite" },
    "Point at a token, or move with the arrow keys, to see what it is.");
  let shown = null;
  const show = (cell, group, number) => {
    if (shown) shown.classList.remove("shown");
    shown = cell;
    cell.classList.add("shown");
    detail.textContent = describe(group, number);
  };
  const box = make("div", { className: "strip", role: "group", "aria-label": "tokens in order" },
    ...part.groups.map((group) => groupOf(group, show)));
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
  const counted = part.groups.reduce((sum, g) => sum + (g.frame ? g.rows * g.columns : g.ids ? g.ids.length : g.count), 0);
  const cut = counted < part.total ? make("p", { className: "dim" }, `${plural(part.total - counted, "more token")} not shown.`) : null;
  return make("div", {}, box, detail, cut);
}

function rowLength(cell) {
  const columns = cell.parentElement.style.gridTemplateColumns.match(/repeat\((\d+)/);
  return columns ? Number(columns[1]) : 1;
}

function sentence(part) {
  const pieces = part.groups.map((group) => {
    const length = group.frame ? group.rows * group.columns : group.ids ? group.ids.length : group.count;
    const noun = { text: "text token", patch: "patch token", discrete: "token", continuous: "token", separator: "separator" }[group.modality];
    const words = length === 1 ? `1 ${noun}` : `${length} ${noun}s`;
    return group.modality === "separator" ? words : `${words} of ${group.name}`;
  });
  return `${plural(part.total, "token")}, in this order: ${pieces.join(", ")}.`;
}

// ---- episodes -----------------------------------------------------------------------------------------------------

const frameOf = (part) => (part.groups.find((group) => group.frame) || {}).frame;

function episodeCard(episode) {
  let at = 0;
  const parts = episode.parts;
  const body = make("div");
  const heading = make("p");
  const film = make("div", { className: "film", role: "group", "aria-label": "timesteps" });
  const buttons = parts.map((part, number) => {
    const frame = frameOf(part);
    const button = make("button", { type: "button" }, frame ? make("img", { src: frame, alt: "" }) : null, part.step === null ? "document" : String(part.step));
    button.setAttribute("aria-label", part.step === null ? "document" : `timestep ${part.step}`);
    button.addEventListener("click", () => go(number));
    return button;
  });
  const slider = make("input", { type: "range", min: 0, max: Math.max(parts.length - 1, 0), value: 0, "aria-label": "timestep" });
  slider.addEventListener("input", () => go(Number(slider.value)));
  const charts = make("div", { className: "charts" });
  function go(number) {
    at = number;
    const part = parts[at];
    slider.value = at;
    slider.setAttribute("aria-valuetext", `timestep ${part.step}`);
    buttons.forEach((button, index) => button.setAttribute("aria-pressed", String(index === at)));
    const reward = part.reward && part.reward !== "-" ? `, reward ${part.reward}` : "";
    heading.replaceChildren(make("b", {}, part.step === null ? "Document" : `Timestep ${part.step}`),
      part.step === null ? "" : ` of 0 to ${episode.timesteps - 1}${reward}`, ": ", data_text(sentence(part)));
    body.replaceChildren(strip(part));
    if (part.step !== null) charts.replaceChildren(...curves(episode, part.step));
  }
  film.append(...buttons);
  const some = parts.length < episode.timesteps ? `${parts.length} of ${plural(episode.timesteps, "timestep")} are shown, spread evenly.` : "";
  const lossy = episode.exact ? "" : " Frames are compressed with loss for this page.";
  const card = make("div", { className: "card", tabIndex: -1 },
    make("h3", {}, data_text(episode.id)),
    facts([
      ...(episode.source_id ? [["source's id", episode.source_id]] : []),
      ["task", episode.task],
      ...(episode.agent ? [["agent", episode.agent]] : []),
      ["split", episode.split],
      ["length", (episode.timesteps ? `${plural(episode.timesteps, "timestep")}, ` : "") + plural(episode.tokens, "token")],
      ["in the loss", `${plural(episode.loss, "token")} (${((100 * episode.loss) / episode.tokens).toFixed(1)}%)`],
      ...(episode.timesteps ? [["return", `${episode.return}, the end is ${episode.terminal ? "" : "not "}terminal`]] : []),
      ["in the terminal", `gato-data inspect shard ${episode.place}`],
    ]),
    parts.length > 1 ? film : null,
    parts.length > 1 ? make("div", { className: "slider" }, make("label", {}, "timestep"), slider) : null,
    make("p", { className: "dim" }, some + lossy),
    heading, body, charts);
  if (parts.length) go(0);
  return card;
}

function curves(episode, now) {
  const { times, reward, actions } = episode.curves;
  if (times.length < 2) return [];
  const drawn = Object.entries(actions).map(([name, values]) => curve(name, times, values, now));
  if (reward.length) drawn.push(curve("reward", times, reward, now));
  return drawn;
}

function browser(set, number) {
  const shown = set.episodes.length, all = set.num_episodes;
  const sample = shown < all
    ? `${shown} of ${plural(all, "episode")} are shown: the longest, shortest, best and worst of each task, then others spread evenly.`
    : `All ${plural(all, "episode")} are shown.`;
  const place = make("div");
  const list = make("div", { className: "list", role: "group", "aria-label": "episodes" });
  const buttons = set.episodes.map((episode) => {
    const frame = episode.parts.length ? frameOf(episode.parts[Math.floor(episode.parts.length / 2)]) : null;
    const size = episode.timesteps ? `${plural(episode.timesteps, "timestep")}, return ${episode.return}` : plural(episode.tokens, "token");
    const button = make("button", { type: "button", className: "episode" },
      frame ? make("img", { src: frame, alt: "" }) : null,
      make("span", {}, make("span", { className: "name" }, data_text(episode.id)),
        make("span", { className: "dim" }, size), episode.why ? make("span", { className: "dim" }, episode.why) : null));
    button.addEventListener("click", () => choose(episode, button));
    return button;
  });
  function choose(episode, button) {
    buttons.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
    place.replaceChildren(episodeCard(episode));
  }
  list.append(...buttons);
  if (shown) choose(set.episodes[0], buttons[0]);
  const intro = "A transformer reads an episode as one sequence of tokens. A timestep is its observation (texts, images cut into patches, numbers), then a separator, then its action; a document is its images and texts. The model learns to predict the tokens that are trained on, and only sees the others.";
  return [...(number ? [] : [make("p", {}, intro)]), legend(), make("p", {}, sample), make("div", { className: "browser" }, list, place)];
}

// ---- the rest of the page -----------------------------------------------------------------------------------------

function quality(set) {
  if (!set.quality.length) return [make("p", {}, "Nothing found.")];
  return [table(columns("level", "check", "where", "what was found", "#measure", "#threshold"), set.quality.map((finding) => [
    make("span", { className: finding.level }, finding.level), finding.check, data_text(finding.where),
    data_text(finding.message), finding.measure, finding.threshold,
  ]))];
}

function fields(task) {
  return table(
    columns("field", "modality", "#tokens", "shape", "#low", "#high", "#mean", "#std", "#saturated", "#NaN", "#error", "ids used"),
    task.fields.map((field) => [
      data_text(field.name), make("span", { className: `token m-${field.modality}` }, field.modality), field.tokens,
      field.shape, ...field.numbers, field.saturated, field.nan, field.error,
      field.coverage ? make("span", {}, coverage(field.coverage, `${field.bins} ids used`), field.bins) : "",
    ]));
}

function distributions(set) {
  const drawn = set.distributions.flatMap((found) => [
    histogram(`${found.task}: ${found.unit} of an episode`, found.lengths),
    ...(found.returns ? [histogram(`${found.task}: return`, found.returns)] : []),
  ]);
  const balance = (set.actions || []).flatMap((found) => found.elements.map((element) =>
    bars(`${found.task}: ${element.name}`, `${plural(found.timesteps, "sampled timestep")}`, element.counts, element.labels)));
  return [make("div", { className: "charts" }, ...drawn), ...(balance.length
    ? [make("h3", {}, "Action balance"), make("div", { className: "charts" }, ...balance)] : [])];
}

function section(id, title, ...content) {
  return make("section", { id, "aria-label": title }, make("h2", {}, title), ...content.flat());
}

function dataset(set, number) {
  const id = (name) => `${name}-${number}`;
  const sections = [["episodes", "Episodes", () => browser(set, number)]];
  if (set.quality) sections.push(["quality", "Quality", () => quality(set)]);
  if (set.tasks) sections.push(["fields", "Fields", () => [
    make("p", { className: "dim" }, "Low, high, mean and std are of the raw values. Saturated is the share outside the range of the ids; error is the most that a value can lose on its way into an id and back."),
    ...set.tasks.flatMap((task) => [make("h3", {}, "task ", data_text(task.name)),
      facts(task.facts), task.fields.length ? fields(task) : make("p", {}, "Documents have no fields.")]),
    set.hidden_tasks ? make("p", {}, `${plural(set.hidden_tasks, "more task")} not shown.`) : null,
  ]]);
  sections.push(["distributions", "Distributions", () => distributions(set)]);
  if (set.account) sections.push(["account", "Account", () => [facts(set.account)]]);
  sections.push(["about", "About", () => [facts(set.facts), facts(set.totals), set.splits
    ? table(columns("split", "#shards", "#size", "#episodes", "#timesteps", "#tokens", "#in the loss"), set.splits) : null]]);
  return make("article", { id: id("dataset") },
    make("h1", {}, data_text(set.name)),
    make("p", {}, set.totals.map(([name, value]) => `${name} ${value}`).join(" \u00b7 ")),
    ...set.notes.map((note) => make("p", { className: "notice" }, data_text(note))),
    make("nav", { "aria-label": "sections" }, ...sections.map(([name, title]) => make("a", { href: `#${id(name)}` }, title))),
    ...sections.map(([name, title, content]) => section(id(name), title, content())));
}

function plan(mixture) {
  const shares = bars("share of the windows", "by dataset", mixture.shares.map(([, value]) => Math.round(value * 1000) / 10), mixture.shares.map(([name]) => name), "%");
  const names = data.datasets.map((set, number) => make("a", { href: `#dataset-${number}` }, set.name));
  return section("plan", "The mixture's plan", make("nav", { "aria-label": "datasets" }, ...names), facts(mixture.facts),
    table(mixture.columns.map(([name, number]) => ({ name, number })), mixture.rows), shares,
    mixture.stages.length > 1 ? table(columns("#from sample", "shares of", "weights"), mixture.stages) : null,
    mixture.hidden ? make("p", {}, `${plural(mixture.hidden, "more dataset")} not shown below.`) : null);
}

if (data.mixture) page.append(make("h1", {}, data_text(data.mixture.name)), plan(data.mixture));
data.datasets.forEach((set, number) => page.append(dataset(set, number)));
page.append(make("p", { className: "dim" }, "Made by gato-data inspect."));
