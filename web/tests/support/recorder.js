// Runs in the page before its own scripts and notes what a person would notice, when: by the clock of this machine,
// which is the test's as well.
export const recorder = () => {
  const WATCHED = ["handset-dots", "desk-dots", "desk-typing", "desk-peer"];
  const STEP_MS = 20;
  const on = new Set();
  const noted = { shown: [], said: [], lateness: 0 };
  window.noted = noted;

  const look = () => {
    for (const id of WATCHED) {
      const is = Boolean(document.querySelector(`[data-testid="${id}"]`)?.checkVisibility({ visibilityProperty: true }));
      if (is === on.has(id)) continue;
      if (is) on.add(id);
      else on.delete(id);
      noted.shown.push({ id, is, at: Date.now() });
    }
  };

  // Every text that is put into a live region is read out, also one that stood there before.
  const listen = (changes) => {
    for (const { target, addedNodes } of changes) {
      const region = (target.nodeType === Node.TEXT_NODE ? target.parentElement : target)?.closest?.('[aria-live="polite"]');
      const text = addedNodes.length && region?.textContent;
      if (text) noted.said.push({ in: region.id || region.tagName.toLowerCase(), text, at: Date.now() });
    }
  };

  new MutationObserver((changes) => {
    look();
    listen(changes);
  }).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ["hidden", "class", "style"] });

  // On a busy machine every page is late. How late this one was is not the console's fault.
  let last = performance.now();
  setInterval(() => {
    const now = performance.now();
    noted.lateness = Math.max(noted.lateness, Math.round(now - last - STEP_MS));
    last = now;
  }, STEP_MS);

  document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => {
    console.error(`content security policy: ${violatedDirective} forbids ${blockedURI}`);
  });
};
