"""The editor's model in a real Chromium: random commands, undo and redo; two people's changes brought together."""

from __future__ import annotations

import pytest
from tests.support.clients.console_page import ConsolePage

LOAD = """
const at = (path) => import(new URL('editor/' + path, document.baseURI));
const model = await at('model.js'), wire = await at('wire.js'), geometry = await at('geometry.js');
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const item = (key, box_norm, specId = 'car') => ({key, specId, label: specId, box_norm, score: 1, source: 'IMPORTED'});
const content = (...items) => ({items, state: 'LABELED', mlUse: 'TRAIN'});
"""
RANDOM = """
let seed = SEED;
const random = () => (seed = (seed * 1664525 + 1013904223) % 4294967296) / 4294967296;
const pick = (list) => list[Math.floor(random() * list.length)];
const box = () => geometry.atLeast(geometry.boxOf(random(), random(), random(), random()), [0.01, 0.01]);
const sources = ['IMPORTED', 'HUMAN', 'MODEL', 'ACCEPTED'];
const command = ({items}, step) => {
  const keys = items.filter(() => random() < 0.3).map((one) => one.key);
  return pick([
    () => ({kind: 'add', items: [{...item(model.freeKey(items), box()), source: pick(sources)}]}),
    () => ({kind: 'remove', keys: keys.slice(0, 2)}),
    () => ({kind: 'place', boxes: keys.map((key) => [key, box()]), gesture: pick(['', 'drag' + (step >> 2)])}),
    () => ({kind: 'place', boxes: items.slice(0, 1).map((one) => [one.key, geometry.moved(one.box_norm, random(), 0.1)])}),
    () => ({kind: 'relabel', keys, specId: pick(['car', 'bus']), label: 'x'}),
    () => ({kind: 'accept', keys}),
    () => ({kind: 'state', state: pick(['LABELED', 'SUGGESTED'])}),
    () => ({kind: 'mlUse', mlUse: pick(['TRAIN', 'TEST'])}),
    () => ({kind: 'complete'}),
    () => ({kind: 'replace', items: items.slice(1)}),
  ])();
};
const wrong = [];
for (let round = 0; round < 60; round++) {
  const start = content(item(1, box()), item(2, box(), 'bus'));
  const kept = JSON.stringify(start);
  let history = model.begin(start), steps = 0;
  const seen = [start];
  for (let step = 0; step < 120; step++) {
    const act = random();
    if (act < 0.15) history = model.undo(history);
    else if (act < 0.25) history = model.redo(history);
    else history = model.run(history, command(history.present, step));
    for (const one of history.present.items) {
      const [l, t, r, b] = one.box_norm;
      const isRight = l >= 0 && t >= 0 && r <= 1 && b <= 1 && r - l >= 0.0099999 && b - t >= 0.0099999;
      if (!isRight) wrong.push(['outside', one.box_norm]);
    }
    const {items} = history.present;
    if (new Set(items.map((one) => one.key)).size !== items.length) wrong.push('a key twice');
    const sent = wire.contentOf({...wire.exampleOf('n', 'e', history.present), sources: items.map((one) => one.source)});
    if (!wire.isSameContent(sent, history.present)) wrong.push(['wire', sent, history.present]);
  }
  while (history.future.length) history = model.redo(history);
  const end = JSON.stringify(history.present);
  const count = history.past.length;
  for (let step = 0; step < count; step++) history = model.undo(history);
  if (!same(history.present, JSON.parse(kept)) || !same(start, JSON.parse(kept))) wrong.push('not the start');
  if (model.undo(history) !== history) wrong.push('undo goes on');
  for (let step = 0; step < count; step++) history = model.redo(history);
  if (JSON.stringify(history.present) !== end) wrong.push('redo does not lead to the end');
}
return wrong.slice(0, 5);
"""


def _run(console: ConsolePage, program: str) -> object:
    return console.page.run(f"(async () => {{ {LOAD} {program} }})()")


@pytest.mark.parametrize("seed", [1, 77, 4021])
def test_undo_leads_to_the_start_and_redo_to_the_end_whatever_is_done(console: ConsolePage, seed: int) -> None:
    console.open("settings")
    assert _run(console, RANDOM.replace("SEED", str(seed))) == []


def test_two_hundred_steps_are_kept_and_a_gesture_is_one(console: ConsolePage) -> None:
    console.open("settings")
    program = """
    let history = model.begin(content(item(1, [0, 0, 0.1, 0.1])));
    for (let i = 1; i <= 300; i++) history = model.run(history, {kind: 'place', boxes: [[1, [i / 1000, 0, 0.5, 0.5]]]});
    const many = history.past.length;
    for (let i = 1; i <= 9; i++) {
      history = model.run(history, {kind: 'place', gesture: 'g', boxes: [[1, [0, i / 100, 0.5, 0.5]]]});
    }
    return [many, history.past.length, model.undo(history).present.items[0].box_norm[0],
      model.run(history, {kind: 'remove', keys: [9]}) === history];
    """
    assert _run(console, program) == [200, 200, 0.3, True]


