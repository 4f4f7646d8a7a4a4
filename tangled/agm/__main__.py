"""The command line of the package: `agm list | train | sample | evaluate | verify`."""

from __future__ import annotations

# book/appendices/b-training.qmd § The command line
import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

EXAMPLES = """examples:
  agm list
  agm train digits --preset smoke
  agm train digits --steps 500 --learning-rate 0.01 --out runs/mine
  agm train digits --help              (every setting, with the preset's values)
  torchrun --nproc-per-node 2 -m agm train digits
  agm sample digits --out grid.png     (from the newest finished run)
  agm evaluate digits --from runs/mine
  agm verify eq-tr-ema
  agm verify f-divergence

exit status: 0 done, 1 failed, 2 wrong arguments, 130 interrupted (the same command goes on)"""
TRAIN_EXAMPLES = """digits --preset smoke
digits --steps 500 --learning-rate 0.01 --out runs/mine
digits --help       (every setting, with the preset's values)
vae-audio --data spoken_digits
vae-mnist           (stopped with Ctrl-C, the same command goes on)"""
SAMPLE_EXAMPLES = """vae-mnist --out grid.png
vae-text --out lines.txt --count 20 --seed 7
vae-audio --out clip.wav --count 4
digits --from runs/mine --out grid.png"""
EVALUATE_EXAMPLES = """digits
digits --preset smoke
digits --from runs/mine/checkpoints/best.safetensors"""
VERIFY_EXAMPLES = """eq-tr-ema       (one equation)
f-divergence    (a chapter)
02              (the same, by its number)"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; by default those of the process.

    Returns:
        0 if done, 1 if it failed, 2 for wrong arguments, 130 if interrupted.
    """
    parser, train_parser = _parsers()
    try:
        options, rest = parser.parse_known_args(arguments)
        if rest and options.command != "train":
            parser.error(f"unrecognised arguments: {' '.join(rest)}")
    except SystemExit as stop:
        return int(stop.code or 0)
    try:
        # What the commands need is imported late: help must not wait for torch.
        from agm.cli import UsageError, complain
        from agm.data import DataError
        from agm.training import TrainingError
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    try:
        return _run(options, rest, train_parser)
    except SystemExit as stop:  # tyro has shown help, or what is wrong with an option
        return int(stop.code or 0)
    except UsageError as error:
        complain(error)
        return 2
    except (TrainingError, DataError) as error:
        complain(error)
        return 1
    except KeyboardInterrupt as error:
        print(str(error) or "interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone; Python must not complain about it at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(options: argparse.Namespace, rest: list[str], train_parser: argparse.ArgumentParser) -> int:
    from agm import cli

    if options.command == "train" and options.help:
        train_parser.print_help()
        if options.model:
            cli.show_settings(options.model, options.preset)
        return 0
    if options.command == "train":
        if not options.model:
            raise cli.UsageError("which model? `agm list` shows them")
        return cli.train_command(options, rest)
    if options.command == "verify":
        from agm.cli_verify import verify

        return verify(options.what)
    commands = {"list": cli.list_command, "sample": cli.sample_command, "evaluate": cli.evaluate_command}
    return commands[options.command](options)


# book/appendices/b-training.qmd § The command line
def _parsers() -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    """The parser of everything, and that of `train`, which leaves the settings to others."""
    parser = argparse.ArgumentParser(
        prog="agm",
        description="Train the models of the book, sample from them, check its equations.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, text: str, examples: str, **options: Any) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog="\n".join(["examples:", *(f"  agm {name} {line}" for line in examples.split("\n"))]),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            **options,
        )

    add("list", "models, presets, data sets, and the state of the models of the book", "")

    train = add("train", "train a model, or go on training it", TRAIN_EXAMPLES, add_help=False)
    train.add_argument("model", nargs="?", metavar="MODEL", help="one of `agm list`")
    train.add_argument("-h", "--help", action="store_true", help="show this, and the settings of MODEL")
    train.add_argument("--preset", default="small", metavar="NAME", help="smoke, small (default) or full")
    train.add_argument("--data", metavar="NAME", help="data set, for models that can take several")
    train.add_argument("--out", metavar="FOLDER", help="folder of the run (default runs/MODEL/PRESET)")
    train.add_argument("--fresh", action="store_true", help="delete what is in the folder and start afresh")
    train.add_argument("--quiet", action="store_true", help="show no progress")

    sample = add("sample", "draw samples into a file", SAMPLE_EXAMPLES)
    sample.add_argument("model", metavar="MODEL")
    _add_source(sample)
    sample.add_argument("--out", required=True, metavar="FILE", help="grid.png, text.txt or clip.wav")
    sample.add_argument("--count", type=int, default=64, help="number of samples (default 64)")
    sample.add_argument("--seed", type=int, default=0, help="of the noise (default 0)")

    evaluate = add("evaluate", "metrics on held-out data", EVALUATE_EXAMPLES)
    evaluate.add_argument("model", metavar="MODEL")
    _add_source(evaluate)

    verify = add("verify", "check a derivation line by line", VERIFY_EXAMPLES)
    verify.add_argument("what", metavar="EQUATION|CHAPTER", help="eq-tr-ema, f-divergence, 02 …")
    return parser, train


def _add_source(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--from",
        dest="source",
        metavar="PATH",
        help="run or checkpoint (default: the newest finished run below runs/, else the model of the book)",
    )
    source.add_argument("--preset", metavar="NAME", help="the run in runs/MODEL/NAME")


if __name__ == "__main__":
    sys.exit(main())
