"""Google's Python clients call every method: sync and async, gRPC and REST, plain and over TLS."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.auth import credentials
from google.cloud import automl_v1
from google.cloud.automl_v1.services.auto_ml import transports as automl_transports
from google.cloud.automl_v1.services.prediction_service import transports as prediction_transports
from tests.support.clients import scene
from tests.support.clients.python_walk import Walk, walk_everywhere
from tests.support.predictions.tiny_model import TinyModel


@contextlib.asynccontextmanager
async def clients(kind: str, target: str, url: str, authority: bytes | None) -> AsyncIterator[tuple[Any, Any]]:
    """Both clients of a kind: ``grpc``, ``rest`` or ``async``."""
    trust = grpc.ssl_channel_credentials(authority) if authority else None
    if kind == "async":
        opened = grpc.aio.secure_channel(target, trust) if trust else grpc.aio.insecure_channel(target)
        async with opened as channel:
            automl = automl_transports.AutoMlGrpcAsyncIOTransport(channel=channel)
            prediction = prediction_transports.PredictionServiceGrpcAsyncIOTransport(channel=channel)
            yield (
                automl_v1.AutoMlAsyncClient(transport=automl),
                automl_v1.PredictionServiceAsyncClient(transport=prediction),
            )
    elif kind == "grpc":
        with grpc.secure_channel(target, trust) if trust else grpc.insecure_channel(target) as channel:
            yield (
                automl_v1.AutoMlClient(transport=automl_transports.AutoMlGrpcTransport(channel=channel)),
                automl_v1.PredictionServiceClient(
                    transport=prediction_transports.PredictionServiceGrpcTransport(channel=channel)
                ),
            )
    else:
        how = {"credentials": credentials.AnonymousCredentials(), "client_options": {"api_endpoint": url}}
        with (
            automl_v1.AutoMlClient(transport="rest", **how) as automl,
            automl_v1.PredictionServiceClient(transport="rest", **how) as prediction,
        ):
            yield automl, prediction


async def walk(kind: str, target: str, url: str, authority: bytes | None, stage: scene.Scene) -> None:
    async with clients(kind, target, url, authority) as (automl, prediction):
        parent = f"projects/walk-{kind}-{'tls' if authority else 'plain'}/locations/us-central1"
        await walk_everywhere(Walk(automl, prediction, stage, parent))


@pytest.mark.parametrize("kind", ["grpc", "rest", "async"])
def test_every_method_without_tls(service: Any, tiny_model: TinyModel, kind: str) -> None:
    with service.channel() as channel:
        stage = scene.prepare(service, channel, tiny_model)
    asyncio.run(walk(kind, service.grpc_target, service.url, None, stage))


@pytest.mark.parametrize("kind", ["grpc", "rest", "async"])
def test_every_method_with_tls(
    env_service: Any, tiny_model: TinyModel, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    authority = env_service.authority.read_bytes()
    target = f"localhost:{env_service.grpc_port}"
    with grpc.secure_channel(target, grpc.ssl_channel_credentials(authority)) as channel:
        stage = scene.prepare(env_service, channel, tiny_model)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(env_service.authority))
    asyncio.run(walk(kind, target, env_service.url, authority, stage))
