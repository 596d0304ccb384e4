"""hooksync makes the webhook subscriptions of Preservica tenancies match a YAML file.

As a library: `load` hooks files, `plan` what they declare, `apply` the plan.
Errors are raised as `HooksyncError`. The public names are these and those of
`hooksync.receiver`; docs/library.md describes them. They are loaded on the first use of one of
them, so that the command starts fast.
"""

__version__ = "0.9.0"
__all__ = [
    "HooksyncError",
    "Inputs",
    "Options",
    "Plan",
    "Problem",
    "Step",
    "TenancyPlan",
    "apply",
    "load",
    "plan",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hooksync.api.run import (
        HooksyncError,
        Inputs,
        Options,
        Plan,
        Problem,
        Step,
        TenancyPlan,
        apply,
        load,
        plan,
    )


def __getattr__(name: str) -> object:
    """Load one of the public names."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from hooksync.api import run

    return getattr(run, name)
