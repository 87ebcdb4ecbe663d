"""Tables, constraints and indexes. CHECK constraints are built from `states`; times are integer microseconds UTC.

What is changed here needs a migration in `migrations/versions`; a test compares the two.
"""

import sqlalchemy as sa

from boxwright import kinds, states
from boxwright.metadata import columns

metadata = sa.MetaData()

# lists by name have the same order in every database, whatever its locale
_BY_BYTES = sa.String(128).with_variant(sa.String(128, collation="C"), "postgresql")
_FILE_NAME = sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")  # short enough for an index
_TERMINAL = ", ".join(f"'{state}'" for state in sorted(states.OPERATION_TERMINAL))

datasets = sa.Table(
    "datasets",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("project", sa.String(128), nullable=False),
    sa.Column("location", sa.String(64), nullable=False),
    sa.Column("display_name", sa.String(32), nullable=False),
    sa.Column("description", sa.Text, nullable=False, default=""),
    sa.Column("metadata_member", sa.String(80), nullable=False),  # name of the oneof member that is set
    sa.Column("metadata_bytes", sa.LargeBinary, nullable=False, default=b""),  # that member, serialised
    sa.Column("labels", sa.JSON, nullable=False),
    sa.Column("etag", sa.String(40), nullable=False),
    sa.Column("create_time_us", sa.BigInteger, nullable=False),
    sa.Column("update_time_us", sa.BigInteger, nullable=False),
    sa.Column("example_count", sa.Integer, nullable=False, default=0),
    sa.Column("content_version", sa.BigInteger, nullable=False, server_default="0"),  # grows with what is in it
    sa.Index("datasets_newest_first", "project", "location", "create_time_us", "id"),
)

annotation_specs = sa.Table(
    "annotation_specs",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("dataset_id", sa.String(40), nullable=False),
    sa.Column("display_name", _BY_BYTES, nullable=False),
    sa.Column("colour", sa.String(7), nullable=False, server_default=sa.text("''")),  # #rrggbb; empty: none chosen
    sa.Column("hot_key", sa.String(1), nullable=False, server_default=sa.text("''")),  # empty: none
    sa.UniqueConstraint("dataset_id", "display_name", name="one_spec_per_label"),
)

examples = sa.Table(
    "examples",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("dataset_id", sa.String(40), nullable=False),
    *columns.image_columns(),
    sa.Column("state", sa.String(16), nullable=False, server_default=states.ExampleState.LABELED.value),
    # member that has changed it last; empty: anybody, or nobody since the import
    sa.Column("author", sa.String(320), nullable=False, server_default=sa.text("''")),
    sa.Column("update_time_us", sa.BigInteger, nullable=False, server_default="0"),  # 0: not since the import
    sa.Column("display_name", _FILE_NAME, nullable=False, server_default=sa.text("''")),
    sa.Column("annotation_count", sa.Integer, nullable=False, server_default="0"),
    sa.Column("min_edge_px", sa.Float),  # shortest edge of its boxes; null: it has none
    # the change of many examples that left it as it is; empty: none, or it was changed since
    sa.Column("change_id", sa.String(40), nullable=False, server_default=sa.text("''")),
    columns.one_of("ml_use", states.MlUse),
    columns.one_of("state", states.ExampleState),
    sa.UniqueConstraint("dataset_id", "sha256", name="one_example_per_content"),
    sa.Index("examples_of_dataset", "dataset_id", "id"),
    sa.Index("examples_by_display_name", "dataset_id", "display_name", "id"),
    sa.Index("examples_by_update_time", "dataset_id", "update_time_us", "id"),
    sa.Index("examples_by_boxes", "dataset_id", "annotation_count", "id"),
)

annotations = sa.Table(
    "annotations",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("example_id", sa.Integer, nullable=False, index=True),
    sa.Column("annotation_spec_id", sa.String(40), nullable=False, index=True),
    *columns.corners(),
    sa.Column("source", sa.String(16), nullable=False, server_default=states.AnnotationSource.IMPORTED.value),
    sa.Column("score", sa.Float),  # that a model gave it, [0, 1]; null: none did, or it is not known
    columns.one_of("source", states.AnnotationSource),
    sa.Index("annotations_of_spec", "annotation_spec_id", "example_id"),
)

changes = sa.Table(  # changes of many examples, which can be taken back
    "changes",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("dataset_id", sa.String(40), nullable=False),
    sa.Column("create_time_us", sa.BigInteger, nullable=False),
    sa.Column("example_count", sa.Integer, nullable=False),
    sa.Column("has_deleted", sa.Boolean, nullable=False),  # whether it took the examples out of the dataset
    sa.Column("specs", sa.JSON, nullable=False),  # of the former annotations: [[id, display name, colour, hot key], …]
    sa.Index("changes_of_dataset", "dataset_id", "create_time_us"),
)

