// A walk through the AutoML v1 API in Java: gRPC by the stubs that protoc makes from Google's own files, REST by the
// runtime's HttpClient. Arguments: name=value. Prints the steps that passed.

import com.google.cloud.automl.v1.AutoMlGrpc;
import com.google.cloud.automl.v1.ClassificationType;
import com.google.cloud.automl.v1.CreateDatasetRequest;
import com.google.cloud.automl.v1.CreateModelRequest;
import com.google.cloud.automl.v1.Dataset;
import com.google.cloud.automl.v1.DeleteDatasetRequest;
import com.google.cloud.automl.v1.GcsSource;
import com.google.cloud.automl.v1.GetDatasetRequest;
import com.google.cloud.automl.v1.ImageClassificationDatasetMetadata;
import com.google.cloud.automl.v1.ImageClassificationModelMetadata;
import com.google.cloud.automl.v1.ImportDataRequest;
import com.google.cloud.automl.v1.InputConfig;
import com.google.cloud.automl.v1.ListDatasetsRequest;
import com.google.cloud.automl.v1.ListDatasetsResponse;
import com.google.cloud.automl.v1.Model;
import com.google.cloud.automl.v1.OperationMetadata;
import com.google.cloud.automl.v1.UpdateDatasetRequest;
import com.google.longrunning.CancelOperationRequest;
import com.google.longrunning.DeleteOperationRequest;
import com.google.longrunning.GetOperationRequest;
import com.google.longrunning.Operation;
import com.google.longrunning.OperationsGrpc;
import com.google.protobuf.Empty;
import com.google.protobuf.FieldMask;
import com.google.protobuf.Message;
import com.google.protobuf.util.JsonFormat;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.netty.GrpcSslContexts;
import io.grpc.netty.NettyChannelBuilder;
import io.grpc.stub.MetadataUtils;
import java.io.File;
import java.io.FileInputStream;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.HashMap;
import java.util.Map;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

public class Walk {
  static final Map<String, String> GIVEN = new HashMap<>();
  static final String FILTER = "image_classification_dataset_metadata:*";

  /** One door: each call is a method of the API. */
  interface Door {
    Operation createDataset(String parent, Dataset dataset) throws Exception;

    Operation importData(ImportDataRequest request) throws Exception;

    Dataset getDataset(String name) throws Exception;

    ListDatasetsResponse listDatasets(String parent, String filter) throws Exception;

    Dataset updateDataset(Dataset dataset, String path) throws Exception;

    Operation createModel(String parent, Model model) throws Exception;

    Operation getOperation(String name) throws Exception;

    void cancelOperation(String name) throws Exception;

    void deleteOperation(String name) throws Exception;

    Operation deleteDataset(String name) throws Exception;
  }

  static class OverGrpc implements Door {
    final AutoMlGrpc.AutoMlBlockingStub automl;
    final OperationsGrpc.OperationsBlockingStub operations;

    OverGrpc() throws Exception {
      NettyChannelBuilder builder = NettyChannelBuilder.forTarget(GIVEN.get("endpoint"));
      if (GIVEN.containsKey("ca")) {
        builder.sslContext(GrpcSslContexts.forClient().trustManager(new File(GIVEN.get("ca"))).build());
      } else {
        builder.usePlaintext();
      }
      ManagedChannel channel = builder.build();
      Metadata headers = new Metadata();
      headers.put(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer " + GIVEN.get("token"));
      var attached = MetadataUtils.newAttachHeadersInterceptor(headers);
      automl = AutoMlGrpc.newBlockingStub(channel).withInterceptors(attached);
      operations = OperationsGrpc.newBlockingStub(channel).withInterceptors(attached);
    }

    public Operation createDataset(String parent, Dataset dataset) {
      return automl.createDataset(CreateDatasetRequest.newBuilder().setParent(parent).setDataset(dataset).build());
    }

    public Operation importData(ImportDataRequest request) {
      return automl.importData(request);
    }

    public Dataset getDataset(String name) {
      return automl.getDataset(GetDatasetRequest.newBuilder().setName(name).build());
    }

    public ListDatasetsResponse listDatasets(String parent, String filter) {
      return automl.listDatasets(ListDatasetsRequest.newBuilder().setParent(parent).setFilter(filter).build());
    }

    public Dataset updateDataset(Dataset dataset, String path) {
      FieldMask mask = FieldMask.newBuilder().addPaths(path).build();
      return automl.updateDataset(UpdateDatasetRequest.newBuilder().setDataset(dataset).setUpdateMask(mask).build());
    }

    public Operation createModel(String parent, Model model) {
      return automl.createModel(CreateModelRequest.newBuilder().setParent(parent).setModel(model).build());
    }

    public Operation getOperation(String name) {
      return operations.getOperation(GetOperationRequest.newBuilder().setName(name).build());
    }

    public void cancelOperation(String name) {
      operations.cancelOperation(CancelOperationRequest.newBuilder().setName(name).build());
    }

    public void deleteOperation(String name) {
      operations.deleteOperation(DeleteOperationRequest.newBuilder().setName(name).build());
    }

    public Operation deleteDataset(String name) {
      return automl.deleteDataset(DeleteDatasetRequest.newBuilder().setName(name).build());
    }
  }

