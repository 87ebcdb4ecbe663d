// A walk through the AutoML v1 API over REST in C#, with the HttpClient and the JSON reader of the runtime.
// Arguments: name=value. Prints the steps that passed.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Net.Http;
using System.Runtime.Serialization.Json;
using System.Text;
using System.Text.RegularExpressions;
using System.Xml;
using System.Xml.Linq;

static class Walk
{
    const string Metadata = "image_classification_dataset_metadata";
    static readonly HttpClient Client = new HttpClient();
    static Dictionary<string, string> given;

    static void Passed(string step) { Console.WriteLine("passed " + step); }

    static void Check(string step, bool isSo)
    {
        if (!isSo) throw new Exception(step + " is not as it should be");
    }

    class Refused : Exception
    {
        public readonly int Status;
        public Refused(int status, string text) : base(text) { Status = status; }
    }

    static XElement Call(string method, string path, string body = null)
    {
        var request = new HttpRequestMessage(new HttpMethod(method), given["endpoint"] + "/v1/" + path);
        request.Headers.TryAddWithoutValidation("Authorization", "Bearer " + given["token"]);
        if (body != null) request.Content = new StringContent(body.Replace('\'', '"'), Encoding.UTF8, "application/json");
        var answer = Client.SendAsync(request).Result;
        var bytes = answer.Content.ReadAsByteArrayAsync().Result;
        var read = XElement.Load(JsonReaderWriterFactory.CreateJsonReader(bytes, XmlDictionaryReaderQuotas.Max));
        if (answer.IsSuccessStatusCode) return read;
        throw new Refused((int)answer.StatusCode, read.Element("error").Element("message").Value);
    }

    static XElement Done(XElement operation)
    {
        while (operation.Element("done") == null) operation = Call("GET", operation.Element("name").Value);
        return operation;
    }

    static XElement Succeeded(XElement operation)
    {
        var response = Done(operation).Element("response");
        Check("an operation", response != null);
        return response;
    }

    static string Created()
    {
        var body = "{'displayName': 'from_csharp', 'imageClassificationDatasetMetadata': {'classificationType': 'MULTICLASS'}}";
        var name = Succeeded(Call("POST", given["parent"] + "/datasets", body)).Element("name").Value;
        Check("create", Regex.IsMatch(name, @"/datasets/ICN\d+$"));
        Passed("create");
        Succeeded(Call("POST", name + ":importData", "{'inputConfig': {'gcsSource': {'inputUris': ['" + given["csv"] + "']}}}"));
        Passed("import");
        return name;
    }

    static void Read(string name)
    {
        var dataset = Call("GET", name);
        Check("count", dataset.Element("exampleCount").Value == "24");
        var kind = dataset.Element("imageClassificationDatasetMetadata");
        Check("type", kind.Element("classificationType").Value == "MULTICLASS");
        Passed("get");
        var listed = Call("GET", given["parent"] + "/datasets?pageSize=50&filter=" + Uri.EscapeDataString(Metadata + ":*"));
        Check("list", listed.Element("datasets").Elements().Any(one => one.Element("name").Value == name));
        Passed("list");
        var changed = Call("PATCH", name + "?updateMask=displayName", "{'displayName': 'after'}");
        Check("update", changed.Element("displayName").Value == "after");
        Passed("update");
    }

    static void Train(string name)
    {
        var body = "{'displayName': 'from_csharp', 'datasetId': '" + name.Split('/').Last() + "', "
            + "'imageClassificationModelMetadata': {'modelType': 'cloud', 'trainBudgetMilliNodeHours': '1000'}}";
        var operation = Call("POST", given["parent"] + "/models", body);
        var training = operation.Element("name").Value;
        Check("train", Regex.IsMatch(training, @"/operations/ICN\d+$"));
        Check("metadata", operation.Element("metadata").Element("createModelDetails") != null);
        Passed("train");
        Check("operation", Call("GET", training).Element("name").Value == training);
        Passed("operation");
        Call("POST", training + ":cancel", "{}");
        Check("cancel", Done(operation).Element("error").Element("code").Value == "1");
        Passed("cancel");
        Call("DELETE", training);
        Passed("delete_operation");
    }

    static void End(string name)
    {
        Succeeded(Call("DELETE", name));
        Passed("delete");
        try
        {
            Call("GET", name);
        }
        catch (Refused error)
        {
            Check("refused", error.Status == 404 && error.Message.Contains("not found"));
            Passed("refused");
        }
    }

    static void Main(string[] arguments)
    {
        given = arguments.ToDictionary(one => one.Substring(0, one.IndexOf('=')), one => one.Substring(one.IndexOf('=') + 1));
        var name = Created();
        Read(name);
        Train(name);
        End(name);
    }
}
