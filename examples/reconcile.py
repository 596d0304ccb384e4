"""Plan what a hooks file declares and, with --apply, apply it. See docs/library.md."""

import signal
import sys
import threading

import hooksync


def main(arguments: list[str]) -> int:
    """Return the exit code that the command would have."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())  # hooksync handles no signal by itself
    try:
        inputs = hooksync.load("hooks.yaml", stop=stop)
        plan = hooksync.plan(inputs)
        print(inputs.render(plan, "text"), end="")
        for problem in (*plan.warnings, *plan.all_refusals):
            print(f"note: {problem.what}")
        if "--apply" not in arguments or not plan.has_changes:
            return plan.exit_code
        report = hooksync.apply(inputs, plan)
    except hooksync.HooksyncError as error:
        for problem in error.problems:
            print(f"error: {problem.what}\n  fix: {problem.fix}")
        return error.exit_code
    for step in report.steps:
        result = step.outcome.result if step.outcome else "planned"
        print(f"{result}: {step.action} {step.address or step.id}")
    print(inputs.render(report, "text"), end="")
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
