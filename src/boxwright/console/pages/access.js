// @ts-check
// Who may do what: members and roles of a project, a location, a dataset or a model; and what the reader may do there.
import { html, useEffect, useState } from "../vendor/ui.js";
import { get, post } from "../app/api.js";
import { speak, t } from "../app/i18n.js";
import { datasets, models } from "../app/resources.js";
import { notify, parent, place } from "../app/store.js";
import { isSignedIn } from "../app/watch.js";
import { Act, Code, Facts, Loaded, Trouble, useCalls, useLoad } from "../parts/page.js";
import { Table } from "../parts/table.js";

await speak("access");

/** Where a role may be granted. */
const ROLES = {
  "roles/automl.viewer": ["project", "location", "dataset", "model"], "roles/automl.predictor": ["project", "location", "model"],
  "roles/automl.editor": ["project", "location", "dataset", "model"], "roles/automl.admin": ["project", "location", "dataset", "model"],
  "roles/viewer": ["project"], "roles/editor": ["project"], "roles/owner": ["project"],
  "roles/boxwright.prioritizer": ["project", "location", "model"], "roles/serviceusage.serviceUsageConsumer": ["project"],
  "roles/iam.serviceAccountTokenCreator": ["project"],
};
const DATASET = ["automl.datasets.get", "automl.datasets.update", "automl.datasets.delete", "automl.datasets.import", "automl.datasets.export", "automl.examples.list", "automl.examples.update"];
const MODEL = ["automl.models.get", "automl.models.predict", "automl.models.deploy", "automl.models.undeploy", "automl.models.export", "automl.models.delete", "boxwright.operations.prioritize"];
const LOCATION = ["automl.datasets.create", "automl.models.create", "automl.operations.list", "automl.operations.cancel", "automl.operations.delete"];
/** @type {Record<string, string[]>} */
const ASKED = {
  project: ["resourcemanager.projects.getIamPolicy", "resourcemanager.projects.setIamPolicy", ...LOCATION, ...DATASET, ...MODEL],
  location: ["automl.locations.getIamPolicy", "automl.locations.setIamPolicy", ...LOCATION, ...DATASET, ...MODEL],
  dataset: ["automl.datasets.getIamPolicy", "automl.datasets.setIamPolicy", ...DATASET],
  model: ["automl.models.getIamPolicy", "automl.models.setIamPolicy", ...MODEL],
};
const MEMBER = /^(serviceAccount|user|group|domain):\S+$|^principal(Set)?:\/\/\S+$|^allAuthenticatedUsers$/;

