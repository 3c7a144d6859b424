// The picture that a person marks. What comes from the server: value {url, width, height, alt, regions, lit, masks, choice}.
// What goes to it, by trigger('mark'): {points: [[x, y, belongs]], box: [x1, y1, x2, y2] or null, paint: PNG or null, choice},
// everything in pixels of the picture as the server holds it.
const $ = (query) => element.querySelector(query);
const board = $(".board"), stage = $(".board-stage"), frame = $(".board-frame"), picture = $(".board-picture"), marks = $(".board-marks");
const maskLayer = $(".board-mask"), paintLayer = $(".board-paint"), said = $(".board-said");
const marking = board.dataset.marking === "true"; // else boxes are only lit on the picture
const SVG = "http://www.w3.org/2000/svg";
const COLORS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"]; // told apart by the colour-blind
let tool = "plus", history = [], drag = null, corner = null, cross = null, choice = 0, shown = null, turn = 0;

const held = () => (props.value && typeof props.value === "object" ? props.value : {});
const now = () => history[history.length - 1] || { points: [], box: null, strokes: [] };

function at(event) { // pixels of the picture under the pointer
  const r = picture.getBoundingClientRect(), v = held();
  const x = ((event.clientX - r.left) / r.width) * v.width, y = ((event.clientY - r.top) / r.height) * v.height;
  return [Math.min(v.width - 1, Math.max(0, x)), Math.min(v.height - 1, Math.max(0, y))];
}

function make(name, attributes, parent) {
  const node = document.createElementNS(SVG, name);
  for (const key in attributes) node.setAttribute(key, attributes[key]);
  parent.appendChild(node);
  return node;
}

function halo(name, attributes, color, width, scale) { // dark below, bright above: seen on any picture
  make(name, { ...attributes, fill: "none", stroke: "#000", "stroke-opacity": .65, "stroke-width": (width + 2.5) * scale }, marks);
  return make(name, { ...attributes, fill: "none", stroke: color, "stroke-width": width * scale }, marks);
}

function tag(x, y, text, color, scale) {
  const group = make("g", { transform: `translate(${x} ${y}) scale(${scale})` }, marks);
  const words = make("text", { x: 6, y: 14, fill: "#fff" }, group);
  words.textContent = text;
  const width = words.getComputedTextLength() + 12;
  group.insertBefore(make("rect", { width, height: 20, rx: 4, fill: color === "#e69f00" || color === "#56b4e9" ? "#1f2937" : color }, group), words);
}

function draw() {
  const v = held();
  marks.replaceChildren();
  if (!v.width) return;
  marks.setAttribute("viewBox", `0 0 ${v.width} ${v.height}`);
  const scale = v.width / Math.max(1, picture.getBoundingClientRect().width);
  const lit = new Set(v.lit || []);
  (v.regions || []).forEach((region, i) => {
    const on = lit.size === 0 || lit.has(region.id), color = COLORS[i % COLORS.length];
    const [x1, y1, x2, y2] = region.box;
    const box = { x: x1, y: y1, width: Math.max(1, x2 - x1), height: Math.max(1, y2 - y1), rx: 3 * scale, opacity: on ? 1 : .35 };
    halo("rect", box, color, on && lit.size ? 4 : 2.5, scale);
    if (on && region.label) tag(x1, Math.max(0, y1 - 20 * scale), region.label, color, scale);
  });
  const mark = now();
  mark.points.forEach(([x, y, belongs]) => {
    make("circle", { cx: x, cy: y, r: 9 * scale, fill: belongs ? "#047857" : "#b91c1c", stroke: "#fff", "stroke-width": 2.5 * scale }, marks);
    make("path", { d: `M${x - 4.5 * scale} ${y}h${9 * scale}` + (belongs ? `M${x} ${y - 4.5 * scale}v${9 * scale}` : ""), stroke: "#fff", "stroke-width": 2 * scale }, marks);
  });
  const box = drag && drag.tool === "box" ? drag.box : mark.box;
  if (box) halo("rect", { x: box[0], y: box[1], width: box[2] - box[0], height: box[3] - box[1] }, "#fde047", 2.5, scale);
  if (corner) halo("path", { d: `M${corner[0] - 8 * scale} ${corner[1]}h${16 * scale}M${corner[0]} ${corner[1] - 8 * scale}v${16 * scale}` }, "#fde047", 2, scale);
  if (cross && document.activeElement === stage)
    halo("path", { d: `M${cross[0] - 14 * scale} ${cross[1]}h${28 * scale}M${cross[0]} ${cross[1] - 14 * scale}v${28 * scale}` }, "#fff", 1.5, scale);
  paint();
}

