"""The LaTeX commands of the math dialect, and those refused by name with what to write instead."""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ENVIRONMENTS = _words("aligned cases matrix pmatrix bmatrix vmatrix array")

COMMANDS = _words(
    """
    alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi pi
    varpi rho varrho sigma varsigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi
    Pi Sigma Upsilon Phi Psi Omega ell hbar imath jmath Re Im aleph partial nabla infty emptyset
    varnothing forall exists nexists top bot angle triangle square prime dagger star ast circ bullet
    cdot times div pm mp oplus ominus otimes odot wedge vee cap cup setminus neg land lor bigcap
    bigcup bigoplus bigotimes bigvee bigwedge sqcup uplus sum prod coprod int iint iiint oint lim
    limsup liminf sup inf max min arg log ln exp sin cos tan cot sec csc sinh cosh tanh arcsin
    arccos arctan det dim ker Pr gcd deg hom operatorname mod bmod pmod le leq ge geq lt gt ne neq
    equiv approx sim simeq cong propto ll gg prec succ preceq succeq asymp doteq lesssim gtrsim
    subset subseteq supset supseteq subsetneq in notin ni mid parallel perp models vdash coloneqq
    eqqcolon not to gets mapsto rightarrow leftarrow leftrightarrow Rightarrow Leftarrow
    Leftrightarrow implies impliedby iff longrightarrow longleftarrow longmapsto uparrow downarrow
    updownarrow hookrightarrow rightharpoonup rightleftharpoons nearrow searrow xrightarrow
    xleftarrow left right middle lvert rvert lVert rVert langle rangle lfloor rfloor lceil rceil
    lbrace rbrace frac dfrac tfrac sqrt binom overline underline overbrace underbrace hat widehat
    tilde widetilde bar vec dot ddot acute grave breve check overset underset stackrel substack
    mathrm mathbf mathit mathcal mathbb mathsf mathtt mathfrak mathscr boldsymbol text textbf textit
    textrm begin end quad qquad ldots cdots vdots ddots dots dotsc dotsb limits nolimits
    displaystyle textstyle
    """
)

_SIZE = "write \\left and \\right"
_SPACE = "delete it; \\, and \\quad are the only spaces"
_NUMBER = "label the equation behind its closing '$$': {#eq-…}"
_DEFINE = "add the macro to 'macros' in _quarto.yml"
REFUSED: dict[str, str] = (
    {name + side: _SIZE for name in ("big", "Big", "bigg", "Bigg") for side in ("", "l", "r", "m")}
    | {
        name: _SPACE
        for name in ("!", ":", ";", ">", " ", "hspace", "vspace", "kern", "mkern", "mskip", "hskip")
    }
    | {
        name: _SPACE
        for name in ("phantom", "hphantom", "vphantom", "thinspace", "negthinspace", "enspace", "hfill")
    }
    | {name: _NUMBER for name in ("tag", "label", "ref", "eqref", "nonumber", "notag")}
    | {name: _DEFINE for name in ("newcommand", "renewcommand", "def", "let", "DeclareMathOperator")}
    | {
        "operatorname*": "write \\arg\\min_{…}, or \\operatorname{…}",
        "ensuremath": "delete it",
        "bm": "write \\boldsymbol",
        "bf": "write \\mathbf",
        "rm": "write \\mathrm",
        "cal": "write \\mathcal",
        "mathop": "write \\operatorname",
        "mbox": "write \\text",
        "vert": "write \\mid, or \\lvert and \\rvert",
        "Vert": "write \\lVert and \\rVert",
        "over": "write \\frac",
        "choose": "write \\binom",
        "intertext": "end the equation, say it in the text, begin another",
        "href": "put the link into the text",
        "color": "colours do not print",
        "textcolor": "colours do not print",
    }
)
