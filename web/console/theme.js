// Runs before the page is drawn, so that a stored theme does not flash the other one first.
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const stored = () => {
    try {
      return localStorage.getItem("typingd-theme");
    } catch {
      return null;
    }
  };
  const set = (theme) => {
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    else delete root.dataset.theme;
  };
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  set(stored());

  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const show = () => button.setAttribute("aria-pressed", String(isDark()));
    button.addEventListener("click", () => {
      const theme = isDark() ? "light" : "dark";
      set(theme);
      try {
        localStorage.setItem("typingd-theme", theme);
      } catch {
        // Without storage the choice lasts as long as the page.
      }
      show();
    });
    dark.addEventListener("change", show);
    addEventListener("storage", (event) => {
      if (event.key === "typingd-theme") {
        set(event.newValue);
        show();
      }
    });
    show();
  });
})();
