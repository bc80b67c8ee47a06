// Shows the command that is the value, and copies it.
const text = element.querySelector("textarea"), button = element.querySelector(".exp-copy");

function show() {
  text.value = props.value || "";
  text.style.height = "auto";
  text.style.height = text.scrollHeight + 2 + "px";
  button.disabled = !text.value;
  button.textContent = "Copy";
}

button.addEventListener("click", async () => {
  text.select();
  try {
    await navigator.clipboard.writeText(text.value);
  } catch {
    document.execCommand("copy"); // where the page is not on this computer
  }
  button.textContent = "Copied";
});
show();
watch("value", show);
