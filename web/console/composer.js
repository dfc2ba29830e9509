// A box to type in, which tells the gateway of the typing and hands over what was typed.
import { setText } from "./dom.js";

/** `talk()` is the conversation's watch, if there is one; `say(text, conversation)` brings the text to the thread. */
export const createComposer = ({ form, input, error, side, store, talk, say }) => {
  let key;

  const send = async () => {
    const text = input.value.trim();
    const conversation = store.get(key);
    if (!text || !conversation) return;
    input.value = "";
    store.draft(key, side, "");
    setText(error, "");
    talk()?.sent();
    try {
      await say(text, conversation);
    } catch (refused) {
      setText(error, `Not sent: ${refused.message}`);
      if (key === conversation.key && !input.value) {
        input.value = text;
        store.draft(key, side, text);
      }
    }
  };

  input.addEventListener("input", () => {
    store.draft(key, side, input.value);
    setText(error, "");
    if (input.value.trim()) talk()?.input();
    else talk()?.stop();
  });

  input.addEventListener("keydown", (event) => {
    // An input method's own Enter picks a word and sends nothing.
    if (event.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      send();
    }
    if (event.key === "Escape") {
      talk()?.stop();
      input.blur();
    }
  });

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send();
    input.focus();
  });

  return {
    open(conversation) {
      input.disabled = !conversation;
      form.classList.toggle("off", !conversation);
      if (conversation?.key === key) return;
      key = conversation?.key;
      input.value = conversation?.draft[side] ?? "";
      setText(error, "");
    },
  };
};
