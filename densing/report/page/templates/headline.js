// The doubling time in words, and under every frame of the set: each row chooses its frame.

function showHeadline() {
  const set = currentSet(), frame = report.frames[choice.frame];
  const { trend, reason, models, in_range: inRange, left_out: leftOut, doubling_text: doubling, artifact } = currentReading();
  const total = (models.model ?? []).length;
  const facts = trend
    ? [
      ["95% full, over all optima of its laws", trend.interval_text],
      ["Draws behind it", trend.shares_text],
      ["95% conditional, at the frame’s optimum", trend.interval_conditional_text],
      ["Draws behind that", trend.shares_conditional_text],
      ["Frontier", `${trend.frontier.length} models, R² ${trend.r_squared_text}`],
    ]
    : [["Why", reason]];
  byId("headline").replaceChildren(
    element("p", { class: "lead" }, trend
      ? `The capability that the densest models pack into each parameter ${trend.rises ? "doubles" : "halves"} every`
      : "The doubling time of the densest models:"),
    element("p", { class: "doubling" }, trend ? trend.days_text : doubling,
      trend ? element("small", {}, `${trend.months_text}; 95% full: ${trend.interval_text}`) : ""),
    factList(facts),
    element("p", { class: "origin" },
      `From ${set.title}, ${inRange} of ${total} of them in range of frame ${choice.frame} (${frame.title}; ${frame.settings}). `,
      `Data: ${set.origin}.`),
    ...leftOut.map((line) => element("p", { class: "origin left-out" }, `${line}.`)),
    element("p", { class: "artifact" }, "Numbers: ",
      [artifact, trend && trend.artifact, set.artifact].filter(Boolean).flatMap((path, i) => [i ? ", " : "", element("code", {}, path)])),
  );
}

/** A part of a row's interval plot; percentages make it fit any width. */
function svgPart(tag, attributes) {
  const part = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) part.setAttribute(name, value);
  return part;
}

function plotScale(trends) {
  const longest = d3.max(trends, (trend) => trend.doubling_days);
  const top = d3.max(trends, (trend) => Math.min(trend.high ?? Infinity, 3 * longest));
  return d3.scaleLinear().domain([0, top ?? 1]).range([0, 100]).nice(3);
}

function intervalPlot(trend, scale) {
  const svg = svgPart("svg", { class: "interval-plot", height: 22, "aria-hidden": "true" });
  const at = (days) => `${scale(days)}%`, top = scale.domain()[1];
  for (const tick of scale.ticks(3)) svg.append(svgPart("line", { class: "tick", x1: at(tick), x2: at(tick), y1: 0, y2: 22 }));
  if (!trend || !trend.rises) return svg;
  for (const [kind, low, high] of [["full", trend.low, trend.high], ["conditional", trend.low_conditional, trend.high_conditional]]) {
    const cut = high === null || high > top;
    svg.append(svgPart("line", { class: low === 0 && cut ? `${kind} open` : kind, x1: at(low), x2: at(cut ? top : high), y1: 11, y2: 11 }));
    if (cut) {
      const end = svgPart("svg", { x: "100%", y: 11, overflow: "visible" });
      end.append(svgPart("path", { class: kind, d: "M-5,-5L2,0L-5,5" }));
      svg.append(end);
    }
  }
  svg.append(svgPart("circle", { cx: at(trend.doubling_days), cy: 11, r: 5 }));
  return svg;
}

function axisPlot(scale) {
  const svg = svgPart("svg", { class: "interval-plot", height: 16, "aria-hidden": "true" });
  for (const tick of scale.ticks(3)) {
    const [low, high] = scale.domain();
    const label = svgPart("text", { x: `${scale(tick)}%`, y: 12, "text-anchor": tick === low ? "start" : tick === high ? "end" : "middle" });
    label.textContent = tick;
    svg.append(label);
  }
  return svg;
}

/** Rows of all frames of the set; called when the set changes. */
function buildFrames(onFrame) {
  const readings = Object.entries(currentSet().readings);
  const scale = plotScale(readings.map(([, { trend }]) => trend).filter((trend) => trend && trend.rises));
  const rows = readings.map(([name, { trend, reason, doubling_text: doubling }]) => {
    const radio = element("input", { type: "radio", name: "frame", value: name });
    radio.addEventListener("change", () => onFrame(name));
    const head = element("th", { scope: "row", role: "rowheader" },
      element("label", {}, radio, element("span", {}, name, element("small", {}, report.frames[name].title))));
    if (!trend) {
      return element("tr", { role: "row" }, head,
        element("td", { role: "cell", colspan: 4 }, element("b", {}, doubling), element("small", {}, reason)));
    }
    return element("tr", { role: "row" }, head,
      element("td", { role: "cell", class: "days" }, element("b", {}, trend.days_text), trend.rises ? "" : element("small", {}, "to halve")),
      element("td", { role: "cell", "data-label": "95% full" }, trend.interval_text),
      element("td", { role: "cell", "data-label": "95% conditional" }, trend.interval_conditional_text),
      element("td", { role: "cell", class: "plot" }, intervalPlot(trend, scale)));
  });
  rows.push(element("tr", { class: "scale", "aria-hidden": "true" }, element("td", { colspan: 4 }), element("td", { class: "plot" }, axisPlot(scale))));
  byId("frames").replaceChildren(...rows);
  markFrame();
}

/** Show which frame is chosen. */
function markFrame() {
  for (const radio of byId("frames").querySelectorAll("input")) {
    radio.checked = radio.value === choice.frame;
    radio.closest("tr").classList.toggle("chosen", radio.checked);
  }
}
