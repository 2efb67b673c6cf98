"""The ONNX Runtime session of a model: the one place where onnxruntime is imported."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy.typing as npt

from zoo import gpu
from zoo.card import CellZooBlock
from zoo.digest import sha256_of
from zoo.errors import DeviceUnavailable, InvalidGraph
from zoo.gate.graph import GRAPH_SHA256, ensure_harmless

Device = Literal["auto", "cpu", "cuda"]
Arrays = dict[str, npt.NDArray[Any]]

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
_NOT_LOADED = "CUDA's libraries could not be loaded ('zoo doctor' looks for the cause)"
_GRAPH_INPUTS = {"edge_index", "edge_weight"}
_KNOWN_INPUTS = {"counts", "gene_present", "total_counts", *_GRAPH_INPUTS}


@dataclass(frozen=True)
class Session:
    """A loaded graph.

    Attributes
    ----------
    inputs
        Names of the graph's inputs.
    device
        `cpu` or `cuda`: where it really runs.
    runtime
        Name and version of the runtime, for the provenance.

    """

    inputs: frozenset[str]
    device: str
    runtime: str
    _session: Any

    @classmethod
    def open(
        cls,
        graph: bytes,
        *,
        card: CellZooBlock,
        genes: bytes,
        device: Device = "auto",
        threads: int = 1,
        on_notice: Callable[[str], None] = lambda sentence: None,
    ) -> Session:
        """Load a verified graph and hold it against its card.

        Parameters
        ----------
        graph
            Bytes of `model.onnx`, already verified: what was verified is what is loaded.
        card
            The model's card.
        genes
            Bytes of `genes.tsv`; their sha256 must be the one in the graph's metadata.
        device
            `auto` takes a GPU where one works and says so where it does not.
        threads
            Threads inside one operator; the runner parallelises over blocks instead.
        on_notice
            Called with a sentence for people.

        Raises
        ------
        InvalidGraph
            If the graph cannot be loaded, or disagrees with card, contract or genes.
        DeviceUnavailable
            If `cuda` was asked for and cannot be used.

        """
        session = cls._started(graph, card, genes, device, threads, on_notice)
        _hold_against_card(session._session, session.inputs, card)
        return session

    @classmethod
    def _started(
        cls,
        graph: bytes,
        card: CellZooBlock,
        genes: bytes,
        device: Device,
        threads: int,
        on_notice: Callable[[str], None],
    ) -> Session:
        """Load a graph on a device."""
        import onnxruntime

        ensure_harmless(graph, card, genes)
        options = _options(onnxruntime, threads)
        fit = gpu.Fit(gpu.driver(), gpu.needed_cuda())
        providers = _providers(onnxruntime.get_available_providers(), device, fit, on_notice)
        if _CUDA in providers:
            _preload(onnxruntime)
        try:
            session = onnxruntime.InferenceSession(graph, options, providers=providers)
        except Exception as error:  # onnxruntime raises a dozen unrelated classes
            detail = " ".join(str(error).split())[:300]
            raise InvalidGraph(card.reference, f"ONNX Runtime says: {detail}") from error
        running = session.get_providers()[0]
        if _CUDA in providers and running != _CUDA:
            if device == "cuda":
                raise DeviceUnavailable("cuda", _NOT_LOADED)
            on_notice(f"Running on the CPU: {_NOT_LOADED}.")
        return cls(
            inputs=frozenset(node.name for node in session.get_inputs()),
            device="cuda" if running == _CUDA else "cpu",
            runtime=f"onnxruntime {onnxruntime.__version__}",
            _session=session,
        )

    @classmethod
    def open_explanation(
        cls,
        explain: bytes,
        *,
        card: CellZooBlock,
        genes: bytes,
        graph: bytes,
        device: Device = "auto",
        on_notice: Callable[[str], None] = lambda sentence: None,
    ) -> Session:
        """Load a verified `explain.onnx` and hold it against its card and its model.

        Parameters
        ----------
        explain
            Its bytes, already verified.
        graph
            Bytes of the `model.onnx` that it must have been made from.

        Raises
        ------
        InvalidGraph, DeviceUnavailable

        """
        session = cls._started(explain, card, genes, device, 1, on_notice)
        _hold_explanation(session._session, session.inputs, card, graph)
        return session

    @classmethod
    def of_draft(cls, graph: bytes, *, threads: int = 1) -> Session:
        """Load the graph of a model that has no card yet, on the CPU."""
        import onnxruntime

        session = onnxruntime.InferenceSession(
            graph, _options(onnxruntime, threads), providers=[_CPU]
        )
        inputs = frozenset(node.name for node in session.get_inputs())
        return cls(inputs, "cpu", f"onnxruntime {onnxruntime.__version__}", session)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the graph's outputs."""
        return tuple(node.name for node in self._session.get_outputs())

    def run(self, inputs: Mapping[str, npt.NDArray[Any]], outputs: tuple[str, ...]) -> Arrays:
        """The named outputs for one batch; inputs that the graph does not take are left out."""
        feed = {name: array for name, array in inputs.items() if name in self.inputs}
        return dict(zip(outputs, self._session.run(list(outputs), feed), strict=True))


