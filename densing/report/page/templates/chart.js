// The density chart: one focusable mark per model, the trend with its band, zoom and pan.

const SHAPES = ["Square", "Triangle", "Diamond", "Cross", "Star", "Wye"].map((name) => d3[`symbol${name}`]);
const OTHERS = { shape: d3.symbolCircle, colour: "var(--series-other)" };
const REACH = 32; // pixels from the pointer to the model it means
const stillness = matchMedia("(prefers-reduced-motion: reduce)");

/** Area of a mark in square pixels: it grows with the square root of the size, so that small models stay visible. */
const markArea = (params) => Math.max(22, 30 * Math.sqrt(params / 1e9));

/** Ticks of a date axis as d3 writes them, the first with its year. */
const dateTick = (scale, count) => {
  const plain = scale.tickFormat(), year = d3.utcFormat("%b %Y"), first = +scale.ticks(count)[0];
  return (day) => (+day === first && day.getUTCMonth() ? year(day) : plain(day));
};

const isPowerOfTen = (value) => Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-9;

/** Shape and colour of six families, those of the frontier before those with many models; the others share a grey circle. */
function familyLooks(rows) {
  const counts = new Map();
  for (const { family, frontier } of rows) if (family) counts.set(family, (counts.get(family) ?? 0) + (frontier ? 1000 : 1));
  const ordered = [...counts].sort(([a, m], [b, n]) => n - m || a.localeCompare(b, "en"));
  return new Map(ordered.slice(0, SHAPES.length).map(([family], i) => [family, { shape: SHAPES[i], colour: `var(--series-${i + 1})` }]));
}

function describe(row) {
  return [
    `${row.name}: density ${row.density_text}, 95% ${intervalText(row)}`,
    `size ${row.size_text}`,
    row.score_text && `score ${row.score_text} percent`,
    `released ${row.date}`,
    row.status + (row.frontier ? ", on the frontier" : ""),
  ].filter(Boolean).join(", ");
}

/** One element per datum under a selection's parent: those left over go, those missing are appended. */
function joined(selection, append) {
  selection.exit().remove();
  return append(selection.enter()).merge(selection);
}

