"""`--profile`: where the time of a few steps goes."""

from pathlib import Path
from types import TracebackType

import torch
from torch.profiler import ProfilerActivity, profile, schedule

_SKIP, _WARM_UP, _ACTIVE = 2, 1, 3


class Profile:
    """Profiles steps 4 to 6 of an invocation into `trace.json` (for a trace viewer) and `table.txt`.

    Attributes:
        missing: whether a profile was asked for and the invocation was too short for one.
    """

    def __init__(self, folder: Path, enabled: bool) -> None:
        self.missing = enabled
        self._folder = folder
        self._profiler: profile | None = None
        if enabled:
            activities = [ProfilerActivity.CPU]
            if torch.cuda.is_available():
                activities.append(ProfilerActivity.CUDA)
            self._profiler = profile(
                activities=activities,
                schedule=schedule(wait=_SKIP, warmup=_WARM_UP, active=_ACTIVE, repeat=1),
                on_trace_ready=self._write,
            )

    def __enter__(self) -> "Profile":
        if self._profiler is not None:
            self._profiler.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._profiler is not None:
            self._profiler.stop()

    def step(self) -> None:
        """Tell the profiler that a step is over."""
        if self._profiler is not None:
            self._profiler.step()

    def _write(self, profiler: profile) -> None:
        self.missing = False
        self._folder.mkdir(exist_ok=True)
        profiler.export_chrome_trace(str(self._folder / "trace.json"))
        order = "self_cuda_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
        table = profiler.key_averages().table(sort_by=order, row_limit=40)
        (self._folder / "table.txt").write_text(table + "\n")