function paint() {
  const v = held(), strokes = [...now().strokes, ...(drag && drag.tool === "brush" ? [drag.stroke] : [])];
  paintLayer.width = v.width; paintLayer.height = v.height;
  const pen = paintLayer.getContext("2d");
  pen.lineCap = pen.lineJoin = "round";
  pen.strokeStyle = pen.fillStyle = "#facc15";
  for (const stroke of strokes) {
    pen.lineWidth = stroke.width;
    pen.beginPath();
    stroke.points.forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
    if (stroke.points.length === 1) { pen.arc(...stroke.points[0], stroke.width / 2, 0, 7); pen.fill(); } else pen.stroke();
  }
}

async function showMask() { // a grey PNG, white where the thing is, laid over the picture in colour with an outline
  const v = held(), mask = (v.masks || [])[choice];
  const pen = maskLayer.getContext("2d");
  maskLayer.width = v.width || 1; maskLayer.height = v.height || 1;
  const other = $('[data-act="other"]');
  other.hidden = !(v.masks && v.masks.length > 1);
  $(".board-count").textContent = v.masks && v.masks.length ? `${choice + 1}/${v.masks.length}` : "";
  if (!mask) return;
  const image = new Image();
  image.src = mask.url;
  try { await image.decode(); } catch { return; }
  if (((held().masks || [])[choice] || {}).url !== mask.url) return; // another one came meanwhile
  pen.drawImage(image, 0, 0, maskLayer.width, maskLayer.height);
  const data = pen.getImageData(0, 0, maskLayer.width, maskLayer.height), p = data.data, w = maskLayer.width, h = maskLayer.height;
  const inside = new Uint8Array(w * h);
  for (let i = 0; i < w * h; i++) inside[i] = p[4 * i] > 127 ? 1 : 0;
  const edge = Math.max(1, Math.round(w / Math.max(1, picture.clientWidth) * 1.2));
  for (let y = 0, i = 0; y < h; y++) for (let x = 0; x < w; x++, i++) {
    const border = inside[i] && (x < edge || y < edge || x >= w - edge || y >= h - edge ||
      !inside[i - edge] || !inside[i + edge] || !inside[i - edge * w] || !inside[i + edge * w]);
    p[4 * i] = border ? 255 : 56; p[4 * i + 1] = border ? 255 : 132; p[4 * i + 2] = border ? 255 : 255;
    p[4 * i + 3] = border ? 230 : inside[i] ? 110 : 0;
  }
  pen.putImageData(data, 0, 0);
}

function wait(on) { // the mask is being found: said beside the picture, at once
  board.dataset.busy = String(on);
  stage.setAttribute("aria-busy", String(on));
}

function tell(looks = true) {
  const mark = now(), has = mark.points.length || mark.box || mark.strokes.length;
  $('[data-act="undo"]').disabled = !history.length;
  $('[data-act="clear"]').disabled = !has && !corner;
  draw();
  paint();
  const paintUrl = mark.strokes.length ? paintLayer.toDataURL("image/png") : null;
  wait(looks && (mark.points.some((p) => p[2]) || mark.box || mark.strokes.length > 0));
  trigger("mark", { points: mark.points.map(([x, y, b]) => [round(x), round(y), b]), box: mark.box && mark.box.map(round), paint: paintUrl, choice, turn: ++turn });
}
const round = (n) => Math.round(n * 10) / 10;

function put(change, words) {
  const mark = now();
  history.push({ points: [...mark.points], box: mark.box, strokes: [...mark.strokes], ...change });
  if (history.length > 50) history.shift();
  choice = 0;
  said.textContent = words;
  tell();
}

