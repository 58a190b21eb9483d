"""Pre-train on real films, evaluate on held-out patients, and keep the numbers: no film and no report text.

    python -m benchmarks.real_run --data /folder/of/sources --name real --json benchmarks/results/real_run_imagenet.json
    python -m benchmarks.real_run --data /folder/of/sources --name random -p pretrained no -p batch_size 64

Runs notebooks 03 and 04 through papermill, as ``make real`` does, and copies their metrics into one JSON. A finished
training of that name is not repeated.
"""

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path

from benchmarks.report import describe, write_report
from pedclip.evaluation.__main__ import table


def papermill(notebook: str, output: Path, *arguments: str) -> list[str]:
    command = ["papermill", f"notebooks/{notebook}.ipynb", str(output), *arguments]
    # Papermill has said what is wrong; a second traceback would hide it.
    if code := subprocess.run([sys.executable, "-m", *command]).returncode:
        raise SystemExit(code)
    return command


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", required=True, help="a folder of data sources, or several folders separated by commas"
    )
    parser.add_argument("--name", default="real")
    parser.add_argument(
        "-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), help="a parameter of notebook 03"
    )
    parser.add_argument("--output", default="runs")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    runs = Path(options.output)
    runs.mkdir(parents=True, exist_ok=True)
    common = ["-p", "data", options.data, "-p", "name", options.name, "-p", "output", options.output]
    named = dict(options.p)
    if taken := {"data", "name", "output"} & named.keys():
        parser.error(f"-p {sorted(taken)[0]}: notebook 04 needs it, too; write --{sorted(taken)[0]}")
    given = [word for pair in options.p for word in ("-p", *pair)]
    train = ["-f", "notebooks/params/03.real.yaml", *common, *given]
    commands = [papermill("03_pretrain", runs / f"03_{options.name}.ipynb", *train)]
    own = ["-p", "checkpoint", ""]  # the run above, not the weights of the package
    own += ["-p", "patients", named["patients"]] if "patients" in named else []
    commands.append(papermill("04_zero_shot", runs / f"04_{options.name}.ipynb", *common, *own))
    trained, evaluated = (runs / notebook / options.name for notebook in ("03_pretrain", "04_zero_shot"))
    metrics = json.loads((evaluated / "metrics.json").read_text())
    training = json.loads((trained / "metrics.json").read_text())
    training["configuration"] = json.loads((trained / "training.json").read_text()) | {"data": "the packs, joined"}
    if options.json:
        places = {options.data, *(word for word in named.values() if Path(word).exists())}
        shown = [[Path(word).name if word in places else word for word in command] for command in commands]
        for weights in ("image_weights", "text_weights"):
            if named.get(weights) in places:
                training["configuration"]["training"][weights] = Path(named[weights]).name
        written = [shlex.join(command) for command in shown]
        write_report(
            options.json,
            describe()
            | {"commands": written, "training": training, "evaluation": metrics | {"data": "held-out patients"}},
        )
    print(table(metrics))


if __name__ == "__main__":
    main()
