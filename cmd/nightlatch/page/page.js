// A button to copy each block of commands. Without scripts the blocks can be selected by hand.
for (const pre of document.querySelectorAll("pre")) {
  const block = document.createElement("div");
  block.className = "block";
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(pre.textContent);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select and copy";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  pre.replaceWith(block);
  block.append(pre, button);
}
