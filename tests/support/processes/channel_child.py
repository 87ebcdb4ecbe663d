"""A child of many jobs that predicts nothing: what it does with a job is the name of the job's output folder."""

from __future__ import annotations

import os
import sys
import threading

from boxwright.batch.channels import DROP, parsed
from boxwright.batch.events import Events
from boxwright.batch.job import BatchJob, command_from_json


def main() -> None:
    """Runs until standard input ends."""
    jobs: dict[int, str] = {}
    for line in sys.stdin:
        channel, command = parsed(line)
        events = Events(channel)
        if command == "stop":
            events.say("stopped")
        elif command == DROP:
            Events(max(jobs.keys() - {channel})).say("heard", dropped=channel)  # the borrower before it hears of it
        else:
            job = command_from_json(command)
            assert isinstance(job, BatchJob)
            jobs[channel] = job.spec.output_directory
            match job.spec.output_directory:
                case "die":
                    os._exit(3)
                case "hang":
                    threading.Event().wait()
                case "fail":
                    events.say("died", reason="of an error")
                case "wait":
                    events.say("begun", pid=os.getpid())
                case "finish":
                    events.say("done", pid=os.getpid())


if __name__ == "__main__":
    main()