function createChart(root, onActive, onChosen) {
  const svg = d3.select(root).append("svg").attr("role", "group")
    .attr("aria-labelledby", "density-title").attr("aria-describedby", "chart-help");
  svg.append("clipPath").attr("id", "plot-area").append("rect");
  const grid = svg.append("g").attr("class", "grid").attr("aria-hidden", "true");
  const inside = svg.append("g").attr("clip-path", "url(#plot-area)");
  const scenery = inside.append("g").attr("aria-hidden", "true");
  const future = scenery.append("rect").attr("class", "forecast");
  const futureLabel = scenery.append("text").attr("class", "forecast-label").text("line carried on");
  const band = scenery.append("path").attr("class", "band");
  const past = scenery.append("path").attr("class", "trend");
  const ahead = scenery.append("path").attr("class", "trend ahead");
  const even = scenery.append("line").attr("class", "even");
  const evenLabel = scenery.append("text").attr("class", "even-label");
  const bar = scenery.append("path").attr("class", "interval");
  const marks = inside.append("g").attr("role", "list").attr("aria-label", "Models by release date");
  const overlay = inside.append("g").attr("class", "overlay").attr("aria-hidden", "true");
  const rings = overlay.append("g");
  const names = overlay.append("g").attr("class", "names");
  const activeRing = overlay.append("circle").attr("class", "active-ring");
  const activeName = overlay.append("text").attr("class", "active-name");
  const xAxis = svg.append("g").attr("class", "axis").attr("aria-hidden", "true");
  const yAxis = svg.append("g").attr("class", "axis").attr("aria-hidden", "true");
  const yTitle = svg.append("text").attr("class", "axis-title").attr("aria-hidden", "true").text("density ρ");
  const empty = svg.append("text").attr("class", "empty");

  let all = [], visible = [], trend = null, looks = new Map();
  let kind = "log", width = 0, height = 0, margin = {};
  let baseX = d3.scaleUtc(), baseY = d3.scaleLog(), x = baseX, y = baseY;
  let active = null, compared = [];

  const zoom = d3.zoom().scaleExtent([1, 60])
    .filter(() => {
      const { event } = d3;
      if (event.type === "wheel") return event.ctrlKey || event.metaKey;
      return event.type.startsWith("touch") ? event.touches.length === 2 : event.button === 0;
    })
    .on("zoom", () => draw(0));
  svg.call(zoom).on("dblclick.zoom", null);

  const isChosen = (row) => row.highlighted || compared.includes(row.name);
  const isRinged = (row) => row.frontier || isChosen(row);
  const place = (row) => [x(row.day), y(row.density)];
  const look = (row) => looks.get(row.family) ?? OTHERS;
  const line = d3.line().x((d) => x(d.day)).y((d) => y(d.density));
  const area = d3.area().defined((d) => d.low !== null && d.high !== null)
    .x((d) => x(d.day)).y0((d) => y(Math.max(d.low, y.domain()[0] / 1e6))).y1((d) => y(d.high));

  function measure() {
    width = Math.max(280, root.clientWidth);
    height = width < 520 ? 360 : Math.min(540, Math.round(width * 0.58));
    margin = { top: 22, right: 26, bottom: 30, left: width < 520 ? 42 : 52 };
    svg.attr("viewBox", `0 0 ${width} ${height}`);
    const plot = [[margin.left, margin.top], [width - margin.right, height - margin.bottom]];
    zoom.extent(plot).translateExtent(plot);
    svg.select("#plot-area rect").attr("x", plot[0][0]).attr("y", plot[0][1])
      .attr("width", plot[1][0] - plot[0][0]).attr("height", plot[1][1] - plot[0][1]);
  }

  /** The axes hold all models of the set, so that filtering moves nothing. */
  function domains() {
    const drawn = all.filter((row) => row.drawn), path = trend ? trend.line : [];
    const days = d3.extent([...drawn, ...path], (d) => d.day);
    const values = d3.extent(kind === "log" ? [...drawn, ...path] : drawn, (d) => d.density);
    const [first, last] = days[0] ? days : [new Date("2023-01-01"), new Date("2024-01-01")];
    const [low, high] = values[0] ? values : [0.01, 1];
    const pad = Math.max(20 * 864e5, (last - first) * 0.03);
    baseX = d3.scaleUtc().domain([+first - pad, +last + pad]).range([margin.left, width - margin.right]);
    baseY = kind === "log" ? d3.scaleLog().domain([low / 1.8, high * 2.2]) : d3.scaleLinear().domain([0, high * 1.08]);
    baseY.range([height - margin.bottom, margin.top]);
  }

  function draw(duration) {
    const view = d3.zoomTransform(svg.node());
    x = view.rescaleX(baseX);
    y = view.rescaleY(baseY);
    const move = (selection) => (duration ? selection.transition().duration(duration) : selection.interrupt());
    drawAxes(view);
    const path = trend ? trend.line : [], last = trend ? new Date(trend.last_date) : null;
    even.attr("x1", margin.left).attr("x2", width - margin.right).attr("y1", y(1)).attr("y2", y(1));
    evenLabel.text(width < 520 ? "ρ = 1" : "ρ = 1: as the reference family").attr("x", margin.left + 6).attr("y", y(1) - 5);
    const [left, right] = last ? [x(last), x(path.at(-1).day)] : [0, 0];
    future.attr("x", left).attr("y", margin.top).attr("width", right - left).attr("height", height - margin.top - margin.bottom);
    futureLabel.attr("x", right - 6).attr("y", height - margin.bottom - 8).attr("display", trend ? null : "none");
    move(band).attr("d", area(path));
    move(past).attr("d", line(path.filter((d) => d.day <= last)));
    move(ahead).attr("d", line(path.filter((d) => d.day >= last)));
    move(marks.selectAll(".model")).attr("transform", (row) => `translate(${place(row)})`);
    move(rings.selectAll("circle")).attr("transform", (row) => `translate(${place(row)})`);
    drawNames();
    drawActive();
  }

  function drawAxes(view) {
    const down = height - margin.bottom;
    const xTicks = Math.max(3, Math.round(width / 110)), yTicks = kind === "log" ? 5 : 6;
    xAxis.attr("transform", `translate(0,${down})`).call(d3.axisBottom(x).ticks(xTicks).tickFormat(dateTick(x, xTicks)).tickSizeOuter(0));
    yAxis.attr("transform", `translate(${margin.left},0)`)
      .call(d3.axisLeft(y).ticks(yTicks, y.domain()[1] >= 1e4 ? "~s" : kind === "log" && view.k < 3 ? "~g" : undefined).tickSizeOuter(0));
    yTitle.attr("x", 4).attr("y", 12);
    const ticks = y.ticks(yTicks).filter((tick) => kind !== "log" || view.k >= 3 || isPowerOfTen(tick));
    joined(grid.selectAll("line").data(ticks), (enter) => enter.append("line")).attr("x1", margin.left).attr("x2", width - margin.right).attr("y1", y).attr("y2", y);
  }

  /** Names beside the frontier's models and the highlighted one, each at the first free place around its mark. */
  function drawNames() {
    const wanted = visible.filter(isRinged)
      .sort((a, b) => Number(isChosen(b)) - Number(isChosen(a)) || b.density - a.density);
    const taken = visible.map((row) => {
      const [cx, cy] = place(row), r = Math.sqrt(markArea(row.size) / Math.PI);
      return [cx - r, cy - r, cx + r, cy + r];
    });
    const [left, top, right, bottom] = [margin.left, margin.top, width - margin.right, height - margin.bottom];
    const free = ([a, b, c, d]) => a > left && b > top && c < right && d < bottom &&
      !taken.some(([e, f, g, h]) => a < g && c > e && b < h && d > f);
    joined(names.selectAll("text").data(wanted, (row) => row.name), (enter) => enter.append("text")).order()
      .text((row) => shortened(row.name, width < 520 ? 16 : 28))
      .classed("highlight", isChosen)
      .classed("hidden", false)
      .attr("display", null) // what is not displayed has no length
      .each(function placed(row) {
        const [cx, cy] = place(row), long = this.getComputedTextLength(), off = Math.sqrt(markArea(row.size) / Math.PI) + 5;
        const spots = [[off, 4], [-off - long, 4], [-long / 2, -off - 2], [-long / 2, off + 11], [off - 4, -off], [-off - long + 4, -off], [off - 4, off + 9], [-off - long + 4, off + 9]];
        const found = spots.map(([dx, dy]) => [cx + dx, cy + dy])
          .find(([a, b]) => free([a - 2, b - 10, a + long + 2, b + 3]));
        d3.select(this).attr("display", found ? null : "none").attr("x", found?.[0] ?? 0).attr("y", found?.[1] ?? 0);
        if (found) taken.push([found[0] - 2, found[1] - 10, found[0] + long + 2, found[1] + 3]);
      });
  }

  function drawActive() {
    const shown = active !== null && visible.includes(active);
    for (const part of [activeRing, activeName, bar]) part.attr("display", shown ? null : "none");
    if (!shown) return void names.selectAll("text").classed("hidden", false);
    const [cx, cy] = place(active), r = Math.sqrt(markArea(active.size) / Math.PI) + 5;
    activeRing.attr("cx", cx).attr("cy", cy).attr("r", r);
    let letters = 40, long = Infinity;
    for (; long > width - margin.left - margin.right - 6 && letters > 4; letters -= 4) {
      activeName.text(`${shortened(active.name, letters)}  ρ ${active.density_text}`);
      long = activeName.node().getComputedTextLength();
    }
    const above = cy > margin.top + 30;
    const start = cx > (margin.left + width) * 0.6 ? cx - 4 - long : cx + 4; // moved inwards where it would be cut
    activeName.attr("x", Math.max(margin.left + 3, Math.min(start, width - margin.right - 3 - long)))
      .attr("y", above ? cy - r - 5 : cy + r + 13);
    const over = activeName.node().getBBox();
    names.selectAll("text").classed("hidden", function covered(row) {
      const box = this.getBBox();
      return row === active || (box.x < over.x + over.width && over.x < box.x + box.width && box.y < over.y + over.height && over.y < box.y + box.height);
    });
    const [low, high] = y.domain(), bounds = [active.low ?? low, active.high ?? high * 10].map((v) => y(Math.max(v, low / 10)));
    bar.attr("d", `M${cx},${bounds[0]}V${bounds[1]}`);
  }

  function activate(row) {
    if (row === active) return;
    active = row;
    marks.selectAll(".model").attr("tabindex", (other) => (other === (row ?? first()) ? 0 : -1));
    drawActive();
    onActive(row);
  }

  function drawRings() {
    joined(rings.selectAll("circle").data(visible.filter(isRinged), (row) => row.name), (enter) => enter.append("circle"))
      .attr("transform", (row) => `translate(${place(row)})`)
      .classed("highlight", isChosen)
      .attr("r", (row) => Math.sqrt(markArea(row.size) / Math.PI) + 3);
  }

  /** What is pointed out before the reader points: the highlighted model, or the newest of the frontier. */
  const first = () => visible.find((row) => row.highlighted) ?? visible.findLast((row) => row.frontier) ?? visible[0];

  function nearest(event) {
    const [px, py] = d3.clientPoint(svg.node(), event);
    let best = null, distance = REACH;
    for (const row of visible) {
      const away = Math.hypot(x(row.day) - px, y(row.density) - py);
      if (away <= distance) [best, distance] = [row, away];
    }
    return best;
  }

  function step() {
    const { event } = d3;
    const keys = { ArrowRight: ["day", 1], ArrowLeft: ["day", -1], ArrowUp: ["density", 1], ArrowDown: ["density", -1] };
    const from = d3.select(event.target).datum();
    let next = null;
    if (event.key in keys) {
      const [by, direction] = keys[event.key];
      const ordered = [...visible].sort((a, b) => a[by] - b[by] || d3.ascending(a.name, b.name));
      next = ordered[ordered.indexOf(from) + direction] ?? from;
    } else if (event.key === "Home" || event.key === "End") next = visible.at(event.key === "Home" ? 0 : -1);
    else if (event.key === "+" || event.key === "=") zoomBy(1.5);
    else if (event.key === "-") zoomBy(1 / 1.5);
    else if (event.key === "0") reset();
    else if (event.key === "Enter" || event.key === " ") onChosen(from);
    else if (event.key === "Escape") activate(null);
    else return;
    event.preventDefault();
    if (next) marks.selectAll(".model").filter((row) => row === next).node().focus();
  }

  const zoomBy = (factor) => svg.call(zoom.scaleBy, factor);
  const reset = () => svg.call(zoom.transform, d3.zoomIdentity);

  const activateNearest = () => { const row = nearest(d3.event); if (row) activate(row); return row; };
  svg.on("pointermove", activateNearest).on("click", () => { const row = activateNearest(); if (row) onChosen(row); });
  marks.on("focusin", () => activate(d3.select(d3.event.target).datum())).on("keydown", step);
  new ResizeObserver(() => {
    if (root.clientWidth === width || !root.clientWidth) return;
    measure();
    domains();
    draw(0);
  }).observe(root);
  measure();

  return {
    zoomBy,
    reset,
    /** Models of the set, of which some pass the filters, and their trend. */
    show(rows, passing, newTrend, newLooks) {
      all = rows;
      visible = passing.filter((row) => row.drawn).sort((a, b) => a.day - b.day || d3.ascending(a.name, b.name));
      trend = newTrend && { ...newTrend, line: newTrend.line.map((d) => ({ ...d, day: new Date(d.date) })) };
      looks = newLooks;
      const known = new Map(visible.map((row) => [row.name, row]));
      const before = active;
      active = known.get(before?.name) ?? first() ?? null;
      svg.property("__zoom", d3.zoomIdentity);
      domains();
      const atBase = (row) => `translate(${baseX(row.day)},${baseY(row.density)})`;
      joined(marks.selectAll(".model").data(visible, (row) => row.name), (enter) => {
        const g = enter.append("g").attr("class", "model").attr("role", "listitem").attr("transform", atBase);
        g.append("path");
        return g;
      }).order().attr("aria-label", describe).attr("tabindex", (row) => (row === active ? 0 : -1))
        .select("path").attr("d", (row) => d3.symbol().type(look(row).shape).size(markArea(row.size))()).style("fill", (row) => look(row).colour);
      drawRings();
      empty.attr("x", width / 2).attr("y", height / 2)
        .text(visible.length ? "" : all.some((row) => row.drawn) ? "No model in range passes the filters" : "No model of this set is in range of the frame");
      draw(stillness.matches ? 0 : 350);
      if (active !== before) onActive(active);
    },
    /** Names of the models that the reader compares. */
    compare(names) {
      compared = names;
      drawRings();
      drawNames();
      drawActive();
    },
    scale(newKind) {
      kind = newKind;
      svg.property("__zoom", d3.zoomIdentity);
      domains();
      draw(stillness.matches ? 0 : 350);
    },
  };
}