function addPoint([x, y], belongs) {
  put({ points: [...now().points, [x, y, belongs]] }, `${belongs ? "Point" : "Not this"} at ${Math.round(x)}, ${Math.round(y)}`);
}

function addBox(a, b) {
  const box = [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[0], b[0]), Math.max(a[1], b[1])];
  if (box[2] - box[0] < 2 || box[3] - box[1] < 2) { said.textContent = "That box is too small; drag from corner to corner."; draw(); return; }
  put({ box }, `Box from ${Math.round(box[0])}, ${Math.round(box[1])} to ${Math.round(box[2])}, ${Math.round(box[3])}`);
}

function place(point) { // a click, or Enter at the cross
  if (tool === "plus" || tool === "minus") addPoint(point, tool === "plus");
  else if (tool === "box") {
    if (corner) { const first = corner; corner = null; addBox(first, point); }
    else { corner = point; said.textContent = "First corner set; now the opposite one."; draw(); }
  } else put({ strokes: [...now().strokes, { width: brushWidth(), points: [point] }] }, "Painted");
}
const brushWidth = () => Math.max(4, held().width / 28);

function undo() { if (corner) corner = null; else history.pop(); choice = 0; said.textContent = "Undone."; tell(); }
function clear() { if (!history.length && !corner) return; corner = null; history = []; choice = 0; said.textContent = "Marks removed."; tell(); }
function other() {
  const n = (held().masks || []).length;
  if (n < 2) return;
  choice = (choice + 1) % n;
  said.textContent = `Mask ${choice + 1} of ${n}`;
  showMask();
  tell(false);
}
function choose(name) {
  tool = name; corner = null;
  element.querySelectorAll("[data-tool]").forEach((b) => {
    const on = b.dataset.tool === name;
    b.setAttribute("aria-checked", on); b.tabIndex = on ? 0 : -1;
  });
  draw();
}

frame.addEventListener("pointerdown", (event) => {
  if (!held().width || event.button || !marking) return;
  const start = at(event);
  frame.setPointerCapture(event.pointerId);
  stage.focus({ preventScroll: true });
  drag = { tool, start, box: null, moved: false, stroke: { width: brushWidth(), points: [start] } };
  cross = null;
});
frame.addEventListener("pointermove", (event) => {
  if (!drag) return;
  const point = at(event), r = picture.getBoundingClientRect(), far = 4 * held().width / r.width;
  drag.moved = drag.moved || Math.hypot(point[0] - drag.start[0], point[1] - drag.start[1]) > far;
  if (drag.tool === "box" && drag.moved)
    drag.box = [Math.min(drag.start[0], point[0]), Math.min(drag.start[1], point[1]), Math.max(drag.start[0], point[0]), Math.max(drag.start[1], point[1])];
  if (drag.tool === "brush") drag.stroke.points.push(point);
  draw();
});
frame.addEventListener("pointerup", (event) => {
  if (!drag) return;
  const done = drag, point = at(event);
  drag = null;
  if (done.tool === "box" && done.moved) { corner = null; addBox(done.start, point); }
  else if (done.tool === "brush") put({ strokes: [...now().strokes, done.stroke] }, "Painted");
  else place(done.tool === "box" ? point : done.start);
});
frame.addEventListener("pointercancel", () => { drag = null; draw(); });
stage.addEventListener("focus", () => { if (held().width && marking && !cross) cross = [held().width / 2, held().height / 2]; draw(); });
stage.addEventListener("blur", draw);
stage.addEventListener("keydown", (event) => {
  if (!held().width || !marking) return;
  const step = (event.shiftKey ? 1 : 10) * held().width / Math.max(1, picture.clientWidth);
  const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
  if (moves[event.key]) {
    cross = cross || [held().width / 2, held().height / 2];
    cross = [Math.min(held().width - 1, Math.max(0, cross[0] + moves[event.key][0])), Math.min(held().height - 1, Math.max(0, cross[1] + moves[event.key][1]))];
    said.textContent = `Cross at ${Math.round(cross[0])}, ${Math.round(cross[1])}`;
    draw();
  } else if (event.key === "Enter" || event.key === " ") place(cross || [held().width / 2, held().height / 2]);
  else if (event.key === "Escape") clear();
  else if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") undo();
  else if (event.key.toLowerCase() === "m") other();
  else if ("1234".includes(event.key)) choose(["plus", "minus", "box", "brush"][event.key - 1]);
  else return;
  event.preventDefault();
});
if (!marking) {
  stage.setAttribute("role", "group");
  stage.removeAttribute("aria-roledescription");
  stage.removeAttribute("tabindex");
  stage.setAttribute("aria-label", "Picture");
}
element.querySelectorAll("[data-tool]").forEach((button, i, all) => {
  button.addEventListener("click", () => choose(button.dataset.tool));
  button.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const next = all[(i + by + all.length) % all.length];
    choose(next.dataset.tool); next.focus();
  });
});
$('[data-act="undo"]').addEventListener("click", undo);
$('[data-act="clear"]').addEventListener("click", clear);
$('[data-act="other"]').addEventListener("click", other);
$(".board-typed").addEventListener("submit", (event) => {
  event.preventDefault();
  const v = held(), numbers = (event.target.numbers.value.match(/-?\d+(\.\d+)?/g) || []).map(Number);
  const inside = (x, y) => x >= 0 && y >= 0 && x <= v.width && y <= v.height;
  if (numbers.length === 2 && inside(...numbers)) addPoint(numbers, tool !== "minus");
  else if (numbers.length === 4 && inside(numbers[0], numbers[1]) && inside(numbers[2], numbers[3])) addBox(numbers.slice(0, 2), numbers.slice(2));
  else said.textContent = `Type two numbers (x, y) or four (x1, y1, x2, y2) inside ${v.width} x ${v.height}.`;
});

