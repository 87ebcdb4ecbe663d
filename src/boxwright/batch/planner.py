"""Plans ahead of those who predict: a thread that reads the lists and puts the blocks of the index.

It keeps no images: what waits between it and the segments are numbers of blocks, and the newest blocks themselves. A job
whose inputs cannot be cut so, from some place on (an archive, a folder, a packed list, a row that names a member of one), is
planned as far as it can be; the segments behind that are stored (`plan`).
"""

from __future__ import annotations

import collections
import itertools
import threading
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from boxwright import errors, file_kinds
from boxwright.batch import plan_checkpoints
from boxwright.batch.cut_builder import CutBuilder
from boxwright.batch.image_list import ListForm
from boxwright.batch.inputs import sources
from boxwright.batch.inputs.list_pieces import ListPieces, Piece, line_ends
from boxwright.batch.inputs.listed_members import ListedMembers
from boxwright.batch.met_digests import DIGEST_BYTES, MetDigests, digest
from boxwright.batch.plan_checkpoints import PlanCheckpoints, PlannerState
from boxwright.batch.plan_index import Block, PlanIndex, PlanPlace, PlanTotals, block_cuts
from boxwright.batch.row_judge import JUDGED_FROM_ROW, RowJudge

STOP_S = 1.0  # a thread that waits for a store is left behind; what it puts once more is the same
KEPT_BLOCKS = 2  # in memory, of those that nobody has taken yet


class _UncutError(Exception):
    """What comes now cannot be cut by places in lists."""


class _StoppedError(Exception):
    """Nobody wants the plan any more."""


