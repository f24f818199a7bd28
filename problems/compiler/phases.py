"""LLVM's optimisation passes one after the other, chosen from outside.

A state is a module's bitcode; states and what each pass makes of them are remembered by
their contents, so a pass that changes nothing, and a way gone before, cost nothing.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from t2t.bridge.episodes import Episode, Job, echo
from t2t.bridge.host import Host
from t2t.bridge.llvm import Compiler, NoCompiler
from t2t.environments import Observation, Turn
from t2t.problems.compiler.corpus import Corpus, Module, nth

_FUNCTION = (
    "sroa mem2reg early-cse<memssa> simplifycfg instcombine instsimplify gvn newgvn "
    "gvn-hoist gvn-sink dse adce bdce reassociate jump-threading sccp "
    "correlated-propagation constraint-elimination aggressive-instcombine memcpyopt "
    "mldst-motion sink tailcallelim mergeicmps div-rem-pairs loop-simplify lcssa "
    "loop-unroll lower-expect separate-const-offset-from-gep slsr nary-reassociate "
    "flatten-cfg loop-sink speculative-execution"
).split()
_LOOP = "loop-rotate indvars loop-deletion loop-idiom loop-instsimplify".split()
_MODULE = (
    "cgscc(inline) cgscc(argpromotion) cgscc(function-attrs) globaldce globalopt "
    "deadargelim ipsccp mergefunc constmerge elim-avail-extern strip-dead-prototypes "
    "called-value-propagation rpo-function-attrs"
).split()
PASSES = (
    "stop",
    *(f"function({name})" for name in _FUNCTION),
    *(f"function(loop({name}))" for name in _LOOP),
    *(f"function(loop-mssa({name}))" for name in ("licm", "simple-loop-unswitch")),
    *_MODULE,
)
OPCODES = (
    "add sub mul sdiv udiv srem urem fadd fsub fmul fdiv shl lshr ashr and or xor icmp "
    "fcmp select phi br switch ret unreachable call invoke load store alloca "
    "getelementptr bitcast zext sext trunc ptrtoint inttoptr sitofp uitofp fptosi "
    "fptoui fpext fptrunc extractvalue insertvalue extractelement insertelement "
    "shufflevector freeze fneg atomicrmw cmpxchg fence indirectbr resume landingpad"
).split()
FUNCTIONS = "define"  # counted beside the opcodes
WIDTH = len(OPCODES) + 3  # all instructions, functions, steps left
LIMIT = 45  # passes of an episode, CompilerGym's usual number
_SMALLEST = "default<Oz>"
_PLACES = {name: number for number, name in enumerate((*OPCODES, FUNCTIONS))}
_LINE = re.compile(
    r"^(?:  (?:%\S+ = )?(?:(?:tail|musttail|notail) )?([a-z]+)\b|(define) )",
    re.MULTILINE,
)


def opt_of(compiler: Compiler) -> str:
    """The `opt` of a clang's LLVM.

    Raises:
      NoCompiler: when it is not here; says what to install.
    """
    major = compiler.version[0]
    found = shutil.which(f"opt-{major}")
    if found is None or compiler.path is None:
        raise NoCompiler(f"no opt of LLVM {major} here: apt-get install llvm-{major}")
    return found


def count(text: str) -> np.ndarray:
    """int64 [len(OPCODES) + 2] of IR: each opcode, functions, all instructions."""
    found = np.zeros(len(OPCODES) + 2, np.int64)
    for opcode, define in _LINE.findall(text):
        place = _PLACES.get(define or opcode)
        if place is not None:
            found[place] += 1
    found[-1] = found[: len(OPCODES)].sum()
    return found


class States:
    """Modules' states on disk, and the passes between them."""

    def __init__(self, opt: str) -> None:
        self.opt, self.runs = opt, 0
        self._folder = tempfile.TemporaryDirectory(prefix="t2t-")
        self._host = Host(echo)
        self._after: dict[tuple[str, str], str] = {}
        self._counts: dict[str, np.ndarray] = {}
        self._files = 0

    def begin(self, path: Path) -> str:
        """The state that a module's bitcode is."""
        return self.after([(str(path), "verify")])[0]

    def counts(self, state: str) -> np.ndarray:
        return self._counts[state]

    def after(self, asked: list[tuple[str, str]]) -> list[str]:
        """The states that passes lead to; the same one where a pass fails."""
        new = [pair for pair in dict.fromkeys(asked) if pair not in self._after]
        jobs = []
        for state, name in new:
            self._files += 1
            path = Path(self._folder.name) / f"{self._files}.ll"
            words = (self.opt, "-S", f"-passes={name}", self._path(state), "-o")
            jobs.append(Job((*words, str(path)), tag=((state, name), path), cpu=60))
        self.runs += len(jobs)
        for result in self._host.run(jobs):
            (state, name), path = result.job.tag
            self._after[state, name] = state
            if isinstance(result, Episode) and path.exists():
                self._after[state, name] = self._keep(path)
        return [self._after[pair] for pair in asked]

    def _path(self, state: str) -> str:
        return state if "/" in state else f"{self._folder.name}/{state}.ll"

    def _keep(self, path: Path) -> str:
        """Calls a state by its contents, without the line that names a file."""
        text = path.read_text(encoding="utf-8", errors="replace")
        _, _, body = text.partition("\n")
        name = hashlib.sha256(body.encode()).hexdigest()[:24]
        if name not in self._counts:
            self._counts[name] = count(body)
            path.rename(Path(self._folder.name) / f"{name}.ll")
        else:
            path.unlink()
        return name

    def close(self) -> None:
        self._host.close()
        self._folder.cleanup()