function refresh() {
  const v = held();
  board.dataset.empty = String(!v.width);
  if (v.url !== shown) {
    shown = v.url; history = []; corner = null; cross = null; choice = 0;
    picture.src = v.url || ""; picture.alt = v.alt || "The picture that you ask about";
    if (v.width) {
      picture.width = v.width; picture.height = v.height;
      frame.style.setProperty("--shape", v.width / v.height); // a small picture is shown large enough to be clicked
    }
    said.textContent = v.width ? `${v.width} x ${v.height} pixels` : "";
    $(".board-typed").reset();
    $('[data-act="undo"]').disabled = $('[data-act="clear"]').disabled = true;
  }
  if (v.choice !== undefined && v.choice !== null && v.masks) choice = Math.min(v.choice, v.masks.length - 1);
  const waited = board.dataset.busy === "true";
  if (v.turn === undefined || v.turn >= turn) wait(false);
  if (v.said) said.textContent = v.said;
  else if (waited && board.dataset.busy === "false" && v.masks && v.masks.length)
    said.textContent += v.masks.length > 1 ? `: mask 1 of ${v.masks.length}` : ": found";
  draw();
  showMask();
}
picture.addEventListener("load", draw);

// A picture dropped on the board or pasted anywhere on its tab goes the way of the upload button.
const door = () => document.querySelector(marking ? "#upload" : "#verify-upload")?.parentElement.querySelector("input[type=file]");
function give(files) {
  const file = [...(files || [])].find((f) => f.type.startsWith("image/"));
  const input = door();
  if (!file || !input) return false;
  const bag = new DataTransfer();
  bag.items.add(file);
  input.files = bag.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
  said.textContent = "Reading the picture …";
  return true;
}
stage.addEventListener("dragover", (event) => { event.preventDefault(); board.dataset.over = "true"; });
stage.addEventListener("dragleave", () => { board.dataset.over = "false"; });
stage.addEventListener("drop", (event) => { event.preventDefault(); board.dataset.over = "false"; give(event.dataTransfer.files); });
document.addEventListener("paste", (event) => {
  if (stage.offsetParent && give(event.clipboardData && event.clipboardData.files)) event.preventDefault();
});
new ResizeObserver(draw).observe(stage);
watch("value", refresh);
refresh();
stage.dataset.ready = "true"; // from here on it listens