class IndexPlanner:
    """Plans a job in a thread of its own. Iterate `blocks()` once.

    Args:
        lists: the job's lists in order, as far as they are files.
        index: where blocks go.
        checkpoints: keep how far the lists are read.
        judge: judges the rows; it belongs to the thread until `blocks` has ended.
        members: says which rows name members of archives.
        sizes: of blocks, in cuts.
        shard_images: images of a shard.
        small: (how many shards at the beginning are smaller, their images), unless the lists are short.
        has_more: whether inputs follow that are no files.

    Attributes:
        duplicates: rows that were listed before.
        met: different images so far.
        met_bytes: about where in the lists the last of them was.
        end: what the plan has, once it is complete.
        places: (first shard, number) of the blocks that were yielded.
        is_uncut: whether the rest of the inputs cannot be cut; known when `blocks` has ended.
    """

    def __init__(
        self,
        lists: Sequence[ListPieces],
        index: PlanIndex,
        checkpoints: PlanCheckpoints,
        judge: RowJudge,
        members: ListedMembers,
        *,
        sizes: Sequence[int],
        shard_images: int,
        small: tuple[int, int],
        has_more: bool = False,
    ) -> None:
        self._lists = lists
        self._index = index
        self._checkpoints = checkpoints
        self._judge = judge
        self._members = members
        self._sizes = sizes
        self._shard_images = shard_images
        self._small = small
        self._has_more = has_more
        self._changed = threading.Condition()
        self._ready: collections.deque[tuple[int, Block | None]] = collections.deque()
        self._outcome: Exception | None = None
        self._is_over = self._is_stopped = False
        self._thread = threading.Thread(target=self._run, name="planner", daemon=True)
        self._builder: CutBuilder | None = None
        self._held: list[_Rows] = []  # until it is known whether the lists are short
        self._put = 0  # blocks
        self._shards = 0  # in them
        self._forms: dict[int, ListForm] = {}
        self._new: list[bytes] = []  # digests since the last checkpoint
        self._new_bytes = 0
        self._is_begun = False  # by an earlier attempt
        self.duplicates = self.met = self.met_bytes = 0
        self.end: PlanTotals | None = None
        self.places: list[tuple[int, int]] = []
        self.is_uncut = False

    def blocks(self, begin: PlanPlace | None = None) -> Iterator[Block]:
        """Yields the blocks, each when it is stored; those that an earlier attempt has put come at once.

        Args:
            begin: where the last turn was; None: at the first block.

        Raises:
            ApiError: a list is missing, changed, or no list; too many rows are unusable; there are none.
        """
        number = 1 if begin is None else begin.block
        block = self._index.get(number)
        if begin is not None and block is not None:
            self.end, self.is_uncut = begin.end, begin.is_uncut
        if block is not None and self.end is None and not self.is_uncut:
            self.end = block.end or self._index.last_end(number)
        self._is_begun = block is not None
        if self.end is None and not self.is_uncut:
            self._thread.start()
        while block is not None:
            self.places.append((block.first_shard, number))
            yield block
            if block.end is not None:
                return
            number += 1
            block = self._index.get(number)
        while self._thread.ident is not None and (found := self._next(number)) is not None:
            self.places.append((found.first_shard, number))
            yield found
            number += 1

    def raise_failure(self) -> None:
        """Raises what has ended the thread, if it was an error: what is planned before it need not be predicted."""
        if self._outcome is not None:
            raise self._outcome

    def stop(self) -> None:
        """Ends the thread, and the wait for its blocks."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()

    def close(self) -> None:
        """Stops, and waits for the thread."""
        self.stop()
        if self._thread.is_alive():
            self._thread.join(STOP_S)

    # ---- inside -----------------------------------------------------------------------------------------------------

    def _next(self, number: int) -> Block | None:
        """A block, as soon as it is stored; None if there is none."""
        with self._changed:
            while True:
                while self._ready and self._ready[0][0] < number:
                    self._ready.popleft()
                if self._ready or self._is_over or self._is_stopped:
                    break
                self._changed.wait()
            block = self._ready.popleft()[1] if self._ready and not self._is_stopped else None
            is_there = self._put >= number and not self._is_stopped
        if block is None and is_there:
            block = self._index.get(number)
        self.raise_failure()
        return block

    def _run(self) -> None:
        met = MetDigests()
        try:
            self._plan(met, self._state_of_former(met) if self._is_begun else None)
            self._checkpoints.drop()
        except _UncutError:
            self.is_uncut = True
        except _StoppedError:
            pass
        except Exception as error:  # it belongs to who takes the blocks
            self._outcome = error
        finally:
            met.close()
            with self._changed:
                self._is_over = True
                self._changed.notify_all()

    def _state_of_former(self, met: MetDigests) -> PlannerState | None:
        """How far an earlier attempt has read, and what it had met."""
        state: PlannerState | None = None
        for found, digests in self._checkpoints.read():
            met.take(digests)
            state = found
            if self._is_stopped:
                raise _StoppedError
        if state is not None:
            self._judge.restore(state.judge)
            self._builder = CutBuilder(self._shard_images, *self._small)
            self._builder.restore(state.builder)
            self._forms, self._shards = state.forms, state.shards
            self.duplicates, self.met, self.met_bytes = state.duplicates, state.met, state.met_bytes
            with self._changed:
                self._put = state.put
        return state

    def _plan(self, met: MetDigests, former: PlannerState | None) -> None:
        finished_bytes = 0
        for number, pieces in enumerate(self._lists):
            if former is not None and number < former.number:
                finished_bytes += pieces.info.size_bytes
                continue
            row, start = 0, (0, 1)
            if former is not None and number == former.number:
                row, start = former.row, (former.first_byte, former.first_line)
            for piece in pieces.pieces(*start):
                if piece.first_byte == 0 and not sources.is_plain_list(
                    pieces.info.uri, piece.content[: file_kinds.LOOKED_AT_BYTES]
                ):
                    raise _UncutError
                found = self._rows(number, pieces, piece, row, met)
                if found is None:
                    self._check_in(number, row, piece)
                    continue
                row += len(found.starts)
                new = np.flatnonzero(found.is_new)
                if len(new):
                    self.met += len(new)
                    self.met_bytes = finished_bytes + int(found.ends[new[-1]])
                self._take(found)
                self._check_in(number, row, piece)
            finished_bytes += pieces.info.size_bytes
        if self._has_more:
            raise _UncutError
        self._judge.judge()
        if self._judge.rows_read == 0:
            raise errors.bad_request(errors.EMPTY_BATCH_CSV)
        self._finish()

    def _check_in(self, number: int, row: int, piece: Piece) -> None:
        """Puts a checkpoint behind a piece when there is enough to keep; raises _StoppedError once nobody wants the plan."""
        least = plan_checkpoints.LEAST_DIGESTS if self._is_stopped else plan_checkpoints.CHECKPOINT_DIGESTS
        if self._builder is not None and self._new_bytes >= least * DIGEST_BYTES:
            state = PlannerState(
                number,
                row,
                piece.first_byte + len(piece.content),
                piece.first_line + len(line_ends(piece.content)),
                self._judge.state(),
                self._builder.state(),
                self._forms,
                self._put,
                self._shards,
                self.duplicates,
                self.met,
                self.met_bytes,
            )
            self._checkpoints.put(state, b"".join(self._new))
            self._new, self._new_bytes = [], 0
        if self._is_stopped:
            raise _StoppedError

    def _rows(self, number: int, pieces: ListPieces, piece: Piece, first_row: int, met: MetDigests) -> _Rows | None:
        """The rows of a piece; None if it has none."""
        form = self._forms.get(number)
        if form is None:
            form = pieces.form(piece)
            if form is None:
                return None
            self._forms[number] = form
        lines: list[npt.NDArray[np.int64]] = []
        digests: list[bytes] = []
        failed: list[int] = []
        for found in pieces.parsed(piece, form):
            if found.entry is None:
                self._judge.count_plain(found.plain)
                digests += map(digest, found.plain)
            else:
                if self._members.is_member(found.entry):
                    raise _UncutError
                item = self._judge.counted(found.entry)
                if item.failure is not None:
                    failed.append(len(digests))
                digests.append(digest(item.id.encode()))
            lines.append(found.lines)
        if not lines:
            return None
        ends = line_ends(piece.content)
        index = np.concatenate(lines)
        is_new = met.add_all(digests)
        self.duplicates += len(is_new) - int(is_new.sum())
        self._new.append(b"".join(itertools.compress(digests, is_new.tolist())))
        self._new_bytes += len(self._new[-1])
        is_failed = np.zeros(len(index), np.bool_)
        is_failed[failed] = True
        starts = np.concatenate((np.zeros(1, np.int64), ends[:-1]))[index] + piece.first_byte
        return _Rows(
            number, first_row, starts, ends[index] + piece.first_byte, index + piece.first_line, is_new, is_failed
        )

    def _take(self, found: _Rows) -> None:
        if self._builder is None:
            self._held.append(found)
            if self._judge.rows_read < JUDGED_FROM_ROW:
                return
            self._begin_cutting(self._small)
        else:
            found.give(self._builder)
        self._put_full()

    def _begin_cutting(self, small: tuple[int, int]) -> CutBuilder:
        builder = self._builder = CutBuilder(self._shard_images, *small)
        for rows in self._held:
            rows.give(builder)
        self._held = []
        return builder

    def _put_full(self) -> None:
        """Puts the blocks that are full."""
        builder = self._builder
        while builder is not None and len(builder.made) >= (size := block_cuts(self._put + 1, self._sizes)):
            self._put_block(size, None)

    def _finish(self) -> None:
        """Puts the last block."""
        builder = self._builder or self._begin_cutting((0, 0))
        builder.finish()
        self._put_full()
        failures = [(status.code, status.message) for status in self._judge.row_failures]
        end = PlanTotals(self._judge.rows_read, self._judge.rows_failed, self.met, failures)
        self._put_block(len(builder.made), end)
        self.end = end

    def _put_block(self, size: int, end: PlanTotals | None) -> None:
        assert self._builder is not None  # cuts are of it
        cuts, self._builder.made = self._builder.made[:size], self._builder.made[size:]
        numbers = {part.number for cut in cuts for part in cut.parts}
        forms = {number: form for number, form in self._forms.items() if number in numbers}
        block = Block(self._shards + 1, cuts, forms, end)
        self._index.put(self._put + 1, block)
        with self._changed:
            self._put += 1
            self._shards += len(cuts)
            waiting = sum(kept is not None for _, kept in self._ready)
            self._ready.append((self._put, block if waiting < KEPT_BLOCKS else None))
            self._changed.notify_all()


class _Rows:
    """Rows of one piece as arrays; see `CutBuilder.add`."""

    def __init__(
        self,
        number: int,
        first_row: int,
        starts: npt.NDArray[np.int64],
        ends: npt.NDArray[np.int64],
        lines: npt.NDArray[np.int64],
        is_new: npt.NDArray[np.bool_],
        is_failed: npt.NDArray[np.bool_],
    ) -> None:
        self._number, self._first_row, self._lines = number, first_row, lines
        self.starts, self.ends, self.is_new, self._is_failed = starts, ends, is_new, is_failed

    def give(self, builder: CutBuilder) -> None:
        """Hands them to a builder of cuts."""
        builder.add(self._number, self._first_row, self.starts, self.ends, self._lines, self.is_new, self._is_failed)