former_examples = sa.Table(  # examples as they were before a change
    "former_examples",
    metadata,
    sa.Column("change_id", sa.String(40), primary_key=True),
    sa.Column("example_id", sa.Integer, primary_key=True, autoincrement=False),
    *columns.image_columns(),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("author", sa.String(320), nullable=False),
    sa.Column("update_time_us", sa.BigInteger, nullable=False),
    sa.Column("display_name", _FILE_NAME, nullable=False),
    sa.Column("former_change_id", sa.String(40), nullable=False),
)

former_annotations = sa.Table(  # their annotations
    "former_annotations",
    metadata,
    sa.Column("change_id", sa.String(40), primary_key=True),
    sa.Column("annotation_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("example_id", sa.Integer, nullable=False),
    sa.Column("annotation_spec_id", sa.String(40), nullable=False),
    *columns.corners(),
    sa.Column("source", sa.String(16), nullable=False),
    sa.Column("score", sa.Float),
)

models = sa.Table(
    "models",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("project", sa.String(128), nullable=False),
    sa.Column("location", sa.String(64), nullable=False),
    sa.Column("display_name", sa.String(32), nullable=False),
    sa.Column("dataset_id", sa.String(40), nullable=False),
    sa.Column("model_type", sa.String(40), nullable=False),
    sa.Column("labels", sa.JSON, nullable=False),
    sa.Column("etag", sa.String(40), nullable=False),
    sa.Column("create_time_us", sa.BigInteger, nullable=False),
    sa.Column("update_time_us", sa.BigInteger, nullable=False),
    sa.Column("deployment_state", sa.String(16), nullable=False),
    sa.Column("node_count", sa.Integer, nullable=False, default=0),
    sa.Column("stop_reason", sa.String(32), nullable=False),
    sa.Column("train_budget_milli_node_hours", sa.BigInteger, nullable=False),
    sa.Column("train_cost_milli_node_hours", sa.BigInteger, nullable=False),
    sa.Column("folder", sa.String(200), nullable=False),  # below the models folder of the service's state
    sa.Column(  # name of the oneof member that is set
        "metadata_member", sa.String(80), nullable=False, server_default=kinds.OBJECT_DETECTION.model_member
    ),
    sa.Column("base_model_id", sa.String(40), nullable=False, server_default=sa.text("''")),  # empty: none
    columns.one_of("deployment_state", states.DeploymentState),
    sa.Index("models_newest_first", "project", "location", "create_time_us", "id"),
)

model_evaluations = sa.Table(
    "model_evaluations",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("model_id", sa.String(40), nullable=False, index=True),
    sa.Column("annotation_spec_id", sa.String(40), nullable=False),  # empty: the overall evaluation
    sa.Column("display_name", sa.String(128), nullable=False),
    sa.Column("create_time_us", sa.BigInteger, nullable=False),
    sa.Column("evaluated_example_count", sa.Integer, nullable=False),
    sa.Column("metrics", sa.LargeBinary, nullable=False),  # the message of the model's kind
    sa.UniqueConstraint("model_id", "annotation_spec_id", name="one_evaluation_per_spec"),
)

operations = sa.Table(
    "operations",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("project", sa.String(128), nullable=False),
    sa.Column("location", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(24), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("request", sa.LargeBinary, nullable=False),  # the request message, serialised
    sa.Column("details", sa.LargeBinary, nullable=False),  # OperationMetadata with its details member only
    sa.Column("works_on", sa.String(400), nullable=False, default=""),  # resource name, empty if none
    sa.Column("progress_percent", sa.Integer, nullable=False, default=0),
    sa.Column("partial_failures", sa.JSON, nullable=False),  # [[code, message], …], at most 20
    sa.Column("output_directory", sa.String(2200), nullable=False, default=""),
    sa.Column("response", sa.LargeBinary),  # google.protobuf.Any
    sa.Column("error", sa.LargeBinary),  # google.rpc.Status
    sa.Column("create_time_us", sa.BigInteger, nullable=False, unique=True),
    sa.Column("update_time_us", sa.BigInteger, nullable=False),
    sa.Column("done_time_us", sa.BigInteger),
    sa.Column("cancel_requested_us", sa.BigInteger),
    sa.Column("lease_owner", sa.String(80)),
    sa.Column("lease_epoch", sa.Integer, nullable=False, default=0),
    sa.Column("lease_expires_us", sa.BigInteger),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("queued_time_us", sa.BigInteger, nullable=False, server_default="0"),  # last put in the queue
    sa.Column("plan_of", sa.String(40)),  # id of the operation whose plan it goes on with; null: its plan is its own
    sa.Column("progress", sa.JSON),  # how far it is in numbers, as its runner reports it
    sa.Column("caller", sa.String(320), nullable=False, server_default=sa.text("''")),  # who started it; empty: anybody
    sa.Column("charged_project", sa.String(128), nullable=False, server_default=sa.text("''")),
    sa.Column("caller_groups", sa.Text, nullable=False, server_default=sa.text("'[]'")),  # JSON, a list of members
    sa.Column("priority", sa.String(8), nullable=False, server_default=states.Priority.NORMAL),
    sa.Column("deadline_us", sa.BigInteger),  # null: none
    sa.Column("notify", sa.Text, nullable=False, server_default=sa.text("'[]'")),  # JSON, a list of destinations
    sa.Column("candidates_deleted_us", sa.BigInteger),  # when its candidates had been kept for long enough
    columns.one_of("state", states.OperationState),
    columns.one_of("kind", states.OperationKind),
    sa.CheckConstraint("(lease_owner IS NOT NULL) = (state = 'RUNNING')", name="leased_while_running"),
    sa.CheckConstraint(f"(done_time_us IS NOT NULL) = (state IN ({_TERMINAL}))", name="done_time_when_terminal"),
    sa.CheckConstraint("(response IS NOT NULL) = (state = 'SUCCEEDED')", name="response_when_succeeded"),
    sa.CheckConstraint("(error IS NOT NULL) = (state IN ('FAILED', 'CANCELLED'))", name="error_when_not"),
    sa.Index("operations_newest_first", "project", "location", "create_time_us", "id"),
    sa.Index("operations_to_claim", "state", "kind", "queued_time_us"),
    sa.Index("operations_on_resource", "works_on", "state"),
)

outbox = sa.Table(  # events that are to be delivered
    "outbox",
    metadata,
    sa.Column("operation_id", sa.String(40), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),  # in the order of the operation's events
    sa.Column("destination_number", sa.Integer, primary_key=True, autoincrement=False),  # in the request
    sa.Column("event_id", sa.String(64), nullable=False),
    sa.Column("destination", sa.String(2200), nullable=False),
    sa.Column("project", sa.String(128), nullable=False),
    sa.Column("caller", sa.String(320), nullable=False),  # member that started the operation; empty: anybody
    sa.Column("caller_groups", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("create_time_us", sa.BigInteger, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_us", sa.BigInteger, nullable=False, index=True),  # when it is due; of a claimed one: again
    sa.Column("owner", sa.String(80)),  # who has claimed it last
)

image_days = sa.Table(  # images that batch predictions of a project have worked on, by UTC day
    "image_days",
    metadata,
    sa.Column("project", sa.String(128), primary_key=True),
    sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),  # since 1970-01-01
    sa.Column("images", sa.BigInteger, nullable=False),
)

request_ids = sa.Table(
    "request_ids",
    metadata,
    sa.Column("project", sa.String(128), primary_key=True),
    sa.Column("caller", sa.String(320), primary_key=True),  # member; empty: anybody
    sa.Column("id", sa.String(100), primary_key=True),  # as the caller gave it
    sa.Column("request_sha256", sa.String(64), nullable=False),
    sa.Column("operation_name", sa.String(400), nullable=False),
    sa.Column("create_time_us", sa.BigInteger, nullable=False),
)

accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("member", sa.String(320), nullable=False, unique=True),  # serviceAccount:NAME@PROJECT.boxwright.localhost
    sa.Column("project", sa.String(128), nullable=False),
    sa.Column("display_name", sa.String(100), nullable=False, default=""),
    sa.Column("create_time_us", sa.BigInteger, nullable=False),
    sa.Column("disabled_us", sa.BigInteger),
)

account_keys = sa.Table(
    "account_keys",
    metadata,
    sa.Column("kid", sa.String(128), primary_key=True),
    sa.Column("account_id", sa.String(40), nullable=False, index=True),
    sa.Column("public_jwk", sa.JSON, nullable=False),  # the private half is never here
    sa.Column("create_time_us", sa.BigInteger, nullable=False),
    sa.Column("not_after_us", sa.BigInteger, nullable=False),
    sa.Column("disabled_us", sa.BigInteger),
    sa.Column("last_used_us", sa.BigInteger),  # to the hour
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("sha256", sa.String(64), nullable=False, unique=True),  # of the key, which is never here
    sa.Column("account_id", sa.String(40), nullable=False, index=True),
    sa.Column("hint", sa.String(8), nullable=False),  # its last characters
    sa.Column("permissions", sa.JSON),  # beyond which it gives none; null: it gives all of the account's
    sa.Column("create_time_us", sa.BigInteger, nullable=False),
    sa.Column("not_after_us", sa.BigInteger),
    sa.Column("disabled_us", sa.BigInteger),
)

tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("sha256", sa.String(64), primary_key=True),  # of the token, which is never here
    sa.Column("kind", sa.String(16), nullable=False),  # access or refresh
    sa.Column("member", sa.String(320), nullable=False, index=True),
    sa.Column("key", sa.String(200), nullable=False, default=""),  # what it was given for, as `Caller.key`
    sa.Column("family", sa.String(40), nullable=False, index=True),  # all tokens that come from one sign-in
    sa.Column("member_groups", sa.Text, nullable=False),  # JSON: members that the caller counts as beside its own
    sa.Column("create_time_us", sa.BigInteger, nullable=False),
    sa.Column("expires_us", sa.BigInteger, nullable=False, index=True),
    sa.Column("used_us", sa.BigInteger),  # a refresh token that was used is kept, to notice that it is used again
    sa.Column(
        "actors", sa.Text, nullable=False, server_default=sa.text("'[]'")
    ),  # JSON: who had it given, nearest last
)

providers = sa.Table(
    "providers",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("issuer", sa.String(500), nullable=False),
    sa.Column("audience", sa.String(500), nullable=False),
    sa.Column("jwks_uri", sa.String(1000)),  # where its keys are asked for; NULL: they are in `jwks`
    sa.Column("jwks", sa.JSON(none_as_null=True)),
    sa.Column("email_domains", sa.JSON, nullable=False),  # of the people for whom it speaks
    sa.Column("subject_claim", sa.String(200), nullable=False),
    sa.Column("groups_claim", sa.String(200), nullable=False),  # empty: it says nothing of groups
    sa.Column("required_claims", sa.JSON, nullable=False),  # name → text
    sa.Column("sign_in_s", sa.Integer, nullable=False),  # 0: nobody gets a refresh token
    sa.Column("create_time_us", sa.BigInteger, nullable=False),
    sa.Column("disabled_us", sa.BigInteger),
)

policies = sa.Table(
    "policies",
    metadata,
    sa.Column("resource", sa.String(400), primary_key=True),  # a resource's name, or "installation"
    sa.Column("etag", sa.String(40), nullable=False),
    sa.Column("update_time_us", sa.BigInteger, nullable=False),
)

bindings = sa.Table(
    "bindings",
    metadata,
    sa.Column("resource", sa.String(400), primary_key=True),
    sa.Column("role", sa.String(80), primary_key=True),
    sa.Column("member", sa.String(400), primary_key=True),
    sa.Index("bindings_of_member", "member"),
)

group_members = sa.Table(
    "group_members",
    metadata,
    sa.Column("name", sa.String(320), primary_key=True),  # group:ADDRESS
    sa.Column("member", sa.String(400), primary_key=True),
)

bucket_grants = sa.Table(
    "bucket_grants",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),  # SHA-256 of member and folder: a folder is too long for an index
    sa.Column("member", sa.String(400), nullable=False, index=True),
    sa.Column("scheme", sa.String(16), nullable=False),
    sa.Column("bucket", sa.String(255), nullable=False),
    sa.Column("prefix", sa.Text, nullable=False),  # ends in a slash; empty: all of the bucket
    sa.Column("can_read", sa.Boolean, nullable=False),
    sa.Column("can_write", sa.Boolean, nullable=False),
    sa.Column("create_time_us", sa.BigInteger, nullable=False),
)

