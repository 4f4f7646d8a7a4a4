"use strict";
// Live preview: reload when the site was woven anew, show what is wrong when it could not be.
(() => {
  let seen = null;
  const box = document.createElement("pre");
  box.setAttribute("role", "alert");
  box.id = "press-error";
  box.style.cssText =
    "position:fixed;inset:auto 1rem 1rem;z-index:99;max-height:50vh;overflow:auto;margin:0;padding:1rem 1.25rem;" +
    "background:#7a1717;color:#fff;font:14px/1.5 ui-monospace,monospace;white-space:pre-wrap;border-radius:8px";
  new EventSource("/_press/events").onmessage = (event) => {
    const state = JSON.parse(event.data);
    if (state.error) {
      box.textContent = state.error;
      document.body.append(box);
    } else {
      box.remove();
      if (seen !== null && state.version !== seen) location.reload();
    }
    seen = state.version;
  };
})();