def available_threads() -> int:
    """Processors that this process may use: its affinity, and the container's quota."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota = _cgroup_quota()
    return max(1, min(count or 1, quota) if quota else count or 1)


def _cgroup_quota() -> int | None:
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:
            limit, period = file.read().split()
        return None if limit == "max" else max(1, round(int(limit) / int(period)))
    except (OSError, ValueError):
        return None


def _options(runtime: Any, threads: int) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    # Else the runtime would tell by the bytes, and the gate has read them as ONNX.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    return options


def runtime_facts() -> tuple[str, list[str]]:
    """Version of the runtime, and the execution providers that it was built with."""
    import onnxruntime

    return onnxruntime.__version__, list(onnxruntime.get_available_providers())


def _providers(
    present: Sequence[str], device: Device, fit: gpu.Fit, on_notice: Callable[[str], None]
) -> list[str]:
    """The execution providers to ask for, in order; one sentence where a GPU is left unused."""
    problem = None
    if device != "cpu" and _CUDA not in present:
        problem = (
            f"this onnxruntime has no CUDA provider (it has {', '.join(present)}); the GPU build "
            "is the package onnxruntime-gpu"
        )
    elif device != "cpu":
        problem = fit.problem
    if problem and device == "cuda":
        raise DeviceUnavailable("cuda", problem)
    # The usual build on a machine without a GPU is nothing to talk about.
    if problem and (_CUDA in present or fit.driver is not None):
        on_notice(f"Running on the CPU: {problem}.")
    return [_CPU] if device == "cpu" or problem else [_CUDA, _CPU]


def _preload(runtime: Any) -> None:
    """Let CUDA's libraries be found among the installed packages; what fails is seen later."""
    if hasattr(runtime, "preload_dlls"):
        with contextlib.redirect_stdout(io.StringIO()):
            runtime.preload_dlls(directory="")


def _hold_against_card(session: Any, inputs: frozenset[str], card: CellZooBlock) -> None:
    """Refuse a graph whose inputs and outputs are not those of its card."""
    recipe = card.inputs.graph_recipe
    if inputs & _GRAPH_INPUTS != (_GRAPH_INPUTS if recipe else set()):
        raise InvalidGraph(
            card.reference,
            f"its inputs are {sorted(inputs)}, and its card has {'a' if recipe else 'no'} "
            "graph_recipe",
        )
    if "counts" not in inputs or inputs - _KNOWN_INPUTS:
        raise InvalidGraph(card.reference, f"its inputs are {sorted(inputs)}")
    outputs = {node.name for node in session.get_outputs()}
    if outputs != set(card.output_names):
        raise InvalidGraph(
            card.reference,
            f"its outputs are {sorted(outputs)}, the card says {sorted(card.output_names)}",
        )
    _hold_counts(session, card)


def _hold_explanation(
    session: Any, inputs: frozenset[str], card: CellZooBlock, graph: bytes
) -> None:
    """Refuse an explanation of another graph, or one that breaks the contract."""
    made_for = session.get_modelmeta().custom_metadata_map.get(GRAPH_SHA256)
    if made_for != sha256_of(graph):
        told = f"explain.onnx was made for another model.onnx ({GRAPH_SHA256} = {made_for!r})"
        raise InvalidGraph(card.reference, told)
    outputs = [(node.name, node.shape[1:]) for node in session.get_outputs()]
    known = {*_KNOWN_INPUTS, "label"} - _GRAPH_INPUTS
    if not {"counts", "label"} <= inputs or inputs - known:
        raise InvalidGraph(card.reference, f"the inputs of explain.onnx are {sorted(inputs)}")
    if outputs != [("attribution", [card.inputs.genes])]:
        raise InvalidGraph(card.reference, f"the outputs of explain.onnx are {outputs}")
    _hold_counts(session, card)


def _hold_counts(session: Any, card: CellZooBlock) -> None:
    (counts,) = [node for node in session.get_inputs() if node.name == "counts"]
    if counts.type != "tensor(float)" or counts.shape[1:] != [card.inputs.genes]:
        raise InvalidGraph(card.reference, f"its input 'counts' is {counts.type} {counts.shape}")
