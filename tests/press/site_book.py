"""A small book that uses every construct of the Quarto subset, executed by hand, to test the site."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from press.cells import cell_ids, notebook_path
from press.config import Book, load
from press.source import read

CONFIG = r"""
project: {type: book, output-dir: _book}
book:
  title: "A Book of Tests"
  subtitle: "Every construct once"
  author: "Nobody"
  description: "A book for tests."
  chapters:
    - index.qmd
    - part: "Foundations"
      chapters: [book/01-first/01-every.qmd, book/01-first/02-other.qmd]
    - part: "Diffusion & friends"
      chapters: [book/02-second/03-plain.qmd]
  appendices: [book/appendices/a-data.qmd]
bibliography: references.bib
lang: en-GB
macros:
  KL: '$D_{\mathrm{KL}}\left(#1 \,\middle\|\, #2\right)$'
  E: '$\mathbb{E}$'
"""
REFERENCES = """
@book{cover2006, author={Cover, Thomas M. and Thomas, Joy A.}, title={Elements of Information Theory},
  publisher={Wiley}, year={2006}}
@article{kingma2014, author={Kingma, Diederik P. and Welling, Max}, title={Auto-Encoding Variational Bayes},
  journal={ICLR}, year={2014}}
"""
EVERY = r"""# Every construct of the $f$-divergence {#sec-every}

A generative model is a guess about where data come from [@kingma2014].
See @eq-kl, @fig-line, @tbl-hand, @thm-gibbs and @sec-other. As @cover2006 say,[^one] there are many.

[^one]: A footnote with $\KL{p}{q} \ge 0$ and `code`.

::: {.callout-tip title="At a glance"}
You will derive @eq-kl and build `agm.divergences`. Prerequisites: @sec-plain.
:::

::: {.callout-warning collapse="true"}
## A trap, folded

It hides until one opens it.
:::

## Divergences {#sec-divergences}

The divergence is defined by

$$
\begin{aligned}
\KL{p}{q} &= \E_{x \sim p}\left[\log \frac{p(x)}{q(x)}\right] \\
&= \int p(x) \log \frac{p(x)}{q(x)} \,\mathrm d x \ge 0 .
\end{aligned}
$$ {#eq-kl}

A numbered one that is far too long for a phone:

$$ \log p_\theta(\mathbf x) = \E_{q_\phi(\mathbf z \mid \mathbf x)}\left[
\log p_\theta(\mathbf x \mid \mathbf z)\right] - \KL{q_\phi(\mathbf z \mid \mathbf x)}{p(\mathbf z)}
+ \KL{q_\phi(\mathbf z \mid \mathbf x)}{p_\theta(\mathbf z \mid \mathbf x)}
+ \sum_{i=1}^{n} \boldsymbol\epsilon_i^2 $$ {#eq-long}

In the text
$a_1 + a_2 + a_3 + a_4 + a_5 + a_6 + a_7 + a_8 + a_9 + a_{10} + a_{11} + a_{12} + a_{13} < b$ is long.

### A subsection

::: {#def-f}
## The $f$-divergence

Let $f$ be convex with $f(1) = 0$.
:::

::: {#thm-gibbs}
## Gibbs

For all densities, $\KL{p}{q} \ge 0$.
:::

::: {.proof}
By Jensen's inequality; see @def-f.
:::

```{python}
#| file: tangled/agm/divergences.py
import torch


def divergence(log_p: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
    # @eq-kl, summed over the support; a comment that goes on and on until the box of the code has to scroll
    return (log_p.exp() * (log_p - log_q)).sum(dim=-1)
```

```{python}
#| label: fig-line
#| fig-cap: "A line with $x^2$ in its caption. See @eq-kl."
#| fig-alt: "A rising line."
#| code-fold: true
plot()
```

```{python}
print("hello")
play()
```

| Divergence | Generator $f(t)$  | Symmetric | A long column to scroll | Another long column        | More |
|:-----------|:-----------------:|:---------:|------------------------:|:---------------------------|:----:|
| KL         | $t \log t$        | no        | 0.25                    | some text that is not short | yes |
| Hellinger  | $(\sqrt t - 1)^2$ | yes       | 0.75                    | some text that is not short | no  |

: The zoo of divergences. {#tbl-hand}

```{#lst-loop .python lst-cap="A listing that is not run."}
for epoch in range(10):
    train(epoch)
```

![A static picture.](picture.svg){#fig-static fig-alt="Three bars."}

## Exercises {#sec-exercises}

::: {#exr-one}
## ⋆ Warm-up
Show that $\KL{p}{p} = 0$.
:::
"""
OTHER = r"""# Another chapter {#sec-other}

It refers back to @eq-kl, @thm-gibbs, @fig-line, @tbl-hand, @lst-loop, @exr-one, @sec-every
and @sec-divergences;
see [@cover2006, p. 3].

## One

$$ a = b $$ {#eq-ab}

## Two

The word quetzal occurs only here.
"""
PLAIN = """# Without math, but with a title long enough to wrap {#sec-plain}

Only prose, with a reference to @eq-ab and one to @fig-static.
"""
DATA = """# Data {#sec-data}

Text, and @sec-every.

## Licences {#sec-licences}

See @sec-licences.
"""
PICTURE = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="400" height="120" viewBox="0 0 400 120">'
    '<rect x="20" y="60" width="80" height="60" fill="#4477aa"/></svg>'
)
LINE = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="300" height="200" viewBox="0 0 300 200">'
    '<path d="M10 190 290 10" stroke="black"/></svg>'
)
AUDIO = (
    '<audio controls="controls" aria-label="A click"><source src="data:audio/wav;base64,'
    'UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA=" type="audio/wav" /></audio>'
)
FILES = {
    "_quarto.yml": CONFIG,
    "references.bib": REFERENCES,
    "index.qmd": "# Preface {.unnumbered}\n\nIt begins in @sec-every.\n\n## Pace {.unnumbered}\n\nSlowly.\n",
    "book/01-first/01-every.qmd": EVERY,
    "book/01-first/picture.svg": PICTURE,
    "book/01-first/02-other.qmd": OTHER,
    "book/02-second/03-plain.qmd": PLAIN,
    "book/appendices/a-data.qmd": DATA,
}
FIRST = "book/01-first/01-every"


def write_site_book(folder: Path) -> Book:
    """Write the book and its one notebook, and load it."""
    for path, text in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    chapter = read(folder, f"{FIRST}.qmd")
    outputs = [
        [],
        [new_output("display_data", {"image/svg+xml": LINE})],
        [
            new_output("stream", name="stdout", text="hello\n"),
            new_output("display_data", {"text/html": AUDIO}),
        ],
    ]
    cells = [new_markdown_cell("# Every construct")]
    for name, cell, made in zip(cell_ids(chapter), chapter.cells, outputs, strict=True):
        cells.append(new_code_cell(cell.source, id=name, outputs=made, execution_count=1))
    target = notebook_path(folder, f"{FIRST}.qmd")
    target.parent.mkdir(parents=True)
    nbformat.write(new_notebook(cells=cells), target)
    return load(folder)
