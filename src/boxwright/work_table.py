"""Who does which kind of work, built from the settings."""

from __future__ import annotations

import functools

from boxwright import derived_settings, objects, states
from boxwright.batch.child_pool import Children
from boxwright.batch.tuning.scheduler import Tuner
from boxwright.inference.model_store import ModelFolders
from boxwright.metadata import database
from boxwright.operations import runner
from boxwright.runners import (
    batch_predict,
    delete_dataset,
    dry_run,
    export,
    import_data,
    import_model,
    plan_folders,
    train_model,
)
from boxwright.services import added_results, model_imports, resources, uploads, validation
from boxwright.settings import Settings
from boxwright.telemetry.metrics import Metrics
from boxwright.weights import installed

Kind = states.OperationKind


def build_runners(
    settings: Settings,
    db: database.Database,
    stores: objects.Stores,
    folders: ModelFolders,
    children: Children,
    tuner: Tuner,
    plans: plan_folders.PlanFolders,
    counted: Metrics,
) -> dict[Kind, runner.Runner]:
    """Who does which kind of work."""
    work_dir = settings.storage.data_dir / "work"
    return {
        Kind.IMPORT_DATA: import_data.ImportData(
            db,
            stores,
            work_dir,
            row_failure_limit=settings.operations.import_row_failure_limit,
            threads=settings.operations.cores,
            image_timeout_s=settings.batch.image_timeout_s,
            new_digits=resources.random_digits,
            is_reviewed=validation.is_reviewed,
            has_wide_box_limits=validation.has_wide_box_limits,
            is_unlabelled=validation.is_unlabelled,
            added=added_results.of_import,
        ),
        Kind.CREATE_MODEL: train_model.TrainModel(
            db,
            stores,
            work_dir,
            folders,
            _training_limits(settings),
            resources.random_digits,
            counted,
        ),
        Kind.BATCH_PREDICT: batch_predict.BatchPredict(
            db,
            stores,
            plans,
            folders,
            children,
            tuner,
            derived_settings.output_settings(settings),
            derived_settings.machine_share(settings),
            dry_run.DryRuns(children, settings.batch.price_per_core_hour),
            validation.batch_params,
            counted,
        ),
        Kind.IMPORT_MODEL: _model_importer(settings, db, stores, folders),
        Kind.DELETE_DATASET: delete_dataset.DeleteDataset(
            db, uploads.UploadFolder(stores, *derived_settings.upload_folder(settings.storage))
        ),
        Kind.EXPORT_DATA: export.ExportData(db, stores),
        Kind.EXPORT_MODEL: export.ExportModel(db, stores, folders),
    }


def _training_limits(settings: Settings) -> train_model.TrainingLimits:
    """What the settings say about every training."""
    return train_model.TrainingLimits(
        train_minutes_max=settings.training.minutes_max,
        threads=settings.operations.cores,
        cache_bytes=settings.training.cache_bytes,
        seed=settings.training.seed,
        pretrained=settings.training.pretrained,
        keep_best=settings.training.keep_best,
        state_every_s=settings.training.state_every_s,
        unlabelled_as_negative=settings.training.unlabelled_as_negative,
        weights_dir=installed.folder_if_any(settings.training.weights_dir),
    )


def _model_importer(
    settings: Settings, db: database.Database, stores: objects.Stores, folders: ModelFolders
) -> import_model.ImportModel:
    """Who imports networks that were trained elsewhere."""
    chosen = settings.operations
    limits = import_model.ImportLimits(
        memory_bytes=chosen.import_model_bytes, timeout_s=chosen.import_model_timeout_s, threads=chosen.cores
    )
    read_files = functools.partial(model_imports.files, schemes=settings.storage.choices.served)
    reader = import_model.RequestReader(read_files, model_imports.params)
    work_dir = settings.storage.data_dir / "work"
    return import_model.ImportModel(db, stores, work_dir, folders, limits, reader, resources.random_digits)
