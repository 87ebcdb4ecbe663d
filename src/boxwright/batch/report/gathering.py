"""One pass over the candidates of a job: counts, and the images that stand out. Memory does not grow with the job."""

from __future__ import annotations

import numpy as np

from boxwright.batch.job import BatchSpec
from boxwright.batch.output import candidates, selected_results
from boxwright.batch.output.candidates import HISTOGRAM_BINS, SCALE, CandidateTable
from boxwright.batch.output.score_counts import ScoreCounts
from boxwright.batch.report.duplicates import Duplicates
from boxwright.batch.report.label_next import Pool
from boxwright.batch.report.leaders import Leaders
from boxwright.batch.report.oddities import Oddities
from boxwright.inference import baseline

FOREIGN = 100
RANDOM, SUREST, TO_LABEL, DENSEST = 24, 12, 24, 12  # of the contact sheet


class Gathering:
    """What is known of a job's candidates so far.

    Args:
        spec: which results are published, of which labels.

    Attributes:
        profile: for the comparison with the test images.
        scores: (C, `HISTOGRAM_BINS`) candidates by label and score.
        best: (`HISTOGRAM_BINS` + 1,) images by their best score; the last counts those in which nothing was found.
        counts: candidates and images by score, as each file of candidates has them of its own images.
        images: how many there are.
        images_with_result: those with a published result.
        has_looks: whether it is known what any image looks like.
    """

    def __init__(self, spec: BatchSpec) -> None:
        self._names = [name for _, name in spec.labels]
        self._labels = spec.labels
        self._selection = spec.selection(self._names)
        count = len(self._names)
        self.profile = baseline.Profile(count)
        self.scores = np.zeros((count, HISTOGRAM_BINS), np.int64)
        self.best = np.zeros(HISTOGRAM_BINS + 1, np.int64)
        self.counts = ScoreCounts()
        self.images = self.images_with_result = 0
        self.has_looks = False
        self.pool = Pool(count)
        self.duplicates = Duplicates()
        self.oddities = Oddities()
        self.foreign = Leaders(FOREIGN)
        self.at_random, self.surest = Leaders(RANDOM), Leaders(SUREST, least=0.0)
        self.densest = Leaders(DENSEST, least=0.0)

    def add(self, table: CandidateTable) -> None:
        """Takes the table of a shard."""
        if not len(table):
            return
        results = selected_results.selected(table, self._selection, self._labels)
        published = np.diff(results.offsets)
        bins = np.minimum(table.values[0] // (SCALE // HISTOGRAM_BINS), HISTOGRAM_BINS - 1)
        places = table.label_indices.astype(np.int64) * HISTOGRAM_BINS + bins
        self.scores += np.bincount(places, minlength=self.scores.size).reshape(self.scores.shape)
        best = baseline.best_scores(table)
        best_bins = np.minimum((best * HISTOGRAM_BINS + 1e-6).astype(np.int64), HISTOGRAM_BINS - 1)
        best_bins[best == 0] = HISTOGRAM_BINS
        self.best += np.bincount(best_bins, minlength=HISTOGRAM_BINS + 1)
        self.counts.add(candidates.counts_of(table, self._labels))
        self.images += len(table)
        self.images_with_result += int(np.count_nonzero(published))
        self.has_looks |= bool((~np.isnan(table.looks["luma"])).any())
        self.profile.add(table)
        self.pool.add(table)
        self.duplicates.add(table)
        self.oddities.add(results)
        self.foreign.add(table, 1 - baseline.confidences(table))
        drawn = np.frombuffer(b"".join(table.sha256), "<u8").reshape(-1, 2)[:, 1]  # as good as a random number
        self.at_random.add(table, drawn.astype(np.float64))
        self.surest.add(table, best)
        self.densest.add(table, published.astype(np.float64))
