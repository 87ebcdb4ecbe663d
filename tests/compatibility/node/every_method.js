// Every method of the AutoML v1 API with Google's own Node client; argument: how to reach the service, as JSON.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const {v1} = require('@google-cloud/automl');
const {grpc} = require('google-gax');
const {OAuth2Client} = require('google-auth-library');

const {transport, host, port, scene} = JSON.parse(process.argv[2]);
const TYPE = 'type.googleapis.com/google.cloud.automl.v1.';

function options() {
  const given = {apiEndpoint: host, port};
  if (transport === 'grpc') given.sslCreds = grpc.credentials.createInsecure();
  if (transport.startsWith('rest')) given.fallback = true;
  if (transport === 'rest') {
    given.protocol = 'http';
    given.authClient = new OAuth2Client();
    given.authClient.setCredentials({access_token: 'anything'});
  }
  return given; // with TLS, authority and account come from the environment
}

const automl = new v1.AutoMlClient(options());
const prediction = new v1.PredictionServiceClient(options());
const done = [];
const passed = name => done.push(name);

// Waits for a long-running call and returns what it answered, its metadata and its operation.
async function finished(call) {
  const [operation] = await call;
  const [response, metadata] = await operation.promise();
  return {response, metadata, operation};
}

async function refused(name, code, text, call) {
  const error = await call.then(() => assert.fail(`${name} should fail`), error => error);
  assert.equal(error.code, code, `${name}: ${error}`);
  assert.match(error.message, text);
  passed(`${name} refuses`);
}

async function datasets() {
  const parent = scene.parent.replace('demo', `node-${transport}`);
  const dataset = name => ({displayName: name, imageObjectDetectionDatasetMetadata: {}});
  const {response: created, metadata} = await finished(automl.createDataset({parent, dataset: dataset('first')}));
  assert.match(created.name, /datasets\/IOD\d+$/);
  assert.equal(metadata.details, 'createDatasetDetails');
  passed('createDataset');

  const [got] = await automl.getDataset({name: created.name});
  assert.equal(got.displayName, 'first');
  assert.equal(got.datasetMetadata, 'imageObjectDetectionDatasetMetadata');
  passed('getDataset');

  for (const name of ['second', 'third']) await finished(automl.createDataset({parent, dataset: dataset(name)}));
  const [listed] = await automl.listDatasets({parent, pageSize: 2});
  assert.deepEqual(listed.map(one => one.displayName), ['third', 'second', 'first']);
  const walked = [];
  for await (const one of automl.listDatasetsAsync({parent, pageSize: 1})) walked.push(one.displayName);
  assert.deepEqual(walked, ['third', 'second', 'first']);
  const [filtered] = await automl.listDatasets({parent, filter: 'translation_dataset_metadata:*'});
  assert.deepEqual(filtered, []);
  passed('listDatasets');

  const changed = {name: created.name, displayName: 'after', description: 'not in the mask', etag: got.etag};
  const [updated] = await automl.updateDataset({dataset: changed, updateMask: {paths: ['display_name']}});
  assert.equal(updated.displayName, 'after');
  assert.equal(updated.description, '');
  passed('updateDataset');
  const aborted = transport.startsWith('rest') ? 409 : 10;
  const again = automl.updateDataset({dataset: changed, updateMask: {paths: ['display_name']}});
  await refused('updateDataset', aborted, /etag mismatch/, again);

  const inputConfig = {gcsSource: {inputUris: [scene.csv]}};
  const imported = await finished(automl.importData({name: created.name, inputConfig}));
  assert.equal(imported.metadata.details, 'importDataDetails');
  assert.equal(imported.metadata.progressPercent, 100);
  assert.equal((await automl.getDataset({name: created.name}))[0].exampleCount, 10);
  passed('importData');

  const [spec] = await automl.getAnnotationSpec({name: scene.spec});
  assert.equal(spec.exampleCount, 10);
  passed('getAnnotationSpec');

  const outputConfig = {gcsDestination: {outputUriPrefix: scene.output}};
  const exported = await finished(automl.exportData({name: scene.dataset, outputConfig}));
  assert.match(exported.metadata.exportDataDetails.outputInfo.gcsOutputDirectory, /^gs:.*export_data-scene-/);
  passed('exportData');

  assert.equal((await finished(automl.deleteDataset({name: created.name}))).metadata.details, 'deleteDetails');
  passed('deleteDataset');
}

