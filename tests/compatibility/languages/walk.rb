# A walk through the AutoML v1 API in Ruby: gRPC by the stubs that protoc makes from Google's own files, REST by net/http.
# Arguments: name=value. Prints the steps that passed. Google's googleauth and signet bring the token along.

require "json"
require "net/http"
require "googleauth"

GIVEN = ARGV.to_h { |pair| pair.split("=", 2) }
NAME = "from_ruby"
METADATA = "image_classification_dataset_metadata"

def passed(step)
  puts "passed #{step}"
end

def check(step, is)
  abort "#{step} is not as it should be" unless is
end

# As Google's client does with a key file, which signs its own tokens, or with credentials that hold a token.
def authorization
  return Signet::OAuth2::Client.new(access_token: GIVEN["token"]).apply({})[:authorization] unless GIVEN["key"]
  signer = Google::Auth::ServiceAccountJwtHeaderCredentials.make_creds(json_key_io: File.open(GIVEN["key"]))
  signer.apply(jwt_aud_uri: "https://automl.googleapis.com/")[:authorization]
end

class OverGrpc
  def initialize
    require "google/protobuf/well_known_types"
    require "google/cloud/automl/v1/operations_pb"
    require "google/cloud/automl/v1/service_services_pb"
    require "google/longrunning/operations_services_pb"
    @v1 = Google::Cloud::AutoML::V1
    trust = GIVEN["ca"] ? GRPC::Core::ChannelCredentials.new(File.read(GIVEN["ca"])) : :this_channel_is_insecure
    @automl = @v1::AutoMl::Stub.new(GIVEN["endpoint"], trust)
    @operations = Google::Longrunning::Operations::Stub.new(GIVEN["endpoint"], trust)
    @headers = { "authorization" => authorization }
  end

  def call(method, request)
    @automl.public_send(method, request, metadata: @headers)
  end

  def done(operation)
    request = Google::Longrunning::GetOperationRequest.new(name: operation.name)
    operation = @operations.get_operation(request, metadata: @headers) until operation.done
    operation
  end

  def succeeded(operation, type)
    operation = done(operation)
    check(operation.name, operation.result == :response)
    operation.response.unpack(type)
  end

  def create
    kind = @v1::ImageClassificationDatasetMetadata.new(classification_type: :MULTICLASS)
    dataset = @v1::Dataset.new(display_name: NAME, METADATA => kind)
    request = @v1::CreateDatasetRequest.new(parent: GIVEN["parent"], dataset: dataset)
    succeeded(call(:create_dataset, request), @v1::Dataset).name
  end

  def import(name)
    source = @v1::GcsSource.new(input_uris: [GIVEN["csv"]])
    request = @v1::ImportDataRequest.new(name: name, input_config: @v1::InputConfig.new(gcs_source: source))
    succeeded(call(:import_data, request), Google::Protobuf::Empty)
  end

  def get(name)
    dataset = call(:get_dataset, @v1::GetDatasetRequest.new(name: name))
    [dataset.example_count, dataset.image_classification_dataset_metadata.classification_type.to_s]
  end

  def list
    request = @v1::ListDatasetsRequest.new(parent: GIVEN["parent"], filter: "#{METADATA}:*", page_size: 50)
    call(:list_datasets, request).datasets.map(&:name)
  end

  def update(name)
    request = @v1::UpdateDatasetRequest.new(
      dataset: @v1::Dataset.new(name: name, display_name: "after"),
      update_mask: Google::Protobuf::FieldMask.new(paths: ["display_name"])
    )
    call(:update_dataset, request).display_name
  end

  def train(name)
    kind = @v1::ImageClassificationModelMetadata.new(model_type: "cloud", train_budget_milli_node_hours: 1000)
    model = @v1::Model.new(
      display_name: NAME, dataset_id: name.split("/").last, image_classification_model_metadata: kind
    )
    operation = call(:create_model, @v1::CreateModelRequest.new(parent: GIVEN["parent"], model: model))
    metadata = operation.metadata.unpack(@v1::OperationMetadata)
    check("create model", metadata.details == :create_model_details)
    operation.name
  end

  def operation(name)
    @operations.get_operation(Google::Longrunning::GetOperationRequest.new(name: name), metadata: @headers).name
  end

  def cancel(name)
    @operations.cancel_operation(Google::Longrunning::CancelOperationRequest.new(name: name), metadata: @headers)
    done(Google::Longrunning::Operation.new(name: name)).error.code
  end

  def delete_operation(name)
    @operations.delete_operation(Google::Longrunning::DeleteOperationRequest.new(name: name), metadata: @headers)
  end

  def delete(name)
    succeeded(call(:delete_dataset, @v1::DeleteDatasetRequest.new(name: name)), Google::Protobuf::Empty)
  end

  def refused(name)
    get(name)
    "nothing"
  rescue GRPC::NotFound => error
    error.details
  end