def test_what_nobody_has_accepted_goes_when_an_image_is_completed(console: ConsolePage) -> None:
    console.open("settings")
    program = """
    const found = {...item(1, [0, 0, 0.1, 0.1]), source: 'MODEL', score: 0.4};
    const start = {items: [found, {...found, key: 2}], state: 'SUGGESTED', mlUse: 'TRAIN'};
    const after = model.applied(model.applied(start, {kind: 'accept', keys: [2]}), {kind: 'complete'});
    const empty = model.applied({items: [], state: 'UNLABELED', mlUse: 'TRAIN'}, {kind: 'complete', isSingle: true});
    const begun = model.applied({items: [], state: 'UNLABELED', mlUse: 'TRAIN'}, {kind: 'add', items: [found]});
    return [after.state, after.items.map((one) => [one.key, one.source, one.score]), empty.state, begun.state];
    """
    assert _run(console, program) == ["LABELED", [[2, "ACCEPTED", 0.4]], "UNLABELED", "SUGGESTED"]


MERGES = """
const a = [0.1, 0.1, 0.2, 0.2], b = [0.5, 0.5, 0.7, 0.7], c = [0.8, 0.1, 0.9, 0.3];
const base = content(item(1, a), item(2, b));
const boxes = (one) => one && one.items.map((each) => each.box_norm[0]).sort();
const moved = (key, box) => model.applied(base, {kind: 'place', boxes: [[key, box]]});
const added = (box) => model.applied(base, {kind: 'add', items: [item(3, box)]});
const without = (key) => model.applied(base, {kind: 'remove', keys: [key]});
const theirs = (one) => ({...one, items: one.items.map((each, index) => ({...each, key: index + 1}))});
const merge = (mine, other) => wire.merged(base, mine, theirs(other), false);
return {
  apart: boxes(merge(moved(1, [0.15, 0.1, 0.25, 0.2]), moved(2, [0.55, 0.5, 0.75, 0.7]))),
  mineAdded: boxes(merge(added(c), without(1))),
  bothRemoved: boxes(merge(without(1), without(1))),
  oneBox: merge(moved(1, [0.15, 0.1, 0.25, 0.2]), moved(1, [0.12, 0.1, 0.22, 0.2])),
  removedAndMoved: merge(without(1), moved(1, [0.12, 0.1, 0.22, 0.2])),
  movedAndRemoved: merge(moved(1, [0.12, 0.1, 0.22, 0.2]), without(1)),
  sameObject: merge(added(c), added([0.81, 0.1, 0.9, 0.3])),
  sameBox: boxes(merge(added(c), added(c))),
  states: merge({...base, state: 'SUGGESTED'}, {...base, state: 'UNLABELED', items: []}),
  sets: merge({...base, mlUse: 'TEST'}, added(c))?.mlUse,
  united: boxes(wire.united(added(c), theirs(without(1)))),
};
"""


def test_changes_of_two_people_are_brought_together_where_they_touch_different_boxes(console: ConsolePage) -> None:
    console.open("settings")
    assert _run(console, MERGES) == {
        "apart": [0.15, 0.55],
        "mineAdded": [0.5, 0.8],
        "bothRemoved": [0.5],
        "oneBox": None,
        "removedAndMoved": None,
        "movedAndRemoved": None,
        "sameObject": None,
        "sameBox": [0.1, 0.5, 0.8],
        "states": None,
        "sets": "TEST",
        "united": [0.1, 0.5, 0.8],
    }


def test_a_click_finds_the_smallest_box_and_again_the_one_below(console: ConsolePage) -> None:
    console.open("settings")
    program = """
    const boxes = [[0, 0, 1, 1], [0.2, 0.2, 0.6, 0.6], [0.3, 0.3, 0.4, 0.4], [0.9, 0.9, 1, 1]];
    const items = boxes.map((box, index) => item(index + 1, box));
    const found = geometry.under(items, 0.35, 0.35);
    const order = [];
    let selected;
    for (let i = 0; i < 4; i++) order.push(selected = geometry.nextUnder(found, selected).key);
    const boundingBox = {normalizedVertices: [{x: 0.2, y: 0.2}, {x: 0.6, y: 0.59}]};
    const findings = ['car', 'bus'].map((one) => ({annotationSpecId: one, imageObjectDetection: {score: 0.5, boundingBox}}));
    const suggested = wire.suggestionsFor(findings, items, [0.01, 0.01]);
    return [order, suggested.map((one) => one.specId)];
    """
    assert _run(console, program) == [[3, 2, 1, 3], ["bus"]]
