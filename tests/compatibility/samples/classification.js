// Classification datasets and models as users of the Node client wrote it: nothing names an endpoint.
// Arguments: the project, the location, the URI of an import file, a trained model. The last line is what was seen, as JSON.
'use strict';

const {AutoMlClient} = require('@google-cloud/automl').v1;

const [projectId, location, path, modelId] = process.argv.slice(2);
const client = new AutoMlClient();
const last = name => name.split('/').pop();

async function filled() {
  const [creating] = await client.createDataset({
    parent: client.locationPath(projectId, location),
    dataset: {displayName: 'from_node', imageClassificationDatasetMetadata: {classificationType: 'MULTILABEL'}},
  });
  const [dataset] = await creating.promise();
  const datasetId = last(dataset.name);
  const [importing] = await client.importData({
    name: client.datasetPath(projectId, location, datasetId),
    inputConfig: {gcsSource: {inputUris: path.split(',')}},
  });
  await importing.promise();
  return datasetId;
}

async function main() {
  const seen = {};
  const datasetId = await filled();
  const [datasets] = await client.listDatasets({
    parent: client.locationPath(projectId, location),
    filter: 'imageClassificationDatasetMetadata:*',
  });
  seen.kind = datasets.find(one => last(one.name) === datasetId).imageClassificationDatasetMetadata;
  const [training] = await client.createModel({
    parent: client.locationPath(projectId, location),
    model: {displayName: 'from_node', datasetId, imageClassificationModelMetadata: {trainBudgetMilliNodeHours: 24000}},
  });
  seen.operation = training.name;
  const [status] = await client.operationsClient.getOperation({name: training.name});
  seen.status = status.name;
  await client.operationsClient.cancelOperation({name: training.name});
  seen.end = await training.promise().then(() => 'trained', error => error.code);

  const name = client.modelPath(projectId, location, modelId);
  const [models] = await client.listModels({parent: client.locationPath(projectId, location), filter: ''});
  seen.listed = models.some(one => one.name === name);
  const [evaluations] = await client.listModelEvaluations({parent: name, filter: ''});
  const evaluationId = last(evaluations[0].name);
  const [evaluation] = await client.getModelEvaluation({
    name: client.modelEvaluationPath(projectId, location, modelId, evaluationId),
  });
  seen.thresholds = evaluation.classificationEvaluationMetrics.confidenceMetricsEntry.length;
  const [deploying] = await client.deployModel({name, imageClassificationModelDeploymentMetadata: {nodeCount: 2}});
  await deploying.promise();
  const [deployed] = await client.getModel({name});
  seen.nodes = [deployed.imageClassificationModelMetadata.nodeCount, deployed.deploymentState];
  const [undeploying] = await client.undeployModel({name});
  await undeploying.promise();
  for (const [method, gone] of [
    ['deleteModel', name],
    ['deleteDataset', client.datasetPath(projectId, location, datasetId)],
  ]) {
    const [deleting] = await client[method]({name: gone});
    await deleting.promise();
  }
  console.log(JSON.stringify(seen));
}

main().catch(error => {
  console.error(error.code, error.message);
  process.exitCode = 1;
});