// The same methods on a dataset with labels and no boxes.
async function classification() {
  const parent = scene.parent.replace('demo', `node-${transport}`);
  const dataset = {displayName: 'labels', imageClassificationDatasetMetadata: {classificationType: 'MULTILABEL'}};
  const {response: created, operation} = await finished(automl.createDataset({parent, dataset}));
  assert.match(created.name, /datasets\/ICN\d+$/);
  assert.match(operation.name, /operations\/ICN\d+$/);
  const inputConfig = {gcsSource: {inputUris: [scene.labels_csv]}};
  await finished(automl.importData({name: created.name, inputConfig}));
  const [got] = await automl.getDataset({name: created.name});
  assert.equal(got.exampleCount, 5);
  assert.equal(got.imageClassificationDatasetMetadata.classificationType, 'MULTILABEL');
  const [listed] = await automl.listDatasets({parent, filter: 'imageClassificationDatasetMetadata:*'});
  assert.deepEqual(listed.map(one => one.name), [created.name]);
  assert.equal((await automl.getAnnotationSpec({name: scene.labels_spec}))[0].exampleCount, 2);
  const outputConfig = {gcsDestination: {outputUriPrefix: scene.output}};
  const exported = await finished(automl.exportData({name: scene.labels_dataset, outputConfig}));
  assert.match(exported.metadata.exportDataDetails.outputInfo.gcsOutputDirectory, /^gs:.*export_data-scene-/);
  const model = {
    displayName: 'from_node',
    datasetId: scene.labels_dataset.split('/').pop(),
    imageClassificationModelMetadata: {trainBudgetMilliNodeHours: 24000},
  };
  const precondition = transport.startsWith('rest') ? 400 : 9;
  const trained = automl.createModel({parent: scene.parent, model});
  await refused('createModel', precondition, /at least 10 images that carry it/, trained);
  await finished(automl.deleteDataset({name: created.name}));
  passed('classification');
}

async function training() {
  const model = {
    displayName: 'from_node',
    datasetId: scene.dataset.split('/').pop(),
    imageObjectDetectionModelMetadata: {modelType: 'mobile-low-latency-1', trainBudgetMilliNodeHours: 1000},
  };
  const [operation] = await automl.createModel({parent: scene.parent, model});
  assert.equal(operation.metadata.details, 'createModelDetails');
  passed('createModel');

  await operation.cancel();
  const error = await operation.promise().then(() => assert.fail('it was cancelled'), error => error);
  assert.equal(error.code, 1, String(error));
  passed('cancelOperation');
  const unknown = {parent: scene.parent, model: {...model, datasetId: 'IOD0000000000000000'}};
  const notFound = transport.startsWith('rest') ? 404 : 5;
  await refused('createModel', notFound, /Dataset does not exist\./, automl.createModel(unknown));
}

