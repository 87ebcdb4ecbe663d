// Every method of the AutoML v1 API with the official Go client of 2020, as Debian packages it.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/ioutil"
	"log"
	"os"
	"strings"
	"time"

	automl "cloud.google.com/go/automl/apiv1"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"
	automlpb "google.golang.org/genproto/googleapis/cloud/automl/v1"
	"google.golang.org/genproto/googleapis/longrunning"
	field_mask "google.golang.org/genproto/protobuf/field_mask"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
)

type scene struct {
	Parent, Csv, Images_csv, Image, Output, Dataset, Spec, Model string
	Labels_csv, Labels_dataset, Labels_spec                      string
}

type how struct {
	Endpoint string
	Plain    bool
	Scene    scene
}

var passed []string

func must(name string, err error) {
	if err != nil {
		log.Fatalf("%s: %v (passed before: %s)", name, err, strings.Join(passed, ", "))
	}
	passed = append(passed, name)
}

func check(name string, is bool) {
	if !is {
		log.Fatalf("%s is not as it should be (passed before: %s)", name, strings.Join(passed, ", "))
	}
}

func refused(name string, err error, code codes.Code, text string) {
	check(name+" refusal", status.Code(err) == code && strings.Contains(err.Error(), text))
}

func objectDetection(name string) *automlpb.Dataset {
	return &automlpb.Dataset{
		DisplayName: name,
		DatasetMetadata: &automlpb.Dataset_ImageObjectDetectionDatasetMetadata{
			ImageObjectDetectionDatasetMetadata: &automlpb.ImageObjectDetectionDatasetMetadata{},
		},
	}
}

func gcs(uri string) *automlpb.GcsSource { return &automlpb.GcsSource{InputUris: []string{uri}} }

func datasets(ctx context.Context, client *automl.Client, s scene) {
	parent := strings.Replace(s.Parent, "demo", "go", 1)
	created, err := client.CreateDataset(ctx, &automlpb.CreateDatasetRequest{Parent: parent, Dataset: objectDetection("from_go")})
	must("CreateDataset", err)
	dataset, err := created.Wait(ctx)
	must("CreateDataset.Wait", err)
	got, err := client.GetDataset(ctx, &automlpb.GetDatasetRequest{Name: dataset.Name})
	must("GetDataset", err)
	check("GetDataset", got.DisplayName == "from_go" && got.GetImageObjectDetectionDatasetMetadata() != nil)
	found := 0
	for listed := client.ListDatasets(ctx, &automlpb.ListDatasetsRequest{Parent: parent, PageSize: 1}); ; found++ {
		_, err := listed.Next()
		if err == iterator.Done {
			break
		}
		must("ListDatasets", err)
	}
	check("ListDatasets", found > 0)
	got.DisplayName = "after"
	updated, err := client.UpdateDataset(ctx, &automlpb.UpdateDatasetRequest{
		Dataset: got, UpdateMask: &field_mask.FieldMask{Paths: []string{"display_name"}},
	})
	must("UpdateDataset", err)
	check("UpdateDataset", updated.DisplayName == "after")
	imported, err := client.ImportData(ctx, &automlpb.ImportDataRequest{
		Name:        dataset.Name,
		InputConfig: &automlpb.InputConfig{Source: &automlpb.InputConfig_GcsSource{GcsSource: gcs(s.Csv)}},
	})
	must("ImportData", err)
	must("ImportData.Wait", imported.Wait(ctx))
	spec, err := client.GetAnnotationSpec(ctx, &automlpb.GetAnnotationSpecRequest{Name: s.Spec})
	must("GetAnnotationSpec", err)
	check("GetAnnotationSpec", spec.ExampleCount == 10)
	exported, err := client.ExportData(ctx, &automlpb.ExportDataRequest{
		Name: s.Dataset,
		OutputConfig: &automlpb.OutputConfig{Destination: &automlpb.OutputConfig_GcsDestination{
			GcsDestination: &automlpb.GcsDestination{OutputUriPrefix: s.Output},
		}},
	})
	must("ExportData", err)
	must("ExportData.Wait", exported.Wait(ctx))
	deleted, err := client.DeleteDataset(ctx, &automlpb.DeleteDatasetRequest{Name: dataset.Name})
	must("DeleteDataset", err)
	must("DeleteDataset.Wait", deleted.Wait(ctx))
	_, err = client.GetDataset(ctx, &automlpb.GetDatasetRequest{Name: dataset.Name})
	refused("GetDataset", err, codes.NotFound, "not found")
}

