"""Pages of listings, and what an answer says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import malformed

if TYPE_CHECKING:
    from .params import Params
    from .readings import Readings


def page_asked(params: Params, number_name: str, sizes: tuple[int, ...] | range, default: int) -> tuple[int, int]:
    """Return the number and the size of the page that a request asks for.

    :param number_name: the parameter that has the number
    :param sizes: sizes that may be asked for
    :param default: size where none is asked for
    :raises ServiceError: there are no such pages
    """
    number = params.integer(number_name)
    size = params.integer("PageSize")
    if number is not None and number < 1:
        raise malformed(number_name)
    if size is not None and size not in sizes:
        raise malformed("PageSize")
    return 1 if number is None else number, default if size is None else size


def page_of(
    readings: Readings, rows: list[dict[str, Any]], asked: tuple[int, int]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the rows of a page, and the fields of the answer that tell of pages.

    :param rows: all rows, the newest first
    :param asked: number and size of the page
    """
    number, size = asked
    rows = readings.listed(rows)
    most = size if readings.page_rows is None else min(size, readings.page_rows)
    first = 0 if readings.page_number == "ignored" else (number - 1) * most
    page = rows[first : first + most]
    sizes: dict[str, Any] = {"true": most, "asked": size, "text": str(most)}
    totals: dict[str, Any] = {
        "true": len(rows),
        "text": str(len(rows)),
        "of_page": len(page),
        "too_high": len(rows) + 1000,
    }
    said = {
        "PageNumber": number,
        "PageSize": sizes.get(readings.page_size_shown),
        "TotalCount": totals.get(readings.total_count),
    }
    return page, {name: value for name, value in said.items() if value is not None}