access_versions = sa.Table(  # one row at most: what is read once is known to be true until it changes
    "access_versions",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("version", sa.BigInteger, nullable=False),
)

audit_heads = sa.Table(  # how far each audit log has got: a log that ends before has been cut
    "audit_heads",
    metadata,
    sa.Column("instance", sa.String(128), primary_key=True),
    sa.Column("sequence", sa.BigInteger, nullable=False),  # of its last line
    sa.Column("sha256", sa.String(64), nullable=False),  # of that line
    sa.Column("update_time_us", sa.BigInteger, nullable=False),
)

turns = sa.Table(  # when an operation of a project was last claimed: the project that has waited longest is next
    "turns",
    metadata,
    sa.Column("kind", sa.String(24), primary_key=True),
    sa.Column("project", sa.String(128), primary_key=True),
    sa.Column("claim_time_us", sa.BigInteger, nullable=False),
    # turns of its priorities, in quarters of a turn: where the last one began, and where the next of each may
    sa.Column("began", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("high_next", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("normal_next", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("low_next", sa.BigInteger, nullable=False, server_default="0"),
)

periodic_work = sa.Table(  # what one process does for all of them, and when it is due again
    "periodic_work",
    metadata,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("owner", sa.String(128), nullable=False),
    sa.Column("next_us", sa.BigInteger, nullable=False),
)