// The same methods on a dataset with labels and no boxes.
func classification(ctx context.Context, client *automl.Client, s scene) {
	parent := strings.Replace(s.Parent, "demo", "go-labels", 1)
	created, err := client.CreateDataset(ctx, &automlpb.CreateDatasetRequest{Parent: parent, Dataset: &automlpb.Dataset{
		DisplayName: "from_go",
		DatasetMetadata: &automlpb.Dataset_ImageClassificationDatasetMetadata{
			ImageClassificationDatasetMetadata: &automlpb.ImageClassificationDatasetMetadata{
				ClassificationType: automlpb.ClassificationType_MULTICLASS,
			},
		},
	}})
	must("CreateDataset of labels", err)
	dataset, err := created.Wait(ctx)
	must("CreateDataset.Wait of labels", err)
	check("its id", strings.Contains(dataset.Name, "/datasets/ICN"))
	imported, err := client.ImportData(ctx, &automlpb.ImportDataRequest{
		Name:        dataset.Name,
		InputConfig: &automlpb.InputConfig{Source: &automlpb.InputConfig_GcsSource{GcsSource: gcs(s.Labels_csv)}},
	})
	must("ImportData of labels", err)
	must("ImportData.Wait of labels", imported.Wait(ctx))
	got, err := client.GetDataset(ctx, &automlpb.GetDatasetRequest{Name: dataset.Name})
	must("GetDataset of labels", err)
	metadata := got.GetImageClassificationDatasetMetadata()
	check("GetDataset of labels", got.ExampleCount == 5 && metadata.ClassificationType == automlpb.ClassificationType_MULTICLASS)
	spec, err := client.GetAnnotationSpec(ctx, &automlpb.GetAnnotationSpecRequest{Name: s.Labels_spec})
	must("GetAnnotationSpec of labels", err)
	check("GetAnnotationSpec of labels", spec.ExampleCount == 2)
	exported, err := client.ExportData(ctx, &automlpb.ExportDataRequest{
		Name: s.Labels_dataset,
		OutputConfig: &automlpb.OutputConfig{Destination: &automlpb.OutputConfig_GcsDestination{
			GcsDestination: &automlpb.GcsDestination{OutputUriPrefix: s.Output},
		}},
	})
	must("ExportData of labels", err)
	must("ExportData.Wait of labels", exported.Wait(ctx))
	_, err = client.CreateModel(ctx, &automlpb.CreateModelRequest{Parent: parent, Model: &automlpb.Model{
		DisplayName: "from_go",
		DatasetId:   dataset.Name[strings.LastIndex(dataset.Name, "/")+1:],
		ModelMetadata: &automlpb.Model_ImageClassificationModelMetadata{
			ImageClassificationModelMetadata: &automlpb.ImageClassificationModelMetadata{TrainBudgetMilliNodeHours: 1000},
		},
	}})
	refused("CreateModel of labels", err, codes.FailedPrecondition, "at least 10 images that carry it")
	deleted, err := client.DeleteDataset(ctx, &automlpb.DeleteDatasetRequest{Name: dataset.Name})
	must("DeleteDataset of labels", err)
	must("DeleteDataset.Wait of labels", deleted.Wait(ctx))
	passed = append(passed, "classification")
}

func training(ctx context.Context, client *automl.Client, s scene) {
	model := &automlpb.Model{
		DisplayName: "from_go",
		DatasetId:   s.Dataset[strings.LastIndex(s.Dataset, "/")+1:],
		ModelMetadata: &automlpb.Model_ImageObjectDetectionModelMetadata{
			ImageObjectDetectionModelMetadata: &automlpb.ImageObjectDetectionModelMetadata{
				ModelType: "mobile-low-latency-1", TrainBudgetMilliNodeHours: 1000,
			},
		},
	}
	operation, err := client.CreateModel(ctx, &automlpb.CreateModelRequest{Parent: s.Parent, Model: model})
	must("CreateModel", err)
	check("CreateModel", strings.Contains(operation.Name(), "/operations/IOD"))
	model.DatasetId = "IOD0000000000000000"
	_, err = client.CreateModel(ctx, &automlpb.CreateModelRequest{Parent: s.Parent, Model: model})
	refused("CreateModel", err, codes.NotFound, "Dataset does not exist.")
	fmt.Println("cancel", operation.Name()) // this client has no call for it
}

