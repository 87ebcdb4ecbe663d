// @ts-check
// The files of a drop, a choice or the clipboard, folders followed; names with their folders.

/** A file that a person has chosen. @typedef {{file: File, path: string}} Chosen */

/** The files of an input element, by path. @param {Iterable<File>} files @returns {Chosen[]} */
export const ofFiles = (files) => [...files].map((file) => ({ file, path: file.webkitRelativePath || file.name })).sort(byPath);

/**
 * The files of a drop or of the clipboard. What is dropped is asked for before anything is awaited: it is gone afterwards.
 * @param {DataTransfer} transfer @returns {Promise<Chosen[]>}
 */
export async function ofTransfer(transfer) {
  const entries = [...transfer.items].map((item) => (item.kind === "file" && item.webkitGetAsEntry ? item.webkitGetAsEntry() : null)).filter(Boolean);
  const plain = ofFiles(transfer.files);
  if (!entries.length) return plain;
  /** @type {Chosen[]} */
  const found = [];
  for (const entry of entries) await follow(entry, "", found);
  return found.sort(byPath);
}

/** @param {any} entry @param {string} folder @param {Chosen[]} found */
async function follow(entry, folder, found) {
  const path = folder + entry.name;
  if (entry.isFile) {
    const file = await new Promise((done) => entry.file(done, () => done(null))); // one that cannot be read is left out
    if (file) found.push({ file, path });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((done) => reader.readEntries(done, () => done([]))); // at most 100 at a time
    if (!some.length) return;
    for (const one of some) await follow(one, `${path}/`, found);
  }
}

/** @param {Chosen} a @param {Chosen} b */
const byPath = (a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0);
