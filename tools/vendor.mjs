// Makes src/boxwright/console/vendor/ from npm packages: node tools/vendor.mjs [another folder, which is there]
//
// Only who changes a vendored library runs this. It needs npm and a registry; who uses or packages Boxwright needs neither.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const VERSIONS = {
  esbuild: "0.28.2", preact: "11.2.0", "@preact/signals": "2.11.4", "@preact/signals-core": "1.14.5", htm: "3.1.1",
};
const UI = `
export { h, render, Fragment } from "preact";
export { useState, useEffect, useRef, useMemo, useCallback } from "preact/hooks";
export { signal, computed, effect, batch } from "@preact/signals";
import htm from "htm";
import { h } from "preact";
export const html = htm.bind(h);
`;
const OUT = process.argv[2] ?? fileURLToPath(new URL("../src/boxwright/console/vendor/", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "vendor-"));

function head(names) {
  const parts = names.map((name) => {
    const at = join(folder, "node_modules", name);
    const about = JSON.parse(readFileSync(join(at, "package.json"), "utf8"));
    const licence = readFileSync(join(at, "LICENSE"), "utf8").trim();
    // Apache-2.0 is the project's own licence; its text is LICENSE
    const text = about.license === "Apache-2.0" ? "Licensed under the Apache License, Version 2.0; see LICENSE of Boxwright." : licence;
    return `${name} ${about.version}, ${about.license}\n\n${text}`;
  });
  return `/*! ${parts.join("\n\n")}\n*/\n`;
}

function write(name, names, text) {
  const content = text.trimEnd() + "\n";
  const digest = createHash("sha256").update(content).digest("hex");
  writeFileSync(join(OUT, name), `${head(names)}/* sha256 of what follows: ${digest} */\n${content}`);
}

function bundle(entry) {
  const flags = ["--bundle", "--minify", "--format=esm", "--target=es2022", "--legal-comments=none"];
  return execFileSync(join(folder, "node_modules/.bin/esbuild"), [entry, ...flags], { cwd: folder, encoding: "utf8" });
}

try {
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true, dependencies: VERSIONS }));
  execFileSync("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], { cwd: folder, stdio: "inherit" });
  writeFileSync(join(folder, "ui.js"), UI);
  write("ui.js", ["preact", "@preact/signals", "@preact/signals-core", "htm"], bundle("ui.js"));
} finally {
  rmSync(folder, { recursive: true });
}
