"""`exprgan edit --engine ray`: a batch on the workers of a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from exprgan.cli.edit_batch import show_batch, show_dry_run
from exprgan.cli.output import Output
from exprgan.edit.plan import PIPE, PlanOptions, is_batch
from exprgan.errors import UsageError

if TYPE_CHECKING:
    from exprgan.edit.batch import EditSettings
    from exprgan.edit.cluster import Order, Task
    from exprgan.edit.long_plan import LongPlan
    from exprgan.edit.plan import Asked, Job
    from exprgan.weights import NetworkFiles


def edit_on_ray(
    sources: Sequence[str],
    plan_options: PlanOptions,
    order: Order,
    out: Output,
    *,
    jobs: int | None = None,
    address: str | None = None,
    fail_fast: bool = False,
    dry_run: bool = False,
) -> None:
    """Plan a batch, and let the workers of a cluster do it; arguments as for `edit`."""
    from exprgan.edit.batch import remove_stale_parts
    from exprgan.edit.cluster import check_installed, connected, has_gpus, run
    from exprgan.edit.long_plan import LongPlan

    if not dry_run:
        check_installed()
    out.detail("Reading the names of the photos.")
    with closing(LongPlan(sources, plan_options)) as plan:
        if dry_run:
            _show_plan(plan, order, out)
            return
        most = None if jobs is None else min(jobs, plan.num_jobs)
        with order.sign(), connected(address, most) as num_cores:
            is_on_gpus = order.device.startswith("cuda") or (order.device == "auto" and has_gpus())
            told = replace(order, device="cuda" if is_on_gpus else order.device.replace("auto", "cpu"))
            num_workers = min(most or num_cores, plan.num_jobs)
            out.detail(f"{plan.num_jobs} photos, {num_workers} workers on Ray.")
            remove_stale_parts(plan.folders())
            show_batch(
                lambda stop: run(
                    _tasks(plan),
                    told,
                    plan.folder,
                    num_workers=num_workers,
                    num_gpus=int(is_on_gpus),
                    stop=stop,
                    fail_fast=fail_fast,
                    note=out.note,
                ),
                plan.num_jobs,
                told.asked,
                out,
            )


def order_of(
    settings: EditSettings,
    asked: Mapping[str, Asked],
    plan_options: PlanOptions,
    files: NetworkFiles,
    *,
    weights: Path | None,
    device: str,
    detector_weights: Path | None,
    runtime: str,
    teeth: bytes | None,
) -> Order:
    """What the workers of a batch are told."""
    from exprgan.edit.batch import weights_hash
    from exprgan.edit.cluster import Order
    from exprgan.edit.manifest import new_part
    from exprgan.weights.runtime import installed_runtime

    return Order(
        settings,
        asked,
        plan_options.output or Path(),
        new_part(),
        weights_hash(files),
        settings.model,
        weights=weights,
        device=device,
        detector=settings.detector,
        detector_weights=detector_weights,
        runtime=installed_runtime(runtime),  # the same on all machines, so that bytes are
        overwrite=plan_options.overwrite,
        skip_existing=plan_options.skip_existing,
        teeth=teeth,
        folder=Path.cwd(),
    )


def check(sources: Sequence[str], table: Path | None, *, is_signed: bool = False) -> None:
    """Raise for what a cluster does not do.

    Raises:
        UsageError: A single photo, a table, or results that are signed.
    """
    if is_signed:
        raise UsageError("A key stays on its machine: leave out --engine ray, or --c2pa-cert and --c2pa-key.")
    if str(PIPE) in sources or not is_batch(sources):
        raise UsageError("--engine ray is for folders and several photos; leave it out for one.")
    if table is not None:
        raise UsageError("--table is written by one process; leave it out, or leave out --engine ray.")


def _tasks(plan: LongPlan) -> Iterator[Task]:
    from exprgan.edit.cluster import Task

    for job in plan.jobs():
        yield Task(job, tuple(plan.recorded(job)))


def _show_plan(plan: LongPlan, order: Order, out: Output) -> None:
    from exprgan.edit.batch import PhotoWork
    from exprgan.edit.manifest import Manifest

    manifest = Manifest(plan.folder, entries=())
    work = PhotoWork(
        None,
        order.settings,
        asked=order.asked,
        manifest=manifest,
        weights=order.weights_sha256,
        overwrite=order.overwrite,
        skip_existing=order.skip_existing,
    )

    def jobs() -> Iterator[Job]:
        for job in plan.jobs():
            manifest.know(plan.recorded(job))
            yield job

    show_dry_run(jobs(), work, out)
