const commandOf = (episode, step) => {
  if (step === null) return `${episode.command} --record ${episode.record}`;
  let chunk = 0;
  while (chunk < episode.chunks.length - 1 && step >= episode.chunks[chunk]) step -= episode.chunks[chunk++];
  return `${episode.command} --record ${episode.record + chunk} --timestep ${step}`;
};

function nearest(steps, wanted) {
  let best = 0;
  steps.forEach((step, at) => { if (Math.abs(step - wanted) < Math.abs(steps[best] - wanted)) best = at; });
  return best;
}

function episodeFacts(episode, command, link) {
  const rows = facts([
    ...(episode.source_id ? [["source's id", episode.source_id]] : []),
    ["task", episode.task],
    ...(episode.agent ? [["agent", episode.agent]] : []),
    ["split", episode.split],
    ["length", (episode.timesteps ? `${plural(episode.timesteps, "timestep")}, ` : "") + plural(episode.tokens, "token")],
    ["in the loss", `${plural(episode.loss, "token")} (${((100 * episode.loss) / episode.tokens).toFixed(1)}%)`],
    ...(episode.timesteps ? [["return", `${episode.return}, the end is ${episode.terminal ? "" : "not "}terminal`]] : []),
  ]);
  rows.append(make("dt", {}, "in the terminal"), make("dd", {}, command), make("dt", {}, "link"), make("dd", {}, link));
  return rows;
}

// The card of one episode; `start` is the timestep to begin with.
async function episodeCard(set, episode, start) {
  const found = await unpack(episode);
  await loadSheets(set, found);
  const isDocument = !episode.timesteps;
  const heading = make("p"), body = make("div"), charts = make("div", { className: "charts" });
  const command = make("code", { className: "command" }), link = make("a");
  const strips = new Map(); // by layout
  const seek = (step) => controls.seek(nearest(found.steps, step));
  const drawn = isDocument ? [] : curves(set, episode, found, seek);
  charts.append(...drawn.map((one) => one.element));
  function show(at, playing, slider) {
    const layout = set.layouts[found.layout[at]], step = isDocument ? null : found.steps[at];
    current = controls;
    if (!strips.has(layout)) strips.set(layout, strip(layout));
    const shown = strips.get(layout);
    if (body.firstChild !== shown.element) body.replaceChildren(shown.element);
    shown.update({ set, cell: cellsOf(found, at), offset: found.offset[at], playing });
    const reward = Number.isNaN(found.reward[at]) ? "" : `, reward ${Number(found.reward[at].toPrecision(6))}`;
    heading.replaceChildren(make("b", {}, isDocument ? "Document" : `Timestep ${step}`),
      isDocument ? "" : ` of 0 to ${episode.timesteps - 1}${reward}`, ": ", data_text(sentence(layout)));
    slider.setAttribute("aria-valuetext", `timestep ${step}`);
    drawn.forEach((one) => one.now(step));
    if (playing) return;
    command.textContent = commandOf(episode, step);
    link.href = place(set, episode, step);
    link.textContent = isDocument ? "this document" : `this episode at timestep ${step}`;
    if (slider.isConnected) history.replaceState(null, "", link.href);
  }
  const jumps = episode.rewards && episode.rewards.events < episode.timesteps ? [...new Set([...found.times].map((time) => nearest(found.steps, time)))] : [];
  const controls = player(episode.shown, jumps, show);
  const some = episode.shown < episode.timesteps
    ? `${episode.shown.toLocaleString("en")} of ${plural(episode.timesteps, "timestep")} are on this page, spread evenly: the others did not fit.` : "";
  controls.seek(nearest(found.steps, start));
  return make("div", { className: "card", tabIndex: -1 },
    make("h3", {}, data_text(episode.id)), episode.shown > 1 ? controls.element : null,
    some ? make("p", { className: "dim" }, some) : null, heading, body, charts, ...stretched(episode), episodeFacts(episode, command, link));
}

function stretched(episode) {
  const { actions, states, constant } = episode.undrawn, notes = [];
  const each = episode.timesteps / episode.points;
  if (each > 1) notes.push(`A curve shows the lowest and the highest value of each of ${episode.points} stretches of ${Number.isInteger(each) ? each : `${Math.floor(each)} or ${Math.ceil(each)}`} timesteps.`);
  if (actions) notes.push(`${plural(actions, "more element")} of actions not drawn.`);
  if (states) notes.push(`${plural(states, "more element")} of observations not drawn.`);
  if (constant) notes.push(`${plural(constant, "element")} of observations ${constant === 1 ? "does" : "do"} not change in this episode.`);
  return notes.length ? [make("p", { className: "dim" }, notes.join(" "))] : [];
}

