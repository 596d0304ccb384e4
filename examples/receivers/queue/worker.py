"""Work on the events in the queue, one after the other, until stopped."""

import time
import traceback

from event_queue import Queue

from hooksync.receiver import Event

PAUSE = 0.5  # seconds between two looks into an empty queue


def work(event: Event) -> None:
    """Your code. If this raises, the event is tried again later."""
    for entity in event.get("events", []):
        print(event.get("trigger"), entity["entityType"], entity["entityRef"], flush=True)


def work_off(queue: Queue) -> None:
    """Work on all that is due."""
    while taken := queue.take():
        key, event = taken
        try:
            work(event)
        except Exception:
            traceback.print_exc()
            queue.failed(key)
        else:
            queue.done(key)


if __name__ == "__main__":
    while True:
        work_off(Queue())
        time.sleep(PAUSE)
