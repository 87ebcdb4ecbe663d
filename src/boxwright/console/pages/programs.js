// @ts-check
// Programs that ask a model about an image, with the reader's own address, project, model and threshold.
import { BASE } from "../app/api.js";
import { credential } from "../app/store.js";
import { quoted } from "../parts/calls.js";

/** @param {any} model @param {number} threshold @returns {Record<string, string>} by language */
export function programs(model, threshold) {
  const url = `${new URL(model.name, BASE).href}:predict`;
  return { curl: curl(url, threshold), PowerShell: powershell(url, threshold), Python: python(model, threshold), "Node.js": node(url, threshold) };
}

const isSecured = () => credential.value !== "";

/** @param {string} url @param {number} threshold */
const curl = (url, threshold) => `base64 -w0 image.jpg > image.b64
printf '{"payload": {"image": {"imageBytes": "%s"}}, "params": {"score_threshold": "${threshold}"}}' "$(cat image.b64)" > request.json
curl -X POST -H 'Content-Type: application/json'${isSecured() ? ' -H "Authorization: Bearer $TOKEN"' : ""} -d @request.json ${quoted(url)}`;

/** @param {string} url @param {number} threshold */
const powershell = (url, threshold) => `$bytes = [IO.File]::ReadAllBytes("$PWD/image.jpg")
$body = @{ payload = @{ image = @{ imageBytes = [Convert]::ToBase64String($bytes) } }
           params = @{ score_threshold = "${threshold}" } } | ConvertTo-Json -Depth 5
Invoke-RestMethod -Method Post -ContentType application/json${isSecured() ? ' -Headers @{ Authorization = "Bearer $env:TOKEN" }' : ""} -Body $body -Uri '${url}'`;

/** @param {any} model @param {number} threshold */
const python = (model, threshold) => `from google.auth.credentials import AnonymousCredentials
from google.cloud import automl

client = automl.PredictionServiceClient(
    transport="rest",${isSecured() ? "  # credentials: GOOGLE_APPLICATION_CREDENTIALS" : "\n    credentials=AnonymousCredentials(),"}
    client_options={"api_endpoint": "${BASE.origin}"},
)
with open("image.jpg", "rb") as file:
    payload = {"image": {"image_bytes": file.read()}}
answer = client.predict(
    name="${model.name}",
    payload=payload,
    params={"score_threshold": "${threshold}"},
)
for found in answer.payload:
    print(found.display_name, found)`;

/** @param {string} url @param {number} threshold */
const node = (url, threshold) => `import { readFile } from "node:fs/promises";

const imageBytes = (await readFile("image.jpg")).toString("base64");
const answer = await fetch("${url}", {
  method: "POST",
  headers: { "Content-Type": "application/json"${isSecured() ? ", Authorization: \`Bearer \${process.env.TOKEN}\`" : ""} },
  body: JSON.stringify({ payload: { image: { imageBytes } }, params: { score_threshold: "${threshold}" } }),
});
console.log(JSON.stringify(await answer.json(), null, 2));`;
