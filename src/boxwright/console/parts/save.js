// @ts-check
// Gives bytes to the person as a file of the browser's downloads.

/** @param {Blob} bytes @param {string} name of the file */
export function save(bytes, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(bytes);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
