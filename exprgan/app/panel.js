// Keeps the panel's inputs and its value the same: {shares, amounts, regions, strength, teeth}.
const all = (query) => Array.from(element.querySelectorAll(query));
const one = (query) => element.querySelector(query);
const SNAP = 0.03; // a mouse does not hit 0 exactly

function paint(range) {
  const least = Number(range.min), most = Number(range.max);
  const at = (value) => 100 * (value - least) / (most - least);
  const [from, to] = [at(Math.max(0, least)), at(Number(range.value))];
  range.style.setProperty("--from", Math.min(from, to) + "%");
  range.style.setProperty("--to", Math.max(from, to) + "%");
  const slider = range.closest(".exp-slider");
  slider.classList.toggle("exp-used", Number(range.value) !== Number(range.dataset.start));
}

function set(range, value) {
  range.value = value;
  const number = range.closest(".exp-slider").querySelector("input[type=number]");
  if (Number(number.value) !== Number(range.value) || number.value === "") number.value = String(Number(range.value));
  paint(range);
}

function read() {
  const value = {shares: {}, amounts: {}, regions: [], strength: 1, teeth: one("[data-teeth]").value};
  for (const range of all("[data-share]")) if (Number(range.value)) value.shares[range.dataset.share] = Number(range.value);
  for (const range of all("[data-amount]")) if (Number(range.value)) value.amounts[range.dataset.amount] = Number(range.value);
  for (const box of all("[data-region]")) if (box.checked) value.regions.push(box.dataset.region);
  value.strength = Number(one("[data-strength]").value);
  return value;
}

function mark(value) {
  const names = Object.keys(value.shares);
  for (const button of all("[data-preset]")) {
    const chosen = names.length === 1 && value.shares[button.dataset.preset] === 1;
    button.setAttribute("aria-pressed", String(chosen));
  }
  for (const group of all("details")) {
    const used = group.querySelectorAll(".exp-used").length, count = group.querySelector(".exp-count");
    count.hidden = !used;
    count.textContent = used ? String(used) : "";
  }
}

function show(value) {
  for (const range of all("[data-share]")) set(range, value.shares[range.dataset.share] || 0);
  for (const range of all("[data-amount]")) set(range, value.amounts[range.dataset.amount] || 0);
  for (const box of all("[data-region]")) box.checked = value.regions.includes(box.dataset.region);
  set(one("[data-strength]"), value.strength);
  one("[data-teeth]").value = value.teeth;
  for (const unit of all(".exp-unit")) {
    const sides = Array.from(unit.querySelectorAll(".exp-side input[type=range]"));
    if (sides.some((range) => Number(range.value))) apart(unit, true);
  }
  mark(value);
}

function apart(unit, wanted) {
  unit.classList.toggle("exp-apart", wanted);
  const button = unit.querySelector(".exp-split");
  if (button) button.setAttribute("aria-pressed", String(wanted));
}

function tell(moving = false) {
  const value = read();
  if (moving) value.moving = true; // what is drawn meanwhile may be rough
  mark(value);
  props.value = value;
  trigger("input");
}

function split(unit) {
  const [both, ...sides] = Array.from(unit.querySelectorAll("input[type=range]"));
  const wanted = !unit.classList.contains("exp-apart");
  if (wanted) {
    for (const side of sides) set(side, both.value);
    set(both, 0);
  } else {
    set(both, sides.reduce((sum, side) => sum + Number(side.value), 0) / sides.length);
    for (const side of sides) set(side, 0);
  }
  apart(unit, wanted);
  tell();
}

element.addEventListener("input", (event) => {
  const input = event.target;
  if (input.type === "range") {
    if (Math.abs(Number(input.value)) < SNAP && input.matches(":active")) input.value = 0;
    set(input, input.value);
  } else if (input.type === "number") {
    const range = input.closest(".exp-slider").querySelector("input[type=range]");
    range.value = input.value === "" ? range.dataset.start : input.value;
    paint(range);
  }
  event.stopPropagation();
  tell(input.type === "range");
});
element.addEventListener("change", (event) => {
  if (event.target.type === "range") return tell();
  if (event.target.type !== "number") return;
  const range = event.target.closest(".exp-slider").querySelector("input[type=range]");
  set(range, range.value); // what was out of range, or no number, becomes what is shown
});
element.addEventListener("click", (event) => {
  const preset = event.target.closest("[data-preset]"), splitter = event.target.closest(".exp-split");
  if (event.target.closest(".exp-reset")) {
    show({shares: {}, amounts: {}, regions: all("[data-region]").map((box) => box.dataset.region), strength: 1, teeth: "auto"});
    for (const unit of all(".exp-unit")) apart(unit, "apart" in unit.dataset);
    tell();
  }
  if (preset) {
    const again = preset.getAttribute("aria-pressed") === "true";
    for (const range of all("[data-share]")) set(range, !again && range.dataset.share === preset.dataset.preset ? 1 : 0);
    tell();
  } else if (splitter) split(splitter.closest(".exp-unit"));
});
element.addEventListener("dblclick", (event) => {
  if (event.target.type !== "range") return;
  set(event.target, event.target.dataset.start);
  tell();
});
for (const unit of all(".exp-unit")) apart(unit, "apart" in unit.dataset);
if (matchMedia("(max-width: 820px)").matches) for (const group of all("details")) group.open = false;
show(props.value || read());
watch("value", () => show(props.value));
