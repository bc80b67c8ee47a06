// Shows {before, after, faces, chosen}: addresses of two pictures of one size, and boxes of faces.
const one = (query) => element.querySelector(query);
const [before, after, divide, hold] = [".exp-before", ".exp-after", ".exp-divide", ".exp-hold"].map(one);

function divideAt(share) {
  const covered = hold.getAttribute("aria-pressed") === "true" ? 100 : share;
  after.style.clipPath = `inset(0 0 0 ${covered}%)`;
  one(".exp-line").style.left = covered + "%";
  one(".exp-line").hidden = covered <= 0 || covered >= 100;
}

function load(image, address) {
  if (!address || image.dataset.address === address) return;
  image.dataset.address = address;
  const next = new Image(); // decoded before it is shown, so that nothing flickers
  next.src = address;
  next.decode().catch(() => {}).then(() => {
    if (image.dataset.address !== address) return;
    image.src = address;
    image.hidden = false;
    if (image === after) element.dispatchEvent(new CustomEvent("exp-shown", {bubbles: true}));
  });
}

function show(value) {
  const open = Boolean(value && value.after);
  one(".exp-compare").classList.toggle("exp-empty", !open);
  one(".exp-tools").hidden = !open;
  if (!open) {
    for (const image of [before, after]) { image.hidden = true; image.removeAttribute("src"); image.dataset.address = ""; }
    one(".exp-faces").replaceChildren();
    return;
  }
  load(before, value.before);
  load(after, value.after);
  one(".exp-faces").replaceChildren(...(value.faces || []).map((face) => {
    const box = document.createElement("span");
    const [left, top, width, height] = face.box;
    box.className = "exp-face" + (face.chosen ? " exp-chosen" : "");
    Object.assign(box.style, {left: 100 * left + "%", top: 100 * top + "%", width: 100 * width + "%", height: 100 * height + "%"});
    box.dataset.number = face.number;
    return box;
  }));
  divideAt(Number(divide.value));
}

divide.addEventListener("input", (event) => {
  event.stopPropagation();
  hold.setAttribute("aria-pressed", "false");
  divideAt(Number(divide.value));
});
hold.addEventListener("click", () => {
  hold.setAttribute("aria-pressed", String(hold.getAttribute("aria-pressed") !== "true"));
  divideAt(Number(divide.value));
});
show(props.value);
watch("value", () => show(props.value));
