// Works on a service that asks for accounts, with the official Go client of 2020: by a key file, or by an API key.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	automl "cloud.google.com/go/automl/apiv1"
	"google.golang.org/api/option"
	automlpb "google.golang.org/genproto/googleapis/cloud/automl/v1"
)

func main() {
	endpoint, kind, value := os.Args[1], os.Args[2], os.Args[3]
	how := option.WithCredentialsFile(value)
	if kind == "key" {
		how = option.WithAPIKey(value)
	}
	ctx := context.Background()
	client, err := automl.NewClient(ctx, option.WithEndpoint(endpoint), how)
	if err != nil {
		log.Fatal(err)
	}
	created, err := client.CreateDataset(ctx, &automlpb.CreateDatasetRequest{
		Parent: "projects/demo/locations/us-central1",
		Dataset: &automlpb.Dataset{
			DisplayName: "from_go",
			DatasetMetadata: &automlpb.Dataset_ImageObjectDetectionDatasetMetadata{
				ImageObjectDetectionDatasetMetadata: &automlpb.ImageObjectDetectionDatasetMetadata{},
			},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	dataset, err := created.Wait(ctx)
	if err != nil {
		log.Fatal(err)
	}
	got, err := client.GetDataset(ctx, &automlpb.GetDatasetRequest{Name: dataset.Name})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("worked with", got.DisplayName)
}
