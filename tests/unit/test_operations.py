"""The API operations, driven by hand: what they ask for and what they make of the answers."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from airflow_provider_dds.api import requests as operations
from airflow_provider_dds.api.models import BackupSet
from airflow_provider_dds.api.requests import MOST_PAGES, PAGE_SIZE, Answer, Kind
from airflow_provider_dds.exceptions import DdsNotFoundError, DdsResponseError

NOON = datetime(2024, 1, 16, 12, 0, 59, tzinfo=timezone.utc)
LATER = datetime(2024, 1, 16, 13, 30, 1, tzinfo=timezone.utc)


def sent(request):
    """Return the parameters that reach the wire: None leaves one out."""
    return {name: value for name, value in request.query.items() if value is not None}


def answered(request, body, request_id="REQ-1"):
    return Answer(request.parse(body), request_id)


def result_of(steps, *bodies):
    """Drive an operation with one answer body after the other and return what it gives."""
    request = next(steps)
    for body in bodies:
        try:
            request = steps.send(answered(request, body))
        except StopIteration as end:
            return end.value
    raise AssertionError(f"{request.action} wants another answer")


def sets_page(first, count=PAGE_SIZE):
    return {
        "RequestId": "REQ-1",
        "Backups": {"Backup": [{"BackupId": str(n), "BackupStatus": "Success"} for n in range(first, first + count)]},
    }


def clusters_page(first, count=PAGE_SIZE):
    return {
        "RequestId": "REQ-1",
        "ClusterBackups": [
            {"ClusterBackupId": f"cb-{n}", "ClusterBackupStatus": "OK"} for n in range(first, first + count)
        ],
    }


def items_page(first, count=PAGE_SIZE):
    return {
        "RequestId": "REQ-1",
        "Items": [{"TaskId": str(n), "Status": "Succeed"} for n in range(first, first + count)],
    }


def listing(name, **filters):
    if name == "describe_history_tasks":
        filters = {"from_start_time": NOON, "to_start_time": LATER, **filters}
    return getattr(operations, name)("dds-1", **filters)


LISTINGS = [
    ("describe_backups", "DescribeBackups", "PageNumber", sets_page),
    ("describe_cluster_backups", "DescribeClusterBackups", "PageNo", clusters_page),
    ("describe_history_tasks", "DescribeHistoryTasks", "PageNumber", items_page),
]
each_listing = pytest.mark.parametrize(
    ("name", "action", "page_parameter", "page"), LISTINGS, ids=[row[1] for row in LISTINGS]
)


# --- CreateBackup -----------------------------------------------------------------------------------------------------


def test_create_asks_with_the_service_s_names():
    request = next(operations.create_backup("dds-1", "Snapshot", 30))
    assert request.action == "CreateBackup"
    assert sent(request) == {"DBInstanceId": "dds-1", "BackupMethod": "Snapshot", "BackupRetentionPeriod": 30}


def test_create_leaves_to_the_service_what_is_not_given():
    assert sent(next(operations.create_backup("dds-1"))) == {"DBInstanceId": "dds-1"}


@pytest.mark.parametrize(
    ("body", "job_id"),
    [
        ({"BackupJobId": "775051"}, "775051"),
        ({"BackupJobId": 775051}, "775051"),
        ({"BackupJobId": 775051.0}, "775051"),
        ({"BackupJobId": "775051\n"}, "775051"),
        ({"BackupJobId": "775051", "BackupId": "5664"}, "775051"),
        ({"BackupId": "5664\n"}, "5664"),
        ({"BackupId": 5664}, "5664"),
        ({"BackupJobId": "", "BackupId": "5664"}, "5664"),
        ({"BackupJobId": None, "BackupId": "5664"}, "5664"),
        ({"BackupJobId": " \n", "BackupId": "5664"}, "5664"),
    ],
    ids=str,
)
def test_create_gives_the_job_id_or_else_the_backup_id(body, job_id):
    assert result_of(operations.create_backup("dds-1"), {"RequestId": "R", **body}) == job_id


@pytest.mark.parametrize(
    "ids", [{}, {"BackupJobId": "", "BackupId": ""}, {"BackupJobId": None, "BackupId": "\n"}], ids=str
)
def test_create_without_any_id_is_an_answer_that_cannot_be_trusted(ids):
    request = next(operations.create_backup("dds-1"))
    with pytest.raises(DdsResponseError, match="without a backup job id"):
        request.parse({"RequestId": "R", **ids})


@pytest.mark.parametrize(
    ("steps", "kind"),
    [
        (operations.create_backup("dds-1"), Kind.ONCE),
        (operations.describe_backup_tasks("dds-1"), Kind.READ),
        (operations.describe_db_instance("dds-1"), Kind.READ),
        (operations.describe_regions(), Kind.READ),
        *((listing(name), Kind.READ) for name, *_ in LISTINGS),
    ],
)
def test_only_create_changes_something(steps, kind):
    assert next(steps).kind is kind


@pytest.mark.parametrize(
    ("steps", "instance"),
    [
        (operations.create_backup("dds-1"), "dds-1"),
        (operations.describe_backup_tasks("dds-1"), "dds-1"),
        (operations.describe_db_instance("dds-1"), "dds-1"),
        (operations.describe_regions(), None),
        *((listing(name), "dds-1") for name, *_ in LISTINGS),
    ],
)
def test_request_knows_the_instance_it_is_about(steps, instance):
    assert next(steps).db_instance_id == instance


# --- DescribeBackupTasks ----------------------------------------------------------------------------------------------


def test_jobs_are_asked_for_by_the_capital_j():
    assert sent(next(operations.describe_backup_tasks("dds-1", "170034"))) == {
        "DBInstanceId": "dds-1",
        "BackupJobId": "170034",
    }


def test_all_jobs_are_asked_for_without_an_id():
    assert sent(next(operations.describe_backup_tasks("dds-1"))) == {"DBInstanceId": "dds-1"}


@pytest.mark.parametrize("wrapped", [False, True])
def test_jobs_come_with_the_request_id_to_quote(wrapped):
    jobs = [{"BackupjobId": "170034\n", "BackupSetStatus": "Finished"}]
    answer = result_of(
        operations.describe_backup_tasks("dds-1", "170034"),
        {"RequestId": "REQ-1", "BackupJobs": {"BackupJob": jobs} if wrapped else jobs},
    )
    assert [job.backup_job_id for job in answer.value] == ["170034"]
    assert answer.request_id == "REQ-1"


def test_jobs_of_an_answer_that_is_none_are_not_no_jobs():
    with pytest.raises(DdsResponseError, match="'BackupJobs'"):
        next(operations.describe_backup_tasks("dds-1")).parse({"Code": "200"})


# --- listings ---------------------------------------------------------------------------------------------------------


def test_sets_are_filtered_by_the_service_s_names_with_times_to_the_minute():
    request = next(
        operations.describe_backups(
            "dds-1",
            backup_job_id="170034",
            backup_id="5664",
            node_id="d-shard-1",
            start_time=NOON,
            end_time=LATER,
        )
    )
    assert request.action == "DescribeBackups"
    assert sent(request) == {
        "DBInstanceId": "dds-1",
        "BackupJobId": "170034",
        "BackupId": "5664",
        "NodeId": "d-shard-1",
        "StartTime": "2024-01-16T12:00Z",
        "EndTime": "2024-01-16T13:30Z",
        "PageSize": 100,
        "PageNumber": 1,
    }


def test_cluster_backups_are_filtered_by_the_service_s_names_with_times_to_the_minute():
    request = next(
        operations.describe_cluster_backups(
            "dds-1", backup_job_id="170034", backup_id="cb-1", start_time=NOON, end_time=LATER
        )
    )
    assert request.action == "DescribeClusterBackups"
    assert sent(request) == {
        "DBInstanceId": "dds-1",
        "BackupJobId": "170034",
        "BackupId": "cb-1",
        "StartTime": "2024-01-16T12:00Z",
        "EndTime": "2024-01-16T13:30Z",
        "PageSize": 100,
        "PageNo": 1,
    }


def test_history_is_asked_for_with_times_to_the_second():
    request = next(operations.describe_history_tasks("dds-1", from_start_time=NOON, to_start_time=LATER))
    assert request.action == "DescribeHistoryTasks"
    assert sent(request) == {
        "InstanceId": "dds-1",
        "FromStartTime": "2024-01-16T12:00:59Z",
        "ToStartTime": "2024-01-16T13:30:01Z",
        "TaskType": "ManualBackupIns",
        "PageSize": 100,
        "PageNumber": 1,
    }


def test_history_of_all_kinds_is_asked_for_without_a_kind():
    assert "TaskType" not in sent(next(listing("describe_history_tasks", task_type=None)))


@pytest.mark.parametrize("name", ["describe_backups", "describe_cluster_backups"])
def test_listing_without_filters_sends_none(name):
    assert sent(next(listing(name))).keys() - {"PageNo", "PageNumber"} == {"DBInstanceId", "PageSize"}


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("describe_backups", "start_time", "end_time"),
        ("describe_cluster_backups", "start_time", "end_time"),
        ("describe_history_tasks", "from_start_time", "to_start_time"),
    ],
)
def test_time_of_another_zone_asks_for_the_same_moment(name, first, last):
    shanghai = timezone(timedelta(hours=8))
    asked = next(listing(name, **{first: NOON.astimezone(shanghai), last: LATER.astimezone(shanghai)}))
    assert asked.query == next(listing(name, **{first: NOON, last: LATER})).query


def test_page_size_is_one_the_service_takes():
    assert PAGE_SIZE in (30, 50, 100)


@each_listing
def test_pages_are_asked_for_until_one_is_short(name, action, page_parameter, page):
    steps = listing(name)
    request = next(steps)
    asked = [request.query[page_parameter]]
    for first, count in ((0, PAGE_SIZE), (PAGE_SIZE, PAGE_SIZE)):
        request = steps.send(answered(request, page(first, count)))
        asked.append(request.query[page_parameter])
    with pytest.raises(StopIteration):
        steps.send(answered(request, {**page(2 * PAGE_SIZE, PAGE_SIZE - 1), "PageSize": PAGE_SIZE}))
    assert asked == [1, 2, 3]
    assert request.action == action


@each_listing
def test_short_first_page_is_the_only_one(name, action, page_parameter, page):
    steps = listing(name)
    request = next(steps)
    with pytest.raises(StopIteration):
        steps.send(answered(request, {**page(0, 1), "PageSize": PAGE_SIZE}))


@each_listing
@pytest.mark.parametrize("field", ["PageSize", "TotalCount"])
@pytest.mark.parametrize("shape", [[], [100], {}, {"Value": 0}])
def test_empty_page_of_another_shape_does_not_say_that_there_is_nothing(
    name, action, page_parameter, page, field, shape
):
    """It would count as proof that a request in doubt was not executed."""
    steps = listing(name)
    answer = answered(next(steps), {**page(0, 0), "PageSize": PAGE_SIZE, "TotalCount": 0, field: shape})
    with pytest.raises(DdsResponseError, match=f"{action} .* field '{field}' is neither text nor a number"):
        steps.send(answer)


@each_listing
def test_full_page_may_be_followed_by_an_empty_one(name, action, page_parameter, page):
    steps = listing(name)
    request = steps.send(answered(next(steps), page(0)))
    with pytest.raises(StopIteration):
        steps.send(answered(request, page(0, 0)))


@each_listing
def test_filters_stay_the_same_from_page_to_page(name, action, page_parameter, page):
    steps = listing(name)
    first = next(steps)
    second = steps.send(answered(first, page(0)))
    assert {**second.query, page_parameter: 1} == first.query


@each_listing
def test_service_that_repeats_a_full_page_is_not_asked_for_ever(name, action, page_parameter, page):
    steps = listing(name)
    request = steps.send(answered(next(steps), page(0)))
    with pytest.raises(DdsResponseError, match=f"{action} for .+ gives the same page for {page_parameter} 1 and 2"):
        steps.send(answered(request, page(0)))


# what the answers say of pages and rows -> how many pages are asked for
ENDINGS = {
    "a smaller page than asked for, by the answer": ([30, 30, 5], {"PageSize": 30}, 3),
    "the same as text": ([30, 30, 5], {"PageSize": "30"}, 3),
    "a smaller page, which the answer does not say": ([30, 30, 5, 0], {}, 4),
    "a smaller page, and the answer says as asked for": ([30, 30, 5], {"PageSize": 100}, 3),
    "a smaller page of fifty": ([50, 50, 1, 0], {"PageSize": "?"}, 4),
    "a page size that cannot be": ([100, 100, 1, 0], {"PageSize": 0}, 4),
    "a page size below the rows of the page": ([100, 100, 1], {"PageSize": 10}, 3),
    "a page size of another kind": ([100, 5, 0], {"PageSize": [30]}, 3),
    "fewer rows than the smaller page": ([29], {"PageSize": 30}, 1),
    "all rows on full pages, by the total": ([100, 100], {"TotalCount": 200}, 2),
    "the same as text ": ([100, 100], {"TotalCount": "200"}, 2),
    "short pages, by the total": ([10, 10, 10], {"TotalCount": 30}, 3),
    "a total of thirty on a page of thirty": ([30, 0], {"TotalCount": 30, "PageSize": 30}, 2),
    "a total that counts the page": ([30, 30, 5], {"TotalCount": 30, "PageSize": 30}, 3),
    "a total of a hundred on a page of a hundred": ([100], {"TotalCount": 100}, 1),
    "a total below the rows seen": ([100, 5], {"TotalCount": 7}, 2),
    "a total of nothing": ([100, 5], {"TotalCount": 0}, 2),
    "a total of another kind": ([100, 5, 0], {"TotalCount": {}}, 3),
    "a total above all rows": ([100, 5, 0], {"TotalCount": 1000}, 3),
}


@each_listing
@pytest.mark.parametrize(("counts", "said", "asked"), ENDINGS.values(), ids=ENDINGS)
def test_listing_is_read_whole_and_not_further(name, action, page_parameter, page, counts, said, asked):
    steps = listing(name)
    request = next(steps)
    first = 0
    for number, count in enumerate(counts, 1):
        assert request.query[page_parameter] == number
        body = {**page(first, count), **said}
        first += count
        if number == asked:
            with pytest.raises(StopIteration):
                steps.send(answered(request, body))
            return
        request = steps.send(answered(request, body))
    raise AssertionError("it asked for more pages than there are")


@each_listing
def test_listing_whose_rows_are_repeated_ends_with_the_total_of_all_of_them(name, action, page_parameter, page):
    body = page(0, 3)
    doubled = result_rows(body)
    doubled += doubled
    steps = listing(name)
    request = next(steps)
    with pytest.raises(StopIteration):
        steps.send(answered(request, {**body, "TotalCount": 6}))


def result_rows(body):
    rows = next(value for key, value in body.items() if key != "RequestId")
    return rows["Backup"] if isinstance(rows, dict) else rows


@each_listing
@pytest.mark.parametrize("said", [{"TotalCount": 31}, {"PageSize": 30}, {}], ids=str)
def test_listing_that_ignores_the_page_ends_and_says_that_it_may_have_more(name, action, page_parameter, page, said):
    steps = operations.read(listing(name))
    request = steps.send(answered(next(steps), {**page(0, 30), **said}, "REQ-1"))
    with pytest.raises(StopIteration) as end:
        steps.send(answered(request, {**page(0, 30), **said}, "REQ-2"))
    found, request_id, incomplete = end.value.value
    assert (len(found), request_id) == (60, "REQ-2")
    assert isinstance(incomplete, DdsResponseError)
    assert action in str(incomplete)
    assert "REQ-2" in str(incomplete)


def test_row_that_changes_from_page_to_page_is_the_same_row():
    def tasks(progress):
        return {**items_page(0), "Items": [{**row, "Progress": progress} for row in items_page(0)["Items"]]}

    steps = listing("describe_history_tasks")
    request = steps.send(answered(next(steps), tasks(1)))
    with pytest.raises(DdsResponseError, match="the same page"):
        steps.send(answered(request, tasks(2)))


@each_listing
def test_listing_without_end_is_given_up(name, action, page_parameter, page):
    steps = listing(name)
    request = next(steps)
    for number in range(1, MOST_PAGES):
        request = steps.send(answered(request, page(number * PAGE_SIZE)))
    assert request.query[page_parameter] == MOST_PAGES
    with pytest.raises(DdsResponseError, match=f"{action} for .+ has more than {MOST_PAGES} pages"):
        steps.send(answered(request, page(MOST_PAGES * PAGE_SIZE)))


def test_collect_does_not_take_a_part_for_the_whole():
    steps = operations.collect(listing("describe_backups"))
    request = steps.send(answered(next(steps), sets_page(0)))
    with pytest.raises(DdsResponseError, match="may have rows that it does not show"):
        steps.send(answered(request, sets_page(0)))


# --- collect ----------------------------------------------------------------------------------------------------------


def test_collect_gives_the_rows_of_all_pages_and_the_last_request_id():
    steps = operations.collect(operations.describe_backups("dds-1"))
    request = steps.send(answered(next(steps), sets_page(0), "REQ-1"))
    with pytest.raises(StopIteration) as end:
        steps.send(answered(request, {**sets_page(PAGE_SIZE, 2), "TotalCount": PAGE_SIZE + 2}, "REQ-2"))
    found, request_id = end.value.value
    assert [each.backup_id for each in found] == [str(n) for n in range(PAGE_SIZE + 2)]
    assert request_id == "REQ-2"


def test_collect_of_an_empty_listing_is_empty():
    assert result_of(operations.collect(operations.describe_backups("dds-1")), sets_page(0, 0)) == ([], "REQ-1")


def test_collect_lets_the_error_of_a_call_through():
    steps = operations.collect(operations.describe_backups("dds-1"))
    next(steps)
    with pytest.raises(DdsResponseError, match="HTML"):
        steps.throw(DdsResponseError("HTML"))


# --- DescribeDBInstanceAttribute, DescribeRegions ---------------------------------------------------------------------


def test_instance_is_asked_for_by_its_id():
    request = next(operations.describe_db_instance("dds-1"))
    assert (request.action, sent(request)) == ("DescribeDBInstanceAttribute", {"DBInstanceId": "dds-1"})


def test_instance_is_the_row_of_the_id():
    body = {
        "RequestId": "REQ-1",
        "DBInstances": {"DBInstance": [{"DBInstanceId": "dds-2"}, {"DBInstanceId": "dds-1", "LockMode": "Unlock"}]},
    }
    instance = result_of(operations.describe_db_instance("dds-1"), body)
    assert (instance.db_instance_id, instance.lock_mode) == ("dds-1", "Unlock")


@pytest.mark.parametrize(
    "instances",
    [{"DBInstances": {"DBInstance": []}}, {"DBInstances": {}}, {}, {"DBInstances": [{"DBInstanceId": "dds-2"}]}],
    ids=str,
)
def test_instance_that_is_not_in_the_list_is_not_found(instances):
    with pytest.raises(DdsNotFoundError, match=r"knows no instance dds-1\. Check .* Request id: REQ-1") as caught:
        result_of(operations.describe_db_instance("dds-1"), {"RequestId": "REQ-1", **instances})
    error = caught.value
    assert (error.action, error.db_instance_id, error.request_id, error.http_status, error.code) == (
        "DescribeDBInstanceAttribute",
        "dds-1",
        "REQ-1",
        200,
        None,
    )


def test_regions_are_asked_for_without_parameters():
    request = next(operations.describe_regions())
    assert (request.action, request.query) == ("DescribeRegions", {})
    assert result_of(operations.describe_regions(), {"Regions": "whatever"}).request_id == "REQ-1"


def test_sets_are_parsed_into_models():
    page = next(operations.describe_backups("dds-1")).parse(sets_page(7, 1))
    assert list(page) == [BackupSet("7", "", "Success")]
