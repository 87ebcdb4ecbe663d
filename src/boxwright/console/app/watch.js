// @ts-check
// Follows running operations, only while something runs and the tab is seen; asks once what the caller may do.
import { get, list, post } from "./api.js";
import { changed, credential, granted, needsSignIn, parent, running } from "./store.js";

const PERIOD_MS = 2000;
export const PERMISSIONS = [
  "automl.datasets.create", "automl.datasets.delete", "automl.datasets.import", "automl.models.create", "automl.models.delete",
  "automl.models.deploy", "automl.models.undeploy", "automl.models.export", "automl.models.predict", "automl.operations.cancel", "automl.operations.delete",
  "automl.examples.create", "automl.examples.update", "automl.examples.delete",
  "automl.annotationSpecs.create", "automl.annotationSpecs.update", "automl.annotationSpecs.delete",
];
let timer = 0;
let isAsking = false;

/** Looks for running operations now, and again as long as there are some. */
export async function look() {
  clearTimeout(timer);
  if (isAsking || document.hidden || needsSignIn.value) return;
  isAsking = true;
  const where = parent();
  try {
    const before = running.value.map((one) => one.name);
    const found = await list(`${where}/operations?filter=done%3Dfalse`, "operations", 100);
    const progress = await Promise.all(found.slice(0, 5).map((one) => get(`${one.name}:progress`).catch(() => ({}))));
    if (where !== parent()) return;
    running.value = found.map((one, index) => ({ ...one, progress: progress[index] ?? {} }));
    if (before.join() !== found.map((one) => one.name).join()) changed.value++;
  } catch {
    // the page that is shown says what is wrong
  } finally {
    isAsking = false;
    clearTimeout(timer);
    if (running.value.length || where !== parent()) timer = setTimeout(look, PERIOD_MS);
  }
}

document.addEventListener("visibilitychange", look);

/** Asks what the caller may do at this location. */
export async function askPermissions() {
  const where = parent();
  try {
    const found = await post(`${where}:testIamPermissions`, { permissions: PERMISSIONS });
    if (where === parent()) granted.value = new Set(found.permissions ?? []);
  } catch {
    granted.value = null; // not known: the service itself refuses
  }
}

/** Whether the caller may, as far as is known. @param {string} permission */
export const may = (permission) => granted.value === null || granted.value.has(permission);
export const isSignedIn = () => credential.value !== "";