class Phases:
    """N modules, a pass each a step, as `environments.Environments` says.

    The reward of a step is the share of what -Oz removes of the instructions, as
    CompilerGym's IrInstructionCountOz: an episode that does as well brings 1.

    Args:
      corpus, modules: see `inliners.Inliners`.
      states: shared by whoever passes the same.
      count, seed: as there.
    """

    def __init__(
        self,
        corpus: Corpus,
        modules: list[Module],
        states: States,
        count: int,
        *,
        seed: int,
    ) -> None:
        self.corpus, self.modules, self.states = corpus, modules, states
        self.count, self.seed = count, seed
        self._episodes = [0] * count
        self._at: list[str] = []
        self._gain = np.ones(count)  # instructions that -Oz removes
        self._taken: list[list[int]] = [[] for _ in range(count)]
        self._ended = np.zeros(count, bool)

    def reset(self) -> Observation:
        self._at = [""] * self.count
        for n in range(self.count):
            self._begin(n)
        return self._observation()

    def step(self, action: np.ndarray) -> Turn:
        reward = np.zeros(self.count, np.float32)
        ended = np.zeros(self.count, bool)
        going = [n for n in range(self.count) if not self._ended[n]]
        for n in np.flatnonzero(self._ended).tolist():
            self._episodes[n] += 1
            self._begin(n)
        walks = [n for n in going if action[n]]
        found = self.states.after([(self._at[n], PASSES[action[n]]) for n in walks])
        for n, state in zip(walks, found, strict=True):
            removed = self._instructions(n) - self.states.counts(state)[-1]
            reward[n] = removed / self._gain[n]
            self._at[n] = state
        for n in going:
            self._taken[n].append(int(action[n]))
            ended[n] = not action[n] or len(self._taken[n]) >= LIMIT
        self._ended = ended
        return Turn(self._observation(), reward, ended, np.zeros(self.count, bool))

    def state(self) -> dict[str, Any]:
        return {
            "episodes": list(self._episodes),
            "taken": [list(taken) for taken in self._taken],
            "ended": self._ended.tolist(),
        }

    def restore(self, state: dict[str, Any]) -> Observation:
        self._episodes = list(state["episodes"])
        self.reset()
        for n, taken in enumerate(state["taken"]):
            for action in taken:
                if action:
                    pair = (self._at[n], PASSES[action])
                    (self._at[n],) = self.states.after([pair])
                self._taken[n].append(action)
        self._ended = np.array(state["ended"])
        return self._observation()

    def close(self) -> None:
        """The states are their owner's to close."""

    def _begin(self, n: int) -> None:
        module = nth(self.modules, self._episodes[n] * self.count + n, self.seed)
        self._at[n] = self.states.begin(self.corpus.bitcode(module))
        self._taken[n] = []
        (smallest,) = self.states.after([(self._at[n], _SMALLEST)])
        gain = self._instructions(n) - self.states.counts(smallest)[-1]
        self._gain[n] = max(1, gain)

    def _instructions(self, n: int) -> int:
        return int(self.states.counts(self._at[n])[-1])

    def _observation(self) -> Observation:
        counts = np.stack([self.states.counts(state) for state in self._at])
        left = [[LIMIT - len(taken)] for taken in self._taken]
        seen = np.concatenate([counts, left], axis=1)
        return {"observation": np.log1p(seen).astype(np.float32)}