func models(ctx context.Context, client *automl.Client, s scene) {
	got, err := client.GetModel(ctx, &automlpb.GetModelRequest{Name: s.Model})
	must("GetModel", err)
	check("GetModel", got.DeploymentState == automlpb.Model_UNDEPLOYED)
	_, err = client.ListModels(ctx, &automlpb.ListModelsRequest{Parent: s.Parent, Filter: "image_object_detection_model_metadata:*"}).Next()
	must("ListModels", err)
	_, err = client.UpdateModel(ctx, &automlpb.UpdateModelRequest{
		Model:      &automlpb.Model{Name: s.Model, Labels: map[string]string{"team": "go"}},
		UpdateMask: &field_mask.FieldMask{Paths: []string{"labels"}},
	})
	must("UpdateModel", err)
	evaluation, err := client.ListModelEvaluations(ctx, &automlpb.ListModelEvaluationsRequest{Parent: s.Model}).Next()
	must("ListModelEvaluations", err)
	evaluation, err = client.GetModelEvaluation(ctx, &automlpb.GetModelEvaluationRequest{Name: evaluation.Name})
	must("GetModelEvaluation", err)
	check("GetModelEvaluation", len(evaluation.GetImageObjectDetectionEvaluationMetrics().BoundingBoxMetricsEntries) == 23)
	exported, err := client.ExportModel(ctx, &automlpb.ExportModelRequest{
		Name: s.Model,
		OutputConfig: &automlpb.ModelExportOutputConfig{Destination: &automlpb.ModelExportOutputConfig_GcsDestination{
			GcsDestination: &automlpb.GcsDestination{OutputUriPrefix: s.Output},
		}},
	})
	must("ExportModel", err)
	must("ExportModel.Wait", exported.Wait(ctx))
}

func predictions(ctx context.Context, client *automl.Client, prediction *automl.PredictionClient, s scene) {
	deployed, err := client.DeployModel(ctx, &automlpb.DeployModelRequest{
		Name: s.Model,
		ModelDeploymentMetadata: &automlpb.DeployModelRequest_ImageObjectDetectionModelDeploymentMetadata{
			ImageObjectDetectionModelDeploymentMetadata: &automlpb.ImageObjectDetectionModelDeploymentMetadata{NodeCount: 2},
		},
	})
	must("DeployModel", err)
	must("DeployModel.Wait", deployed.Wait(ctx))
	bytes, err := ioutil.ReadFile(s.Image)
	must("ReadFile", err)
	answer, err := prediction.Predict(ctx, &automlpb.PredictRequest{
		Name: s.Model,
		Payload: &automlpb.ExamplePayload{Payload: &automlpb.ExamplePayload_Image{
			Image: &automlpb.Image{Data: &automlpb.Image_ImageBytes{ImageBytes: bytes}},
		}},
		Params: map[string]string{"score_threshold": "0.1"},
	})
	must("Predict", err)
	check("Predict", len(answer.Payload) > 0)
	batch, err := prediction.BatchPredict(ctx, &automlpb.BatchPredictRequest{
		Name:        s.Model,
		InputConfig: &automlpb.BatchPredictInputConfig{Source: &automlpb.BatchPredictInputConfig_GcsSource{GcsSource: gcs(s.Images_csv)}},
		OutputConfig: &automlpb.BatchPredictOutputConfig{Destination: &automlpb.BatchPredictOutputConfig_GcsDestination{
			GcsDestination: &automlpb.GcsDestination{OutputUriPrefix: s.Output},
		}},
		Params: map[string]string{"score_threshold": "0.8"},
	})
	must("BatchPredict", err)
	_, err = batch.Wait(ctx)
	must("BatchPredict.Wait", err)
	operation, err := client.LROClient.GetOperation(ctx, &longrunning.GetOperationRequest{Name: batch.Name()})
	must("GetOperation", err)
	check("GetOperation", operation.Done)
	undeployed, err := client.UndeployModel(ctx, &automlpb.UndeployModelRequest{Name: s.Model})
	must("UndeployModel", err)
	must("UndeployModel.Wait", undeployed.Wait(ctx))
	deleted, err := client.DeleteModel(ctx, &automlpb.DeleteModelRequest{Name: s.Model})
	must("DeleteModel", err)
	must("DeleteModel.Wait", deleted.Wait(ctx))
	_, err = client.GetModel(ctx, &automlpb.GetModelRequest{Name: s.Model})
	refused("GetModel", err, codes.NotFound, "The model does not exist.")
}

func main() {
	var given how
	if err := json.Unmarshal([]byte(os.Args[1]), &given); err != nil {
		log.Fatal(err)
	}
	// without authentication this client sets no transport security either; the roots are those of SSL_CERT_FILE
	transport := grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(nil, ""))
	if given.Plain {
		transport = grpc.WithInsecure()
	}
	options := []option.ClientOption{
		option.WithEndpoint(given.Endpoint), option.WithoutAuthentication(), option.WithGRPCDialOption(transport),
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	client, err := automl.NewClient(ctx, options...)
	must("NewClient", err)
	prediction, err := automl.NewPredictionClient(ctx, options...)
	must("NewPredictionClient", err)
	datasets(ctx, client, given.Scene)
	classification(ctx, client, given.Scene)
	training(ctx, client, given.Scene)
	models(ctx, client, given.Scene)
	predictions(ctx, client, prediction, given.Scene)
	fmt.Println("passed", strings.Join(passed, " "))
}
