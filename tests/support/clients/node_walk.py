"""A short walk of Google's Node client, for tests of the credentials that it is given."""

from __future__ import annotations

# the client's options are the first argument, as JSON; prints "worked"
WITH_CREDENTIALS = """
const {v1} = require('@google-cloud/automl');
(async () => {
  const client = new v1.AutoMlClient(JSON.parse(process.argv[2]));
  const parent = 'projects/demo/locations/us-central1';
  const dataset = {displayName: 'n', imageObjectDetectionDatasetMetadata: {}};
  const [created] = await (await client.createDataset({parent, dataset}))[0].promise();
  const [listed] = await client.listDatasets({parent});
  if (!listed.some(one => one.name === created.name)) throw new Error('not listed');
  await (await client.deleteDataset({name: created.name}))[0].promise();
  console.log('worked');
})().catch(error => { console.error(error.code, error.message); process.exit(1); });
"""
