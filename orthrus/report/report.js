// Draws the page's charts, and lets the map be coloured and searched and every table be kept as a CSV file.
"use strict";
const charts = JSON.parse(document.getElementById("charts").textContent);
const fileName = (title) => title.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");

function draw(number) {
  const { spec, title } = charts[number];
  const actions = { export: { svg: true, png: true }, source: false, compiled: false, editor: false };
  return vegaEmbed(`#chart-${number}`, spec, {
    renderer: "svg", mode: "vega-lite", actions, downloadFileName: fileName(title), scaleFactor: 2,
  }).then((result) => result.view);
}

function save(rows, title) {
  const quoted = (value) => (/[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  const text = rows.map((row) => row.map((value) => quoted(String(value ?? ""))).join(",")).join("\n") + "\n";
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = `${fileName(title)}.csv`;
  link.click();
  URL.revokeObjectURL(link.href);
}

function addTableButton(region) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Table (CSV)";
  button.onclick = () => {
    const rows = [...region.querySelectorAll("tr")].map((row) => [...row.cells].map((cell) => cell.innerText.trim()));
    save(rows, region.getAttribute("aria-label"));
  };
  region.after(button);
}

async function showMap(number) {
  const { spec, colours } = charts[number];
  const colour = document.getElementById("map-colour");
  const search = document.getElementById("map-search");
  const found = document.getElementById("map-found");
  const points = spec.datasets[spec.data.name];
  const names = Object.keys(points[0]);
  let view;
  const find = () => {
    const text = search.value.trim().toLowerCase();
    const searched = ["transcript", "gene", "gene id", "family"].filter((name) => names.includes(name));
    const hits = points.filter((row) => searched.some((name) => String(row[name] ?? "").toLowerCase().includes(text)));
    found.value = text ? `${hits.length.toLocaleString("en")} found` : "";
    view.signal("search", text).run();
  };
  const show = async () => {
    if (colour) spec.encoding.color = colours[colour.value];
    view = await draw(number);
    find();
  };
  if (colour) colour.onchange = show;
  search.oninput = find;
  document.getElementById("map-table").onclick = () =>
    save([names, ...points.map((row) => names.map((name) => row[name]))], "embedding map");
  await show();
}

const mapChart = document.querySelector("#map .chart");
Promise.all(
  charts.map((_, number) => (mapChart?.id === `chart-${number}` ? showMap(number) : draw(number))),
).then(() => document.body.setAttribute("data-drawn", charts.length));
document.querySelectorAll(".scroll").forEach(addTableButton);
