"""Worker processes of the local runner that are missed when they die.

Beam's own wait for the answer of a process that was killed (for want of memory, say) would never
end.
"""

import shlex
import sys
from pathlib import Path
from threading import Event, Thread
from typing import Any, ClassVar

from apache_beam.portability.api import beam_fn_api_pb2
from apache_beam.runners.portability.fn_api_runner.worker_handlers import SubprocessSdkWorkerHandler, WorkerHandler
from apache_beam.runners.portability.local_job_service import SubprocessSdkWorker
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from gato_pipelines.ingest.dead_workers import died

_URN = "gato:env:watched_process:v1"
_SECONDS = 0.2


class WatchedEnvironment(SubprocessSDKEnvironment):  # type: ignore[misc]
    """Worker processes of this interpreter; what they have to say goes to a log file."""

    def __init__(self, log: Path) -> None:
        program = f"{shlex.quote(sys.executable)} -m apache_beam.runners.worker.sdk_worker_main"
        super().__init__(command_string=f"exec {program} 2>>{shlex.quote(str(log))}")

    def to_runner_api_parameter(self, context: Any) -> tuple[str, bytes]:
        """Name of the handler below, and what it is to start."""
        return _URN, self.command_string.encode()


@WorkerHandler.register_environment(_URN, bytes)
class WatchedWorker(SubprocessSdkWorkerHandler):  # type: ignore[misc]
    """One worker process; when it dies, everything that its pipeline waits for fails."""

    _running: ClassVar["set[WatchedWorker]"] = set()

    def start_worker(self) -> None:
        """Start the process, and a thread that waits for its end."""
        self._stopping = Event()
        self._running.add(self)
        self.worker = SubprocessSdkWorker(
            self._worker_command_line, self.control_address, self.provision_info, self.worker_id
        )
        self.worker_thread = Thread(name="run_worker", target=self._watch, daemon=True)
        self.worker_thread.start()

    def stop_worker(self) -> None:
        """Wait for the end of the process, which has been told to stop."""
        self._stopping.set()
        super().stop_worker()
        self._running.discard(self)

    def _watch(self) -> None:
        try:
            self.worker.run()
        except RuntimeError as error:
            code = int(str(error).rsplit(maxsplit=1)[-1])
            while not self._stopping.wait(_SECONDS):
                for worker in [w for w in self._running if w._grpc_server is self._grpc_server]:
                    worker._fail(died(self.worker_id, code))

    def _fail(self, reason: str) -> None:
        for future in list(self.control_conn._futures_by_id.values()):
            if not future.is_done():
                future.set(beam_fn_api_pb2.InstructionResponse(instruction_id=future.instruction_id, error=reason))
