const SPEEDS = [1, 5, 10, 20, 40, 80];

// A player of the shown timesteps 0 to count - 1: buttons, slider, speed and keys; `show(at, playing)` draws one.
function player(count, jumps, show) {
  let at = 0, timer = 0, before = 0;
  const button = (label, text, act) => {
    const made = make("button", { type: "button", "aria-label": label, title: label }, text);
    made.addEventListener("click", act);
    return made;
  };
  const play = button("play", "play", () => (timer ? pause() : start()));
  const slider = make("input", { type: "range", min: 0, max: count - 1, value: 0, "aria-label": "timestep" });
  slider.addEventListener("input", () => seek(Number(slider.value)));
  const speed = make("select", { "aria-label": "speed" }, ...SPEEDS.map((value) => make("option", { value, selected: value === 10 }, `${value} a second`)));
  function draw(playing) {
    slider.value = at;
    show(at, playing, slider);
  }
  function seek(to) {
    pause();
    at = Math.max(0, Math.min(count - 1, to));
    draw(false);
  }
  function start() {
    if (at === count - 1) at = 0;
    before = performance.now();
    timer = requestAnimationFrame(tick);
    label();
  }
  function pause() {
    if (!timer) return;
    cancelAnimationFrame(timer);
    timer = 0;
    label();
    draw(false);
  }
  function tick(time) {
    if (!slider.isConnected) return pause();
    const steps = Math.floor(((time - before) / 1000) * Number(speed.value));
    if (steps > 0) {
      before += (steps * 1000) / Number(speed.value);
      at = Math.min(count - 1, at + steps);
      draw(true);
    }
    if (at === count - 1) return pause();
    timer = requestAnimationFrame(tick);
  }
  function label() {
    play.textContent = play.title = timer ? "pause" : "play";
    play.setAttribute("aria-label", play.title);
  }
  const step = (by) => seek(at + by);
  function jump(by) {
    const to = by > 0 ? jumps.find((place) => place > at) : jumps.findLast((place) => place < at);
    if (to !== undefined) seek(to);
  }
  const key = (event) => {
    const act = {
      ArrowLeft: () => step(-1), ArrowRight: () => step(1), PageUp: () => step(-10), PageDown: () => step(10),
      Home: () => seek(0), End: () => seek(count - 1), " ": () => (timer ? pause() : start()),
    }[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  };
  const rewards = jumps.length ? [button("reward before", "\u2039 reward", () => jump(-1)), button("next reward", "reward \u203a", () => jump(1))] : [];
  const bar = make("div", { className: "player", role: "group", "aria-label": "player" },
    button("timestep before", "\u2039", () => step(-1)), play, button("next timestep", "\u203a", () => step(1)),
    slider, speed, ...rewards);
  return { element: bar, seek, key };
}

// ---- which player the keys are for ----

let current = null; // the player that was last used

document.addEventListener("keydown", (event) => {
  const target = event.target, typing = target.matches("input:not([type=range]), select, textarea");
  const inside = target.closest(".card");
  if (!current || event.defaultPrevented || typing || !(inside || target === document.body)) return;
  if (event.key === " " && (!inside || target.matches("button:not(.token), a, summary"))) return; // theirs
  if (!inside && !event.key.startsWith("Arrow")) return; // scrolls the page
  current.key(event);
});

// ---- links to an episode and a timestep ----

function place(set, episode, step) {
  const values = new URLSearchParams();
  if (data.datasets.length > 1) values.set("dataset", data.datasets.indexOf(set));
  values.set("episode", episode.id);
  if (step !== null) values.set("t", step);
  return `#${values}`;
}

function linked() {
  const values = new URLSearchParams(location.hash.slice(1));
  if (!values.has("episode")) return null;
  return { dataset: Number(values.get("dataset") || 0), episode: values.get("episode"), step: Number(values.get("t") || 0) };
}
