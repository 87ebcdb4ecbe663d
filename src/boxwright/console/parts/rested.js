// @ts-check
// A value that changes quickly, such as a slider's, once it has come to rest.
import { useEffect, useState } from "../vendor/ui.js";

const REST_MS = 150;

/** A value once it has not changed for a moment. @template T @param {T} value @returns {T} */
export function useRested(value) {
  const [rested, setRested] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setRested(value), REST_MS);
    return () => clearTimeout(timer);
  }, [value]);
  return rested;
}
