"""Speed and memory of the phantom: films drawn from prepared scenes, and whole studies from plan to PNG.

    OMP_NUM_THREADS=1 python -m benchmarks.phantom_speed --json benchmarks/results/phantom_speed_cpu.json

Processor time on one thread for the CPU, wall-clock time for a GPU where there is one.
"""

import argparse
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.report import describe, write_report
from pedclip.data.phantom.body.layouts import build
from pedclip.data.phantom.findings.registry import apply
from pedclip.data.phantom.imaging.develop import sample_exposure
from pedclip.data.phantom.imaging.markers import sample_marker
from pedclip.data.phantom.imaging.render import RenderSpec, draw, render
from pedclip.data.phantom.imaging.shapes import Pose, project, stack
from pedclip.data.phantom.population import plan_study
from pedclip.data.phantom.study import draw_studies


def prepare(count: int) -> list[RenderSpec]:
    """Scenes of the regions and findings as they occur, ready to be drawn."""
    specs: list[RenderSpec] = []
    rng = np.random.default_rng(0)
    number = 0
    while len(specs) < count:
        plan = plan_study(number, seed=0)
        for part in plan.parts:
            for view in part.views:
                scene = build(part.region, age=plan.age, bone_age=plan.bone_age, sex=plan.sex, view=view, rng=rng)
                for finding in part.findings:
                    apply(scene, finding)
                rows = project(stack(scene.shapes), Pose(turn=scene.turn, scale=0.95))
                specs.append(RenderSpec(np.concatenate([rows, sample_marker("", rng)]), sample_exposure(rng)))
        number += 1
    return specs[:count]


def best_seconds(step: Callable[[], object], rounds: int, clock: Callable[[], float]) -> float:
    """Least time of several rounds: what the machine can do when nobody else uses it."""
    times = []
    for _ in range(rounds):
        begin = clock()
        step()
        times.append(clock() - begin)
    return min(times)


def peak_mib() -> float:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def on_cpu(size: int, rounds: int, studies: int) -> dict[str, float]:
    torch.set_num_threads(1)
    specs = prepare(256)
    draw(specs[:2], size)
    before = peak_mib()
    draw(specs, size)
    grown = peak_mib() - before
    drawn = best_seconds(lambda: draw(specs[:64], size), rounds, time.process_time)
    films = sum(len(study) for study in draw_studies(range(studies), seed=0, size=size))
    whole = best_seconds(lambda: draw_studies(range(studies), seed=0, size=size), rounds, time.process_time)
    single = best_seconds(
        lambda: [draw_studies([number], seed=0, size=size) for number in range(studies)], rounds, time.process_time
    )
    return {
        "shapes_per_image": float(np.mean([len(spec.rows) for spec in specs])),
        "draw_images_per_s": 64 / drawn,
        "plan_to_png_images_per_s": films / whole,
        "plan_to_png_one_study_at_a_time_images_per_s": films / single,
        "peak_memory_increase_draw_256_mib": grown,
    }


def on_gpu(size: int, rounds: int) -> dict[str, float]:
    specs = prepare(256)

    def step() -> None:
        render(specs, size, device="cuda")  # ends with a copy to the host, which waits for the device

    step()
    torch.cuda.reset_peak_memory_stats()
    seconds = best_seconds(step, rounds, time.perf_counter)
    return {
        "render_256_images_per_s": 256 / seconds,
        "peak_device_memory_mib": torch.cuda.max_memory_allocated() / 2**20,
    }


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--studies", type=int, default=64)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(argv)
    threads = torch.get_num_threads()
    rows = {"CPU, one thread": on_cpu(options.size, options.rounds, options.studies)}
    torch.set_num_threads(threads)
    if torch.cuda.is_available():
        rows["CUDA"] = on_gpu(options.size, options.rounds)
    for place, row in rows.items():
        for name, value in row.items():
            print(f"{place:16s} {name:46s} {value:10.1f}")
    if options.json:
        report = describe() | {"what": f"phantom films of {options.size}² pixels", "rows": rows}
        write_report(options.json, report)


if __name__ == "__main__":
    main()
