"""How a run extracts: where its workers run, and what one clip may cost."""

from __future__ import annotations

from dataclasses import dataclass

from featzoo.devices import parse_device


@dataclass(frozen=True)
class ExtractOptions:
    """How a run computes what is missing; none of it changes the features.

    Attributes:
        jobs: Worker processes; -1 is one for each core. A Dask cluster uses all its workers. With -1 or 1, a few short
            files are extracted in the calling process; see `here`.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`; for extractors that run a model.
        retry: Whether to try clips again that are known to fail.
        timeout: Seconds that one clip may take before its worker is killed.
        memory: Bytes that a worker may use before it is killed, model included; see `watchdog.memory_taken`.
        max_damage: Largest share of damaged frames that a clip may have; one with more fails.
        backend: Where workers run: `loky` (this machine), `dask` or `ray`.
        scheduler: Address of the Dask scheduler or the Ray cluster.
        pack: Whether to merge shards while the run goes on; False where several runs share the clips.

    Raises:
        InvalidOption: If there is no device of that name.
    """

    jobs: int = -1
    device: str = "auto"
    retry: bool = False
    timeout: float = 600.0
    memory: int | None = None
    max_damage: float = 0.1
    backend: str = "loky"
    scheduler: str | None = None
    pack: bool = True

    def __post_init__(self) -> None:
        parse_device(self.device)  # also where no extractor runs a model
