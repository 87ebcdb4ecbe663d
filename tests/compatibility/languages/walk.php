<?php
// A walk through the AutoML v1 API over REST in PHP: the messages are those that protoc makes from Google's own files, and
// their JSON is what Google's client sends over REST. Arguments: name=value. Prints the steps that passed.

use Google\Cloud\AutoMl\V1\ClassificationType;
use Google\Cloud\AutoMl\V1\CreateDatasetRequest;
use Google\Cloud\AutoMl\V1\Dataset;
use Google\Cloud\AutoMl\V1\GcsSource;
use Google\Cloud\AutoMl\V1\ImageClassificationDatasetMetadata;
use Google\Cloud\AutoMl\V1\ImageClassificationModelMetadata;
use Google\Cloud\AutoMl\V1\ImportDataRequest;
use Google\Cloud\AutoMl\V1\InputConfig;
use Google\Cloud\AutoMl\V1\ListDatasetsResponse;
use Google\Cloud\AutoMl\V1\Model;
use Google\Cloud\AutoMl\V1\OperationMetadata;
use Google\LongRunning\Operation;
use Google\Protobuf\Internal\Message;

spl_autoload_register(function (string $class): void {
    foreach ([getenv('GENERATED'), '/usr/share/php'] as $folder) {
        $file = $folder . '/' . str_replace('\\', '/', $class) . '.php';
        if (is_file($file)) {
            require_once $file;
            return;
        }
    }
});

$given = [];
foreach (array_slice($argv, 1) as $pair) {
    [$key, $value] = explode('=', $pair, 2);
    $given[$key] = $value;
}

function passed(string $step): void
{
    echo "passed $step\n";
}

function check(string $step, bool $is): void
{
    if (!$is) {
        throw new Exception("$step is not as it should be");
    }
}

function call(string $method, string $path, Message $answer, ?string $body = null): Message
{
    global $given;
    $curl = curl_init("{$given['endpoint']}/v1/$path");
    $headers = ["Authorization: Bearer {$given['token']}", 'Content-Type: application/json'];
    curl_setopt_array($curl, [
        CURLOPT_CUSTOMREQUEST => $method, CURLOPT_HTTPHEADER => $headers, CURLOPT_RETURNTRANSFER => true,
    ]);
    if (isset($given['ca'])) {
        curl_setopt($curl, CURLOPT_CAINFO, $given['ca']);
    }
    if ($body !== null) {
        curl_setopt($curl, CURLOPT_POSTFIELDS, $body);
    }
    $text = curl_exec($curl);
    check("the connection ($text" . curl_error($curl) . ')', $text !== false);
    $status = curl_getinfo($curl, CURLINFO_RESPONSE_CODE);
    if ($status !== 200) {
        throw new RuntimeException(json_decode($text, true)['error']['message'], $status);
    }
    $answer->mergeFromJsonString($text, true);
    return $answer;
}

function done(Operation $operation): Operation
{
    while (!$operation->getDone()) {
        $operation = call('GET', $operation->getName(), new Operation());
    }
    return $operation;
}

function succeeded(Operation $operation): ?Message
{
    $operation = done($operation);
    check($operation->getName(), $operation->getResult() === 'response');
    return $operation->getResponse()->unpack();
}

// what Any holds is found by its descriptor, which a class brings when it is first used
new Dataset();
new OperationMetadata();
new Google\Protobuf\GPBEmpty();
$parent = $given['parent'];

$kind = new ImageClassificationDatasetMetadata(['classification_type' => ClassificationType::MULTICLASS]);
$request = new CreateDatasetRequest(['parent' => $parent]);
$request->setDataset(new Dataset(['display_name' => 'from_php', 'image_classification_dataset_metadata' => $kind]));
$body = $request->getDataset()->serializeToJsonString();
$name = succeeded(call('POST', "$parent/datasets", new Operation(), $body))->getName();
check('create', preg_match('#/datasets/ICN\d+$#', $name) === 1);
passed('create');

$source = new GcsSource(['input_uris' => [$given['csv']]]);
$request = new ImportDataRequest(['name' => $name, 'input_config' => new InputConfig(['gcs_source' => $source])]);
succeeded(call('POST', "$name:importData", new Operation(), $request->serializeToJsonString()));
passed('import');

$dataset = call('GET', $name, new Dataset());
check('count', $dataset->getExampleCount() === 24);
$type = $dataset->getImageClassificationDatasetMetadata()->getClassificationType();
check('type', $type === ClassificationType::MULTICLASS);
passed('get');

$query = http_build_query(['filter' => 'image_classification_dataset_metadata:*', 'pageSize' => 50]);
$listed = call('GET', "$parent/datasets?$query", new ListDatasetsResponse());
$names = array_map(fn ($one) => $one->getName(), iterator_to_array($listed->getDatasets()));
check('list', in_array($name, $names, true));
passed('list');

$dataset->setDisplayName('after');
$changed = call('PATCH', "$name?updateMask=displayName", new Dataset(), $dataset->serializeToJsonString());
check('update', $changed->getDisplayName() === 'after');
passed('update');

$kind = new ImageClassificationModelMetadata(['model_type' => 'cloud', 'train_budget_milli_node_hours' => 1000]);
$model = new Model(['display_name' => 'from_php', 'dataset_id' => basename($name)]);
$model->setImageClassificationModelMetadata($kind);
$training = call('POST', "$parent/models", new Operation(), $model->serializeToJsonString());
check('train', preg_match('#/operations/ICN\d+$#', $training->getName()) === 1);
check('metadata', $training->getMetadata()->unpack()->getDetails() === 'create_model_details');
passed('train');
$seen = call('GET', $training->getName(), new Operation());
check('operation', $seen->getName() === $training->getName());
passed('operation');
call('POST', "{$training->getName()}:cancel", new Google\Protobuf\GPBEmpty(), '{}');
check('cancel', done($training)->getError()->getCode() === 1);
passed('cancel');
call('DELETE', $training->getName(), new Google\Protobuf\GPBEmpty());
passed('delete_operation');

succeeded(call('DELETE', $name, new Operation()));
passed('delete');
try {
    call('GET', $name, new Dataset());
} catch (RuntimeException $error) {
    check('refused', $error->getCode() === 404 && str_contains($error->getMessage(), 'not found'));
    passed('refused');
}