const SORTS = {
  "in their order": null,
  "longest first": (a, b) => b.timesteps - a.timesteps || b.tokens - a.tokens,
  "shortest first": (a, b) => a.timesteps - b.timesteps || a.tokens - b.tokens,
  "highest return first": (a, b) => order(b) - order(a),
  "lowest return first": (a, b) => order(a, 1) - order(b, 1),
};
const order = (episode, missing = -1) => (episode.return === "-" ? missing * Number.MAX_VALUE : Number(episode.return));

function episodeButton(episode) {
  const size = episode.timesteps ? `${plural(episode.timesteps, "timestep")}, return ${episode.return}` : plural(episode.tokens, "token");
  return make("button", { type: "button", className: "episode" },
    episode.thumbnail ? make("img", { src: episode.thumbnail, alt: "" }) : null,
    make("span", {}, make("span", { className: "name" }, data_text(episode.id)),
      make("span", { className: "dim" }, size), episode.why ? make("span", { className: "dim" }, episode.why) : null));
}

// The list of episodes with its search and order; `choose(number)` is called with what is clicked.
function episodeList(set, choose) {
  const list = make("div", { className: "list", role: "group", "aria-label": "episodes" });
  const buttons = set.episodes.map(episodeButton);
  buttons.forEach((button, number) => button.addEventListener("click", () => choose(number)));
  const search = make("input", { type: "search", placeholder: "search", "aria-label": "search episodes" });
  const sort = make("select", { "aria-label": "order of episodes" }, ...Object.keys(SORTS).map((name) => make("option", { value: name }, name)));
  const told = make("p", { className: "dim", "aria-live": "polite" });
  const texts = set.episodes.map((e) => [e.id, e.source_id, e.task, e.agent, e.split, e.why].join("\n").toLowerCase());
  function update() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const numbers = [...buttons.keys()].filter((number) => words.every((word) => texts[number].includes(word)));
    const by = SORTS[sort.value];
    if (by) numbers.sort((a, b) => by(set.episodes[a], set.episodes[b]));
    list.replaceChildren(...numbers.map((number) => buttons[number]));
    told.textContent = numbers.length < buttons.length ? `${numbers.length} of ${plural(buttons.length, "episode")}` : "";
  }
  search.addEventListener("input", update);
  sort.addEventListener("change", update);
  update();
  const pressed = (number) => buttons.forEach((button, other) => button.setAttribute("aria-pressed", String(other === number)));
  const tools = set.episodes.length > 1 ? make("div", { className: "tools" }, search, sort, told) : null;
  return { pressed, element: make("div", { className: "episodes" }, tools, list) };
}

function browser(set, number) {
  const shown = set.episodes.length, all = set.num_episodes;
  const sample = shown < all
    ? `${shown} of ${plural(all, "episode")} are shown: the longest, shortest, best and worst of each task, then others spread evenly.`
    : all === 1 ? "The only episode is shown." : `All ${plural(all, "episode")} are shown.`;
  const lossy = set.exact ? "" : " Frames are compressed with loss for this page.";
  const box = make("div"), notice = make("p", { className: "notice", "aria-live": "polite" });
  let asked = 0;
  async function choose(at, step, said = "") {
    const mine = ++asked, episode = set.episodes[at];
    list.pressed(at);
    notice.textContent = said;
    try {
      const card = await episodeCard(set, episode, step);
      if (mine === asked) box.replaceChildren(card); // else another one was chosen meanwhile
    } catch (error) {
      notice.textContent = typeof DecompressionStream === "undefined"
        ? "This browser is too old to unpack episodes: Chrome 80, Firefox 113, Safari 16.4 or later can."
        : `This episode cannot be shown: ${error.message}`;
    }
  }
  const list = episodeList(set, (at) => {
    history.replaceState(null, "", place(set, set.episodes[at], set.episodes[at].timesteps ? 0 : null));
    choose(at, 0);
  });
  // Shows what a link names; the first episode where it names none of this page.
  set.open = (link) => {
    if (!shown) return;
    const at = link ? set.episodes.findIndex((episode) => episode.id === link.episode) : 0;
    if (at < 0) choose(0, 0, `The episode ${link.episode} of the link is not on this page.`);
    else choose(at, link ? link.step : 0);
  };
  const link = linked();
  set.open(link && data.datasets[link.dataset] === set ? link : null);
  const intro = "A transformer reads an episode as one sequence of tokens. A timestep is its observation (texts, images cut into patches, numbers), then a separator, then its action; a document is its images and texts. The model learns to predict the tokens that are trained on, and only sees the others.";
  const keys = "Play with the button or the space bar, step with the arrow keys, click a curve to go there.";
  return [...(number ? [] : [make("p", {}, intro)]), legend(), make("p", {}, `${sample}${lossy} ${keys}`), notice,
    make("div", { className: "browser" }, list.element, box)];
}
