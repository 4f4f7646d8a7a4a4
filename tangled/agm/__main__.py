"""The command line of the package: `agm list | train | sample | evaluate | verify`."""

from __future__ import annotations

# book/appendices/b-training.qmd § The command line
import argparse
import os
import sys
from collections.abc import Sequence

EXAMPLES = """examples:
  agm list
  agm train digits --preset smoke
  agm train digits --steps 500 --learning-rate 0.01 --out runs/mine
  agm train digits --help              (every setting, with the preset's values)
  torchrun --nproc-per-node 2 -m agm train digits
  agm sample digits --out grid.png
  agm evaluate digits --from runs/mine
  agm verify eq-tr-ema
  agm verify f-divergence

exit status: 0 done, 1 failed, 2 wrong arguments, 130 interrupted (the same command goes on)"""


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
    # What the commands need is imported late: help must not wait for torch.
    from agm.cli import UsageError, complain
    from agm.data import DataError
    from agm.training import TrainingError

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
        complain(error if str(error) else "interrupted")
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
    commands.add_parser("list", help="models, presets, data sets")

    train = commands.add_parser(
        "train", help="train a model, or go on training it", add_help=False, allow_abbrev=False
    )
    train.add_argument("model", nargs="?", metavar="MODEL", help="one of `agm list`")
    train.add_argument("-h", "--help", action="store_true", help="show this, and the settings of MODEL")
    _add_preset(train)
    train.add_argument("--data", metavar="NAME", help="data set, for models that can take several")
    train.add_argument("--out", metavar="FOLDER", help="folder of the run (default runs/MODEL/PRESET)")
    train.add_argument("--fresh", action="store_true", help="delete what is in the folder and start afresh")
    train.add_argument("--quiet", action="store_true", help="show no progress")

    sample = commands.add_parser("sample", help="draw samples into a file", allow_abbrev=False)
    sample.add_argument("model", metavar="MODEL")
    _add_source(sample)
    sample.add_argument("--out", required=True, metavar="FILE", help="grid.png, text.txt or clip.wav")
    sample.add_argument("--count", type=int, default=64, help="number of samples (default 64)")
    sample.add_argument("--seed", type=int, default=0, help="of the noise (default 0)")

    evaluate = commands.add_parser("evaluate", help="metrics on held-out data", allow_abbrev=False)
    evaluate.add_argument("model", metavar="MODEL")
    _add_source(evaluate)

    verify = commands.add_parser("verify", help="check a derivation line by line", allow_abbrev=False)
    verify.add_argument("what", metavar="EQUATION|CHAPTER", help="eq-tr-ema, f-divergence, 02 …")
    return parser, train


def _add_preset(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--preset", default="small", metavar="NAME", help="smoke, small (default) or full")


def _add_source(parser: argparse.ArgumentParser) -> None:
    _add_preset(parser)
    parser.add_argument(
        "--from",
        dest="source",
        metavar="PATH",
        help="run or checkpoint (default: the run, or the artifact)",
    )


if __name__ == "__main__":
    sys.exit(main())