  static class OverRest implements Door {
    // what an Any holds is found by its type, as Google's client registers them too
    final JsonFormat.TypeRegistry types =
        JsonFormat.TypeRegistry.newBuilder()
            .add(Dataset.getDescriptor())
            .add(OperationMetadata.getDescriptor())
            .add(Empty.getDescriptor())
            .build();
    final HttpClient client;

    OverRest() throws Exception {
      HttpClient.Builder builder = HttpClient.newBuilder();
      if (GIVEN.containsKey("ca")) {
        KeyStore trusted = KeyStore.getInstance(KeyStore.getDefaultType());
        trusted.load(null, null);
        try (FileInputStream stream = new FileInputStream(GIVEN.get("ca"))) {
          trusted.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(stream));
        }
        TrustManagerFactory factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        factory.init(trusted);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, factory.getTrustManagers(), null);
        builder.sslContext(context);
      }
      client = builder.build();
    }

    <B extends Message.Builder> B call(String method, String path, Message body, B answer) throws Exception {
      HttpRequest.Builder request =
          HttpRequest.newBuilder(URI.create(GIVEN.get("endpoint") + "/v1/" + path))
              .header("Authorization", "Bearer " + GIVEN.get("token"))
              .header("Content-Type", "application/json");
      var content =
          body == null
              ? HttpRequest.BodyPublishers.noBody()
              : HttpRequest.BodyPublishers.ofString(JsonFormat.printer().usingTypeRegistry(types).print(body));
      if (method.equals("PATCH")) { // as Google's client does
        request.header("X-HTTP-Method-Override", "PATCH").method("POST", content);
      } else {
        request.method(method, content);
      }
      var told = client.send(request.build(), HttpResponse.BodyHandlers.ofString());
      if (told.statusCode() == 404) {
        throw Status.NOT_FOUND.withDescription(told.body()).asRuntimeException();
      }
      check(method + " " + path + " " + told.body(), told.statusCode() == 200);
      JsonFormat.parser().usingTypeRegistry(types).merge(told.body(), answer); // refuses unknown fields
      return answer;
    }

    public Operation createDataset(String parent, Dataset dataset) throws Exception {
      return call("POST", parent + "/datasets", dataset, Operation.newBuilder()).build();
    }

    public Operation importData(ImportDataRequest request) throws Exception {
      return call("POST", request.getName() + ":importData", request, Operation.newBuilder()).build();
    }

    public Dataset getDataset(String name) throws Exception {
      return call("GET", name, null, Dataset.newBuilder()).build();
    }

    public ListDatasetsResponse listDatasets(String parent, String filter) throws Exception {
      String query = "?filter=" + URLEncoder.encode(filter, StandardCharsets.UTF_8);
      return call("GET", parent + "/datasets" + query, null, ListDatasetsResponse.newBuilder()).build();
    }

    public Dataset updateDataset(Dataset dataset, String path) throws Exception {
      return call("PATCH", dataset.getName() + "?updateMask=" + path, dataset, Dataset.newBuilder()).build();
    }

    public Operation createModel(String parent, Model model) throws Exception {
      return call("POST", parent + "/models", model, Operation.newBuilder()).build();
    }

    public Operation getOperation(String name) throws Exception {
      return call("GET", name, null, Operation.newBuilder()).build();
    }