async function models() {
  const name = scene.model;
  const [got] = await automl.getModel({name});
  assert.equal(got.deploymentState, 'UNDEPLOYED');
  assert.equal(String(got.imageObjectDetectionModelMetadata.trainBudgetMilliNodeHours), '1000');
  passed('getModel');

  const [listed] = await automl.listModels({parent: scene.parent, filter: 'imageObjectDetectionModelMetadata:*'});
  assert(listed.some(one => one.name === name));
  passed('listModels');

  const labels = {team: 'node'};
  const [updated] = await automl.updateModel({model: {name, labels}, updateMask: {paths: ['labels']}});
  assert.deepEqual(updated.labels, labels);
  passed('updateModel');

  const [evaluations] = await automl.listModelEvaluations({parent: name, filter: ''});
  assert.equal(evaluations.length, 3);
  const [overall] = evaluations.filter(one => one.annotationSpecId === '');
  passed('listModelEvaluations');
  const [evaluation] = await automl.getModelEvaluation({name: overall.name});
  const {boundingBoxMetricsEntries: entries} = evaluation.imageObjectDetectionEvaluationMetrics;
  assert.equal(entries.length, 23);
  assert.equal(entries[0].confidenceMetricsEntries.length, 23);
  passed('getModelEvaluation');

  const outputConfig = {modelFormat: 'onnx', gcsDestination: {outputUriPrefix: scene.output}};
  const exported = await finished(automl.exportModel({name, outputConfig}));
  assert.match(exported.metadata.exportModelDetails.outputInfo.gcsOutputDirectory, /^gs:/);
  passed('exportModel');
}

async function predictions() {
  const name = scene.model;
  const payload = {image: {imageBytes: fs.readFileSync(scene.image)}};
  const precondition = transport.startsWith('rest') ? 400 : 9;
  await refused('predict', precondition, /not deployed/, prediction.predict({name, payload}));

  const imageObjectDetectionModelDeploymentMetadata = {nodeCount: 2};
  await finished(automl.deployModel({name, imageObjectDetectionModelDeploymentMetadata}));
  const [deployed] = await automl.getModel({name});
  assert.equal(deployed.deploymentState, 'DEPLOYED');
  assert.equal(String(deployed.imageObjectDetectionModelMetadata.nodeCount), '2');
  passed('deployModel');

  const [answer] = await prediction.predict({name, payload, params: {score_threshold: '0.1'}});
  assert(answer.payload.length > 0);
  assert.equal(answer.payload[0].imageObjectDetection.boundingBox.normalizedVertices.length, 2);
  passed('predict');

  const inputConfig = {gcsSource: {inputUris: [scene.images_csv]}};
  const outputConfig = {gcsDestination: {outputUriPrefix: scene.output}};
  const {metadata, operation} = await finished(prediction.batchPredict({name, inputConfig, outputConfig}));
  assert.deepEqual(metadata.batchPredictDetails.inputConfig.gcsSource.inputUris, [scene.images_csv]);
  assert.match(metadata.batchPredictDetails.outputInfo.gcsOutputDirectory, /\/prediction-tiny-/);
  passed('batchPredict');
  assert.equal((await prediction.checkBatchPredictProgress(operation.name)).done, true);
  passed('checkBatchPredictProgress');

  await finished(automl.undeployModel({name}));
  passed('undeployModel');
  await operations(operation.name);
  await finished(automl.deleteModel({name}));
  passed('deleteModel');
  const notFound = transport.startsWith('rest') ? 404 : 5;
  await refused('getModel', notFound, /The model does not exist\./, automl.getModel({name}));
}

async function operations(name) {
  const {operationsClient} = prediction;
  const [got] = await operationsClient.getOperation({name});
  assert.equal(got.done, true);
  assert.equal(got.metadata.type_url ?? got.metadata.typeUrl, `${TYPE}OperationMetadata`);
  passed('getOperation');
  const [listed] = await operationsClient.listOperations({name: scene.parent, filter: `operation_id=${name.split('/').pop()}`});
  assert.deepEqual(listed.map(one => one.name), [name]);
  passed('listOperations');
  await operationsClient.deleteOperation({name});
  const notFound = transport.startsWith('rest') ? 404 : 5;
  await refused('getOperation', notFound, /not found/, operationsClient.getOperation({name}));
  passed('deleteOperation');
}

async function main() {
  await datasets();
  await classification();
  await training();
  await models();
  await predictions();
  await Promise.all([automl.close(), prediction.close()]);
  console.log(JSON.stringify(done));
}

main().catch(error => {
  console.error(error);
  console.error('passed before:', done.join(', '));
  process.exit(1);
});
