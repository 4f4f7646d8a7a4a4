// Previews: what a reference refers to, in a small box beside it, on hover and on keyboard focus.
const bookPreviewStore = new Map();

/** Called by a chapter's `….previews.js`, which a script element loads: that works from disk as well. */
function bookPreviews(page, previews) {
  bookPreviewStore.set(page, previews);
}

document.addEventListener("DOMContentLoaded", () => {
  const REFERENCES = 'a.xref, a.footnote-ref, a[role="doc-biblioref"], .citation a';
  const box = document.createElement("div");
  box.className = "preview";
  box.id = "site-preview";
  box.setAttribute("role", "tooltip");
  box.hidden = true;
  document.body.append(box);
  let owner = null;
  let timer = 0;
  const loading = new Map();

  function load(page) {
    if (bookPreviewStore.has(page)) return Promise.resolve();
    if (!loading.has(page)) {
      loading.set(page, new Promise((resolve) => {
        const script = document.createElement("script");
        script.src = bookRoot + page.replace(/\.html$/, ".previews.js");
        script.onload = script.onerror = resolve;
        document.head.append(script);
      }));
    }
    return loading.get(page);
  }

  /** What to show, as a list of nodes; null when there is nothing. */
  async function content(link) {
    const target = new URL(link.href, location.href);
    const label = decodeURIComponent(target.hash.slice(1));
    const here = target.pathname === location.pathname && target.origin === location.origin;
    const local = here ? document.getElementById(label) : null;
    if (local && !label.startsWith("sec-")) {
      const copy = local.cloneNode(true);
      for (const node of copy.querySelectorAll("[id]")) node.removeAttribute("id");
      for (const node of copy.querySelectorAll(".footnote-back, .copy-button, .heading-link")) node.remove();
      copy.removeAttribute("id");
      return copy.matches("li") ? [...copy.childNodes] : [copy];
    }
    const page = here ? document.body.dataset.page : target.href.split("#")[0].slice(bookRoot.length);
    await load(page);
    const html = bookPreviewStore.get(page)?.[label];
    if (!html) return null;
    const holder = document.createElement("template");
    holder.innerHTML = html;
    for (const [name, selector] of [["src", "[src]"], ["href", "[href]"]]) {
      for (const node of holder.content.querySelectorAll(selector)) {
        node.setAttribute(name, new URL(node.getAttribute(name), bookRoot + page).href);
      }
    }
    return [...holder.content.childNodes];
  }

  async function show(link) {
    owner = link;
    const nodes = await content(link);
    if (!nodes || owner !== link) return;
    box.replaceChildren(...nodes);
    for (const node of box.querySelectorAll("a, button, summary, [tabindex]")) node.tabIndex = -1;
    for (const node of box.querySelectorAll("details")) node.open = true;
    box.hidden = false;
    link.setAttribute("aria-describedby", "site-preview");
    place(link);
    await bookMath.typeset(box, 200);
    if (owner === link) place(link);
  }

  function place(link) {
    const at = link.getClientRects()[0];
    if (!at) return;
    const room = 12;
    const width = box.offsetWidth;
    const height = box.offsetHeight;
    const left = Math.max(room, Math.min(at.left - 24, document.documentElement.clientWidth - width - room));
    const above = at.top - height - 8;
    const top = at.bottom + 8 + height < innerHeight || above < 60 ? at.bottom + 8 : above;
    box.style.left = `${left}px`;
    box.style.top = `${top}px`;
  }

  function hide() {
    clearTimeout(timer);
    owner?.removeAttribute("aria-describedby");
    owner = null;
    box.hidden = true;
  }

  document.addEventListener("pointerover", (event) => {
    if (event.pointerType === "touch") return;
    const link = event.target.closest?.(REFERENCES);
    if (link && !box.contains(link)) {
      clearTimeout(timer);
      if (link !== owner) timer = setTimeout(() => show(link), 140);
    } else if (box.contains(event.target)) {
      clearTimeout(timer);
    } else if (owner && document.activeElement !== owner) {
      clearTimeout(timer);
      timer = setTimeout(hide, 180);
    } else if (!owner) {
      clearTimeout(timer);
    }
  });
  document.addEventListener("focusin", (event) => {
    const link = event.target.closest?.(REFERENCES);
    if (link && !box.contains(link) && link.matches(":focus-visible")) show(link);
    else if (owner) hide();
  });
  document.addEventListener("keydown", (event) => event.key === "Escape" && hide());
  addEventListener("scroll", () => owner && hide(), { passive: true });
  document.addEventListener("click", hide);
});
