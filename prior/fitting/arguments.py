"""The options of a program that say how poses are aligned: one for each field of Method."""

import argparse
from dataclasses import fields
from typing import Any

from prior.fitting.alignment import AS_PUBLISHED, FACTORISATIONS, SOLVERS, Method


def add_method(parser: argparse.ArgumentParser) -> None:
    """Add --as-published and the options for the fields of Method, for `method_of`."""
    group = parser.add_argument_group(
        "alignment", "How yaws, mean and basis are learned (equation 1)."
    )
    group.add_argument(
        "--as-published",
        action="store_true",
        help="all of these as in the paper, but for those that are named too",
    )
    yes_no = argparse.BooleanOptionalAction
    _add(
        group,
        "solver",
        "solve for the yaws with Ceres, started in both valleys of a pose (ceres), at its last yaw "
        "alone (ceres-one-start), or there but for the yaw and the coefficients together "
        "(ceres-joint); or compute the global minimum without Ceres (closed-form)",
        choices=SOLVERS,
    )
    _add(
        group,
        "factorisation",
        "start from Tomasi-Kanade factorisation in complex numbers, of rank 1, or in real ones, of "
        "rank 2",
        choices=FACTORISATIONS,
    )
    _add(group, "annealed", "let the basis grow from 1 to J", "annealing", action=yes_no)
    _add(group, "alternations", "at each basis size below J", type=int, metavar="N")
    _add(
        group,
        "tolerance",
        "stop at J when an alternation gains less, nats a pose",
        type=float,
        metavar="NATS",
    )
    _add(group, "limit", "most alternations at J", type=int, metavar="N")
    _add(
        group,
        "extrapolate",
        "extrapolate the yaws after every two alternations at J",
        "extrapolation",
        action=yes_no,
    )
    _add(
        group,
        "first",
        "of more poses than N, align N first and then all; 0: all at once",
        type=int,
        metavar="N",
    )


def _add(group: Any, field: str, text: str, option: str | None = None, **how: Any) -> None:
    """Add the option for a field; `option`: its name where that is not the field's."""
    default, published = (
        str({True: "yes", False: "no"}[value] if isinstance(value, bool) else value)
        for value in (getattr(method, field) for method in (Method(), AS_PUBLISHED))
    )
    values = f"default: {default}" + f", as published: {published}" * (published != default)
    group.add_argument(
        f"--{option or field}",
        dest=field,
        default=argparse.SUPPRESS,  # what is not named is left to Method, or to the paper
        help=f"{text}; {values}",
        **how,
    )


def method_of(options: argparse.Namespace) -> dict[str, Any]:
    """What the options say, as arguments of prior.fit and prior.fitting.fit.align."""
    names = {"as_published", *(field.name for field in fields(Method))}
    return {name: value for name, value in vars(options).items() if name in names}
