// Search: a dialog over Pagefind's index. Opens with `/` or Ctrl K.
document.addEventListener("DOMContentLoaded", () => {
  const FROM_DISK =
    "Search needs the site to be served: run <code>make serve</code> in the book’s folder and open " +
    "<code>http://localhost:8000</code>. Browsers do not let a page opened from disk read the index.";
  const MISSING = "There is no search index yet: run <code>make html</code>.";
  const dialog = document.createElement("dialog");
  dialog.className = "search";
  dialog.setAttribute("aria-label", "Search the book");
  dialog.innerHTML =
    '<form method="dialog"><label class="hidden" for="site-search">Search the book</label>' +
    '<input id="site-search" type="search" placeholder="Search the book" autocomplete="off" spellcheck="false" ' +
    'aria-controls="site-results"><button class="close-button">Close</button></form>' +
    '<p class="search-status" role="status"></p><ol id="site-results"></ol>';
  document.body.append(dialog);
  const field = dialog.querySelector("input");
  const status = dialog.querySelector(".search-status");
  const results = dialog.querySelector("ol");
  let engine = null;
  let latest = 0;

  async function start() {
    if (location.protocol === "file:") {
      status.innerHTML = FROM_DISK;
      return;
    }
    if (engine) return;
    try {
      engine = await import(`${bookRoot}pagefind/pagefind.js`);
      await engine.options({ excerptLength: 24 });
      await engine.init();
    } catch {
      engine = null;
      status.innerHTML = MISSING;
    }
  }

  async function open() {
    if (dialog.open) return;
    dialog.showModal();
    field.select();
    await start();
    if (field.value) find();
  }

  async function find() {
    const words = field.value.trim();
    const turn = ++latest;
    if (!engine) return;
    if (!words) {
      results.replaceChildren();
      status.textContent = "";
      return;
    }
    const found = await engine.debouncedSearch(words, {}, 120);
    if (!found || turn !== latest) return;
    const pages = await Promise.all(found.results.slice(0, 8).map((result) => result.data()));
    if (turn !== latest) return;
    const count = found.results.length;
    status.textContent = count ? `${count} ${count === 1 ? "chapter" : "chapters"}` : `Nothing found for “${words}”.`;
    results.replaceChildren(...pages.map(entry));
  }

  function entry(page) {
    const item = document.createElement("li");
    const title = document.createElement("p");
    title.className = "search-page";
    title.textContent = [page.meta.part, page.meta.title].filter(Boolean).join(" · ");
    item.append(title);
    for (const part of page.sub_results.slice(0, 3)) {
      const link = document.createElement("a");
      link.href = part.url;
      const heading = document.createElement("strong");
      heading.textContent = part.title;
      const excerpt = document.createElement("span");
      excerpt.innerHTML = part.excerpt;
      link.append(heading, excerpt);
      item.append(link);
    }
    return item;
  }

  field.addEventListener("input", find);
  dialog.addEventListener("keydown", (event) => {
    const links = [field, ...results.querySelectorAll("a")];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      const place = links.indexOf(document.activeElement) + step;
      links[Math.max(0, Math.min(links.length - 1, place))].focus();
    } else if (event.key === "Enter" && document.activeElement === field) {
      event.preventDefault();
      links[1]?.click();
    }
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || event.target.closest("a")) dialog.close();
  });
  for (const button of document.querySelectorAll(".search-button")) button.addEventListener("click", open);
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
    const asked = (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey)
      || (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey));
    if (asked) {
      event.preventDefault();
      open();
    }
  });
});
