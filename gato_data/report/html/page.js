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

const idOf = (name, number) => `${name}-${number}`;

function dataset(set, number) {
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
  return make("article", {},
    make("h1", {}, data_text(set.name)),
    make("p", {}, set.totals.map(([name, value]) => `${name} ${value}`).join(" \u00b7 ")),
    ...set.notes.map((note) => make("p", { className: "notice" }, data_text(note))),
    make("nav", { "aria-label": "sections" }, ...sections.map(([name, title]) => make("a", { href: `#${idOf(name, number)}` }, title))),
    ...sections.map(([name, title, content]) => section(idOf(name, number), title, content())));
}

const OPEN = 3; // datasets that are shown at once; more of them are unfolded one by one

function folded(set, number) {
  const box = make("details", { className: "dataset" }, make("summary", {}, data_text(set.name), make("span", { className: "dim" }, ` ${set.totals.map(([name, value]) => `${name} ${value}`).join(", ")}`)));
  set.unfold = () => {
    if (box.children.length < 2) box.append(dataset(set, number));
    box.open = true;
  };
  box.addEventListener("toggle", () => { if (box.open) set.unfold(); });
  return box;
}

const SHARES = 40; // bars of the plan

// The largest shares; the caption says what the others have.
function shares(mixture) {
  const sorted = [...mixture.shares].sort((a, b) => b[1] - a[1]);
  const others = sorted.slice(SHARES), percent = (share) => Math.round(share * 10000) / 100;
  const shown = others.length ? sorted.slice(0, SHARES) : mixture.shares;
  const rest = percent(others.reduce((sum, [, share]) => sum + share, 0));
  const caption = others.length ? `the ${SHARES} largest; ${plural(others.length, "other")} have ${rest}% together` : "by dataset";
  return bars("share of the windows", caption, shown.map(([, share]) => percent(share)), shown.map(([name]) => name), "%");
}

// A table whose rows can be searched, in a box of its own where they are many.
function plannedDatasets(mixture) {
  const rows = mixture.rows.map((row, number) => [mixture.shown.includes(number)
    ? make("a", { href: `#dataset-${mixture.shown.indexOf(number)}` }, data_text(row[0])) : data_text(row[0]), ...row.slice(1)]);
  const made = table(mixture.columns.map(([name, number]) => ({ name, number })), rows);
  if (rows.length <= 20) return [made];
  made.classList.add("long");
  const lines = [...made.querySelectorAll("tbody tr")];
  const search = make("input", { type: "search", placeholder: "search", "aria-label": "search datasets" });
  const told = make("span", { className: "dim", "aria-live": "polite" }, plural(lines.length, "dataset"));
  search.addEventListener("input", () => {
    const found = lines.filter((line, number) => mixture.rows[number].join("\n").toLowerCase().includes(search.value.trim().toLowerCase()));
    lines.forEach((line) => { line.hidden = !found.includes(line); });
    told.textContent = found.length < lines.length ? `${found.length} of ${plural(lines.length, "dataset")}` : plural(lines.length, "dataset");
  });
  return [make("div", { className: "tools" }, search, told), made];
}

function plan(mixture) {
  const names = data.datasets.map((set, number) => make("a", { href: `#dataset-${number}` }, set.name));
  return section("plan", "The mixture's plan", mixture.hidden ? null : make("nav", { "aria-label": "datasets" }, ...names), facts(mixture.facts),
    plannedDatasets(mixture), shares(mixture),
    mixture.stages.length > 1 ? table(columns("#from sample", "shares of", "weights"), mixture.stages) : null,
    mixture.hidden ? make("p", {}, `The ${data.datasets.length} datasets with the largest shares are shown below, ${plural(mixture.hidden, "other")} not.`) : null);
}

function follow() {
  const link = linked();
  const named = link ? data.datasets[link.dataset] : data.datasets[Number((location.hash.match(/^#dataset-(\d+)$/) || [])[1])];
  if (named && named.unfold) named.unfold();
  if (link && named && named.open) named.open(link);
}

if (data.mixture) page.append(make("h1", {}, data_text(data.mixture.name)), plan(data.mixture));
data.datasets.forEach((set, number) => {
  const shown = data.datasets.length > OPEN ? folded(set, number) : dataset(set, number);
  shown.id = idOf("dataset", number);
  page.append(shown);
});
page.append(make("p", { className: "dim" }, "Made by gato-data inspect."));
window.addEventListener("hashchange", follow);
if (data.datasets.length > OPEN) follow();
