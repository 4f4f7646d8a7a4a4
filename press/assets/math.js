"use strict";
// Math: MathJax from the site's own files, what is on the screen first, the rest in small portions.
const bookRoot = document.currentScript.src.replace(/assets\/book\.js.*$/, "");

const bookMath = (() => {
  const source = `${bookRoot}assets/mathjax/`;
  let loaded = null;
  let ready = null;
  window.MathJax = {
    tex: {
      packages: ["base", "ams", "newcommand", "boldsymbol", "mathtools", "noundefined", "textmacros"],
      inlineMath: [["\\(", "\\)"]],
      displayMath: [["\\[", "\\]"]],
      processEnvironments: false,
      processRefs: false,
    },
    chtml: { fontURL: `${source}fonts`, scale: 1.06, matchFontHeight: false, displayAlign: "left" },
    options: { enableMenu: false, skipHtmlTags: { "[-]": ["pre"] } },
    startup: {
      typeset: false,
      ready() {
        MathJax.startup.defaultReady();
        ready();
      },
    },
  };
  const mathjax = new Promise((resolve) => (ready = resolve));

  // The page loads MathJax itself when it has math; a preview may need it on a page that has none.
  function load() {
    if (!loaded) {
      loaded = mathjax;
      if (!document.querySelector('script[src*="tex-chtml"]')) {
        const script = document.createElement("script");
        script.src = `${source}tex-chtml-full.js`;
        document.head.append(script);
      }
    }
    return loaded;
  }

  function distance(box) {
    return box.bottom < 0 ? -box.bottom : Math.max(0, box.top - window.innerHeight);
  }

  /** Typeset all math under an element that is not typeset yet. */
  async function typeset(root, portion = 24) {
    const waiting = [...root.querySelectorAll(".math:not(.done)")];
    if (!waiting.length) return;
    const order = new Map(waiting.map((node) => [node, distance(node.getBoundingClientRect())]));
    waiting.sort((a, b) => order.get(a) - order.get(b));
    await load();
    for (let start = 0; start < waiting.length; start += portion) {
      const part = waiting.slice(start, start + portion).filter((node) => node.isConnected);
      await MathJax.typesetPromise(part);
      for (const node of part) node.classList.add("done");
      MathJax.startup.document.clear();
      await new Promise((resolve) => setTimeout(resolve));
    }
  }

  return { typeset };
})();