/** @param {string} resource */
const levelOf = (resource) => ["project", "location", /\/models\//.test(resource) ? "model" : "dataset"][resource.split("/").length / 2 - 1];

/** The section of the settings about access. */
export function Access() {
  const project = `projects/${place.value.project}`;
  const [resource, setResource] = useState(project);
  const from = useLoad(async () => Promise.all([datasets().catch(() => []), models().catch(() => [])]), []);
  const [sets, made] = from.value ?? [[], []];
  const level = levelOf(resource);
  useEffect(() => setResource(project), [project]);
  return html`<section class="stack"><h2>${t("access.title")}</h2>
    <label class="row">${t("access.on")}<select value=${resource} onChange=${(/** @type {any} */ e) => setResource(e.target.value)}>
      <option value=${project}>${t("access.project", { name: place.value.project })}</option><option value=${parent()}>${t("access.location", { name: place.value.location })}</option>
      ${sets.length > 0 && html`<optgroup label=${t("nav.datasets")}>${sets.map((one) => html`<option value=${one.name}>${one.displayName}</option>`)}</optgroup>`}
      ${made.length > 0 && html`<optgroup label=${t("nav.models")}>${made.map((one) => html`<option value=${one.name}>${one.displayName}</option>`)}</optgroup>`}</select></label>
    <div class="columns"><${Policy} key=${resource} resource=${resource} level=${level} /><${Mine} resource=${resource} level=${level} /></div>
    <${Commands} /></section>`;
}

/** @param {{resource: string, level: string}} props */
function Policy({ resource, level }) {
  const [written, setWritten] = useState(/** @type {any} */ (null));
  const from = useLoad(async (signal) => {
    if (!isSignedIn()) return { isOpen: true }; // who needs an account has one here
    try {
      return { policy: await get(`${resource}:getIamPolicy`, signal) };
    } catch (error) {
      return { error };
    }
  }, [resource]);
  useEffect(() => setWritten(null), [from.value]);
  useCalls([{ verb: "GET", path: `${resource}:getIamPolicy` }, { verb: "POST", path: `${resource}:testIamPermissions`, body: { permissions: ASKED[level] } }]);
  return html`<section class="card"><h3>${t("access.members")}</h3><${Loaded} from=${from}>${(/** @type {any} */ found) => {
    if (found.isOpen || found.error?.code === "UNIMPLEMENTED") return html`<p>${t("access.none")}</p>`;
    if (found.error?.code === "PERMISSION_DENIED") return html`<p>${t("access.unseen")}</p><p class="quiet" lang="en">${found.error.message}</p>`;
    if (found.error) return html`<${Trouble} error=${found.error} again=${from.again} />`;
    return html`<${Members} resource=${resource} level=${level} policy=${written ?? found.policy} take=${setWritten} again=${from.again} />`;
  }}<//></section>`;
}

/** @param {{resource: string, level: string, policy: any, take: (policy: any) => void, again: () => void}} props */
function Members({ resource, level, policy, take, again }) {
  const [member, setMember] = useState("");
  const roles = Object.keys(ROLES).filter((one) => /** @type {any} */ (ROLES)[one].includes(level));
  const [role, setRole] = useState(roles[0]);
  const bindings = policy.bindings ?? [];
  const rows = bindings.flatMap((/** @type {any} */ one) => (one.members ?? []).map((/** @type {string} */ of) => ({ role: one.role, member: of })));
  const write = async (/** @type {{role: string, member: string}[]} */ wanted) => {
    /** @type {Map<string, string[]>} */
    const held = new Map();
    for (const one of wanted) held.set(one.role, [...new Set([...(held.get(one.role) ?? []), one.member])]);
    const body = { policy: { version: 1, etag: policy.etag, bindings: [...held].map(([of, members]) => ({ role: of, members })) } };
    try {
      take(await post(`${resource}:setIamPolicy`, body));
    } catch (error) {
      if (/** @type {any} */ (error).code === "ABORTED") again(); // somebody else has written: what is there now is shown
      throw error;
    }
    notify(t("access.written"));
  };
  const add = async () => {
    await write([...rows, { role, member: member.trim() }]);
    setMember("");
  };
  const off = MEMBER.test(member.trim()) ? "" : t("access.member.needed");
  return html`<${Table} label=${t("access.members")} rows=${rows} empty=${t("access.nobody")} columns=${[
      { title: t("access.member"), value: (/** @type {any} */ one) => one.member, show: (/** @type {any} */ one) => html`<span class="mono">${one.member}</span>` },
      { title: t("access.role"), value: (/** @type {any} */ one) => one.role, show: (/** @type {any} */ one) => html`<span class="mono">${one.role.replace("roles/", "")}</span>` },
      { title: t("access.take"), show: (/** @type {any} */ one) => html`<${Act} does=${() => write(rows.filter((/** @type {any} */ other) => other.role !== one.role || other.member !== one.member))}>${t("access.take")}<span class="hidden"> ${one.member} ${one.role}</span><//>` }]} />
    <label>${t("access.member")}<input class="mono" placeholder="user:ada@example.org" value=${member} onInput=${(/** @type {any} */ e) => setMember(e.target.value)} /><span class="hint">${t("access.member.hint")}</span></label>
    <label>${t("access.role")}<select value=${role} onChange=${(/** @type {any} */ e) => setRole(e.target.value)}>${roles.map((one) => html`<option value=${one}>${one.replace("roles/", "")}: ${t(`role.${one.replace("roles/", "")}`)}</option>`)}</select></label>
    <div><${Act} look="first" off=${off} does=${add}>${t("access.add")}<//></div>`;
}

/** @param {{resource: string, level: string}} props */
function Mine({ resource, level }) {
  const from = useLoad(async () => new Set((await post(`${resource}:testIamPermissions`, { permissions: ASKED[level] })).permissions ?? []), [resource]);
  return html`<section class="card"><h3>${t("access.mine")}</h3><${Loaded} from=${from}>${(/** @type {Set<string>} */ held) =>
    html`<${Facts} pairs=${ASKED[level].map((one) => [one.replace(/^(automl|resourcemanager|boxwright)\./, ""), held.has(one) ? t("yes") : t("no")])} />`}<//></section>`;
}

/** What is done on the service's own machine: no network path makes an account or a key. */
function Commands() {
  const project = place.value.project;
  const text = `boxwright accounts create NAME --project ${project} --data-dir DATA
boxwright accounts keys create NAME --out NAME.json --data-dir DATA
boxwright accounts api-key NAME --data-dir DATA
boxwright buckets grant gs://BUCKET/in/ NAME --read --data-dir DATA
boxwright buckets grant gs://BUCKET/out/ NAME --write --data-dir DATA
boxwright access why NAME automl.models.predict projects/${project} --data-dir DATA`;
  return html`<section class="card"><h3>${t("access.commands")}</h3><p class="quiet">${t("access.commands.text")}</p><${Code} label=${t("access.commands")} text=${text} /></section>`;
}
