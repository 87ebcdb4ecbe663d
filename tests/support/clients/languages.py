"""Programs in Java, Ruby, PHP and C#: the Debian packages that they need, and how they are made ready to run.

Google's clients for these languages are in the registries of the languages, not in Debian. Java, Ruby and PHP use the
messages (Java and Ruby also the gRPC stubs) that protoc makes from the `.proto` files that Google's Node client brings.
"""

from __future__ import annotations

import dataclasses
import pathlib
import shutil
import subprocess
from collections.abc import Mapping

from tests.support.services.tls_process import clean_environment

SOURCES = pathlib.Path(__file__).parents[2] / "compatibility" / "languages"
JARS = pathlib.Path("/usr/share/java")
PACKAGES: Mapping[str, tuple[str, ...]] = {
    "java": (
        "default-jdk-headless", "protobuf-compiler", "protobuf-compiler-grpc-java-plugin", "libgrpc-java",
        "libnetty-java", "libprotobuf-java", "libperfmark-java", "libgoogle-gson-java", "libguava-java",
        "libjsr305-java", "libgeronimo-annotation-1.3-spec-java", "libnetty-tcnative-java",
    ),
    "ruby": ("ruby", "ruby-grpc", "ruby-googleauth", "protobuf-compiler", "protobuf-compiler-grpc"),
    "php": ("php-cli", "php-curl", "php-bcmath", "php-google-protobuf", "protobuf-compiler"),
    "csharp": (
        "mono-mcs", "libmono-system-net-http4.0-cil", "libmono-system-runtime-serialization4.0-cil",
        "libmono-system-xml-linq4.0-cil", "openssl",
    ),
}  # fmt: skip
CLASSPATH = (
    "grpc-api", "grpc-context", "grpc-core", "grpc-netty", "grpc-protobuf", "grpc-protobuf-lite", "grpc-stub",
    "protobuf", "protobuf-util", "guava", "gson", "jsr305", "perfmark-api", "geronimo-annotation-1.3-spec",
    "netty-buffer", "netty-codec", "netty-codec-http", "netty-codec-http2", "netty-common", "netty-handler",
    "netty-resolver", "netty-tcnative", "netty-transport",
)  # fmt: skip
ASSEMBLIES = ("System.Net.Http", "System.Runtime.Serialization", "System.Xml", "System.Xml.Linq")


@dataclasses.dataclass(frozen=True)
class Program:
    """A program that is ready to run.

    Attributes:
        command: its words; arguments follow.
        environment: variables that it needs.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def run(self, timeout_s: float, settings: Mapping[str, str], **given: str) -> subprocess.CompletedProcess[str]:
        """Runs it with arguments of the form ``name=value``, and more variables."""
        arguments = [f"{name}={value}" for name, value in given.items()]
        environment = clean_environment() | dict(self.environment) | dict(settings)
        return subprocess.run(
            [*self.command, *arguments], env=environment, capture_output=True, text=True, timeout=timeout_s, check=False
        )


def made_ready(language: str, node_modules: pathlib.Path, folder: pathlib.Path) -> Program:
    """Generates and compiles what a language's program needs.

    Args:
        language: one of `PACKAGES`.
        node_modules: where Google's Node client is installed.
        folder: for what is made; empty.
    """
    if language == "java":
        _protoc(node_modules, folder, "java", "--grpc-java_out", "grpc_java_plugin")
        classpath = ":".join(str(JARS / f"{name}.jar") for name in CLASSPATH)
        classes = str(folder / "classes")
        source = str(SOURCES / "Walk.java")
        _must("javac", "-nowarn", "-cp", classpath, "-d", classes, "-sourcepath", str(folder), source)
        # Debian's netty has no ALPN without this library, which it looks for under another name than Debian's
        (native,) = pathlib.Path("/usr/lib").glob("*/jni/libnetty-tcnative.so")
        shutil.copy(native, folder / "libnetty_tcnative.so")
        return Program(("java", f"-Djava.library.path={folder}", "-cp", f"{classes}:{classpath}", "Walk"))
    if language == "ruby":
        _protoc(node_modules, folder, "ruby", "--grpc-ruby_out", "grpc_ruby_plugin")
        return Program(("ruby", f"-I{folder}", str(SOURCES / "walk.rb")))
    if language == "php":
        _protoc(node_modules, folder, "php")
        return Program(("php", str(SOURCES / "walk.php")), {"GENERATED": str(folder)})
    references = [f"-r:{name}" for name in ASSEMBLIES]
    _must("mcs", f"-out:{folder / 'Walk.exe'}", *references, str(SOURCES / "Walk.cs"))
    return Program(("mono", str(folder / "Walk.exe")))


def mono_trust(folder: pathlib.Path, authority: pathlib.Path) -> dict[str, str]:
    """Makes a store of the certificates that Mono trusts, as `cert-sync` does; returns the variable that names it."""
    named = ["openssl", "x509", "-noout", "-subject_hash", "-in", str(authority)]
    digest = subprocess.run(named, capture_output=True, text=True, check=True).stdout.strip()
    store = folder / ".mono" / "new-certs" / "Trust"
    store.mkdir(parents=True)
    shutil.copy(authority, store / f"{digest}.0")
    return {"XDG_CONFIG_HOME": str(folder)}


def _protoc(node_modules: pathlib.Path, folder: pathlib.Path, language: str, flag: str = "", plugin: str = "") -> None:
    """Makes messages, and stubs if a plugin is named, of AutoML and of what its files import."""
    client, shared = (node_modules / name / "build" / "protos" for name in ("@google-cloud/automl", "google-gax"))
    files = [str(path.relative_to(client)) for path in sorted(client.glob("google/cloud/automl/v1/*.proto"))]
    names = ("annotations", "http", "client", "field_behavior", "resource", "launch_stage")
    files += [f"google/api/{name}.proto" for name in names]
    files += ["google/longrunning/operations.proto", "google/rpc/status.proto"]
    stubs = [f"{flag}={folder}", f"--plugin=protoc-gen-{flag[2:-4]}=/usr/bin/{plugin}"] if plugin else []
    _must("protoc", f"-I{client}", f"-I{shared}", f"--{language}_out={folder}", *stubs, *files)


def _must(*command: str) -> None:
    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, f"{command[0]}: {done.stderr or done.stdout}"
