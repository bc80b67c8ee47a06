// Saves the file whose address becomes the value.
watch("value", () => {
  if (!props.value) return;
  const link = document.createElement("a");
  link.href = props.value;
  link.download = "";
  document.body.append(link);
  link.click();
  link.remove();
});
