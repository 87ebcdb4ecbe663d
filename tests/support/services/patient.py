"""Boxwright's command line that measures how many processes suit a machine also while that machine does other things.

What it measures may then say little; that it measures, keeps and uses it can be tested anywhere.
"""

import sys

CLI = [
    sys.executable,
    "-c",
    "import sys; from boxwright import cli; from boxwright.batch.tuning import scheduler, tuning_file; "
    "scheduler.LIMITS = tuning_file.MeasurementLimits(time_s=300.0, cores_share=0.0, window_s=1.0); sys.exit(cli.main())",
]
