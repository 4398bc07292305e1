// Columns of whole numbers as the page carries them: a zlib stream of differences, the lowest bytes of all first.

const SHEET = 32; // patches on a side of a sheet

async function inflate(text) {
  const packed = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function columnsOf(text) {
  const bytes = await inflate(text), length = bytes.length / 4;
  let at = 0;
  return (rows, count = 1) => {
    const column = new Uint32Array(rows * count);
    for (let place = 0, sum = 0; place < column.length; place++, at++) {
      const difference = bytes[at] | (bytes[at + length] << 8) | (bytes[at + 2 * length] << 16) | (bytes[at + 3 * length] << 24);
      sum = place % rows ? (sum + difference) >>> 0 : difference >>> 0;
      column[place] = sum;
    }
    return column;
  };
}

// What an episode has of every shown timestep, and its curves.
async function unpack(episode) {
  const take = await columnsOf(episode.columns);
  const { shown, points } = episode;
  const found = { steps: take(shown), layout: take(shown), reward: new Float32Array(take(shown).buffer), offset: take(shown), cells: new Map() };
  episode.rows.forEach(([layout, rows, tokens]) => found.cells.set(layout, { rows, values: take(rows, tokens) }));
  const next = new Map();
  found.row = found.layout.map((layout) => {
    const row = next.get(layout) || 0;
    next.set(layout, row + 1);
    return row;
  });
  if (episode.elements.length) {
    found.low = take(points, episode.elements.length);
    found.high = take(points, episode.elements.length);
  }
  if (episode.rewards) {
    found.least = new Float32Array(take(points).buffer);
    found.most = new Float32Array(take(points).buffer);
    found.times = take(episode.rewards.told);
    found.events = new Float32Array(take(episode.rewards.told).buffer);
  }
  return found;
}

const cellsOf = (found, at) => {
  const { rows, values } = found.cells.get(found.layout[at]);
  return (token) => values[token * rows + found.row[at]];
};

// The sheets that an episode needs, as images that are ready to draw.
async function loadSheets(set, found) {
  set.images = set.images || [];
  const wanted = new Set();
  for (const [number, { rows, values }] of found.cells) {
    for (const group of set.layouts[number].groups) {
      if (!group.rows) continue;
      for (let at = group.first * rows; at < (group.first + group.count) * rows; at++) wanted.add(values[at] >>> 10);
    }
  }
  await Promise.all([...wanted].map((number) => {
    if (!set.images[number]) set.images[number] = make("img", { src: set.sheets[number], alt: "" });
    return set.images[number].decode();
  }));
}

function paint(canvas, group, cell, images) {
  const context = canvas.getContext("2d");
  for (let number = 0; number < group.count; number++) {
    const patch = cell(group.first + number), place = patch % (SHEET * SHEET);
    context.drawImage(images[patch >>> 10], (place % SHEET) * 16, Math.floor(place / SHEET) * 16, 16, 16,
      (number % group.columns) * 16, Math.floor(number / group.columns) * 16, 16, 16);
  }
}
