// The commands to paste, with a button to copy each.
import { $, el, icon, setText, show } from "./dom.js";

const STAYS_MS = 2000;

const selectAll = (node) => {
  const range = document.createRange();
  range.selectNodeContents(node);
  const selection = getSelection();
  selection.removeAllRanges();
  selection.addRange(range);
};

const card = ({ title, command }, i) => {
  const code = el("code", { text: command, "data-testid": "try-command" });
  const pre = el("pre", { tabindex: "0", role: "region", "aria-label": `Command: ${title}` }, code);
  const word = el("span", { text: "Copy" });
  const button = el("button", { type: "button", class: "ghost copy", "data-testid": "try-copy", "aria-describedby": `try-${i}` }, icon("copy"), word);
  let timer;

  button.addEventListener("click", async () => {
    let done = "Copied";
    try {
      await navigator.clipboard.writeText(command);
    } catch {
      selectAll(code);
      pre.focus();
      done = "Selected";
    }
    setText(word, done);
    button.firstElementChild.replaceWith(icon(done === "Copied" ? "check" : "copy"));
    // Cleared before, so that the same words are heard again.
    setText($("try-live"), "");
    setTimeout(() => setText($("try-live"), done === "Copied" ? `Copied: ${title}` : `Selected, copy it with your keyboard: ${title}`), 50);
    clearTimeout(timer);
    timer = setTimeout(() => {
      setText(word, "Copy");
      button.firstElementChild.replaceWith(icon("copy"));
    }, STAYS_MS);
  });

  return el("article", { class: "card command" }, el("div", { class: "command-head" }, el("h3", { text: title, id: `try-${i}` }), button), pre);
};

export const showCommands = (commands) => {
  $("try-cards").replaceChildren(...commands.map(card));
  show($("try"), commands.length > 0);
  show($("welcome-link"), commands.length > 0);
  if (!commands.length) setText($("welcome-title"), "Waiting for somebody to type");
};