end

class OverRest
  def initialize
    @place = URI(GIVEN["endpoint"])
    @headers = {
      "Authorization" => authorization,
      "Content-Type" => "application/json"
    }
    @http = Net::HTTP.new(@place.host, @place.port)
    @http.use_ssl = @place.scheme == "https"
    @http.ca_file = GIVEN["ca"] if GIVEN["ca"]
  end

  def call(method, path, body = nil)
    answer = @http.send_request(method, "/v1/#{path}", body && JSON.generate(body), @headers)
    told = JSON.parse(answer.body)
    raise told["error"]["message"] unless answer.is_a?(Net::HTTPOK)
    told
  end

  def done(operation)
    operation = call("GET", operation["name"]) until operation["done"]
    operation
  end

  def succeeded(operation)
    done(operation).fetch("response")
  end

  def create
    dataset = { displayName: NAME, imageClassificationDatasetMetadata: { classificationType: "MULTICLASS" } }
    succeeded(call("POST", "#{GIVEN["parent"]}/datasets", dataset))["name"]
  end

  def import(name)
    succeeded(call("POST", "#{name}:importData", { inputConfig: { gcsSource: { inputUris: [GIVEN["csv"]] } } }))
  end

  def get(name)
    dataset = call("GET", name)
    [dataset["exampleCount"], dataset["imageClassificationDatasetMetadata"]["classificationType"]]
  end

  def list
    asked = URI.encode_www_form(filter: "#{METADATA}:*", pageSize: 50)
    call("GET", "#{GIVEN["parent"]}/datasets?#{asked}")["datasets"].map { |one| one["name"] }
  end

  def update(name)
    call("PATCH", "#{name}?updateMask=displayName", { displayName: "after" })["displayName"]
  end

  def train(name)
    model = {
      displayName: NAME, datasetId: name.split("/").last,
      imageClassificationModelMetadata: { modelType: "cloud", trainBudgetMilliNodeHours: "1000" }
    }
    operation = call("POST", "#{GIVEN["parent"]}/models", model)
    check("create model", operation["metadata"].key?("createModelDetails"))
    operation["name"]
  end

  def operation(name)
    call("GET", name)["name"]
  end

  def cancel(name)
    call("POST", "#{name}:cancel", {})
    done({ "name" => name })["error"]["code"]
  end

  def delete_operation(name)
    call("DELETE", name)
  end

  def delete(name)
    succeeded(call("DELETE", name))
  end

  def refused(name)
    get(name)
    "nothing"
  rescue RuntimeError => error
    error.message
  end
end

api = GIVEN["door"] == "grpc" ? OverGrpc.new : OverRest.new
name = api.create
check("create", name.match?(%r{/datasets/ICN\d+$}))
passed("create")
api.import(name)
passed("import")
check("get", [[24, "MULTICLASS"]].include?(api.get(name)))
passed("get")
check("list", api.list.include?(name))
passed("list")
check("update", api.update(name) == "after")
passed("update")
training = api.train(name)
check("train", training.match?(%r{/operations/ICN\d+$}))
passed("train")
check("operation", api.operation(training) == training)
passed("operation")
check("cancel", api.cancel(training) == 1)
passed("cancel")
api.delete_operation(training)
passed("delete_operation")
api.delete(name)
passed("delete")
check("refused", api.refused(name).include?("not found"))
passed("refused")
