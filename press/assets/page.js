// The page: colours, chapter list, table of contents, copy buttons, boxes that scroll.
document.addEventListener("DOMContentLoaded", () => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector, root = document) => root.querySelector(selector);
  const html = document.documentElement;

  // Colours -----------------------------------------------------------------------------------------------------
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const choices = ["auto", "light", "dark"];
  const names = { auto: "automatic", light: "light", dark: "dark" };
  const themeButton = one(".theme-button");

  function colour(choice) {
    html.dataset.choice = choice;
    html.dataset.theme = choice === "auto" ? (dark.matches ? "dark" : "light") : choice;
    themeButton.setAttribute("aria-label", `Colours: ${names[choice]}`);
    themeButton.title = `Colours: ${names[choice]}`;
  }
  colour(html.dataset.choice || "auto");
  dark.addEventListener("change", () => colour(html.dataset.choice));
  themeButton.addEventListener("click", () => {
    const next = choices[(choices.indexOf(html.dataset.choice) + 1) % choices.length];
    try {
      localStorage.setItem("theme", next);
    } catch {
      // without storage the choice lasts as long as the page
    }
    colour(next);
  });

  // Chapter list ------------------------------------------------------------------------------------------------
  const navigation = one(".site-nav");
  const navButton = one(".nav-button");

  function showNavigation(shown) {
    html.classList.toggle("nav-open", shown);
    navButton.setAttribute("aria-expanded", String(shown));
    if (shown) (one("[aria-current]", navigation) || one("a", navigation))?.focus();
  }
  navButton.addEventListener("click", () => showNavigation(!html.classList.contains("nav-open")));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && html.classList.contains("nav-open")) {
      showNavigation(false);
      navButton.focus();
    }
  });
  document.addEventListener("click", (event) => {
    if (html.classList.contains("nav-open") && !event.target.closest(".site-nav, .nav-button")) showNavigation(false);
  });
  navigation.addEventListener("focusout", (event) => {
    const next = event.relatedTarget;
    if (next && !navigation.contains(next) && next !== navButton) showNavigation(false);
  });
  const current = one("[aria-current]", navigation);
  if (current) {
    const place = current.offsetTop - navigation.clientHeight / 2;
    if (place > 0) navigation.scrollTop = place;
  }

  // Table of contents -------------------------------------------------------------------------------------------
  const tocBox = one(".toc details");
  const wide = matchMedia("(min-width: 75rem)");
  const unfold = () => tocBox && (tocBox.open = wide.matches);
  unfold();
  wide.addEventListener("change", unfold);
  const links = new Map(all(".toc a").map((link) => [decodeURIComponent(link.hash.slice(1)), link]));
  const headings = [...links.keys()].map((id) => document.getElementById(id)).filter(Boolean);

  function spy() {
    const line = 120;
    let found = null;
    for (const heading of headings) {
      if (heading.getBoundingClientRect().top > line) break;
      found = heading;
    }
    for (const [id, link] of links) {
      const here = found !== null && id === found.id;
      if (here === link.hasAttribute("aria-current")) continue;
      link.toggleAttribute("aria-current", here);
      if (here) link.setAttribute("aria-current", "true");
      const list = link.closest(".toc");
      if (here && wide.matches && (link.offsetTop < list.scrollTop || link.offsetTop > list.scrollTop + list.clientHeight - 40)) {
        list.scrollTop = link.offsetTop - list.clientHeight / 2;
      }
    }
  }
  let waiting = false;
  addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      spy();
    });
  }, { passive: true });
  if (headings.length) spy();

  // A link beside each heading, for those who want to cite it --------------------------------------------------------
  for (const heading of all(".prose :is(h2, h3, h4)[id]")) {
    const link = document.createElement("a");
    link.className = "heading-link";
    link.href = `#${heading.id}`;
    link.setAttribute("aria-label", "Link to this section");
    link.textContent = "#";
    heading.append(" ", link);
  }

  // Copy buttons ------------------------------------------------------------------------------------------------
  for (const block of all(".prose div.sourceCode")) {
    if (block.closest(".cell-output")) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy-button";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      button.textContent = (await copy(one("code", block).textContent)) ? "Copied" : "Press Ctrl C";
      setTimeout(() => (button.textContent = "Copy"), 1600);
    });
    block.append(button);
  }

  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      area.className = "hidden";
      document.body.append(area);
      area.select();
      const done = document.execCommand("copy");
      area.remove();
      return done;
    }
  }

  // Boxes that scroll can be reached by keyboard ----------------------------------------------------------------------
  const boxes = all(".prose pre, .equation-body, .table-scroll, .cell-output-display, .toc");

  /** A display equation a little too wide is set a little smaller; wide formulas in the text scroll by themselves. */
  function fit() {
    const displays = all(".prose .equation-body");
    for (const box of displays) {
      box.style.removeProperty("--shrink");
      box.parentElement.classList.remove("broad");
    }
    for (const formula of all(".math.wide")) formula.classList.remove("wide");
    const ratios = displays.map((box) => box.clientWidth / box.scrollWidth);
    const room = one(".prose").clientWidth / 2;
    const broad = all(".prose .math.inline.done").filter(
      (formula) => formula.offsetWidth > room && formula.offsetWidth > formula.closest("p, li, td, dd, div, figcaption").clientWidth);
    const least = innerWidth < 640 ? 0.74 : 0.8;
    const shrink = (box, ratio) => box.style.setProperty("--shrink", Math.max(least, ratio - 0.01).toFixed(3));
    displays.forEach((box, place) => ratios[place] < 1 && shrink(box, ratios[place]));
    const broadest = displays.filter((box, place) => ratios[place] < least && box.parentElement.matches(".numbered"));
    for (const box of broadest) {
      box.style.removeProperty("--shrink");
      box.parentElement.classList.add("broad");
    }
    const widths = broadest.map((box) => box.clientWidth / box.scrollWidth);
    broadest.forEach((box, place) => widths[place] < 1 && shrink(box, widths[place]));
    for (const formula of broad) formula.classList.add("wide");
    boxes.push(...broad.filter((formula) => !boxes.includes(formula)));
  }

  function reachable() {
    fit();
    const scrolls = boxes.map((box) => box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1);
    boxes.forEach((box, place) => {
      if (scrolls[place]) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
      fade(box);
    });
  }

  /** Mark on which sides a box hides something; code has a frame, which shows it. */
  function fade(box) {
    const hidden = box.scrollWidth - box.clientWidth - 1;
    const fades = hidden > 0 && box.matches(".equation-body, .table-scroll");
    box.classList.toggle("more-before", fades && box.scrollLeft > 1);
    box.classList.toggle("more-after", fades && box.scrollLeft < hidden);
  }
  document.addEventListener("scroll", ({ target }) => target instanceof Element && boxes.includes(target) && fade(target), {
    capture: true, passive: true,
  });
  addEventListener("resize", reachable);
  for (const details of all("details")) details.addEventListener("toggle", reachable);
  reachable();

  // A fragment that points into folded content unfolds it ---------------------------------------------------------------
  function reveal() {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let box = target && target.closest("details"); box; box = box.parentElement.closest("details")) box.open = true;
    return target;
  }
  addEventListener("hashchange", reveal);
  const target = reveal();

  bookMath.typeset(document).then(() => {
    reachable();
    if (target && Math.abs(target.getBoundingClientRect().top) > 200 && !scrolled) target.scrollIntoView();
    html.dataset.math = "done";
  });
  let scrolled = false;
  for (const kind of ["wheel", "touchmove", "keydown"]) addEventListener(kind, () => (scrolled = true), { once: true, passive: true });
});
