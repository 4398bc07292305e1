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

// A curve over an episode: what happened in stretches of time, a line at the shown timestep; a click goes to another.
function timeline(title, caption, timesteps, ends, seek, drawing) {
  const width = 340, height = 110, left = 8, bottom = 18, top = 16;
  const x = (time) => left + (time / Math.max(timesteps - 1, 1)) * (width - 2 * left);
  const y = (value) => height - bottom - ((value - ends[0]) / (ends[1] - ends[0] || 1)) * (height - bottom - top);
  const now = draw("line", { class: "now", y1: top - 4, y2: height - bottom + 4 });
  const element = chart(title, caption, width, height, ...drawing(x, y), now,
    draw("text", { x: left, y: 11 }, short(ends[1])),
    draw("text", { x: left, y: height - 4 }, `${short(ends[0])}, timestep 0`),
    draw("text", { x: width - left, y: height - 4, "text-anchor": "end" }, `timestep ${timesteps - 1}`));
  const picture = element.querySelector("svg");
  picture.classList.add("seek");
  picture.addEventListener("click", (event) => {
    const box = picture.getBoundingClientRect();
    const share = (((event.clientX - box.left) / box.width) * width - left) / (width - 2 * left);
    seek(Math.round(Math.max(0, Math.min(1, share)) * (timesteps - 1)));
  });
  return { element, now: (time) => { now.setAttribute("x1", x(time)); now.setAttribute("x2", x(time)); } };
}

const short = (value) => String(Number(value.toPrecision(4)));

// The area between the lowest and the highest value of every stretch of timesteps.
function envelope(low, high, timesteps) {
  const begin = (number) => Math.floor((number * timesteps) / low.length);
  return (x, y) => {
    const edge = (values) => [...values].map((value, number) =>
      [`${x(begin(number)).toFixed(1)} ${y(value).toFixed(1)}`, `${x(Math.min(begin(number + 1), timesteps - 1)).toFixed(1)} ${y(value).toFixed(1)}`]).flat();
    return [draw("path", { class: "curve", d: `M${edge(high).join("L")}L${edge(low).reverse().join("L")}Z` })];
  };
}

function elementCurve(set, episode, found, number, seek) {
  const [name, table] = episode.elements[number], points = episode.points;
  const decoded = (ids) => Array.from(ids.subarray(number * points, (number + 1) * points), (id) => Number(set.tables[table][id]));
  const low = decoded(found.low), high = decoded(found.high);
  const ends = [Math.min(...low), Math.max(...high)];
  if (!ends.every(Number.isFinite)) return [];
  const caption = ends[0] === ends[1] ? `always ${ends[0]}` : `${ends[0]} to ${ends[1]}`;
  return [timeline(name, caption, episode.timesteps, ends, seek, envelope(low, high, episode.timesteps))];
}

// Rewards as events: a line for each that is not 0 where they can be told apart, else what stretches of time had.
function rewardCurve(episode, found, seek) {
  const { events, told } = episode.rewards;
  const ends = [Math.min(0, ...found.least), Math.max(0, ...found.most)];
  const some = told < events || told > episode.points || told === episode.timesteps;
  const caption = events ? `${plural(events, "reward")} other than 0, from ${short(Math.min(...found.least))} to ${short(Math.max(...found.most))}` : "always 0";
  const lines = (x, y) => [
    draw("line", { class: "zero", x1: x(0), x2: x(episode.timesteps - 1), y1: y(0), y2: y(0) }),
    ...[...found.times].map((time, number) => draw("line", { class: "event", x1: x(time), x2: x(time), y1: y(0), y2: y(found.events[number]) },
      draw("title", {}, `timestep ${time}: reward ${short(found.events[number])}`))),
  ];
  return timeline("reward", caption, episode.timesteps, ends, seek, some ? envelope(found.least, found.most, episode.timesteps) : lines);
}

function curves(set, episode, found, seek) {
  if (episode.timesteps < 2) return [];
  const rewards = episode.rewards ? [rewardCurve(episode, found, seek)] : [];
  return [...rewards, ...episode.elements.flatMap((_, number) => elementCurve(set, episode, found, number, seek))];
}

function coverage(digits, label) {
  const image = draw("svg", { class: "coverage", viewBox: `0 0 ${digits.length} 8`, preserveAspectRatio: "none", role: "img", "aria-label": label });
  [...digits].forEach((digit, number) => {
    const height = 2 + Number(digit) * 0.75;
    if (digit !== "0") image.append(draw("rect", { class: "bar", x: number, width: 1, y: 8 - height, height }));
  });
  return image;
}