    public void cancelOperation(String name) throws Exception {
      call("POST", name + ":cancel", Empty.getDefaultInstance(), Empty.newBuilder());
    }

    public void deleteOperation(String name) throws Exception {
      call("DELETE", name, null, Empty.newBuilder());
    }

    public Operation deleteDataset(String name) throws Exception {
      return call("DELETE", name, null, Operation.newBuilder()).build();
    }
  }

  static void passed(String step) {
    System.out.println("passed " + step);
  }

  static void check(String step, boolean is) {
    if (!is) {
      throw new IllegalStateException(step + " is not as it should be");
    }
  }

  static Operation done(Door door, Operation operation) throws Exception {
    while (!operation.getDone()) {
      operation = door.getOperation(operation.getName());
    }
    return operation;
  }

  static Operation succeeded(Door door, Operation operation) throws Exception {
    Operation ended = done(door, operation);
    check(ended.toString(), ended.hasResponse());
    return ended;
  }

  static String filled(Door door, String parent) throws Exception {
    Dataset wanted =
        Dataset.newBuilder()
            .setDisplayName("from_java")
            .setImageClassificationDatasetMetadata(
                ImageClassificationDatasetMetadata.newBuilder()
                    .setClassificationType(ClassificationType.MULTICLASS))
            .build();
    Operation created = succeeded(door, door.createDataset(parent, wanted));
    String name = created.getResponse().unpack(Dataset.class).getName();
    check("create", name.matches(".*/datasets/ICN\\d+"));
    passed("create");
    GcsSource source = GcsSource.newBuilder().addInputUris(GIVEN.get("csv")).build();
    InputConfig config = InputConfig.newBuilder().setGcsSource(source).build();
    succeeded(door, door.importData(ImportDataRequest.newBuilder().setName(name).setInputConfig(config).build()));
    passed("import");
    return name;
  }

  static void read(Door door, String parent, String name) throws Exception {
    Dataset dataset = door.getDataset(name);
    var type = dataset.getImageClassificationDatasetMetadata().getClassificationType();
    check("get", dataset.getExampleCount() == 24 && type == ClassificationType.MULTICLASS);
    passed("get");
    var listed = door.listDatasets(parent, FILTER).getDatasetsList();
    check("list", listed.stream().anyMatch(one -> one.getName().equals(name)));
    passed("list");
    Dataset changed = door.updateDataset(dataset.toBuilder().setDisplayName("after").build(), "display_name");
    check("update", changed.getDisplayName().equals("after"));
    passed("update");
  }

  static void train(Door door, String parent, String name) throws Exception {
    Model model =
        Model.newBuilder()
            .setDisplayName("from_java")
            .setDatasetId(name.substring(name.lastIndexOf('/') + 1))
            .setImageClassificationModelMetadata(
                ImageClassificationModelMetadata.newBuilder()
                    .setModelType("cloud")
                    .setTrainBudgetMilliNodeHours(1000))
            .build();
    Operation training = door.createModel(parent, model);
    check("train", training.getName().matches(".*/operations/ICN\\d+"));
    check("metadata", training.getMetadata().unpack(OperationMetadata.class).hasCreateModelDetails());
    passed("train");
    check("operation", door.getOperation(training.getName()).getName().equals(training.getName()));
    passed("operation");
    door.cancelOperation(training.getName());
    check("cancel", done(door, training).getError().getCode() == Status.Code.CANCELLED.value());
    passed("cancel");
    door.deleteOperation(training.getName());
    passed("delete_operation");
  }

  static void end(Door door, String name) throws Exception {
    succeeded(door, door.deleteDataset(name));
    passed("delete");
    try {
      door.getDataset(name);
    } catch (StatusRuntimeException error) {
      check("refused", error.getStatus().getCode() == Status.Code.NOT_FOUND && error.getMessage().contains("not found"));
      passed("refused");
    }
  }

  public static void main(String[] arguments) throws Exception {
    for (String pair : arguments) {
      GIVEN.put(pair.substring(0, pair.indexOf('=')), pair.substring(pair.indexOf('=') + 1));
    }
    Door door = GIVEN.get("door").equals("grpc") ? new OverGrpc() : new OverRest();
    String parent = GIVEN.get("parent");
    String name = filled(door, parent);
    read(door, parent, name);
    train(door, parent, name);
    end(door, name);
    System.exit(0); // threads of the channel live on
  }
}
