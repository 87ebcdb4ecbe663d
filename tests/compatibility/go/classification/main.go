// A classification model with the official Go client of 2020, as its users wrote it: no option names an endpoint.
// Arguments: project, location, dataset, the model's name, its type (empty: the default), "wait" or "leave".
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	automl "cloud.google.com/go/automl/apiv1"
	automlpb "google.golang.org/genproto/googleapis/cloud/automl/v1"
)

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func evaluated(ctx context.Context, client *automl.Client, model string) {
	evaluations := client.ListModelEvaluations(ctx, &automlpb.ListModelEvaluationsRequest{Parent: model})
	for count := 0; count < 3; count++ { // all labels together, and each of the two
		evaluation, err := evaluations.Next()
		must(err)
		got, err := client.GetModelEvaluation(ctx, &automlpb.GetModelEvaluationRequest{Name: evaluation.Name})
		must(err)
		fmt.Println("thresholds:", len(got.GetClassificationEvaluationMetrics().ConfidenceMetricsEntry))
	}
}

func deployed(ctx context.Context, client *automl.Client, model string) {
	operation, err := client.DeployModel(ctx, &automlpb.DeployModelRequest{
		Name: model,
		ModelDeploymentMetadata: &automlpb.DeployModelRequest_ImageClassificationModelDeploymentMetadata{
			ImageClassificationModelDeploymentMetadata: &automlpb.ImageClassificationModelDeploymentMetadata{NodeCount: 2},
		},
	})
	must(err)
	must(operation.Wait(ctx))
	got, err := client.GetModel(ctx, &automlpb.GetModelRequest{Name: model})
	must(err)
	fmt.Println("nodes:", got.GetImageClassificationModelMetadata().NodeCount, got.DeploymentState)
	undeploying, err := client.UndeployModel(ctx, &automlpb.UndeployModelRequest{Name: model})
	must(err)
	must(undeploying.Wait(ctx))
}

func main() {
	ctx, end := context.WithTimeout(context.Background(), 5*time.Minute)
	defer end()
	client, err := automl.NewClient(ctx)
	must(err)
	defer client.Close()
	parent := fmt.Sprintf("projects/%s/locations/%s", os.Args[1], os.Args[2])
	operation, err := client.CreateModel(ctx, &automlpb.CreateModelRequest{
		Parent: parent,
		Model: &automlpb.Model{
			DisplayName: os.Args[4],
			DatasetId:   os.Args[3],
			ModelMetadata: &automlpb.Model_ImageClassificationModelMetadata{
				ImageClassificationModelMetadata: &automlpb.ImageClassificationModelMetadata{
					ModelType:                 os.Args[5],
					TrainBudgetMilliNodeHours: 1000,
				},
			},
		},
	})
	must(err)
	fmt.Printf("Name: %v\n", operation.Name())
	if os.Args[6] != "wait" {
		return
	}
	model, err := operation.Wait(ctx)
	must(err)
	metadata := model.GetImageClassificationModelMetadata()
	fmt.Println("budget:", metadata.TrainBudgetMilliNodeHours, metadata.ModelType)
	evaluated(ctx, client, model.Name)
	deployed(ctx, client, model.Name)
	deleting, err := client.DeleteModel(ctx, &automlpb.DeleteModelRequest{Name: model.Name})
	must(err)
	must(deleting.Wait(ctx))
	fmt.Println("deleted")
}
