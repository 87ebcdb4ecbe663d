"""A classification model from CSV to deployment, as users of the Python client wrote it: nothing names an endpoint.

Arguments: the project, the URI of an import file, the prefix for an export. The last line is what was seen, as JSON.
"""

import json
import sys

from google.cloud import automl

project_id, path, gcs_uri = sys.argv[1:]
location = f"projects/{project_id}/locations/us-central1"
client = automl.AutoMlClient()

metadata = automl.ImageClassificationDatasetMetadata(classification_type=automl.ClassificationType.MULTILABEL)
dataset = automl.Dataset(display_name="flowers", image_classification_dataset_metadata=metadata)
created = client.create_dataset(parent=location, dataset=dataset).result()
dataset_id = created.name.split("/")[-1]

dataset_full_id = client.dataset_path(project_id, "us-central1", dataset_id)
input_config = automl.InputConfig(gcs_source=automl.GcsSource(input_uris=path.split(",")))
client.import_data(name=dataset_full_id, input_config=input_config).result()
listed = client.list_datasets(request=automl.ListDatasetsRequest(parent=location, filter=""))
kinds = [one.image_classification_dataset_metadata.classification_type.name for one in listed]
destination = automl.GcsDestination(output_uri_prefix=gcs_uri)
client.export_data(name=dataset_full_id, output_config=automl.OutputConfig(gcs_destination=destination)).result()

model_metadata = automl.ImageClassificationModelMetadata(train_budget_milli_node_hours=24000)
model = automl.Model(
    display_name="from_python", dataset_id=dataset_id, image_classification_model_metadata=model_metadata
)
response = client.create_model(parent=location, model=model)
operation_name = response.operation.name
started = client._transport.operations_client.get_operation(operation_name)
trained = response.result(timeout=600)
model_id = trained.name.split("/")[-1]

models = client.list_models(request=automl.ListModelsRequest(parent=location, filter=""))
model_full_id = client.model_path(project_id, "us-central1", model_id)
got = client.get_model(name=model_full_id)
evaluations = list(client.list_model_evaluations(parent=model_full_id, filter=""))
evaluation_id = evaluations[0].name.split("/modelEvaluations/")[1].split("/")[0]
evaluation = client.get_model_evaluation(name=f"{model_full_id}/modelEvaluations/{evaluation_id}")

deployment = automl.ImageClassificationModelDeploymentMetadata(node_count=2)
request = automl.DeployModelRequest(name=model_full_id, image_classification_model_deployment_metadata=deployment)
client.deploy_model(request=request).result()
deployed = client.get_model(name=model_full_id)
client.undeploy_model(name=model_full_id).result()

print(
    json.dumps(
        {
            "kinds": kinds,
            "operation": [operation_name, started.name],
            "type": got.image_classification_model_metadata.model_type,
            "listed": model_full_id in [one.name for one in models],
            "evaluations": [one.display_name for one in evaluations],
            "thresholds": len(evaluation.classification_evaluation_metrics.confidence_metrics_entry),
            "nodes": [deployed.image_classification_model_metadata.node_count, deployed.deployment_state.name],
            "dataset": dataset_id,
            "model": model_id,
        }
    )
)
